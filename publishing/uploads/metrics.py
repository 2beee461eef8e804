"""Prometheus metrics of uploads."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from hub.errors import HubError
from hub.observability import metrics
from publishing.uploads.values import UploadResult

Publish = TypeVar("Publish", bound=Callable[..., UploadResult])


def uploads(publish: Publish) -> Publish:
    """Count each call and its bytes as `published`, `unchanged`, the error's code, or `failed`."""

    @wraps(publish)
    def counted(**arguments: Any) -> UploadResult:
        outcome = "failed"
        try:
            published = publish(**arguments)
            outcome = "published" if published.is_new else "unchanged"
        except HubError as error:
            outcome = error.code
            raise
        finally:
            metrics.UPLOADS.labels(outcome).inc()
            metrics.UPLOAD_BYTES.labels(outcome).inc(arguments["received"].size_bytes)
        return published

    return cast(Publish, counted)
