"""The hub's own address, as CI services see it."""

import ipaddress
from urllib.parse import urlsplit

from django.conf import settings

LOCAL_NAMES = ("localhost", ".localhost", ".local", ".internal")


def warning() -> str:
    """Return the reason that keeps CI services from publishing to this hub's address, with the remedy; else ""."""
    address = urlsplit(settings.HUB_PUBLIC_URL)
    if _is_local(address.hostname or ""):
        return (
            f"CI services can't reach {settings.HUB_PUBLIC_URL}, which is an address of this machine or its network. "
            "Use runners in this network, or set HUB_PUBLIC_URL to a public address."
        )
    if address.scheme == "http":
        return (
            f"{settings.HUB_PUBLIC_URL} is not encrypted: others on the way can read the tokens of a job. "
            "Set up https, and set HUB_PUBLIC_URL to it."
        )
    return ""


def _is_local(host: str) -> bool:
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return host.endswith(LOCAL_NAMES) or "." not in host
