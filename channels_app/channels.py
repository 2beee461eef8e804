"""Making channels."""

from django.db import transaction

from channels_app import audit, names
from channels_app.models import Channel, Member, Role, User
from hub.celery import send
from hub.errors import bad_request, conflict

# First segments of the hub's own paths.
ROUTED = {
    *("accounts", "admin", "anaconda", "api", "channels", "connect", "docs", "favicon.ico", "get", "healthz", "media"),
    *("metrics", "o", "readyz", "robots.txt", "search", "static", "styleguide", "t", "well-known"),
}


@transaction.atomic
def create(*, name: str, owner: User, is_private: bool, description: str = "") -> Channel:
    """Make a channel with its first owner. Its empty index files follow by a job; the hub answers with them at once."""
    check_name(name)
    if Channel.objects.filter(name=name).exists():
        raise conflict("channel_exists", f"There is a channel '{name}' already; choose another name.")
    channel = Channel.objects.create(name=name, is_private=is_private, description=description)
    Member.objects.create(channel=channel, user=owner, role=Role.OWNER)
    audit.record("channel.create", actor=owner, channel=channel, target=name, detail={"private": is_private})
    transaction.on_commit(lambda: send("publishing.tasks.open_channel", channel.pk))
    return channel


def check_name(name: str) -> None:
    """Raise where no channel can have this name (CEP 26, and what the hub routes itself)."""
    if len(name) > names.CHANNEL_MAX_CHARACTERS or not names.CHANNEL.match(name):
        raise bad_request(
            "bad_channel_name",
            f"'{name[:60]}' can't name a channel; expected up to {names.CHANNEL_MAX_CHARACTERS} lower-case letters, "
            "digits, '_', '.' and '-', the first a letter, a digit or '_'.",
        )
    if name in names.KNOWN_SUBDIRS:
        raise bad_request("bad_channel_name", f"'{name}' is the name of a subdir; clients would mistake it for one.")
    if name in ROUTED:
        raise bad_request("bad_channel_name", f"'{name}' is a path of the hub itself; choose another name.")
