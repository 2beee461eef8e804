"""What is left over, and when it may go."""

import time
from datetime import timedelta
from pathlib import Path
from shutil import rmtree

from django.conf import settings
from django.utils import timezone

from hub.storage import store
from publishing import removal
from publishing.models import Reservation, RetiredShard

ABANDONED_S = 6 * 3600


def remove_leftovers() -> None:
    removal.purge_deleted()
    _remove_retired_shards()
    _remove_abandoned_files()
    store().sweep(older_than_s=ABANDONED_S)
    Reservation.objects.filter(expires_at__lt=timezone.now() - timedelta(seconds=ABANDONED_S)).delete()


def _remove_retired_shards() -> None:
    """Delete shards that nobody can need any more: an index that names them is older than clients keep one."""
    long_ago = timezone.now() - timedelta(days=settings.HUB_RETIRED_SHARD_DAYS)
    retired = RetiredShard.objects.filter(retired_at__lt=long_ago).select_related("index__channel")
    for shard in retired.iterator():
        store().delete(f"{shard.index.channel.name}/{shard.index.subdir}/shards/{shard.sha256}.msgpack.zst")
        shard.delete()


def _remove_abandoned_files() -> None:
    """Delete temporary files and folders whose process died."""
    for path in Path(settings.UPLOAD_DIR).iterdir():
        if time.time() - path.stat().st_mtime > ABANDONED_S:
            rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
