"""A finding of the connection doctor, and the remedy if something is wrong."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """A finding and its remedy; `tone` is that of an alert: success, info, warning or error."""

    tone: str
    found: str
    cure: str = ""


def good(found: str, more: str = "") -> Finding:
    return Finding("success", found, more)


def info(found: str, cure: str = "") -> Finding:
    return Finding("info", found, cure)


def warning(found: str, cure: str) -> Finding:
    return Finding("warning", found, cure)


def error(found: str, cure: str) -> Finding:
    return Finding("error", found, cure)
