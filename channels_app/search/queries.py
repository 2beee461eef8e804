"""Queries of the search over packages and channels."""

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Literal, TypeVar

from django.contrib.postgres.lookups import TrigramSimilar
from django.contrib.postgres.search import SearchQuery, SearchVector, SearchVectorExact, TrigramSimilarity
from django.db import connection
from django.db.models import Case, Count, F, IntegerField, Q, QuerySet, Value, When
from django.db.models.expressions import RawSQL
from django.db.models.functions import Length, Replace

from channels_app.access.permissions import Actor, visible_channels
from channels_app.channels import queries
from channels_app.models import Channel, ChannelKind, Package
from channels_app.packages.queries import has_files_in
from channels_app.search import indexes
from channels_app.search.indexes import SearchIndex

Row = TypeVar("Row", Channel, Package)
Order = Literal["relevance", "downloads", "newest", "name"]

MAX_CHARACTERS = 100
MAX_WORDS = 8
TRIGRAM_CHARACTERS = 3  # shorter words have no trigram
SEPARATORS = re.compile(r"[-_.]+")
PLAIN_NAME = Replace(Replace("name", Value("_"), Value("-")), Value("."), Value("-"))
# Names that are compared with a text without results, those that are offered, and their least similarity.
NEAR_MAX = 200
SIMILAR_MAX = 3
SIMILARITY = 0.7
ORDERS: Mapping[Order, Sequence[Any]] = {
    "relevance": ("place", "-download_count", "closeness", "name", "channel__name"),
    "downloads": ("-download_count", "name", "channel__name"),
    "newest": (F("updated_at").desc(nulls_last=True), "name", "channel__name"),
    "name": ("name", "channel__name"),
}
CHANNEL_ORDER = ("place", "closeness", "name")


def find_packages(
    actor: Actor, text: str, *, channel: str = "", subdir: str = "", order: Order = "relevance"
) -> QuerySet[Package]:
    """Select the packages that match `text` and that `actor` may see, of all channels and subdirs or of one.

    Each comes with its channel; one query. Names of an upstream that it does not list are left out: filters may hide
    tens of thousands.
    """
    packages = _visible(actor, channel).exclude(latest_version="", channel__kind=ChannelKind.UPSTREAM)
    if subdir:
        of_upstream = Q(has_files_in(subdir, of_upstream=True), channel__kind=ChannelKind.UPSTREAM)
        packages = packages.filter(Q(has_files_in(subdir, of_upstream=False)) | of_upstream)
    return _matching(packages, text, indexes.PACKAGES, ORDERS[order])


def suggestions(actor: Actor, text: str) -> QuerySet[Package]:
    """Select the installable packages that `actor` may see, with every word in their names; the best match first."""
    packages = _visible(actor).filter(latest_version__gt="")
    return _matching(packages, text, indexes.PACKAGES, ORDERS["relevance"], only_names=True)


def suggested_channels(actor: Actor, text: str) -> QuerySet[Channel]:
    """Select the channels that `actor` may see, with every word in their names; the best match first."""
    channels = Channel.objects.filter(pk__in=visible_channels(actor).values("pk")).defer("logo")
    return _matching(channels, text, indexes.CHANNELS, CHANNEL_ORDER, only_names=True)


def count_by_channel(packages: QuerySet[Package]) -> dict[str, int]:
    """Return channel name → number of these packages, the highest number first; one query."""
    counted = packages.order_by().values_list("channel__name").annotate(packages=Count("pk"))
    return dict(counted.order_by("-packages", "channel__name"))


def find_channels(actor: Actor, text: str) -> QuerySet[Channel]:
    """Select the channels that match `text` and that `actor` may see.

    Each comes with its `package_count`, the best match first; one query.
    """
    return _matching(queries.channel_cards(actor), text, indexes.CHANNELS, CHANNEL_ORDER)


def similar_names(actor: Actor, text: str) -> list[str]:
    """Return the names of packages that `actor` may see and `text` may mean, the most similar first; one query."""
    wanted = "-".join(words_of(text))
    if len(wanted) < TRIGRAM_CHARACTERS:
        return []
    packages = Package.objects.filter(channel__in=visible_channels(actor).values("pk"), latest_version__gt="")
    if connection.vendor == "postgresql":
        near = packages.filter(TrigramSimilar(F("name"), Value(wanted)))
        packages = near.annotate(near=TrigramSimilarity("name", wanted)).order_by("-near", "-download_count")
    else:
        # A wrong letter in the middle of a short name leaves no common trigram.
        is_near = Q(pk__in=_near_rows(wanted)) | _begins(wanted[: TRIGRAM_CHARACTERS - 1])
        packages = packages.filter(is_near).order_by("-download_count")
    names = list(dict.fromkeys(packages.values_list("name", flat=True)[:NEAR_MAX]))
    return get_close_matches(wanted, names, n=SIMILAR_MAX, cutoff=SIMILARITY)


