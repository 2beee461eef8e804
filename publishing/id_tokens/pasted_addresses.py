"""Addresses of repositories and their pages, as people paste them from a browser or from `git remote`."""

import re

# https://host/path, ssh://git@host:22/path, git@host:path; without a scheme only of hosts that are no names of groups.
ADDRESS = re.compile(
    r"(?:(?:(?:https?|ssh|git)://(?:[^/@\s]+@)?|[^/@\s:]+@)([^/@:\s]+)(?::\d+(?=/))?|(?:www\.)?((?:github|gitlab)\.com))"
    r"[/:]([^?#\s]+)(?:[?#].*)?"
)


def host_and_path(text: str) -> tuple[str, str]:
    """Return the host and the path without `.git`; two empty strings if `text` is no such address."""
    found = ADDRESS.fullmatch(text.strip())
    if not found:
        return "", ""
    return (found[1] or found[2]).lower(), found[3].strip("/").removesuffix(".git")


def first_two(path: str) -> str:
    """Return `OWNER/NAME` of the path of a repository or of one of its pages."""
    return "/".join(path.split("/")[:2]).removesuffix(".git")
