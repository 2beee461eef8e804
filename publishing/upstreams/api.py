"""`/api/v1/channels/{channel}/upstream`: the source of an upstream channel, its state, and its hidden records."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpResponse
from ninja import Field, Query, Router, Schema, Status
from ninja.pagination import paginate

from channels_app.access.permissions import Permission, channel_for, lock_channel
from channels_app.identifiers import FILE_NAME_MAX_CHARACTERS, SUBDIR_MAX_CHARACTERS
from channels_app.models import Channel
from channels_app.packages.api import Text, package_of
from channels_app.rest.bodies import Body
from channels_app.rest.conditional import IF_MATCH, check_match
from channels_app.rest.pagination import PAGE_MAX, Pages, url_with
from channels_app.rest.service import SESSION_ONLY, Request
from publishing.models import Upstream, UpstreamName
from publishing.models.upstreams import COOLDOWN_DAYS_MAX, POLL_MINUTES_MAX, URL_MAX_CHARACTERS
from publishing.record_filters import (
    LICENSE_MAX_CHARACTERS,
    LICENSES_MAX,
    NEWEST_VERSIONS_MAX,
    SPEC_MAX_CHARACTERS,
    SPECS_MAX,
)
from publishing.upstreams import acceptance, browsing, filtering, previews, queries, upstreams
from publishing.upstreams.filtering import MAX_AGE_DAYS_MAX, FilterTexts
from publishing.upstreams.upstreams import (
    CACHED_BYTES_MAX,
    CREDENTIAL_MAX_CHARACTERS,
    EXCEPTIONS_MAX,
    GLOB_MAX_CHARACTERS,
    REASON_MAX_CHARACTERS,
    SUBDIRS,
)

router = Router(tags=["Upstreams"])
PATH = "/channels/{channel}/upstream"
RECORD_PAGES_MAX = 10_000
Specs = Annotated[list[Annotated[str, Field(max_length=SPEC_MAX_CHARACTERS)]], Field(max_length=SPECS_MAX)]
Licenses = Annotated[list[Annotated[str, Field(max_length=LICENSE_MAX_CHARACTERS)]], Field(max_length=LICENSES_MAX)]
Credential = Annotated[str, Field(max_length=CREDENTIAL_MAX_CHARACTERS)]


class CooldownException(Body):
    """Names without a cooldown."""

    names: str = Field(min_length=1, max_length=GLOB_MAX_CHARACTERS, description="A name; * and ? are wildcards.")
    reason: str = Field(min_length=1, max_length=REASON_MAX_CHARACTERS)


class UpstreamSettings(Body):
    """The settings of an upstream."""

    url: str = Field(max_length=URL_MAX_CHARACTERS, description="Of the other channel.")
    subdirs: list[str] = Field(default=SUBDIRS, max_length=100)
    poll_minutes: int = Field(10, ge=1, le=POLL_MINUTES_MAX)
    cooldown_days: int = Field(0, ge=0, le=COOLDOWN_DAYS_MAX, description="0: records are listed at once.")
    exceptions: list[CooldownException] = Field(default=[], max_length=EXCEPTIONS_MAX)
    max_cached_bytes: int = Field(50 * 2**30, ge=0, le=CACHED_BYTES_MAX)

    def values(self) -> dict[str, Any]:
        """Return the arguments of upstreams.change()."""
        exceptions = [[each.names, each.reason] for each in self.exceptions]
        return self.model_dump(exclude_none=True) | {"exceptions": exceptions}


class ChangedUpstream(UpstreamSettings):
    """The settings of an upstream, all of them. Without a credential, the stored one stays."""

    credential: Credential | None = Field(None, description="A token or USER:PASSWORD; empty: remove it.")


class AcceptedRecord(Body):
    """A record to accept that is held back because its SHA-256 changed."""

    subdir: Annotated[str, Field(max_length=SUBDIR_MAX_CHARACTERS)]
    file_name: Annotated[str, Field(max_length=FILE_NAME_MAX_CHARACTERS)]
    sha256: str = Field(min_length=64, max_length=64, description="The one of `…/hidden`: another is not accepted.")
    reason: str = Field(min_length=1, max_length=REASON_MAX_CHARACTERS)


class FilterFields(Body):
    """The filters of an upstream channel. Records that don't pass them are hidden from all clients."""

    include: Specs = Field([], description="MatchSpecs; names may have `*` and `?`. Empty: all packages.")
    exclude: Specs = Field([], description="MatchSpecs, such as `*[subdir='win-64']`.")
    licenses: Licenses = Field([], description="Globs of the only licences. Empty: all.")
    excluded_licenses: Licenses = Field([], description="Globs of licences, such as `*GPL*`.")
    max_age_days: int | None = Field(
        None, ge=1, le=MAX_AGE_DAYS_MAX, description="Since the hub first saw a record. Null: any."
    )
    newest_versions: int | None = Field(
        None, ge=1, le=NEWEST_VERSIONS_MAX, description="Of each name in each subdir. Null: all."
    )

    def texts(self) -> FilterTexts:
        return FilterTexts(**self.model_dump(include=set(FilterFields.model_fields)))