def normal(text: str) -> str:
    """Normalize a search text: lower case as in names, one line, no NUL characters, bounded length."""
    return " ".join(text[: 4 * MAX_CHARACTERS].replace("\0", " ").lower().split())[:MAX_CHARACTERS].strip()


def words_of(text: str) -> list[str]:
    """Return the words of a search text. The separators of names part them: people mix up `-`, `_` and `.`."""
    whole = normal(text)
    return (SEPARATORS.sub(" ", whole).split() or whole.split())[:MAX_WORDS]


def _visible(actor: Actor, channel: str = "") -> QuerySet[Package]:
    channels = visible_channels(actor).filter(name=channel) if channel else visible_channels(actor)
    return Package.objects.filter(channel__in=channels.values("pk")).select_related("channel").defer("channel__logo")


def _matching(
    rows: QuerySet[Row], text: str, searched: SearchIndex, order: Sequence[Any], *, only_names: bool = False
) -> QuerySet[Row]:
    """Select the rows that match, in this order. Two of its keys compare names; their separators count as equal.

    `place`: exact names, prefixes, names that contain it, then descriptions. `closeness`: shorter names first.
    """
    words = words_of(text)
    whole = "-".join(words)
    if not words:
        return rows.none()
    place = Case(
        When(plain_name=whole, then=0),
        When(plain_name__startswith=whole, then=1),
        When(Q(*(Q(name__contains=word) for word in words)), then=2),
        default=3,
        output_field=IntegerField(),
    )
    closeness = Case(When(place__lt=3, then=Length("name")), default=Value(0))
    found = rows.filter(_condition(words, normal(text), searched, only_names=only_names))
    found = found.annotate(plain_name=PLAIN_NAME).annotate(place=place).annotate(closeness=closeness)
    return found.order_by(*order)


def _near_rows(wanted: str) -> RawSQL:
    """Select the packages on SQLite whose names share most trigrams with `wanted`."""
    starts = range(len(wanted) - TRIGRAM_CHARACTERS + 1)
    trigrams = {wanted[start : start + TRIGRAM_CHARACTERS].replace('"', '""') for start in starts}
    table = indexes.PACKAGES.full_text
    sql = f"SELECT rowid FROM {table} WHERE {table} MATCH %s ORDER BY rank LIMIT {NEAR_MAX}"  # noqa: S608  # nosec B608  # a name of ours
    return RawSQL(sql, ["name : ({})".format(" OR ".join(f'"{each}"' for each in sorted(trigrams)))])  # noqa: S611  # nosec B611  # the text is a parameter


def _condition(words: list[str], whole: str, searched: SearchIndex, *, only_names: bool) -> Q:
    """Require every word in the name or the description. If all are short, the first begins a name.

    Short words with separators between them, as in 3.11, are also looked for as they are in `whole`.
    """
    long = [word for word in words if len(word) >= TRIGRAM_CHARACTERS]
    short = [word for word in words if len(word) < TRIGRAM_CHARACTERS]
    condition = _full_text(long, searched, only_names=only_names) if long else _begins(short.pop(0))
    for word in short:
        in_prose = Q() if only_names else Q(**{f"{searched.prose}__icontains": word})
        condition &= Q(name__contains=word) | in_prose
    if not long and len(whole) >= TRIGRAM_CHARACTERS and " " not in whole:
        condition |= _full_text([whole], searched, only_names=only_names)
    return condition


def _begins(word: str) -> Q:
    """Match names that begin with `word`. SQLite gets a range, because its LIKE can't use Django's indexes."""
    return Q(name__startswith=word) if connection.vendor == "postgresql" else Q(name__range=(word, f"{word}\U0010ffff"))


def _full_text(words: list[str], searched: SearchIndex, *, only_names: bool) -> Q:
    """Require every word in the name or the description, by the indexes of search/indexes.py."""
    if connection.vendor == "postgresql":
        in_names = [Q(name__contains=word) for word in words]
        if only_names:
            return Q(*in_names)
        return Q(*(each | Q(_description_matches(word, searched)) for each, word in zip(in_names, words, strict=True)))
    phrases = " ".join('"{}"'.format(word.replace('"', '""')) for word in words)
    sql = f"SELECT rowid FROM {searched.full_text} WHERE {searched.full_text} MATCH %s"  # noqa: S608  # nosec B608  # a name of ours
    return Q(pk__in=RawSQL(sql, [f"name : ({phrases})" if only_names else phrases]))  # noqa: S611  # nosec B611  # the text is a parameter


def _description_matches(word: str, searched: SearchIndex) -> SearchVectorExact:
    """Match descriptions with a word that begins with `word`, on PostgreSQL."""
    quoted = word.replace("\\", "\\\\").replace("'", "''")
    query = SearchQuery(f"'{quoted}':*", config="simple", search_type="raw")
    return SearchVectorExact(SearchVector(searched.prose, config="simple"), query)
