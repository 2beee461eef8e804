"""JSON documents of a package, read within their limits. Errors are raised as BadPackage."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from publishing import strict_json
from publishing.archive.errors import BadPackage, over_limit
from publishing.archive.limits import Limits


def document(data: bytes, name: str, limits: Limits, field: str) -> Any:
    """Return the value of a document. `field` names the limit of its length."""
    with _refusing():
        return strict_json.loads(data, name, getattr(limits, field), limits.json_depth)


def document_object(data: bytes, name: str, limits: Limits, field: str) -> dict[str, Any]:
    """Return the value of a document that must be an object. `field` names the limit of its length."""
    with _refusing():
        return strict_json.loads_object(data, name, getattr(limits, field), limits.json_depth)


def check_no_mark(data: bytes, name: str) -> None:
    """Refuse a byte order mark."""
    with _refusing():
        strict_json.check_no_mark(data, name)


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except strict_json.TooDeepJson as error:
        raise over_limit(error.reason, "json_depth") from error
    except strict_json.NotStrictJson as error:
        raise BadPackage(error.reason) from error
