"""Errors that refuse a package."""


class BadPackage(Exception):  # noqa: N818 (its name is a sentence)
    """The upload is not a package that every client reads the same way; `reason` is one sentence for the uploader."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def over_limit(reason: str, *fields: str) -> BadPackage:
    """Return the error for an exceeded limit. `reason` states found and allowed; `fields` are the Limits to raise."""
    return BadPackage(f"{reason}; an administrator can raise {' or '.join(fields)} in HUB_PACKAGE_LIMITS")