class NewUpstream(UpstreamSettings):
    """A new channel with its upstream."""

    name: str = Field(max_length=200)
    description: str = Field("", max_length=500)
    is_private: bool = True
    credential: Credential = Field("", description="A token or USER:PASSWORD.")
    filters: FilterFields | None = None

    def values(self) -> dict[str, Any]:
        return super().values() | ({"filters": self.filters.texts()} if self.filters else {})


class WantedFilters(FilterFields):
    """The filters to save. They replace the saved ones."""

    dry_run: bool = Field(False, description="Change nothing, and return how many records the filters would leave.")


class FilteredRecord(Schema):
    """A record that the filters hide."""

    subdir: str
    file_name: str
    text: str


class FilteredSubdir(Schema):
    """The records of a subdir, with those that a cooldown hides or that are held back."""

    subdir: str
    names: int = Field(description="That keep a record.")
    names_going: int = Field(description="That would lose the last record that passes.")
    records: int = Field(description="That pass the filters.")
    hidden: int = Field(description="That don't pass.")
    going: int = Field(description="Those of `hidden` that pass the saved filters.")
    coming: int = Field(description="Those of `records` that don't pass the saved filters.")


class FilterPreview(Schema):
    """The records that filters would leave. A name of several subdirs counts once."""

    names: int
    names_going: int
    records: int
    hidden: int
    going: int
    coming: int
    subdirs: list[FilteredSubdir]
    examples: list[FilteredRecord] = Field(description=f"Some that would go, {previews.EXAMPLES} of each subdir.")

    @staticmethod
    def of(found: previews.Preview) -> "FilterPreview":
        subdirs = [{"subdir": subdir} | asdict(counts) for subdir, counts in found.subdirs.items()]
        examples = [asdict(each) for each in found.examples]
        return FilterPreview.model_validate(asdict(found.total) | {"subdirs": subdirs, "examples": examples})


class Filters(FilterFields):
    """The filters of an upstream channel."""

    preview: FilterPreview | None = Field(None, description="Of a dry run.")

    @staticmethod
    def of(wanted: FilterTexts, preview: FilterPreview | None = None) -> "Filters":
        return Filters(**asdict(wanted), preview=preview)


class UpstreamState(Schema):
    """An upstream: its settings without the credential, its last polls, and sums over its records and cached files."""

    url: str
    has_credential: bool
    subdirs: list[str]
    poll_minutes: int
    cooldown_days: int
    exceptions: list[CooldownException]
    max_cached_bytes: int

    @staticmethod
    def resolve_has_credential(stored: Upstream) -> bool:
        return bool(stored.encrypted_credential)

    @staticmethod
    def resolve_exceptions(stored: Upstream) -> list[dict[str, str]]:
        return [{"names": glob, "reason": reason} for glob, reason in stored.exceptions]


