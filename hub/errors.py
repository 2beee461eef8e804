"""HubError, the only error that the hub answers on purpose. It names the fact, the expectation and the remedy."""


class HubError(Exception):
    """An error response: `status` (HTTP), `code` for programs, and `detail`, one sentence for people."""

    def __init__(self, status: int, code: str, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers or {}


def bad_request(code: str, detail: str) -> HubError:
    return HubError(400, code, detail)


def unauthenticated(code: str, detail: str) -> HubError:
    """Return a 401 with both challenges that clients know (RFC 9110, section 11.6.1)."""
    challenge = 'Bearer realm="channelhub", Basic realm="channelhub"'
    return HubError(401, code, detail, {"WWW-Authenticate": challenge})


def forbidden(code: str, detail: str) -> HubError:
    return HubError(403, code, detail)


def not_found(code: str, detail: str) -> HubError:
    return HubError(404, code, detail)


def conflict(code: str, detail: str) -> HubError:
    return HubError(409, code, detail)


def too_large(code: str, detail: str) -> HubError:
    return HubError(413, code, detail)


def unprocessable(code: str, detail: str) -> HubError:
    return HubError(422, code, detail)


def unavailable(code: str, detail: str) -> HubError:
    """Return a 503 with Retry-After. The hub made no change, and the same request may succeed later."""
    return HubError(503, code, detail, {"Retry-After": "5"})


def disk_full(*, is_upload: bool) -> HubError:
    """Return a 413 for uploads, else a 507. At 507 rattler sends a file four times; RFC 9110 allows a temporary 413."""
    sentence = "The hub's disk is full. Nothing was changed; an administrator has to make room on it."
    return HubError(413 if is_upload else 507, "disk_full", sentence, {"Retry-After": "60"})
