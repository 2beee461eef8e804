"""GET and HEAD of everything below a channel's URL: who asks, may they read, which file is it."""

import re

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from channels_app import authentication, download_counts
from channels_app.access import Permission, channel_for
from channels_app.models import Artifact, Channel, Removal
from channels_app.names import is_subdir
from hub.errors import HubError, not_found
from publishing import delivery, repodata
from publishing.delivery import CHECK_EACH_TIME, NEVER_CHANGES, File
from publishing.models import SubdirIndex

SIDECAR = re.compile(r"(.+)\.sigs(?:\.([0-9a-f]{64}))?\Z")
SHARD = re.compile(r"shards/([0-9a-f]{64})\.msgpack\.zst\Z")


def channel_file(request: HttpRequest, channel: str, path: str) -> HttpResponseBase:
    """`/{channel}/{path}` for clients. Every error is one plain sentence."""
    if request.method not in ("GET", "HEAD"):
        raise HubError(405, "wrong_method", "Channel files are read by GET and HEAD.", {"Allow": "GET, HEAD"})
    readable = channel_for(authentication.actor(request), channel, Permission.READ)
    file = _find(readable, path)
    response = delivery.answer(request, file, is_private=readable.is_private)
    if file.artifact_id and _is_download(request, response):
        download_counts.count(file.artifact_id)
    return response


def _is_download(request: HttpRequest, response: HttpResponseBase) -> bool:
    """Whether this is the (first) part of a file being fetched, not a look at whether it is there."""
    is_from_start = response.headers.get("Content-Range", "bytes 0-").startswith("bytes 0-")
    return request.method == "GET" and response.status_code in (200, 206, 302) and is_from_start


def _find(channel: Channel, path: str) -> File:
    if path in repodata.CHANNEL_FILES:
        return _index_file(channel, "", path)
    subdir, _, name = path.partition("/")
    if not is_subdir(subdir):
        raise not_found("no_such_file", f"'{channel}' has no '{path}'; expected <subdir>/<file>.")
    if name in repodata.SUBDIR_FILES:
        return _index_file(channel, subdir, name)
    if shard := SHARD.match(name):
        return File(etag=shard[1], caching=NEVER_CHANGES, key=f"{channel.name}/{path}", may_be_gone=True)
    if sidecar := SIDECAR.match(name):
        return _sidecar(channel, subdir, sidecar[1], sidecar[2])
    return _artifact(channel, subdir, name)


def _index_file(channel: Channel, subdir: str, name: str) -> File:
    """The file of the last build; before the first one, an empty file of the same kind."""
    content_type = "application/json" if name.endswith(".json") else "application/octet-stream"
    index = SubdirIndex.objects.filter(channel=channel, subdir=subdir).first()
    etag = "" if index is None else index.current_etag if name in repodata.CURRENT_FILES else index.etag
    if etag:
        key = f"{channel.name}/{subdir}/{name}" if subdir else f"{channel.name}/{name}"
        return File(etag=etag, caching=CHECK_EACH_TIME, content_type=content_type, key=key)
    content = repodata.empty_file(subdir, name)
    if content is None:
        raise not_found("no_such_subdir", f"'{channel}' has no subdir '{subdir}': nothing was published there yet.")
    return File(etag="empty", caching=CHECK_EACH_TIME, content_type=content_type, content=content)


def _sidecar(channel: Channel, subdir: str, name: str, sha256: str | None) -> File:
    """The attestations of a file: any state of them by its SHA-256, or the state that its row names (CEP 50)."""
    artifact = _published(channel, subdir, name)
    if not artifact.attestations_sha256:
        raise not_found("no_attestation", f"'{subdir}/{name}' has no attestation.")
    wanted = sha256 or artifact.attestations_sha256
    return File(
        etag=wanted,
        caching=NEVER_CHANGES if sha256 else CHECK_EACH_TIME,
        content_type="application/json",
        key=f"{channel.name}/{subdir}/{name}.sigs.{wanted}",
        may_be_gone=True,
    )


def _artifact(channel: Channel, subdir: str, name: str) -> File:
    artifact = _published(channel, subdir, name)
    return File(
        etag=artifact.sha256,
        caching=CHECK_EACH_TIME if channel.allow_overwrite else NEVER_CHANGES,
        key=f"{channel.name}/{subdir}/{name}",
        artifact_id=artifact.pk,
        artifact_bytes=artifact.size_bytes,
    )


def _published(channel: Channel, subdir: str, name: str) -> Artifact:
    artifact = Artifact.objects.filter(channel=channel, subdir=subdir, file_name=name).first()
    if artifact is None:
        raise not_found("no_such_file", f"'{channel}' has no file '{subdir}/{name}'.")
    if artifact.removal == Removal.DELETED:
        raise not_found("deleted", f"'{subdir}/{name}' was deleted from '{channel}'.")
    return artifact