class UpstreamCounts(Schema):
    """How an upstream channel is up to date."""

    polled_at: datetime | None = Field(description="When the last poll began; null: a poll is due.")
    succeeded_at: datetime | None
    failing_since: datetime | None
    error_code: str
    error: str
    names: int
    records: int
    waiting: int = Field(description="Records that the cooldown hides.")
    filtered: int = Field(description="Records that the filters hide.")
    held: int = Field(description="Records that are hidden for another reason.")
    cached_files: int
    cached_bytes: int


class HiddenRecord(Schema):
    """A hidden record."""

    file_name: str
    reason: str = Field(description="`waiting`, `changed`, `unusable` or `filtered`.")
    until: datetime | None = Field(description="When the cooldown ends.")
    text: str
    first_sha256: str = Field(description="Of a changed record: the one that the hub first saw; else empty.")
    sha256: str = Field(description="Of a changed record: its own; else empty.")


class HiddenName(Schema):
    """A package name of a subdir with hidden records."""

    name: str
    subdir: str
    records: list[HiddenRecord]

    @staticmethod
    def resolve_subdir(row: UpstreamName) -> str:
        return row.index.subdir

    @staticmethod
    def resolve_records(row: UpstreamName) -> list[queries.HiddenRecord]:
        return queries.hidden_records(row)


class RecordQuery(Schema):
    version: Text = ""
    subdir: Text = ""
    limit: int = Field(PAGE_MAX, ge=1, le=PAGE_MAX, description="Records per page.")
    page: int = Field(1, ge=1, le=RECORD_PAGES_MAX)


class UpstreamRecord(Schema):
    """A record of an upstream, as the hub has it."""

    subdir: str
    file_name: str
    version: str
    build: str
    build_number: int
    size_bytes: int
    sha256: str
    first_seen_at: datetime = Field(
        description="When the hub first saw the file; if `changed`, with its bytes of before."
    )
    state: str = Field(description="`listed`, or `waiting`, `changed` or `filtered`: hidden for this reason.")
    text: str = Field(description="Why the record is hidden, as a sentence.")
    until: datetime | None = Field(description="When the cooldown ends.")
    is_cached: bool = Field(description="The hub has the package. Others are fetched at the first request.")


class UpstreamPackage(Schema):
    """The records of a name."""

    name: str
    latest_version: str = Field(description="Of the listed records; empty if all are hidden.")
    versions: list[str] = Field(description="Of all records that the query selects, the newest first.")
    records: list[UpstreamRecord]
    next: str | None = Field(description="URL of the next page of records.")


@router.post("/upstreams", response={201: UpstreamState}, url_name="upstreams", openapi_extra=SESSION_ONLY)
def create_upstream(request: Request, new: NewUpstream, response: HttpResponse) -> Status[Any]:
    """Create a channel that stands on an upstream. Only administrators can."""
    channel = upstreams.create(actor=request.auth, **new.values())
    response.headers["Location"] = f"/api/v1/channels/{channel.name}/upstream"
    return Status(201, upstreams.of(channel))


@router.get(PATH, response=UpstreamState, url_name="channel-upstream")
def get_upstream(request: Request, channel: str) -> Upstream:
    return upstreams.of(channel_for(request.auth, channel, Permission.MANAGE))


@router.put(PATH, response=UpstreamState, openapi_extra=IF_MATCH | SESSION_ONLY)
def change_upstream(request: Request, channel: str, changed: ChangedUpstream) -> Upstream:
    """Replace the settings. The index follows within minutes."""
    found = channel_for(request.auth, channel, Permission.OWN)
    with transaction.atomic():
        locked = lock_channel(request.auth, found, Permission.OWN)
        check_match(request, UpstreamState.from_orm(upstreams.of(locked)))
        return upstreams.change(actor=request.auth, channel=locked, **changed.values())


