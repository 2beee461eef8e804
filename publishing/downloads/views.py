"""GET, HEAD and OPTIONS below a channel's URL: authentication, access, and the lookup of the file."""

from contextlib import suppress
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
from channels_app.packages.queries import no_such_file
from channels_app.site import misplaced
from hub.database import moment, prepared
from hub.errors import HubError, not_found
from publishing.downloads import delivery
from publishing.downloads.cross_origin import headers as cross_origin_headers
from publishing.downloads.cross_origin import preflight_headers
from publishing.downloads.delivery import CHECK_EACH_TIME, NEVER_CHANGES, File
from publishing.index import empty_files, repodata, shards

# SQL, because it runs at every request: the ORM would take ten times as long to build the query and the model.
PUBLISHED = """SELECT id, sha256, size_bytes, attestations_sha256, indexed_timestamp, removal FROM channels_app_artifact
WHERE channel_id = %s AND subdir = %s AND file_name = %s"""
# The time as text: SQLite's driver would parse it with regular expressions, which is wasted for a 304.
BUILT = """SELECT etag, current_etag, CAST(built_at AS TEXT) FROM publishing_subdirindex
WHERE channel_id = %s AND subdir = %s"""


class StaleDecision(Exception):  # noqa: N818
    """The cached access decision may no longer be current."""


class ChannelLookup(NamedTuple):
    """Queries for one readable channel. With `access_revision`, each also checks that the decision is current."""

    channel: Channel
    access_revision: int | None = None

    def row(self, sql: str, *values: str | int) -> tuple[Any, ...] | None:
        """Run `sql`, which must end in its WHERE clause, and return one row or None.

        Raise StaleDecision if there is no row and the access decision was cached.
        """
        if self.access_revision is not None:
            sql, values = f"{sql} AND {IS_CURRENT}", (*values, self.access_revision)
        with prepared() as cursor:
            cursor.execute(sql, values)
            row: tuple[Any, ...] | None = cursor.fetchone()
        if row is None and self.access_revision is not None:
            raise StaleDecision
        return row


class PublishedFile(NamedTuple):
    """The columns of an artifact's row that a download needs."""

    artifact_id: int
    sha256: str
    size_bytes: int
    attestations_sha256: str
    indexed_timestamp: int


def channel_file(request: HttpRequest, channel: str, path: str) -> HttpResponseBase:
    """Answer `/{channel}/{path}` for clients. Every error has one plain sentence."""
    if request.method == "OPTIONS":
        return HttpResponse(status=204, headers=preflight_headers(decision_cache.channel_to_read(request, channel)))
    if request.method not in ("GET", "HEAD"):
        raise misplaced.refusal(request)
    if decision := decision_cache.cached(request, channel, Permission.READ):
        # Check access again before any refusal.
        with suppress(StaleDecision, HubError):
            return _answer(request, ChannelLookup(decision.channel, decision.access_revision), path)
    return _answer(request, ChannelLookup(decision_cache.channel_to_read(request, channel)), path)


def _answer(request: HttpRequest, lookup: ChannelLookup, path: str) -> HttpResponseBase:
    more = cross_origin_headers(lookup.channel)
    try:
        file = _find(lookup, path)
        response = delivery.answer(request, file, is_private=lookup.channel.is_private)
    except HubError as error:
        error.headers = error.headers | more
        raise
    for name, value in more.items():
        response.headers[name] = value
    # A CDN's own request is not counted: the download was counted at the redirect to the CDN.
    if file.artifact_id and _is_download(request, response) and not delivery.is_for_cdn(request, file):
        download_counts.count(file.artifact_id)
    return response


def _is_download(request: HttpRequest, response: HttpResponseBase) -> bool:
    """Tell whether this is a download that counts: a GET of the whole file or of its first range."""
    is_from_start = response.headers.get("Content-Range", "bytes 0-").startswith("bytes 0-")
    return request.method == "GET" and response.status_code in (200, 206, 302) and is_from_start


