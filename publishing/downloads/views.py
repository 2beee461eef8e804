"""GET, HEAD and OPTIONS below a channel's URL: authentication, access, and the lookup of the file."""

import re
from contextlib import suppress
from difflib import get_close_matches
from functools import partial
from typing import NamedTuple

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from channels_app.access.permissions import Permission
from channels_app.authentication import decision_cache
from channels_app.identifiers import KNOWN_SUBDIRS, LABEL_MAX_CHARACTERS, MAIN_LABEL, SUBDIR_MAX_CHARACTERS, is_subdir
from channels_app.models import ChannelKind, Removal
from channels_app.packages import download_counts
from channels_app.packages.queries import no_such_file
from channels_app.site import misplaced
from hub.database import moment
from hub.errors import HubError, not_found
from hub.observability import metrics
from publishing.downloads import delivery, virtual_files
from publishing.downloads.cross_origin import headers as cross_origin_headers
from publishing.downloads.cross_origin import preflight_headers
from publishing.downloads.delivery import CHECK_EACH_TIME, NEVER_CHANGES, File
from publishing.downloads.lookup import ChannelLookup, StaleDecision
from publishing.index import empty_files, repodata, shards
from publishing.models import SubdirIndex
from publishing.upstreams import cache, wanted

# SQL, because it runs at every request: the ORM would take ten times as long to build the query and the model.
PUBLISHED = """SELECT id, sha256, size_bytes, attestations_sha256, indexed_timestamp, removal FROM channels_app_artifact
WHERE channel_id = %s AND subdir = %s AND file_name = %s"""
HAS_LABEL = """AND EXISTS (SELECT 1 FROM channels_app_label_artifacts x JOIN channels_app_label l ON l.id = x.label_id
WHERE x.artifact_id = channels_app_artifact.id AND l.name = %s)"""
# The time as text: SQLite's driver would parse it with regular expressions, which is wasted for a 304.
BUILT = """SELECT etag, current_etag, CAST(built_at AS TEXT), is_patched FROM publishing_subdirindex
WHERE channel_id = %s AND subdir = %s"""
# The index of a label, which may have none in a subdir.
BUILT_OF_LABEL = """SELECT i.etag, i.current_etag, CAST(i.built_at AS TEXT), i.is_patched FROM channels_app_label l
LEFT JOIN publishing_subdirindex i ON i.channel_id = l.channel_id AND i.subdir = %s
WHERE l.channel_id = %s AND l.name = %s"""
# A package of an upstream that was fetched before.
CACHED = """SELECT id, sha256, size_bytes FROM publishing_cachedfile
WHERE channel_id = %s AND subdir = %s AND file_name = %s AND is_listed"""
LABEL_PATH = re.compile(r"label/([^/]+)/(.*)\Z", re.DOTALL)


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
        response = delivery.answer(request, file, is_private=not lookup.channel.is_for_all)
    except HubError as error:
        error.headers = error.headers | more
        raise
    for name, value in more.items():
        response.headers[name] = value
    # A CDN's own request is not counted: the download was counted at the redirect to the CDN.
    if _is_download(request, response) and not delivery.is_for_cdn(request, file):
        _count(file)
    return response


def _count(file: File) -> None:
    """Count a download of a package; other files are not counted."""
    if file.artifact_id:
        download_counts.count(file.artifact_id)
    elif file.upstream_package:
        download_counts.count_package(*file.upstream_package)


def _is_download(request: HttpRequest, response: HttpResponseBase) -> bool:
    """Tell whether this is a download that counts: a GET of the whole file or of its first range."""
    is_from_start = response.headers.get("Content-Range", "bytes 0-").startswith("bytes 0-")
    return request.method == "GET" and response.status_code in (200, 206, 302) and is_from_start


