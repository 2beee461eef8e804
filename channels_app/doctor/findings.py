"""A finding of the connection doctor, and the remedy if something is wrong."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """A finding and its remedy; `severity` is that of an alert: success, info, warning or error."""

    severity: str
    found: str
    fix: str = ""


def success(found: str, more: str = "") -> Finding:
    return Finding("success", found, more)


def info(found: str, fix: str = "") -> Finding:
    return Finding("info", found, fix)


def warning(found: str, fix: str) -> Finding:
    return Finding("warning", found, fix)


def error(found: str, fix: str) -> Finding:
    return Finding("error", found, fix)
