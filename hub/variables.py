"""Readers of environment variables for settings.py: one function for each kind of value.

Each takes the variable's name, its default and its meaning for docs/operating.md (`manage.py settings`). A bad value
raises ImproperlyConfigured with one line.
"""

import grp
import os
import re
import secrets
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import environ
from django.core.exceptions import ImproperlyConfigured

env = environ.FileAwareEnv()
GROUP_DIGITS_MAX = 9


@dataclass(frozen=True, slots=True)
class Variable:
    """An environment variable. `shown` is its default and `meaning` its description, both as Markdown."""

    name: str
    shown: str
    meaning: str


# Deprecated name → name: the deprecated one is still read if the other is not set.
FORMER_NAMES = {"HUB_MINTED_KEY_MINUTES": "HUB_SHORT_LIVED_TOKEN_MINUTES"}
# Variables by section, in the order in which settings.py reads them.
SECTIONS: dict[str, list[Variable]] = {}


def section(title: str) -> None:
    """Start the section `title` of the documentation for the variables that are read next."""
    SECTIONS[title] = []


def text(name: str, default: str, meaning: str, *, shown: str | None = None) -> str:
    """Return the variable `name`, or `default`. `shown` documents a default that differs between machines."""
    list(SECTIONS.values())[-1].append(Variable(name, _code(default) if shown is None else shown, meaning))
    for former, present in FORMER_NAMES.items():
        if present == name:
            default = env.str(former, default=default)
    value: str = env.str(name, default=default)
    return value


def words(name: str, meaning: str, *, like: str = "", expected: str = "") -> list[str]:
    """Return the variable `name`, "one,two,…", as a list; empty by default.

    Raise ImproperlyConfigured with `expected` for a word that the regular expression `like` does not match.
    """
    found = [word.strip() for word in text(name, "", meaning).split(",") if word.strip()]
    for word in found:
        if like and not re.fullmatch(like, word):
            raise ImproperlyConfigured(f"{name} has {word!r}; expected {expected}.")
    return found


def one_of(name: str, allowed: tuple[str, ...], meaning: str, *, shown: str | None = None) -> str:
    """Return the variable `name`, by default the first of `allowed`. Raise ImproperlyConfigured for other values."""
    value = text(name, allowed[0], meaning, shown=shown)
    if value not in allowed:
        raise ImproperlyConfigured(f"{name} is {value!r}; expected one of: {', '.join(allowed)}.")
    return value


def positive(
    name: str,
    default: int,
    meaning: str,
    *,
    at_least: int = 1,
    at_most: int | None = None,
    shown: str | None = None,
) -> int:
    """Return the variable `name` as a whole number of at least `at_least` and at most `at_most`."""
    value = text(name, str(default), meaning, shown=shown)
    number = int(value) if value.isascii() and value.isdigit() else -1
    if number < at_least or (at_most and number > at_most):
        expected = f"from {at_least} to {at_most}" if at_most else "above zero" if at_least else "from 0 on"
        raise ImproperlyConfigured(f"{name} is {value!r}; expected a whole number {expected}.")
    return number


def contact(name: str, meaning: str) -> str:
    """Return the variable `name`, an e-mail address or a URI, as a URI; empty by default."""
    value = text(name, "", meaning).strip()
    uri = f"mailto:{value}" if re.fullmatch(r"[^\s:@/]+@[^\s@/]+", value) else value
    if value and not re.fullmatch(r"(mailto:[^\s@]+@[^\s@]+|https://\S+|tel:\+?[\d-]+)", uri):
        raise ImproperlyConfigured(
            f"{name} is {value!r}; expected an e-mail address, or an https:, mailto: or tel: URI."
        )
    return uri


def numbers(name: str, meaning: str, *, shown: str) -> dict[str, int]:
    """Return the variable `name`, "name=number,…", as a dictionary; empty by default."""
    value = text(name, "", meaning, shown=shown)
    found = [entry.partition("=")[::2] for entry in value.split(",") if entry]
    for key, number in found:
        if not (key and number.isascii() and number.isdigit()):
            raise ImproperlyConfigured(f"{name} has {f'{key}={number}'!r}; expected name=number,name=number,….")
    return {key: int(number) for key, number in found}


def switch(name: str, default: bool, meaning: str) -> bool:
    """Return whether the variable `name` is `true`; it must be `true` or `false`."""
    return one_of(name, ("true", "false") if default else ("false", "true"), meaning) == "true"


def folder(name: str, default: Path, meaning: str, *, shown: str) -> Path:
    """Return the folder that the variable `name` names. Create it if it is missing."""
    path = Path(text(name, str(default), meaning, shown=shown)).expanduser().resolve()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ImproperlyConfigured(f"{name} is {str(path)!r}, which can't be made: {error.strerror}.") from None
    if not os.access(path, os.W_OK | os.X_OK):
        raise ImproperlyConfigured(f"{name} is {str(path)!r}, which this user can't write to.")
    return path


def group(name: str, meaning: str, *, shown: str) -> int | None:
    """Return the number of the group that the variable `name` names; None by default."""
    value = text(name, "", meaning, shown=shown)
    if not value or (value.isascii() and value.isdigit()):
        return int(value[:GROUP_DIGITS_MAX]) if value else None
    try:
        return grp.getgrnam(value).gr_gid
    except KeyError:
        raise ImproperlyConfigured(f"{name} is {value!r}; expected a group of this machine.") from None


def kept_secret(path: Path, make: Callable[[], str] = lambda: secrets.token_urlsafe(48)) -> str:
    """Return the secret in the file at `path`. Create the file at the first start."""
    if not path.exists():
        made = make()
        with (
            suppress(FileExistsError),
            os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file,
        ):
            file.write(made)
    return path.read_text()


def new_rsa_key() -> str:
    """Return a new RSA private key for RS256, as PEM."""
    from cryptography.hazmat.primitives import serialization  # needed only at the first start
    from cryptography.hazmat.primitives.asymmetric import rsa

    return (
        rsa.generate_private_key(public_exponent=65537, key_size=2048)
        .private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        .decode()
    )


def warn_of_unknown() -> None:
    """Warn about HUB_… variables that were not read: a misspelt setting has no effect."""
    known = {variable.name for variables in SECTIONS.values() for variable in variables} | FORMER_NAMES.keys()
    found = {name.removesuffix("_FILE") for name in os.environ if name.startswith("HUB_")}
    for name in sorted(found - known):
        warnings.warn(f"{name} is set but is no setting of the hub; is it misspelt?", stacklevel=2)


def markdown() -> str:
    """Return all variables with their defaults and meanings as Markdown: one table for each section."""
    head = "| variable | default | meaning |\n| --- | --- | --- |\n"
    tables = (
        f"### {title}\n\n{head}" + "".join(f"| `{row.name}` | {row.shown} | {row.meaning} |\n" for row in rows)
        for title, rows in SECTIONS.items()
    )
    return "\n".join(tables).replace("|  |", "| |")


def _code(value: str) -> str:
    return f"`{value}`" if value else ""
