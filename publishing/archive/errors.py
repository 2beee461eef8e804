"""Refusals of packages."""


class BadPackage(Exception):  # noqa: N818 (its name is a sentence)
    """The upload is not a package that every client reads alike; `reason` is one sentence for the uploader."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def over_limit(reason: str, *fields: str) -> BadPackage:
    """The refusal because of a limit: what was found, what is allowed, and the `fields` of Limits that raise it."""
    return BadPackage(f"{reason}; an administrator can raise {' or '.join(fields)} in HUB_PACKAGE_LIMITS")