def _find(lookup: ChannelLookup, path: str) -> File:
    label = ""
    if match := LABEL_PATH.match(path):
        label, path = match[1], match[2]
        label = "" if label == MAIN_LABEL else label
    if path in repodata.CHANNEL_FILES:
        return _channel_file(lookup, label, path)
    subdir, _, name = path.partition("/")
    if not is_subdir(subdir):
        raise not_found("no_such_file", f"'{lookup.channel}' has no '{path}'; expected <subdir>/<file>{_hint(path)}.")
    if name in repodata.SUBDIR_FILES or name in repodata.UNPATCHED_FILES:
        return _index_file(lookup, label, subdir, name)
    shard, sidecar = shards.SHARD.match(name), repodata.SIDECAR.match(name)
    if lookup.channel.kind == ChannelKind.VIRTUAL:
        if label:
            raise _no_such_label(lookup, label)
        if shard:
            return virtual_files.shard(lookup, subdir, shard[1])
        lookup, label = virtual_files.member_with(lookup, subdir, sidecar[1] if sidecar else name)
    if shard:
        _check_label(lookup, label)
        key = f"{lookup.channel.name}/{SubdirIndex.place(label, path)}"
        return File(etag=shard[1], caching=NEVER_CHANGES, key=key, may_be_gone=True)
    if sidecar:
        return _sidecar(lookup, label, subdir, sidecar[1], sidecar[2])
    return _artifact(lookup, label, subdir, name)


def _channel_file(lookup: ChannelLookup, label: str, name: str) -> File:
    """Return a file of the whole channel. Of them, a label has its channel's notices."""
    if label and name != repodata.NOTICES:
        raise not_found("no_such_file", f"Labels have no {name}; it is at /{lookup.channel}/{name}.")
    if label:
        _check_label(lookup, label)
    return _index_file(lookup, "", "", name)


def _hint(path: str) -> str:
    """Return the end of a sentence that suggests a known subdir, or an empty string."""
    subdir, slash, _ = path.partition("/")
    if not slash:
        return ""
    word = subdir[:SUBDIR_MAX_CHARACTERS]
    [near, *_] = [*get_close_matches(word.lower(), KNOWN_SUBDIRS, 1), "linux-64"]
    return f", and '{word}' is not a subdir such as {near}"


def _index_file(lookup: ChannelLookup, label: str, subdir: str, name: str) -> File:
    """Return the file of the last build, or an empty index file before the first build."""
    content_type = "application/json" if name.endswith(".json") else "application/octet-stream"
    is_also_zst = name in repodata.ALSO_AS_ZST
    if lookup.channel.kind != ChannelKind.PACKAGES and name in repodata.CURRENT_FILES:
        name = name.replace(repodata.CURRENT, repodata.REPODATA)
    newest, current, built_at, is_patched = _build(lookup, label, subdir)
    etag = current if name in repodata.CURRENT_FILES else newest
    if etag:
        if name in repodata.UNPATCHED_FILES and not is_patched:
            name = name.replace(repodata.FROM_PACKAGES, repodata.REPODATA)
        key = "/".join(filter(None, (lookup.channel.name, SubdirIndex.place(label, subdir), name)))
        # The time of an older build of current_repodata.json is not stored.
        modified = int(built.timestamp()) if etag == newest and (built := moment(built_at)) else 0
        return File(etag, CHECK_EACH_TIME, content_type, key=key, modified=modified, is_also_zst=is_also_zst)
    content = empty_files.empty_file(subdir, name)
    if content is None:
        message = f"'{lookup.channel}' has no subdir '{subdir}': nothing was published there yet."
        raise not_found("no_such_subdir", message)
    modified = int(lookup.channel.created_at.timestamp())
    return File("empty", CHECK_EACH_TIME, content_type, content=content, modified=modified, is_also_zst=is_also_zst)


def _build(lookup: ChannelLookup, label: str, subdir: str) -> tuple[str, str, str | None, bool]:
    """Return the two ETags, the time and `is_patched` of the index. A label has an empty index in every subdir."""
    if not label:
        return lookup.row(BUILT, lookup.channel.pk, subdir) or ("", "", None, False)
    row = lookup.row(BUILT_OF_LABEL, SubdirIndex.place(label, subdir), lookup.channel.pk, label)
    if row is None:
        raise _no_such_label(lookup, label)
    newest, current, built_at, is_patched = row
    return newest or "", current or "", built_at, bool(is_patched)


