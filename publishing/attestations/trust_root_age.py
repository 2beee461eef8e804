"""The age of the trust root, for monitoring; without sigstore, which takes a second to import."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from django.conf import settings

FILE_NAME = "trusted_root.json"
REFRESH_AFTER, OLD_AFTER = timedelta(days=1), timedelta(days=30)


def refreshed_file() -> Path:
    return Path(settings.HUB_DATA_DIR) / "trust_root" / FILE_NAME


def is_refreshed_here() -> bool:
    return bool(settings.HUB_TUF_URL) and not settings.HUB_TRUST_ROOT


def refreshed_at() -> datetime | None:
    """Return the time of the last refresh by TUF, or None if there was none."""
    try:
        return datetime.fromtimestamp(refreshed_file().stat().st_mtime, UTC)
    except FileNotFoundError:
        return None


def is_due() -> bool:
    """Tell whether this hub refreshes the root, and did not do so within a day."""
    last = refreshed_at()
    return is_refreshed_here() and (last is None or datetime.now(UTC) - last >= REFRESH_AFTER)


def is_old() -> bool:
    """Tell whether the root should be refreshed by this hub, but was not for 30 days."""
    last = refreshed_at()
    return is_refreshed_here() and (last is None or datetime.now(UTC) - last > OLD_AFTER)
