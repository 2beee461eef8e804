"""Upstream channels: creating them, changing their settings, and asking for a poll."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from urllib.parse import SplitResult, urlsplit

from django.conf import settings
from django.db import transaction

from channels_app.access import acts, administrators
from channels_app.access.actions import Action
from channels_app.access.permissions import Actor, Permission, lock_channel
from channels_app.audit import log
from channels_app.channels import channels
from channels_app.identifiers import KNOWN_SUBDIRS
from channels_app.models import Channel, ChannelKind
from hub import fetching
from hub.celery import send
from hub.errors import HubError, bad_request, not_found
from publishing.models import Upstream
from publishing.models.upstreams import COOLDOWN_DAYS_MAX, POLL_MINUTES_MAX, URL_MAX_CHARACTERS
from publishing.record_filters import BadSpecError
from publishing.upstreams import credentials, filtering, store_transport, sync
from publishing.upstreams.filtering import FilterTexts

EXCEPTIONS_MAX = 200
GLOB_MAX_CHARACTERS, REASON_MAX_CHARACTERS = 64, 200
CREDENTIAL_MAX_CHARACTERS = 2000
CACHED_BYTES_MAX = 2**50
SUBDIRS = ["noarch", "linux-64", "linux-aarch64", "osx-64", "osx-arm64", "win-64"]
NOT_VALID = "The URL is not valid; expected an https URL, such as https://conda.example.org/conda-forge."
# Settings by which a channel costs others' traffic and space, or shows others' files.
OF_ADMINISTRATORS = ("url", "credential", "max_cached_bytes")
NOT_IN_LOG = ("credential",)
# Settings by which the records of all names are judged.
OF_RULES = ("cooldown_days", "exceptions", "filters")


@transaction.atomic
def create(
    *, actor: Actor, name: str, is_private: bool, description: str = "", credential: str = "", **values: Any
) -> Channel:
    """Create a channel that stands on an upstream. `values`: `url` and other settings of `change()`.

    Raise HubError 400 for invalid values, 403 for users who are no administrators.
    """
    administrators.check(actor, "create upstream channels")
    acts.check_credential_kind(Action.UPSTREAM_ADD, actor)
    checked = _checked(values | {"credential": credential})
    if actor.user is None:
        raise ValueError("administrators.check() admits only users")
    channel = channels.create(
        name=name, owner=actor.user, is_private=is_private, description=description, kind=ChannelKind.UPSTREAM
    )
    encrypted = credentials.encrypt(checked.pop("credential"))
    Upstream.objects.create(channel=channel, encrypted_credential=encrypted, **{"subdirs": SUBDIRS} | checked)
    detail = {key: {"to": checked[key]} for key in ("cooldown_days", "exceptions") if checked.get(key)}
    detail |= filtering.difference({}, checked.get("filters", {}))
    log.record(Action.UPSTREAM_ADD, by=actor, channel=channel, target=name, detail={"url": checked["url"]} | detail)
    _poll_soon(channel)
    return channel


@transaction.atomic
def change(*, actor: Actor, channel: Channel, **values: Any) -> Upstream:
    """Set some of the columns of Upstream; `credential` is not encrypted yet, `filters` are FilterTexts.

    Raise HubError 400 for invalid values, 403 for those that only administrators may change.
    """
    locked = acts.lock_channel(Action.UPSTREAM_CHANGE, actor, channel)
    upstream = of(locked)
    before = {name: getattr(upstream, name) for name in values if name != "credential"}
    checked = _checked(values)
    changed = [name for name, value in checked.items() if name == "credential" or before[name] != value]
    if set(changed) & set(OF_ADMINISTRATORS):
        administrators.check(actor, "change the URL, the credential or the size limit of an upstream")
    for name in changed:
        if name == "credential":
            upstream.encrypted_credential = credentials.encrypt(checked[name])
        else:
            setattr(upstream, name, checked[name])
    _save(upstream, changed)
    if changed:
        detail = {name: {"from": before[name], "to": checked[name]} for name in changed if name not in NOT_IN_LOG}
        if "filters" in changed:
            detail |= filtering.difference(before["filters"], detail.pop("filters")["to"])
        detail |= {name: {"to": "another" if checked[name] else "none"} for name in changed if name in NOT_IN_LOG}
        log.record(Action.UPSTREAM_CHANGE, by=actor, channel=locked, target=locked.name, detail=detail)
    return upstream


@transaction.atomic
def poll_now(*, actor: Actor, channel: Channel) -> Upstream:
    """Let the next job poll the upstream, however long the last poll is ago."""
    locked = lock_channel(actor, channel, Permission.MANAGE)
    upstream = of(locked)
    upstream.polled_at = None
    upstream.save(update_fields=["polled_at"])
    _poll_soon(locked)
    return upstream


def of(channel: Channel) -> Upstream:
    """Return the upstream of the channel. Raise HubError 404 if it has none."""
    found = Upstream.objects.select_related("channel").filter(channel=channel).first()
    if found is None:
        raise not_found("no_upstream", f"'{channel}' stands on no upstream.")
    return found


def _save(upstream: Upstream, changed: Sequence[str]) -> None:
    """Save the row, and let the next job apply the changes."""
    if {"url", "credential", "subdirs"} & set(changed):
        upstream.polled_at = None
    if "url" in changed:
        upstream.subdir_states.update(etag="", last_modified="")
    if set(OF_RULES) & set(changed):
        upstream.are_rules_new = True
    upstream.save()
    _poll_soon(upstream.channel)


def _poll_soon(channel: Channel) -> None:
    transaction.on_commit(partial(send, sync.SYNC, channel.pk))


def _checked(values: dict[str, Any]) -> dict[str, Any]:
    """Return the valid values. Raise HubError 400 for the first invalid one."""
    checks: dict[str, Callable[[Any], Any]] = {
        "url": url_of,
        "subdirs": subdirs_of,
        "exceptions": exceptions_of,
        "credential": credential_of,
        "filters": checked_filters,
    }
    numbers = {
        "poll_minutes": (1, POLL_MINUTES_MAX),
        "cooldown_days": (0, COOLDOWN_DAYS_MAX),
        "max_cached_bytes": (0, CACHED_BYTES_MAX),
    }
    for name, (least, most) in numbers.items():
        if name in values and not least <= values[name] <= most:
            raise _bad(f"{name} is {values[name]}; expected {least} to {most}.")
    return {name: checks[name](value) if name in checks else value for name, value in values.items()}


def url_of(url: str) -> str:
    """Return the URL as it is stored. Raise HubError 400 for one that upstreams can't have."""
    place = store_transport.with_scheme(url.strip())
    if store_transport.is_place(place):
        if len(place) > URL_MAX_CHARACTERS:
            raise _bad(f"The address has {len(place)} characters; expected at most {URL_MAX_CHARACTERS}.")
        if not store_transport.is_allowed(place):
            raise _bad(store_transport.not_allowed(place).detail)
        return place
    parts = _parts(url.strip())
    is_http = parts.scheme == "http" and parts.netloc.lower() in settings.HUB_INTERNAL_HOSTS
    if parts.scheme == "http" and parts.hostname and not is_http:
        raise _bad(f"The URL begins with http://; expected https://. {fetching.how_to_allow(parts.netloc.lower())}")
    if not parts.hostname or not (parts.scheme == "https" or is_http) or len(url) > URL_MAX_CHARACTERS:
        raise _bad(NOT_VALID)
    if parts.username or parts.password or parts.query or parts.fragment or parts.path.startswith("/t/"):
        raise _bad("The URL has a credential or a query in it. Enter a token or USER:PASSWORD as the credential.")
    if parts.netloc.lower() == urlsplit(settings.HUB_PUBLIC_URL).netloc.lower():
        raise _bad("The URL is one of this hub itself, which needs no upstream channel. Choose another URL.")
    return parts.geturl().rstrip("/")


