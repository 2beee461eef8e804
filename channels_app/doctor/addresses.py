"""Findings about the addresses and options of a command, independent of the key."""

from urllib.parse import SplitResult, urlsplit

from django.conf import settings

from channels_app.doctor import pasted_text
from channels_app.doctor.findings import Finding, error, info, warning
from channels_app.doctor.pasted_text import AddressParts, PastedText
from hub import protocols

PORTS = {"http": 80, "https": 443, "prefix": 443}
LOGINS_WITHOUT_PORT = ("pixi", "rattler-build", "rattler")


def read(text: str) -> PastedText:
    """Parse a text. Uploads are recognized by the addresses of client protocols."""
    return pasted_text.read(text, protocols.upload_endpoints())


def examine(found: PastedText) -> list[Finding]:
    here = [address for address in found.addresses if address.hostname == _hub().hostname]
    findings: list[Finding | None] = [_other_host(found)] if found.addresses and not here else []
    for address in here:
        findings += [_scheme(address), _port(address), _path_key(address), _page(address, found), _no_channel(address)]
    findings += [
        _url_path(found),
        _two_schemes(found),
        _login_port(found),
        _no_url(found),
        _conda_channel(found),
        _conda_token(found),
    ]
    return [finding for finding in findings if finding]


def _place(address: SplitResult) -> AddressParts:
    return pasted_text.place(address, protocols.upload_endpoints())


def _hub() -> SplitResult:
    return urlsplit(settings.HUB_PUBLIC_URL)


def _other_host(found: PastedText) -> Finding:
    hosts = ", ".join(sorted({str(address.hostname) for address in found.addresses}))
    return error(f"The address leads to {hosts}, which is not this hub.", f"This hub is at {settings.HUB_PUBLIC_URL}.")


def _scheme(address: SplitResult) -> Finding | None:
    hub = _hub()
    if address.scheme == "prefix" and hub.scheme == "http":
        return error(
            "prefix:// always uses https, but this hub uses http.",
            f"Build, then upload: pixi upload prefix --url {settings.HUB_PUBLIC_URL} --channel CHANNEL FILE.conda",
        )
    if address.scheme in ("prefix", hub.scheme):
        return None
    return error(f"The address begins with {address.scheme}://.", f"This hub is at {settings.HUB_PUBLIC_URL}.")


def _port(address: SplitResult) -> Finding | None:
    hub = _hub()
    port, expected = address.port or PORTS[address.scheme], hub.port or PORTS[hub.scheme]
    # Another scheme implies another default port; _scheme() reports that.
    if port == expected or (address.port is None and address.scheme != hub.scheme):
        return None
    return error(f"The address has the port {port}.", f"This hub is at {settings.HUB_PUBLIC_URL}, port {expected}.")


def _path_key(address: SplitResult) -> Finding | None:
    place = _place(address)
    if place.path_key is None:
        return None
    if not settings.HUB_PATH_KEYS:
        return error(
            "The key is in the address (/t/KEY/), which this hub does not accept.",
            f"Remove it, and put the key into ~/.netrc: machine {settings.PUBLIC_HOST} login me password KEY",
        )
    if place.kind in ("page", "other"):
        return error("/t/KEY/ works only for the files of channels, not for pages.", "Sign in to see pages.")
    return None


def _page(address: SplitResult, found: PastedText) -> Finding | None:
    place = _place(address)
    is_alone = len(found.words) == 1
    if place.kind != "page" or (is_alone and place.path_key is not None):
        return None
    fix = f"The address for clients is {settings.HUB_PUBLIC_URL}/{place.channel.lower()}"
    if is_alone:
        return info(f"This is the address of the page of {place.channel}, for browsers.", fix)
    return error(f"This is the address of the page of {place.channel}, which clients can't read.", fix)


def _no_channel(address: SplitResult) -> Finding | None:
    place = _place(address)
    if place.kind not in ("upload", "delete") or place.channel:
        return None
    return error(
        "The address names no channel.",
        f"Use {settings.HUB_PUBLIC_URL}/{place.endpoint}/CHANNEL, but only the hub's address after --url.",
    )


def _url_path(found: PastedText) -> Finding | None:
    """Find a path in --url. Clients append the endpoint's path to it."""
    url = found.option("--url") or ""
    address = pasted_text.split(url) if found.is_command("upload", "prefix") and "://" in url else None
    if address is None or not address.path.strip("/") or _has_other_finding(address):
        return None
    channel = found.option("--channel", "-c") or _place(address).channel or "CHANNEL"
    return error(
        f"--url has the path {address.path}; expected the hub's address alone.",
        f"Write it as --url {settings.HUB_PUBLIC_URL} --channel {channel.lower()}",
    )


def _has_other_finding(address: SplitResult) -> bool:
    """Tell whether another finding already describes the error of the address."""
    place = _place(address)
    return place.path_key is not None or place.kind == "page" or (place.kind == "upload" and not place.channel)


def _two_schemes(found: PastedText) -> Finding | None:
    if not found.is_command("bearer", "bearer"):
        return None
    return error("The word Bearer occurs twice.", "Write it once: Authorization: Bearer KEY")


def _login_port(found: PastedText) -> Finding | None:
    """Find a port without a scheme in a login.

    Source: get_url() of conda/rattler, crates/rattler/src/cli/auth.rs, removes the port only from full addresses.
    """
    for program in LOGINS_WITHOUT_PORT:
        if found.is_command(program, "auth", "login"):
            host = found.words[found.words.index("login") + 1 :][:1]
            if host and "://" not in host[0] and ":" in host[0]:
                return error(
                    f"{program} stores the key for “{host[0]}”, with the port, and can't find it later.",
                    f"Use the full address: {program} auth login {settings.HUB_PUBLIC_URL} --token KEY",
                )
    return None


def _no_url(found: PastedText) -> Finding | None:
    if not found.is_command("upload", "prefix") or found.option("--url"):
        return None
    return error("Without --url the package goes to prefix.dev.", f"Add --url {settings.HUB_PUBLIC_URL}")


def _conda_channel(found: PastedText) -> Finding | None:
    channel = found.option("--channel", "-c")
    programs = {"conda", "mamba", "micromamba"} & set(found.words)
    if not programs or not channel or "://" in channel:
        return None
    program = programs.pop()
    return warning(
        f"{program} looks for the channel “{channel}” on anaconda.org.",
        f"A channel of this hub needs its address: {settings.HUB_PUBLIC_URL}/{channel.lower()}",
    )


def _conda_token(found: PastedText) -> Finding | None:
    is_mamba = found.is_command("auth", "login") and bool({"mamba", "micromamba"} & set(found.words))
    option = "--token" if is_mamba and found.option("--token") else "--conda-token"
    if settings.HUB_PATH_KEYS or not found.option(option):
        return None
    return error(
        f"{option} sends the key in the address (/t/KEY/), which this hub does not accept.",
        f"Use {'--bearer' if is_mamba else '--token'} instead.",
    )
