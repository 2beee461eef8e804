"""GET, HEAD and OPTIONS of everything below a channel's URL: who asks, may they read, which file is it."""

from contextlib import suppress
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any, NamedTuple

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from channels_app.access.permissions import Permission
from channels_app.access.revision import IS_CURRENT
from channels_app.authentication import decision_cache
from channels_app.identifiers import KNOWN_SUBDIRS, SUBDIR_MAX_CHARACTERS, is_subdir
from channels_app.models import Channel, Removal
from channels_app.packages import download_counts
from channels_app.site import misplaced
from hub.database import prepared
from hub.errors import HubError, not_found
from publishing.downloads import delivery
from publishing.downloads.cross_origin import headers as cross_origin_headers
from publishing.downloads.cross_origin import preflight_headers
from publishing.downloads.delivery import CHECK_EACH_TIME, NEVER_CHANGES, File
from publishing.index import repodata

# As SQL: it is asked at every request, and to have the ORM make a query and a model takes ten times what this takes.
PUBLISHED = """SELECT id, sha256, size_bytes, attestations_sha256, indexed_timestamp, removal FROM channels_app_artifact
WHERE channel_id = %s AND subdir = %s AND file_name = %s"""
# The time as text: SQLite's driver would parse it by regular expressions, for every 304 that has no use for it.
BUILT = """SELECT etag, current_etag, CAST(built_at AS TEXT) FROM publishing_subdirindex
WHERE channel_id = %s AND subdir = %s"""


class StaleDecision(Exception):  # noqa: N818
    """The decision by which something was looked up may not stand any more."""


class ChannelLookup(NamedTuple):
    """Where to look: a channel that may be read or, with an epoch, that might be as long as this is the current one."""

    channel: Channel
    epoch: int | None = None

    def row(self, sql: str, *values: str | int) -> tuple[Any, ...] | None:
        """A row by a SELECT that ends in its WHERE; what a decision that stands does not find is Doubtful, too."""
        if self.epoch is not None:
            sql, values = f"{sql} AND {IS_CURRENT}", (*values, self.epoch)
        with prepared() as cursor:
            cursor.execute(sql, values)
            row: tuple[Any, ...] | None = cursor.fetchone()
        if row is None and self.epoch is not None:
            raise StaleDecision
        return row


class PublishedFile(NamedTuple):
    """What a file's row says of it, as far as that is needed here."""

    artifact_id: int
    sha256: str
    size_bytes: int
    attestations_sha256: str
    indexed_timestamp: int


def channel_file(request: HttpRequest, channel: str, path: str) -> HttpResponseBase:
    """`/{channel}/{path}` for clients. Every error is one plain sentence."""
    if request.method == "OPTIONS":
        return HttpResponse(status=204, headers=preflight_headers(decision_cache.channel_to_read(request, channel)))
    if request.method not in ("GET", "HEAD"):
        raise misplaced.refusal(request)
    if decision := decision_cache.cached(request, channel, Permission.READ):
        # Before anything is refused, all is asked anew.
        with suppress(StaleDecision, HubError):
            return _answer(request, ChannelLookup(decision.channel, decision.epoch), path)
    return _answer(request, ChannelLookup(decision_cache.channel_to_read(request, channel)), path)


def _answer(request: HttpRequest, among: ChannelLookup, path: str) -> HttpResponseBase:
    more = cross_origin_headers(among.channel)
    try:
        file = _find(among, path)
        response = delivery.answer(request, file, is_private=among.channel.is_private)
    except HubError as error:
        error.headers = error.headers | more
        raise
    for name, value in more.items():
        response.headers[name] = value
    # What a CDN fetches was counted when the client was sent there.
    if file.artifact_id and _is_download(request, response) and not delivery.is_for_cdn(request, file):
        download_counts.count(file.artifact_id)
    return response


def _is_download(request: HttpRequest, response: HttpResponseBase) -> bool:
    """Whether this is the (first) part of a file being fetched, not a look at whether it is there."""
    is_from_start = response.headers.get("Content-Range", "bytes 0-").startswith("bytes 0-")
    return request.method == "GET" and response.status_code in (200, 206, 302) and is_from_start