def _parts(url: str) -> SplitResult:
    """Return the parts of the URL. Raise HubError 400 if it has none, such as `https://[::`, or can't be requested."""
    try:
        parts = urlsplit(url)
        is_whole = parts.port != 0 and url.isprintable() and " " not in url
    except ValueError:
        is_whole = False
    if not is_whole:
        raise _bad(NOT_VALID)
    return parts


def subdirs_of(subdirs: Sequence[str]) -> list[str]:
    """Return the platforms, each once. Raise HubError 400 for others than clients know."""
    unknown = [subdir for subdir in subdirs if subdir not in KNOWN_SUBDIRS]
    if unknown or not subdirs:
        named = f"'{unknown[0][:32]}' is no platform that clients know" if unknown else "No platform is named"
        raise _bad(f"{named}; expected some like noarch and linux-64.")
    return list(dict.fromkeys(subdirs))


def exceptions_of(exceptions: Sequence[Sequence[str]]) -> list[list[str]]:
    """Return pairs of a glob and its reason. Raise HubError 400."""
    found = [[glob.strip(), reason.strip()] for glob, reason in exceptions]
    if len(found) > EXCEPTIONS_MAX:
        raise _bad(f"There are {len(found)} exceptions; expected at most {EXCEPTIONS_MAX}.")
    for glob, reason in found:
        is_short = 0 < len(glob) <= GLOB_MAX_CHARACTERS and 0 < len(reason) <= REASON_MAX_CHARACTERS
        # The page has them as lines, with a blank after the glob.
        if not is_short or not f"{glob}{reason}".isprintable() or " " in glob:
            raise _bad(f"The exception '{glob[:64]}' is not valid; expected a name or a glob, and a reason after it.")
    return found


def checked_filters(wanted: FilterTexts) -> dict[str, Any]:
    """Return the values to store. Raise HubError 400."""
    try:
        return wanted.checked()
    except BadSpecError as error:
        raise bad_request("bad_filter", str(error)) from None


def credential_of(credential: str) -> str:
    """Return the credential. Raise HubError 400 for one that no header can have."""
    if len(credential) > CREDENTIAL_MAX_CHARACTERS or not credential.isascii() or not credential.isprintable():
        raise _bad("The credential is not valid; expected a token or USER:PASSWORD in ASCII.")
    return credential


def _bad(sentence: str) -> HubError:
    return bad_request("bad_upstream", sentence)
