"""Errors of an upstream, each with a code and a sentence for the owners of the channel. Without I/O."""


class UpstreamError(Exception):
    """The upstream failed. `code` is for programs, `detail` is one sentence. `is_temporary`: it may succeed later."""

    def __init__(self, code: str, detail: str, *, is_temporary: bool = True) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.is_temporary = is_temporary


class NotThere(UpstreamError):  # noqa: N818  (its name is a sentence)
    """The upstream answers 404 or 410."""

    def __init__(self, url: str) -> None:
        super().__init__("upstream_not_found", f"The upstream has no {url}. Check its URL.", is_temporary=False)


def of_status(status: int, url: str) -> UpstreamError:
    """Return the error for an HTTP status other than 200 and 304."""
    if status in (404, 410):
        return NotThere(url)
    if status == 401:
        return UpstreamError(
            "upstream_unauthorized",
            f"The upstream answers 401 for {url}: it needs a valid credential. Enter one in the settings.",
            is_temporary=False,
        )
    if status == 403:
        return UpstreamError(
            "upstream_forbidden",
            f"The upstream answers 403 for {url}: the credential has no access to it. Enter another in the settings.",
            is_temporary=False,
        )
    if status == 429:
        return UpstreamError(
            "upstream_busy", f"The upstream answers 429 for {url}: it limits our requests. Poll it less often."
        )
    if status >= 500:
        return UpstreamError("upstream_failing", f"The upstream answers {status} for {url}. It is tried again.")
    return UpstreamError("upstream_unexpected", f"The upstream answers {status} for {url}; expected 200.")


def truncated(url: str) -> UpstreamError:
    return UpstreamError("upstream_truncated", f"The upstream ended {url} early. It is tried again.")


def too_slow(url: str) -> UpstreamError:
    return UpstreamError("upstream_slow", f"The upstream takes too long for {url}. It is tried again.")


def unreadable(url: str, reason: str) -> UpstreamError:
    return UpstreamError("upstream_unreadable", f"The upstream's {url} can't be read: {reason}.")


def too_large(url: str, most: str) -> UpstreamError:
    return UpstreamError("upstream_too_large", f"The upstream's {url} has more than {most}, the most that is read.")


def wrong_bytes(url: str) -> UpstreamError:
    return UpstreamError(
        "upstream_wrong_bytes",
        f"The upstream sent other bytes for {url} than its index states. The hub did not store them.",
        is_temporary=False,
    )