def _check_label(lookup: ChannelLookup, label: str) -> None:
    """Raise HubError 404 if the channel has no such label. It also checks the access decision."""
    if not label:
        lookup.row("SELECT 1 WHERE TRUE")
    elif (
        lookup.row("SELECT 1 FROM channels_app_label WHERE channel_id = %s AND name = %s", lookup.channel.pk, label)
        is None
    ):
        raise _no_such_label(lookup, label)


def _no_such_label(lookup: ChannelLookup, label: str) -> HubError:
    return not_found("no_such_label", f"'{lookup.channel}' has no label '{label[:LABEL_MAX_CHARACTERS]}'.")


def _sidecar(lookup: ChannelLookup, label: str, subdir: str, name: str, sha256: str | None) -> File:
    """Return the attestations sidecar of a file (CEP 50): the state with `sha256`, or the current one."""
    if lookup.channel.kind == ChannelKind.UPSTREAM:
        return _upstream_sidecar(lookup, label, subdir, name, sha256)
    published = _published(lookup, label, subdir, name)
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


def _artifact(lookup: ChannelLookup, label: str, subdir: str, name: str) -> File:
    if lookup.channel.kind == ChannelKind.UPSTREAM:
        return _upstream_file(lookup, label, subdir, name)
    published = _published(lookup, label, subdir, name)
    return File(
        etag=published.sha256,
        caching=CHECK_EACH_TIME if lookup.channel.allow_overwrite else NEVER_CHANGES,
        key=f"{lookup.channel.name}/{subdir}/{name}",
        modified=published.indexed_timestamp // 1000,
        artifact_id=published.artifact_id,
        artifact_bytes=published.size_bytes,
    )


def _upstream_file(lookup: ChannelLookup, label: str, subdir: str, name: str) -> File:
    """Return a file of an upstream, which is fetched at its first request."""
    _check_label(lookup, label)
    if row := lookup.row(CACHED, lookup.channel.pk, subdir, name):
        file_id, sha256, size_bytes = row
        cache.mark_used(file_id)
        metrics.UPSTREAM_REQUESTS.labels("hit").inc()
        fetch = None
    else:
        found = wanted.of(lookup.channel, subdir, name)
        sha256, size_bytes = found.sha256, found.size_bytes
        fetch = partial(cache.fetch, found)
    key = f"{lookup.channel.name}/{subdir}/{name}"
    package = lookup.channel.pk, name.rsplit("-", 2)[0]
    return File(
        etag=sha256,
        caching=CHECK_EACH_TIME,
        key=key,
        upstream_package=package,
        artifact_bytes=size_bytes,
        fetch=fetch,
    )


def _upstream_sidecar(lookup: ChannelLookup, label: str, subdir: str, name: str, sha256: str | None) -> File:
    _check_label(lookup, label)
    found = wanted.of(lookup.channel, subdir, f"{name}.sigs.{sha256}" if sha256 else f"{name}.sigs")
    file = _upstream_file(lookup, label, subdir, found.file_name)
    caching = NEVER_CHANGES if sha256 else CHECK_EACH_TIME
    return file._replace(
        caching=caching,
        content_type="application/json",
        upstream_package=None,
        artifact_bytes=None,
        may_be_gone=True,
    )


def _published(lookup: ChannelLookup, label: str, subdir: str, name: str) -> PublishedFile:
    """Return the file with this label, whose bytes are those of its own address. `main` has every file, as there."""
    values = (lookup.channel.pk, subdir, name)
    row = lookup.row(f"{PUBLISHED} {HAS_LABEL}", *values, label) if label else lookup.row(PUBLISHED, *values)
    if row is None:
        raise no_such_file(lookup.channel, subdir, name)
    *columns, removal = row
    if removal == Removal.DELETED:
        raise not_found("deleted", f"'{subdir}/{name}' was deleted from '{lookup.channel}'.")
    return PublishedFile(*columns)
