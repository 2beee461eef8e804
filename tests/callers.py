"""The callers of the authorisation matrix: each is a client with its credentials."""

from collections.abc import Callable
from datetime import timedelta

from django.test import Client
from django.utils import timezone

from channels_app.authentication import api_keys
from channels_app.models import ApiKey, Channel, Role, User, WebhookDelivery
from publishing.models import Upstream, Watch
from tests.builders import (
    make_artifact,
    make_channel,
    make_import,
    make_key,
    make_label,
    make_member,
    make_notice,
    make_package,
    make_patch,
    make_promotion,
    make_publisher,
    make_retention_rule,
    make_robot,
    make_short_lived_token,
    make_team,
    make_token,
    make_user,
    make_webhook,
)
from tests.pages import signed_in

PUBLISHER_ID = WEBHOOK_ID = DELIVERY_ID = NOTICE_ID = PROMOTION_ID = PATCH_ID = RULE_ID = IMPORT_ID = (
    1  # the same on every database, whatever its sequence
)
HUB_NOTICE_ID = 2


def make_world() -> None:
    """Create a private channel with a member of each role, a package, a publisher and a team; and a public channel."""
    owner = make_user("owner")
    channel = make_channel("demo", owner=owner)
    for role in (Role.VIEWER, Role.CONTRIBUTOR, Role.MAINTAINER):
        make_member(channel, make_user(role), role)
    make_user("stranger")
    make_user("admin", is_superuser=True, is_staff=True)
    make_artifact(channel, "pack")
    public = make_channel("open", owner=owner, is_private=False)
    make_package(public, "pack")
    make_promotion(public, channel, pk=PROMOTION_ID)
    make_import(channel, pk=IMPORT_ID)
    make_publisher(channel, may_read=True, pk=PUBLISHER_ID)
    make_team("team", manager=owner)
    make_label(channel, "dev")
    # Its kind stays, so that the channel takes uploads, too.
    Upstream.objects.create(channel=channel, url="https://example.org/forge", subdirs=["noarch"])
    Watch.objects.create(channel=channel)
    make_notice(channel, pk=NOTICE_ID)
    make_patch(channel, pk=PATCH_ID)
    make_retention_rule(channel, pk=RULE_ID)
    make_patch(channel, ended_at=timezone.now(), pk=PATCH_ID + 1)
    make_notice(None, pk=HUB_NOTICE_ID)
    webhook = make_webhook(channel, pk=WEBHOOK_ID)
    WebhookDelivery.objects.create(pk=DELIVERY_ID, webhook=webhook, kind="webhook.test", message_id="msg_1", body="{}")


def somebody(name: str) -> User:
    return User.objects.get(username=name)


def by_session(name: str) -> Callable[[], Client]:
    return lambda: signed_in(somebody(name))


def bearing(secret: str) -> Client:
    return Client(headers={"Authorization": f"Bearer {secret}"})


def by_key(*scopes: str, **changes: object) -> Callable[[], Client]:
    """Return a client with a key of the owner for all of the owner's channels."""

    def caller() -> Client:
        secret = make_key(somebody("owner"), scopes=scopes)
        ApiKey.objects.filter(**stored(secret)).update(**changes)
        return bearing(secret)

    return caller


def stored(secret: str) -> dict[str, str]:
    return api_keys.secret_columns(secret)


def by_robot() -> Client:
    return bearing(make_robot(Channel.objects.get(name="demo"), somebody("owner"), scopes=("read", "upload")))


def by_short_lived_token() -> Client:
    return bearing(make_short_lived_token(*Channel.objects.get(name="demo").publishers.all())[1])


def by_token(*scopes: str) -> Callable[[], Client]:
    """Return a client with a token of an application that the owner has authorized."""

    def caller() -> Client:
        return bearing(make_token(somebody("owner"), "openid", *scopes))

    return caller


def without_csrf_token() -> Client:
    client = signed_in(somebody("owner"))
    client.handler.enforce_csrf_checks = True
    return client


# In the order of the matrix's columns.
CALLERS: dict[str, Callable[[], Client]] = {
    "anon": Client,
    "stra": by_session("stranger"),
    "view": by_session("viewer"),
    "cont": by_session("contributor"),
    "main": by_session("maintainer"),
    "owne": by_session("owner"),
    "admi": by_session("admin"),
    "kRea": by_key("read"),
    "kUpl": by_key("upload"),
    "kDel": by_key("delete"),
    "kMan": by_key("read", "manage"),
    "kExp": by_key("read", "upload", expires_at=timezone.now() - timedelta(seconds=1)),
    "kRev": by_key("read", "upload", revoked_at=timezone.now()),
    "robo": by_robot,
    "mint": by_short_lived_token,
    "tRea": by_token("channel:read"),
    "tUpl": by_token("channel:read", "channel:upload"),
    "noCS": without_csrf_token,
}
