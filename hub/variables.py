"""How settings.py reads environment variables: each function one kind of value, or one line that says what is wrong."""

import os
import re
import secrets
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

env = environ.FileAwareEnv()

# Providers that allauth knows by name, each with its own kind of client.
KNOWN_PROVIDERS = ("github", "gitlab", "google")
SIGN_IN_VARIABLES = {f"HUB_{name.upper()}_CLIENT_{part}" for name in KNOWN_PROVIDERS for part in ("ID", "SECRET")}
# After HUB_OIDC_<NAME>_.
OIDC_VARIABLES = ("URL", "CLIENT_ID", "CLIENT_SECRET", "TITLE", "GROUPS_CLAIM", "SIGN_UP", "TRUST_EMAIL")


def one_of(name: str, *allowed: str) -> str:
    """The variable `name`, by default the first of `allowed`; anything else is an error."""
    value: str = env.str(name, default=allowed[0])
    if value not in allowed:
        raise ImproperlyConfigured(f"{name} is {value!r}; expected one of: {', '.join(allowed)}.")
    return value


def positive(name: str, default: int, *, at_least: int = 1, at_most: int | None = None) -> int:
    """The variable `name`, a whole number, above zero where nothing else is said."""
    value: str = env.str(name, default=str(default))
    number = int(value) if value.isascii() and value.isdigit() else -1
    if number < at_least or (at_most and number > at_most):
        expected = f"from {at_least} to {at_most}" if at_most else "above zero" if at_least else "from 0 on"
        raise ImproperlyConfigured(f"{name} is {value!r}; expected a whole number {expected}.")
    return number


def numbers(name: str) -> dict[str, int]:
    """The variable `name`, as "name=number,…"; by default empty."""
    found = [entry.partition("=")[::2] for entry in env.list(name, default=[])]
    for key, value in found:
        if not (key and value.isascii() and value.isdigit()):
            raise ImproperlyConfigured(f"{name} has {f'{key}={value}'!r}; expected name=number,name=number,….")
    return {key: int(value) for key, value in found}


def switch(name: str, *, default: bool) -> bool:
    """The variable `name`, `true` or `false`."""
    return one_of(name, *(("true", "false") if default else ("false", "true"))) == "true"


def folder(name: str, default: Path) -> Path:
    """The folder that the variable `name` names, made where it is missing."""
    path = Path(env.str(name, default=str(default))).expanduser().resolve()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ImproperlyConfigured(f"{name} is {str(path)!r}, which can't be made: {error.strerror}.") from None
    if not os.access(path, os.W_OK | os.X_OK):
        raise ImproperlyConfigured(f"{name} is {str(path)!r}, which this user can't write to.")
    return path


def kept_secret(path: Path, make: Callable[[], str] = lambda: secrets.token_urlsafe(48)) -> str:
    """The secret in the file at `path`, made at the first start."""
    if not path.exists():
        made = make()
        with (
            suppress(FileExistsError),
            os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file,
        ):
            file.write(made)
    return path.read_text()


def new_rsa_key() -> str:
    """A private key for RS256, as PEM."""
    from cryptography.hazmat.primitives import serialization  # needed at the first start alone
    from cryptography.hazmat.primitives.asymmetric import rsa

    return (
        rsa.generate_private_key(public_exponent=65537, key_size=2048)
        .private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        .decode()
    )


def sign_in_clients(prefix: str, **values: Any) -> list[dict[str, Any]]:
    """allauth's entry of the client registered at a provider, by its two variables; none where they are empty."""
    client_id, secret = (env.str(f"{prefix}_CLIENT_{part}", default="") for part in ("ID", "SECRET"))
    if bool(client_id) != bool(secret):
        raise ImproperlyConfigured(
            f"{prefix}_CLIENT_ID and {prefix}_CLIENT_SECRET belong together; expected both or neither."
        )
    return [{"client_id": client_id, "secret": secret, **values}] if client_id else []


def oidc_client(name: str) -> dict[str, Any]:
    """The same of the OpenID Connect provider that HUB_OIDC_PROVIDERS calls `name`, with what else it is told."""
    prefix = _oidc_prefix(name)
    url: str = env.str(f"{prefix}_URL", default="").rstrip("/")
    has_trusted_mails = switch(f"{prefix}_TRUST_EMAIL", default=False)
    settings = {
        "server_url": url,
        "groups_claim": env.str(f"{prefix}_GROUPS_CLAIM", default="groups"),
        "sign_up": switch(f"{prefix}_SIGN_UP", default=True),
        "verified_email": has_trusted_mails,
        "email_authentication": has_trusted_mails,
    }
    title = env.str(f"{prefix}_TITLE", default=name)
    found = sign_in_clients(prefix, provider_id=name, name=title, settings=settings)
    if not (url and found and re.fullmatch("[a-z][a-z0-9-]*", name)) or name in KNOWN_PROVIDERS:
        raise ImproperlyConfigured(
            f"HUB_OIDC_PROVIDERS names {name!r}; expected small letters, digits and '-', no name of another provider, "
            f"and {prefix}_URL, {prefix}_CLIENT_ID and {prefix}_CLIENT_SECRET to be set."
        )
    return found[0]


def oidc_variables(name: str) -> set[str]:
    return {f"{_oidc_prefix(name)}_{part}" for part in OIDC_VARIABLES}


def _oidc_prefix(name: str) -> str:
    return f"HUB_OIDC_{name.upper().replace('-', '_')}"


def warn_of_unknown(known: set[str]) -> None:
    """Warn of a HUB_… variable that is not among `known`: a misspelt setting is without effect."""
    found = {name.removesuffix("_FILE") for name in os.environ if name.startswith("HUB_")}
    for name in sorted(found - known):
        warnings.warn(f"{name} is set but is no setting of the hub; is it misspelt?", stacklevel=2)