def _find(lookup: ChannelLookup, path: str) -> File:
    if path in repodata.CHANNEL_FILES:
        return _index_file(lookup, "", path)
    subdir, _, name = path.partition("/")
    if not is_subdir(subdir):
        raise not_found("no_such_file", f"'{lookup.channel}' has no '{path}'; expected <subdir>/<file>{_hint(path)}.")
    if name in repodata.SUBDIR_FILES:
        return _index_file(lookup, subdir, name)
    if shard := shards.SHARD.match(name):
        lookup.row("SELECT 1 WHERE TRUE")
        return File(etag=shard[1], caching=NEVER_CHANGES, key=f"{lookup.channel.name}/{path}", may_be_gone=True)
    if sidecar := repodata.SIDECAR.match(name):
        return _sidecar(lookup, subdir, sidecar[1], sidecar[2])
    return _artifact(lookup, subdir, name)


def _hint(path: str) -> str:
    """Return the end of a sentence that suggests a known subdir, or an empty string."""
    subdir, slash, _ = path.partition("/")
    if not slash:
        return ""
    word = subdir[:SUBDIR_MAX_CHARACTERS]
    [near, *_] = [*get_close_matches(word.lower(), KNOWN_SUBDIRS, 1), "linux-64"]
    return f", and '{word}' is not a subdir such as {near}"


def _index_file(lookup: ChannelLookup, subdir: str, name: str) -> File:
    """Return the file of the last build, or an empty index file before the first build."""
    content_type = "application/json" if name.endswith(".json") else "application/octet-stream"
    is_also_zst = name in repodata.ALSO_AS_ZST
    newest, current, built_at = lookup.row(BUILT, lookup.channel.pk, subdir) or ("", "", None)
    etag = current if name in repodata.CURRENT_FILES else newest
    if etag:
        key = f"{lookup.channel.name}/{subdir}/{name}" if subdir else f"{lookup.channel.name}/{name}"
        # The time of an older build of current_repodata.json is not stored.
        modified = int(built.timestamp()) if etag == newest and (built := moment(built_at)) else 0
        return File(etag, CHECK_EACH_TIME, content_type, key=key, modified=modified, is_also_zst=is_also_zst)
    content = empty_files.empty_file(subdir, name)
    if content is None:
        message = f"'{lookup.channel}' has no subdir '{subdir}': nothing was published there yet."
        raise not_found("no_such_subdir", message)
    modified = int(lookup.channel.created_at.timestamp())
    return File("empty", CHECK_EACH_TIME, content_type, content=content, modified=modified, is_also_zst=is_also_zst)


def _sidecar(lookup: ChannelLookup, subdir: str, name: str, sha256: str | None) -> File:
    """Return the attestations sidecar of a file (CEP 50): the state with `sha256`, or the current one."""
    published = _published(lookup, subdir, name)
    if not published.attestations_sha256:
        raise not_found("no_attestation", f"'{subdir}/{name}' has no attestation.")
    wanted = sha256 or published.attestations_sha256
    return File(
        etag=wanted,
        caching=NEVER_CHANGES if sha256 else CHECK_EACH_TIME,
        content_type="application/json",
        key=f"{lookup.channel.name}/{subdir}/{name}.sigs.{wanted}",
        may_be_gone=True,
    )


def _artifact(lookup: ChannelLookup, subdir: str, name: str) -> File:
    published = _published(lookup, subdir, name)
    return File(
        etag=published.sha256,
        caching=CHECK_EACH_TIME if lookup.channel.allow_overwrite else NEVER_CHANGES,
        key=f"{lookup.channel.name}/{subdir}/{name}",
        modified=published.indexed_timestamp // 1000,
        artifact_id=published.artifact_id,
        artifact_bytes=published.size_bytes,
    )


def _published(lookup: ChannelLookup, subdir: str, name: str) -> PublishedFile:
    row = lookup.row(PUBLISHED, lookup.channel.pk, subdir, name)
    if row is None:
        raise no_such_file(lookup.channel, subdir, name)
    *values, removal = row
    if removal == Removal.DELETED:
        raise not_found("deleted", f"'{subdir}/{name}' was deleted from '{lookup.channel}'.")
    return PublishedFile(*values)
