"""Tell whether an error comes from a full disk: of the package store, of a database, or of temporary files."""

import errno
import shutil
import sqlite3

from django.conf import settings

from hub.sizes import MIB

PG_DISK_FULL = "53100"
FULL = (errno.ENOSPC, errno.EDQUOT)
# SQLite calls a full disk a failed write where it lacks room for a file beside the database.
SQLITE_MAY_BE_FULL = (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)
# SQLite's extended codes carry the plain one in their last byte.
PLAIN_CODE = 0xFF
LITTLE_BYTES = MIB


def is_disk_full(error: BaseException | None) -> bool:
    """Tell whether a full disk caused the error, directly or through its causes."""
    while error is not None:
        if _says_full(error):
            return True
        error = error.__cause__
    return False


def _says_full(error: BaseException) -> bool:
    if isinstance(error, OSError) and error.errno in FULL:
        return True
    code = getattr(error, "sqlite_errorcode", 0) & PLAIN_CODE
    if code == sqlite3.SQLITE_FULL or getattr(error, "sqlstate", "") == PG_DISK_FULL:
        return True
    return code in SQLITE_MAY_BE_FULL and shutil.disk_usage(settings.HUB_DATA_DIR).free < LITTLE_BYTES