def _find(among: ChannelLookup, path: str) -> File:
    if path in repodata.CHANNEL_FILES:
        return _index_file(among, "", path)
    subdir, _, name = path.partition("/")
    if not is_subdir(subdir):
        raise not_found("no_such_file", f"'{among.channel}' has no '{path}'; expected <subdir>/<file>{_hint(path)}.")
    if name in repodata.SUBDIR_FILES:
        return _index_file(among, subdir, name)
    if shard := repodata.SHARD.match(name):
        among.row("SELECT 1 WHERE TRUE")
        return File(etag=shard[1], caching=NEVER_CHANGES, key=f"{among.channel.name}/{path}", may_be_gone=True)
    if sidecar := repodata.SIDECAR.match(name):
        return _sidecar(among, subdir, sidecar[1], sidecar[2])
    return _artifact(among, subdir, name)


def _hint(path: str) -> str:
    """Which subdir may be meant, where another word stands in its place; as the rest of a sentence."""
    subdir, slash, _ = path.partition("/")
    if not slash:
        return ""
    word = subdir[:SUBDIR_MAX_CHARACTERS]
    [near, *_] = [*get_close_matches(word.lower(), KNOWN_SUBDIRS, 1), "linux-64"]
    return f", and '{word}' is no subdir, such as {near}"


def _index_file(among: ChannelLookup, subdir: str, name: str) -> File:
    """The file of the last build; before the first one, an empty file of the same kind."""
    content_type = "application/json" if name.endswith(".json") else "application/octet-stream"
    is_also_zst = name in repodata.ALSO_AS_ZST
    newest, current, built_at = among.row(BUILT, among.channel.pk, subdir) or ("", "", None)
    etag = current if name in repodata.CURRENT_FILES else newest
    if etag:
        key = f"{among.channel.name}/{subdir}/{name}" if subdir else f"{among.channel.name}/{name}"
        # When an older build of current_repodata.json was, no row says.
        modified = _seconds(built_at) if etag == newest else 0
        return File(etag, CHECK_EACH_TIME, content_type, key=key, modified=modified, is_also_zst=is_also_zst)
    content = repodata.empty_file(subdir, name)
    if content is None:
        message = f"'{among.channel}' has no subdir '{subdir}': nothing was published there yet."
        raise not_found("no_such_subdir", message)
    modified = int(among.channel.created_at.timestamp())
    return File("empty", CHECK_EACH_TIME, content_type, content=content, modified=modified, is_also_zst=is_also_zst)


def _seconds(moment: str | None) -> int:
    """A time of the database as seconds since 1970; PostgreSQL's has its zone, SQLite's is in UTC."""
    if not moment:
        return 0
    parsed = datetime.fromisoformat(moment)
    return int((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp())


def _sidecar(among: ChannelLookup, subdir: str, name: str, sha256: str | None) -> File:
    """The attestations of a file: any state of them by its SHA-256, or the state that its row names (CEP 50)."""
    published = _published(among, subdir, name)
    if not published.attestations_sha256:
        raise not_found("no_attestation", f"'{subdir}/{name}' has no attestation.")
    wanted = sha256 or published.attestations_sha256
    return File(
        etag=wanted,
        caching=NEVER_CHANGES if sha256 else CHECK_EACH_TIME,
        content_type="application/json",
        key=f"{among.channel.name}/{subdir}/{name}.sigs.{wanted}",
        may_be_gone=True,
    )


def _artifact(among: ChannelLookup, subdir: str, name: str) -> File:
    published = _published(among, subdir, name)
    return File(
        etag=published.sha256,
        caching=CHECK_EACH_TIME if among.channel.allow_overwrite else NEVER_CHANGES,
        key=f"{among.channel.name}/{subdir}/{name}",
        modified=published.indexed_timestamp // 1000,
        artifact_id=published.artifact_id,
        artifact_bytes=published.size_bytes,
    )


def _published(among: ChannelLookup, subdir: str, name: str) -> PublishedFile:
    row = among.row(PUBLISHED, among.channel.pk, subdir, name)
    if row is None:
        raise not_found("no_such_file", f"'{among.channel}' has no file '{subdir}/{name}'.")
    *values, removal = row
    if removal == Removal.DELETED:
        raise not_found("deleted", f"'{subdir}/{name}' was deleted from '{among.channel}'.")
    return PublishedFile(*values)
