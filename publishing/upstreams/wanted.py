"""Files of an upstream that a channel may serve: the packages of its listed records, and their attestation sidecars."""

from contextlib import suppress
from typing import NamedTuple

from channels_app.models import Channel
from channels_app.packages.queries import no_such_file
from hub.errors import HubError, not_found
from hub.sizes import MIB
from publishing.archive import identity
from publishing.archive.errors import BadPackage
from publishing.index import repodata, upstream_records
from publishing.index.upstream_records import Record
from publishing.models import UpstreamName
from publishing.upstreams import judging

SIDECAR_MAX_BYTES = 4 * MIB  # rattler reads no more


class Wanted(NamedTuple):
    """A file with the SHA-256 that its record states. `size_bytes` is None for a sidecar: no index states it."""

    channel: Channel
    subdir: str
    file_name: str
    name: str
    sha256: str
    size_bytes: int | None

    @property
    def key(self) -> str:
        """The key in the store."""
        return f"{self.channel.name}/{self.subdir}/{self.file_name}"

    @property
    def most_bytes(self) -> int:
        return SIDECAR_MAX_BYTES if self.size_bytes is None else self.size_bytes


def of(channel: Channel, subdir: str, file_name: str, *, is_locked: bool = False) -> Wanted:
    """Return the package, or the sidecar `FILE.sigs` or `FILE.sigs.SHA256`. Raise HubError 404 if none is listed.

    A sidecar's content has the SHA-256 that the record states (CEP 50), so it is fetched by that.
    """
    sidecar = repodata.SIDECAR.match(file_name)
    record = _listed(channel, subdir, sidecar[1] if sidecar else file_name, is_locked=is_locked)
    if not sidecar:
        return Wanted(channel, subdir, file_name, record["name"], record["sha256"], record["size"])
    stated = upstream_records.attestations_sha256(record)
    if not stated or sidecar[2] not in (None, stated):
        raise not_found("no_attestation", f"'{subdir}/{sidecar[1]}' has no such attestation.")
    return Wanted(channel, subdir, f"{sidecar[1]}.sigs.{stated}", record["name"], stated, None)


def _listed(channel: Channel, subdir: str, file_name: str, *, is_locked: bool) -> Record:
    """Return the record of a package. Raise HubError 404 if it is not listed."""
    with suppress(BadPackage):
        name = identity.parse_file_name(file_name).name
        rows = UpstreamName.objects.filter(index__channel=channel, index__subdir=subdir, name=name)
        row = (rows.select_for_update(of=("self",)) if is_locked else rows).first()
        record = row and upstream_records.unpack(row.records).records.get(file_name)
        if row and record:
            if hidden := row.hidden.get(file_name):
                raise _refusal(file_name, *hidden)
            return record
    raise no_such_file(channel, subdir, file_name)


def _refusal(file_name: str, reason: str, text: str | int) -> HubError:
    if reason == judging.WAITING:
        until = judging.minute_of(int(text))
        return not_found("cooling_down", f"'{file_name}' is too new for this channel, which lists it from {until} on.")
    return not_found("held_back", f"'{file_name}' is held back. {text} Ask an owner of the channel.")
