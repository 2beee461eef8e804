"""Queries of the search over packages and channels."""

from typing import TypeVar

from django.contrib.postgres.search import SearchQuery, SearchVector, SearchVectorExact
from django.db import connection
from django.db.models import Case, IntegerField, Q, QuerySet, Value, When
from django.db.models.expressions import RawSQL
from django.db.models.functions import Length

from channels_app.access.permissions import Actor, visible_channels
from channels_app.channels import queries
from channels_app.models import Channel, Package
from channels_app.search import indexes
from channels_app.search.indexes import SearchIndex

Row = TypeVar("Row", Channel, Package)

MAX_CHARACTERS = 100
MAX_WORDS = 8
TRIGRAM_CHARACTERS = 3  # shorter words have no trigram


def find_packages(actor: Actor, text: str, channel: Channel | None = None) -> QuerySet[Package]:
    """Select the packages that match `text` and that `actor` may see.

    Each comes with its channel, the best match first; one query.
    """
    places = visible_channels(actor) if channel is None else visible_channels(actor).filter(pk=channel.pk)
    packages = Package.objects.filter(channel__in=places.values("pk")).select_related("channel").defer("channel__logo")
    return _best_first(packages, text, indexes.PACKAGES, "-download_count", "name", "channel__name")


def find_channels(actor: Actor, text: str) -> QuerySet[Channel]:
    """Select the channels that match `text` and that `actor` may see.

    Each comes with its `package_count`, the best match first; one query.
    """
    return _best_first(queries.channel_cards(actor), text, indexes.CHANNELS, "name")


def normal(text: str) -> str:
    """Normalize a search text: lower case as in names, one line, no NUL characters, bounded length."""
    return " ".join(text[: 4 * MAX_CHARACTERS].replace("\0", " ").lower().split())[:MAX_CHARACTERS].strip()


def words_of(text: str) -> list[str]:
    return normal(text).split()[:MAX_WORDS]


def _best_first(rows: QuerySet[Row], text: str, searched: SearchIndex, *then_by: str) -> QuerySet[Row]:
    """Order the matches: exact names, prefixes, names that contain it, then descriptions.

    Shorter names come first among names that contain the text.
    """
    words, whole = words_of(text), normal(text)
    if not words:
        return rows.none()
    place = Case(
        When(name=whole, then=0),
        When(name__startswith=whole, then=1),
        When(Q(*(Q(name__contains=word) for word in words)), then=2),
        default=3,
        output_field=IntegerField(),
    )
    closeness = Case(When(place__lt=3, then=Length("name")), default=Value(0))
    found = rows.filter(_condition(words, searched)).annotate(place=place).annotate(closeness=closeness)
    return found.order_by("place", "closeness", *then_by)


def _condition(words: list[str], searched: SearchIndex) -> Q:
    """Require every word in the name or the description. A single short word is a prefix of a name."""
    long = [word for word in words if len(word) >= TRIGRAM_CHARACTERS]
    short = [word for word in words if len(word) < TRIGRAM_CHARACTERS]
    condition = _full_text(long, searched) if long else _begins(short.pop(0))
    for word in short:
        condition &= Q(name__contains=word) | Q(**{f"{searched.prose}__icontains": word})
    return condition


def _begins(word: str) -> Q:
    """Match names that begin with `word`. SQLite gets a range, because its LIKE can't use Django's indexes."""
    return Q(name__startswith=word) if connection.vendor == "postgresql" else Q(name__range=(word, f"{word}\U0010ffff"))


def _full_text(words: list[str], searched: SearchIndex) -> Q:
    """Require every word in the name or the description, by the indexes of search/indexes.py."""
    if connection.vendor == "postgresql":
        return Q(*(Q(name__contains=word) | Q(_description_matches(word, searched)) for word in words))
    phrases = " ".join('"{}"'.format(word.replace('"', '""')) for word in words)
    sql = f"SELECT rowid FROM {searched.full_text} WHERE {searched.full_text} MATCH %s"  # noqa: S608  # nosec B608  # a name of ours
    return Q(pk__in=RawSQL(sql, [phrases]))  # noqa: S611  # nosec B611  # the text is a parameter


def _description_matches(word: str, searched: SearchIndex) -> SearchVectorExact:
    """Match descriptions with a word that begins with `word`, on PostgreSQL."""
    quoted = word.replace("\\", "\\\\").replace("'", "''")
    query = SearchQuery(f"'{quoted}':*", config="simple", search_type="raw")
    return SearchVectorExact(SearchVector(searched.prose, config="simple"), query)
