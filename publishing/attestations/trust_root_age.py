"""How old the trust root is, for whoever watches: without the libraries that read it, whose import takes a second."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from django.conf import settings

FILE_NAME = "trusted_root.json"
OLD_AFTER = timedelta(days=30)


def refreshed_file() -> Path:
    return Path(settings.HUB_DATA_DIR) / "trust_root" / FILE_NAME


def is_refreshed_here() -> bool:
    return bool(settings.HUB_TUF_URL) and not settings.HUB_TRUST_ROOT


def refreshed_at() -> datetime | None:
    """When the root last came by TUF; None where it never did."""
    try:
        return datetime.fromtimestamp(refreshed_file().stat().st_mtime, UTC)
    except FileNotFoundError:
        return None


def is_old() -> bool:
    """Whether a root that should be refreshed has not been for 30 days."""
    last = refreshed_at()
    return is_refreshed_here() and (last is None or datetime.now(UTC) - last > OLD_AFTER)