@router.get(f"{PATH}/state", response=UpstreamCounts, url_name="channel-upstream-state")
def get_upstream_state(request: Request, channel: str) -> dict[str, Any]:
    """Return how the channel is up to date, and sums over its records and cached files."""
    found = channel_for(request.auth, channel, Permission.MANAGE)
    stored, sums = upstreams.of(found), queries.counts(found)
    polls = ("polled_at", "succeeded_at", "failing_since", "error_code", "error")
    of_cache = ("names", "records", "waiting", "filtered", "held", "cached_files", "cached_bytes")
    return {name: getattr(stored, name) for name in polls} | {name: getattr(sums, name) for name in of_cache}


@router.post(f"{PATH}/poll", response={202: UpstreamState}, url_name="channel-upstream-poll")
def poll_upstream(request: Request, channel: str) -> Status[Any]:
    """Poll the upstream within seconds."""
    found = channel_for(request.auth, channel, Permission.MANAGE)
    return Status(202, upstreams.poll_now(actor=request.auth, channel=found))


@router.get(f"{PATH}/hidden", response=list[HiddenName], url_name="channel-upstream-hidden")
@paginate(Pages, ordering=("id",))
def list_hidden_records(request: Request, channel: str, filtered: bool = False) -> QuerySet[UpstreamName]:
    """List the records that the channel hides: by its cooldown, for a changed SHA-256, or as unusable.

    With `filtered`, list the names with records that the filters hide.
    """
    found: Channel = channel_for(request.auth, channel, Permission.MANAGE)
    upstreams.of(found)
    return queries.filtered_names(found) if filtered else queries.hidden_names(found)


@router.get(f"{PATH}/packages/{{name}}", response=UpstreamPackage, url_name="channel-upstream-package")
def get_upstream_package(request: Request, channel: str, name: str, query: Query[RecordQuery]) -> dict[str, Any]:
    """Return the records of a name, also hidden ones, the newest version first. A page has the records of `limit`."""
    found = channel_for(request.auth, channel, Permission.READ)
    upstreams.of(found)
    package = package_of(found, name)
    records = browsing.records(found, name, version=query.version, subdir=query.subdir)
    end = query.page * query.limit
    return {
        "name": name,
        "latest_version": package.latest_version,
        "versions": [each.version for each in browsing.versions(records)],
        "records": browsing.with_cached(found, records[end - query.limit : end]),
        "next": url_with(request, page=str(query.page + 1)) if len(records) > end else None,
    }


@router.post(f"{PATH}/accept", response=HiddenName, url_name="channel-upstream-accept", openapi_extra=SESSION_ONLY)
def accept_record(request: Request, channel: str, accepted: AcceptedRecord) -> UpstreamName:
    """Accept the new SHA-256 of a record, and return the hidden records of its name. The index follows in seconds.

    A cooldown of the channel begins again for the record. A further change is held back again.
    """
    found = channel_for(request.auth, channel, Permission.OWN)
    return acceptance.accept(actor=request.auth, channel=found, **accepted.model_dump())


@router.get(f"{PATH}/filters", response=Filters, url_name="channel-upstream-filters")
def get_filters(request: Request, channel: str) -> Filters:
    return _filters(upstreams.of(channel_for(request.auth, channel, Permission.MANAGE)))


@router.put(f"{PATH}/filters", response=Filters, openapi_extra=IF_MATCH | SESSION_ONLY)
def change_filters(request: Request, channel: str, wanted: WantedFilters) -> Filters:
    """Replace the filters, or with `dry_run` count the records that they would leave. The index follows in minutes."""
    found = channel_for(request.auth, channel, Permission.OWN)
    if wanted.dry_run:
        return Filters.of(wanted.texts(), FilterPreview.of(previews.preview(found, wanted.texts())))
    with transaction.atomic():
        locked = lock_channel(request.auth, found, Permission.OWN)
        check_match(request, _filters(upstreams.of(locked)))
        return _filters(upstreams.change(actor=request.auth, channel=locked, filters=wanted.texts()))


def _filters(upstream: Upstream) -> Filters:
    return Filters.of(filtering.texts(upstream.filters))
