"""The Sigstore instance that the hub trusts: its keys and certificates with their periods of validity.

By default this is the public instance. Its root is refreshed daily by TUF; before the first refresh the hub uses the
root from the sigstore library. For a private instance, HUB_TRUST_ROOT names a file, and no root is downloaded.
"""

import logging
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from django.conf import settings
from sigstore.errors import Error as SigstoreError
from sigstore.models import TrustedRoot as VerifierRoot
from sigstore_models.common.v1 import TimeRange
from sigstore_models.trustroot.v1 import TransparencyLogInstance, TrustedRoot
from tuf.api.exceptions import DownloadError, RepositoryError
from tuf.ngclient import Updater
from tuf.ngclient.urllib3_fetcher import Urllib3Fetcher

from hub.errors import HubError
from hub.locks import try_lock
from publishing.attestations.errors import BadAttestation
from publishing.attestations.sigstore_internals import SHIPPED_ROOT, trusted_root
from publishing.attestations.trust_root_age import FILE_NAME, is_due, is_old, refreshed_at, refreshed_file

TIMEOUT_S = 5

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LogEntry:
    """An entry of the transparency log or of the certificate log, and its times."""

    log_id: bytes
    times: Sequence[datetime]


def current() -> TrustedRoot:
    """Return the current root, shared by threads. Raise HubError 503 if none is readable."""
    for path in _paths():
        try:
            return _read(path, path.stat().st_mtime_ns)
        except (OSError, ValueError, SigstoreError) as error:
            logger.error("The trust root %s can't be read: %s", path, error)
    raise HubError(503, "no_trust_root", "The hub has no readable trust root, so it can't verify attestations.")


def as_of(root: TrustedRoot, *, signature: LogEntry, certificate: LogEntry) -> VerifierRoot:
    """Return the parts of `root` for verifying these entries: the logs that they name, valid at their time.

    Verifiers accept every key of the root, whenever it was in use; clients don't.
    """
    parts = {
        "tlogs": list(_valid_logs(root.tlogs, signature)),
        "ctlogs": list(_valid_logs(root.ctlogs, certificate)),
        "certificate_authorities": [
            each for each in root.certificate_authorities if _was_valid(each.valid_for, signature.times)
        ],
    }
    for name, found in parts.items():
        if not found:
            raise BadAttestation(
                "attestation_unverified", f"none of the trust root's {name} that it names was in use when it was signed"
            )
    return trusted_root(root.model_copy(update=parts))


def refresh() -> None:
    """Download the root by TUF unless that was done within a day. After a failure the last good one stays in use."""
    if not is_due():
        return
    last = refreshed_at()
    with try_lock("trust-root") as is_ours:
        if not is_ours:
            return
        try:
            _fetch(refreshed_file())
        except (DownloadError, RepositoryError, SigstoreError, OSError, ValueError) as error:
            _log_failure(error, last)


def _log_failure(error: Exception, last: datetime | None) -> None:
    """Log the failure. Before the first refresh a failed download is only info, since the hub may lack network."""
    if last is None and isinstance(error, DownloadError):
        logger.info("Sigstore's trust root could not be downloaded; the one shipped with the hub stays in use.")
        return
    level = logging.ERROR if is_old() else logging.WARNING
    reason = str(error) or type(error).__name__
    logger.log(level, "The trust root could not be refreshed, that of %s stays: %s", last or "sigstore", reason)


def _fetch(target: Path) -> None:
    """Download the newest root, and move it to `target` after parsing it."""
    metadata = target.parent / "metadata"
    metadata.mkdir(parents=True, exist_ok=True)
    trusted = Path(settings.HUB_TUF_ROOT) if settings.HUB_TUF_ROOT else SHIPPED_ROOT / "root.json"
    url = settings.HUB_TUF_URL
    updater = Updater(
        str(metadata),
        url,
        target_base_url=f"{url}/targets/",
        fetcher=Urllib3Fetcher(socket_timeout=TIMEOUT_S),
        bootstrap=trusted.read_bytes(),
    )
    updater.refresh()
    info = updater.get_targetinfo(FILE_NAME)
    if info is None:
        raise RepositoryError(f"{url} has no {FILE_NAME}")
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        path = Path(updater.download_target(info, f"{folder}/{FILE_NAME}"))
        _parse(path)
        path.replace(target)
    os.utime(target)


def _paths() -> list[Path]:
    """Return the possible paths of the root, the preferred one first."""
    if settings.HUB_TRUST_ROOT:
        return [Path(settings.HUB_TRUST_ROOT)]
    return [*([refreshed_file()] if refreshed_file().exists() else []), SHIPPED_ROOT / FILE_NAME]


@lru_cache(maxsize=2)
def _read(path: Path, modified_ns: int) -> TrustedRoot:
    """Return the root in the file at `path`, cached until the file changes."""
    return _parse(path)


def _parse(path: Path) -> TrustedRoot:
    root = TrustedRoot.from_json(path.read_bytes())
    trusted_root(root)  # checks the format
    return root


def _valid_logs(logs: Iterable[TransparencyLogInstance], entry: LogEntry) -> Iterator[TransparencyLogInstance]:
    for log in logs:
        valid = log.public_key.valid_for
        if log.log_id.key_id == entry.log_id and (valid is None or _was_valid(valid, entry.times)):
            yield log


def _was_valid(valid: TimeRange, times: Iterable[datetime]) -> bool:
    return all(valid.start <= time and (valid.end is None or time <= valid.end) for time in times)
