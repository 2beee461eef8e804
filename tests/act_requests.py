"""One request for each act of channels_app/access/acts.py on each of its routes, for tests/access/test_acts.py."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from allauth.account.models import EmailAddress
from django.test import Client

from channels_app.access.permissions import Actor
from channels_app.authentication import api_keys
from channels_app.channels import channels
from channels_app.models import ApiKey, Artifact, Channel, ChannelKind, Invitation, Role, Team, User
from channels_app.people import invitations
from publishing.index import upstream_records
from publishing.models import SubdirIndex, TrustedPublisher, Upstream, UpstreamName
from publishing.removal import removal
from tests.builders import (
    make_artifact,
    make_channel,
    make_issuer,
    make_member,
    make_promotion,
    make_publisher,
    make_retention_rule,
    make_robot,
    make_team,
    make_team_member,
    make_user,
    make_webhook,
)

FILE = "pack-1.0-0.conda"
PUBLISHER = {"repository": "octo-org/sample", "workflow": "release.yml", "may_upload": "on"}
KEY = {"name": "laptop", "scopes": ["read"], "which": "all", "lifetime": "365"}
UPSTREAM = {
    "url": "https://example.org/forge",
    "subdirs": "noarch",
    "poll_minutes": "10",
    "cooldown_days": "7",
    "max_cached_gib": "50",
}
Posted = dict[str, Any]


def no_preparation(_: Client) -> None:
    pass


@dataclass(frozen=True, slots=True)
class ActRequest:
    """A POST of `posted`. `by` may do it, `lower` may not. `prepare` runs first, with the browser of the sender."""

    posted: Posted | Callable[[], Posted]
    by: str = "olga"
    lower: str = "mia"
    arguments: list[str] = field(default_factory=lambda: ["demo"])
    prepare: Callable[[Client], object] = no_preparation

    def values(self) -> Posted:
        return self.posted() if callable(self.posted) else self.posted


def make_world() -> None:
    """Create users and roles in demo: Olga and Ida own, Mia maintains, Cora contributes, Vic views; Sam is a stranger.

    Tim manages a team.
    """
    for name in ("olga", "ida", "mia", "cora", "vic", "sam", "tim"):
        user = make_user(name, email=f"{name}@example.org")
        EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    User.objects.update(password="usable")  # password hashing takes longer than all else
    channel = make_channel(owner=somebody("olga"))
    roles = {"ida": Role.OWNER, "mia": Role.MAINTAINER, "cora": Role.CONTRIBUTOR, "vic": Role.VIEWER}
    for name, role in roles.items():
        make_member(channel, somebody(name), role)
    make_artifact(channel, "pack")
    make_issuer()
    make_team_member(channel, make_team("mappers", somebody("vic"), manager=somebody("tim")))


def somebody(name: str) -> User:
    return User.objects.get(username=name)


def demo() -> Channel:
    return Channel.objects.get(name="demo")


def public_channel(_: Client) -> None:
    make_channel("base", is_private=False)


def virtual_channel(_: Client) -> None:
    make_channel("base", is_private=False)
    Channel.objects.filter(name="demo").update(kind=ChannelKind.VIRTUAL)


def upstream(_: Client) -> None:
    Channel.objects.filter(name="demo").update(kind=ChannelKind.UPSTREAM)
    Upstream.objects.get_or_create(channel=demo(), defaults={"url": UPSTREAM["url"], "subdirs": ["noarch"]})


def changed_record(browser: Client) -> None:
    upstream(browser)
    before, after = "0" * 64, "1" * 64
    found = {"version": "1.0", "name": "numpy", "build": "0", "build_number": 0, "sha256": after, "size": 1}
    UpstreamName.objects.create(
        index=SubdirIndex.objects.get_or_create(channel=demo(), subdir="noarch")[0],
        name="numpy",
        records=upstream_records.pack(upstream_records.NameRecords({"numpy-1.0-0.conda": found}, {})),
        first_seen={"numpy-1.0-0.conda": [before, 1]},
        hidden={"numpy-1.0-0.conda": ["changed", "Its SHA-256 changed."]},
    )


def retention_rule(_: Client) -> None:
    make_retention_rule(demo(), pk=1)


def delete_channel(_: Client) -> None:
    channels.delete(actor=Actor(user=somebody("ida")), channel=demo())


def delete_artifact(_: Client) -> None:
    removal.delete(actor=Actor(user=somebody("mia")), artifact=Artifact.objects.get(), reason="broken")


def own_key(_: Client) -> None:
    api_keys.create_user_key(owner=somebody("vic"), name="old", scopes=["read"], channels=None, expires_at=None)


def robot(_: Client) -> None:
    make_robot(demo(), somebody("ida"))


def publisher(_: Client) -> None:
    make_publisher(demo())


def pending_publisher(_: Client) -> None:
    make_publisher(channel_name="next", created_by=somebody("vic"))


def invitation(browser: Client) -> None:
    sent = invitations.invite(actor=Actor(user=somebody("ida")), channel=demo(), email="sam@example.org", role="viewer")
    browser.get(f"/invitations/{invitations.secret_of(sent)}")


def own_team(_: Client) -> None:
    make_team("divers", manager=somebody("olga"))


def administrator(_: Client) -> None:
    """Make Tim an administrator: only administrators add people to teams without an invitation."""
    User.objects.filter(username="tim").update(is_superuser=True)


def webhook(_: Client) -> None:
    make_webhook(demo(), pk=1)


def moved_promotion(_: Client) -> None:
    """Create a promotion that moved a file of another channel of the same members to `demo`."""
    source = make_channel("other", owner=somebody("olga"))
    for name in ("ida", "mia"):
        make_member(source, somebody(name), Role.OWNER)
    moved = make_artifact(source, "pack")
    promotion = make_promotion(source, demo(), pk=1, is_move=True)
    promotion.files.create(
        subdir="noarch", file_name=moved.file_name, sha256=moved.sha256, size_bytes=1, change="unchanged"
    )
    removal.delete(actor=Actor(user=somebody("ida")), artifact=moved, reason="")


def with_selection() -> Posted:
    found = list(Artifact.objects.all())
    return {"action": "restore", "file": [each.pk for each in found], "fingerprint": removal.fingerprint(found)}


def with_invitation() -> Posted:
    return {"action": "accept", "invitation": str(Invitation.objects.get().pk)}


def with_key(name: str = "revoke") -> Posted:
    return {name: str(ApiKey.objects.get().pk)}


def with_publisher() -> Posted:
    return {"remove": str(TrustedPublisher.objects.get().pk)}


def team_update() -> Posted:
    team = Team.objects.get()
    return {"action": "update", "team-name": team.name, "team-description": "Who draw", "team-group": ""}


TEAM: Any = {"by": "tim", "lower": "vic", "arguments": ["mappers"]}
OWN: Any = {"by": "vic", "lower": "", "arguments": []}
ARTIFACT = ["demo", "noarch", FILE]
WEBHOOK: Any = {"by": "mia", "lower": "cora", "arguments": ["demo", "1"], "prepare": webhook}
# (action, route) → request. With an empty `lower`, an anonymous visitor may not do it.
ACT_REQUESTS = {
    # Without an invitation, only a team that the sender manages can be added.
    ("member.add", "channel-members"): ActRequest(
        {"action": "add", "team": "divers", "role": "viewer"}, lower="cora", prepare=own_team
    ),
    ("member.change", "channel-members"): ActRequest(
        {"action": "change", "username": "vic", "role": "contributor"}, by="mia", lower="cora"
    ),
    ("member.remove", "channel-members"): ActRequest({"action": "remove", "username": "vic"}, by="mia", lower="cora"),
    ("member.leave", "channel-leave"): ActRequest({}, by="cora", lower="sam"),
    ("invitation.send", "channel-members"): ActRequest(
        {"action": "add", "email": "new@example.org", "role": "viewer"}, by="mia", lower="cora"
    ),
    ("invitation.accept", "invitation"): ActRequest({}, by="sam", lower="vic", arguments=[], prepare=invitation),
    ("invitation.accept", "account-invitations"): ActRequest(
        with_invitation, by="sam", lower="vic", arguments=[], prepare=invitation
    ),
    ("channel.update", "channel-settings"): ActRequest(
        {"description": "", "visibility": "public", "confirm_visibility": "on"}, by="mia", lower="cora"
    ),
    ("policy.change", "channel-policies"): ActRequest({"allow_overwrite": "on"}, by="mia", lower="cora"),
    ("policy.change", "channel-promotion-rules"): ActRequest(
        {"action": "save", "source": "staging", "needs": "upload"}, by="mia", lower="cora"
    ),
    ("relation.change", "channel-relations"): ActRequest(
        {"base": "base"}, by="mia", lower="cora", prepare=public_channel
    ),
    ("virtual.change", "channel-virtual"): ActRequest(
        {"action": "save", "members": "base"}, by="mia", lower="cora", prepare=virtual_channel
    ),
    ("upstream.add", "channel-new-upstream"): ActRequest(
        UPSTREAM | {"name": "forge", "is_private": "private"},
        by="tim",
        lower="olga",
        arguments=[],
        prepare=administrator,
    ),
    ("upstream.change", "channel-upstream"): ActRequest(
        UPSTREAM | {"action": "save"}, by="olga", lower="mia", prepare=upstream
    ),
    ("upstream.accept", "channel-upstream"): ActRequest(
        {
            "action": "accept",
            "subdir": "noarch",
            "file_name": "numpy-1.0-0.conda",
            "sha256": "1" * 64,
            "reason": "built again",
        },
        by="olga",
        lower="mia",
        prepare=changed_record,
    ),
    ("upstream.change", "channel-upstream-filters"): ActRequest(
        {"action": "save", "exclude": "numpy <2"}, by="olga", lower="mia", prepare=upstream
    ),
    ("watch.change", "channel-watch"): ActRequest({"action": "start"}, by="olga", lower="mia"),
    ("retention.add", "channel-retention"): ActRequest(
        {"action": "save", "title": "old", "keep_versions": "3"}, by="mia", lower="cora"
    ),
    ("retention.change", "channel-retention"): ActRequest(
        {"action": "save", "rule": "1", "title": "old", "keep_versions": "3"},
        by="mia",
        lower="cora",
        prepare=retention_rule,
    ),
    ("retention.remove", "channel-retention"): ActRequest(
        {"action": "remove", "rule": "1"}, by="mia", lower="cora", prepare=retention_rule
    ),
    ("channel.transfer", "channel-danger"): ActRequest(
        {"action": "transfer", "transfer-username": "ida", "transfer-confirm": "demo"}
    ),
    ("channel.delete", "channel-danger"): ActRequest({"action": "delete", "delete-confirm": "demo"}),
    ("channel.restore", "channel-restore"): ActRequest({}, prepare=delete_channel),
    ("artifact.restore", "artifact-remove"): ActRequest(
        {"action": "restore"}, by="mia", lower="cora", arguments=ARTIFACT, prepare=delete_artifact
    ),
    ("artifact.restore", "channel-select"): ActRequest(with_selection, by="mia", lower="cora", prepare=delete_artifact),
    ("artifact.restore", "channel-promotion"): ActRequest(
        {"action": "rollback"}, by="mia", lower="cora", arguments=["demo", "1"], prepare=moved_promotion
    ),
    ("artifact.release", "artifact-remove"): ActRequest(
        {"action": "release", "confirmation": FILE}, arguments=ARTIFACT, prepare=delete_artifact
    ),
    ("key.create", "account-keys"): ActRequest(KEY, **OWN),
    ("key.create", "channel-robots"): ActRequest(KEY),
    ("key.revoke", "account-keys"): ActRequest(with_key, prepare=own_key, **OWN),
    ("key.revoke", "channel-robots"): ActRequest(with_key, prepare=robot),
    ("publisher.add", "channel-publishers"): ActRequest(PUBLISHER, by="mia", lower="cora"),
    ("publisher.add", "publisher-new"): ActRequest(PUBLISHER | {"channel_name": "next"}, **OWN),
    ("publisher.remove", "channel-publishers"): ActRequest(with_publisher, by="mia", lower="cora", prepare=publisher),
    ("publisher.remove", "publisher-new"): ActRequest(with_publisher, prepare=pending_publisher, **OWN),
    ("webhook.add", "channel-webhooks"): ActRequest(
        {"url": "https://new.example.org/", "events": ["index.built"]}, by="mia", lower="cora"
    ),
    ("webhook.change", "channel-webhook"): ActRequest({"action": "off"}, **WEBHOOK),
    ("webhook.remove", "channel-webhook"): ActRequest({"action": "remove"}, **WEBHOOK),
    ("team.update", "team"): ActRequest(team_update, **TEAM),
    ("team.delete", "team"): ActRequest({"action": "delete", "delete-confirm": "mappers"}, **TEAM),
    ("team.invite", "team"): ActRequest({"action": "add", "who": "sam"}, **TEAM),
    ("team.add", "team"): ActRequest({"action": "add", "who": "sam"}, prepare=administrator, **TEAM),
    ("team.manager", "team"): ActRequest({"action": "manager", "username": "vic"}, **TEAM),
    ("team.remove", "team"): ActRequest({"action": "remove", "username": "vic"}, **TEAM | {"lower": "sam"}),
}
