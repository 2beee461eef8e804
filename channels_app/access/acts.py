"""Acts that last longer than a session, or that widen who may do what: one table of them.

Pages, API, protocols, the administration and commands ask this table. Re-authentication, notifications and
tests/access/test_acts.py are derived from it. An act has the name of its audit event, whose detail holds the state
before and after.
"""

from dataclasses import dataclass
from enum import StrEnum

from django.http import QueryDict

from channels_app.access import permissions
from channels_app.access.permissions import Actor, Permission
from channels_app.models import Channel
from hub.errors import forbidden


class Whose(StrEnum):
    """Whose an act is that lies in no channel."""

    ONESELF = "one's own account"
    TEAM_MANAGER = "managers of the team"
    ADMINISTRATOR = "administrators"


class ByKey(StrEnum):
    """Rules on whether a key or an application's token may do it."""

    NEVER = "never: a person has to be signed in"
    WITHIN = "within its own rights and limits, and what it makes ends with it"
    AS_NEEDED = "with the scope that the act needs: nothing is left behind that can do more"


class Told(StrEnum):
    """Whom a mail tells of it; mails.py knows how to find them. All owners means: also whoever did it."""

    OWNERS = "all owners of the channel"
    OWNERS_OF_VISIBILITY = "all owners of the channel, where it was who can read it"
    OWNERS_AND_ACTOR = "all owners of the channel, and whoever did it"
    OWNERS_AND_CONCERNED = "all owners of the channel, and the member or the managers of the team that it is about"
    TEAM = "the managers of the team, and all owners of the channels that it belongs to"
    HOLDERS = "whose the key is: a user, or all owners of the channel"
    ONESELF = "whoever did it"
    LAST_OWNERS = "the last owners of a channel that is gone"
    NAMED = "the user whom it is about"
    FIRST_TIME = "whoever did it, the first time"
    ADDRESS_BEFORE = "whoever did it, at the address from before"
    LOSER = "whose pending publisher ended"
    ADMINISTRATORS = "administrators of the hub"


@dataclass(frozen=True, slots=True)
class Notice:
    """A mail: its subject, with {target} and {channel}, its readers, and its text, templates/mail/<template>.txt."""

    subject: str
    told: Told = Told.OWNERS
    template: str = "act"


@dataclass(frozen=True, slots=True)
class At:
    """A route whose POST does an act; with `field`, only where that is posted, with one of `values` where given."""

    route: str
    field: str = ""
    values: tuple[str, ...] = ()

    def is_meant(self, posted: QueryDict) -> bool:
        if not self.field:
            return True
        return self.field in posted and (not self.values or posted[self.field] in self.values)


@dataclass(frozen=True, slots=True)
class Act:
    """`needs` is the right that the effect needs. `is_proved`: a session proves once more who it is, at `places`.

    `api` are the routes of clients, where keys may do it.
    """

    action: str
    needs: Permission | Whose
    notice: Notice | None = None
    places: tuple[At, ...] = ()
    is_proved: bool = True
    by_key: ByKey = ByKey.NEVER
    api: tuple[str, ...] = ()


MEMBERS = "channel-members"
TEAM = (At("team"),)
PUBLISHERS = (At("channel-publishers"), At("publisher-new"))
CHANGED = "account_changed"

OF_CHANNELS = (
    Act(
        "member.add",
        Permission.MANAGE,  # of an owner: OWN, see members.check_may_give()
        Notice("{target} is a member of {channel} now", Told.OWNERS_AND_CONCERNED, "member_add"),
        (At(MEMBERS, "action", ("add",)),),
    ),
    Act(
        "member.change",
        Permission.MANAGE,
        Notice("{target} has another role in {channel} now", Told.OWNERS_AND_CONCERNED, "member_change"),
        (At(MEMBERS, "action", ("change",)),),
    ),
    Act(
        "member.remove",
        Permission.MANAGE,
        Notice("{target} is no member of {channel} any more", Told.OWNERS_AND_CONCERNED, "member_remove"),
        (At(MEMBERS, "action", ("remove",)),),
    ),
    Act(
        "member.leave",
        Permission.READ,
        Notice("{target} has left {channel}"),
        (At("channel-leave"),),
    ),
    Act(
        "invitation.send",
        Permission.MANAGE,
        Notice("{target} is invited to {channel}"),
        (At(MEMBERS, "action", ("add",)),),
    ),
    Act(
        "invitation.accept",
        Whose.ONESELF,
        Notice("{target} is a member of {channel} now"),
        (At("invitation"), At("account-invitations")),
        is_proved=False,  # the right was given before, by somebody who proved it
    ),
    Act(
        "channel.update",  # of who can read it; the description and the logo are no act
        Permission.MANAGE,
        Notice("Who can read {channel} was changed", Told.OWNERS_OF_VISIBILITY),
        (At("channel-settings", "confirm_visibility"),),
    ),
    Act(
        "policy.change", Permission.MANAGE, Notice("The policies of {channel} were changed"), (At("channel-policies"),)
    ),
    Act(
        "channel.transfer",
        Permission.OWN,
        Notice("{channel} belongs to {target} now", Told.OWNERS_AND_ACTOR, "channel_transfer"),
        (At("channel-danger", "action", ("transfer",)),),
    ),
    Act(
        "channel.delete",
        Permission.OWN,
        Notice("{channel} was deleted", template="channel_delete"),
        (At("channel-danger", "action", ("delete",)),),
    ),
    Act("channel.restore", Permission.OWN, Notice("{channel} was restored"), (At("channel-restore"),)),
    Act(
        "artifact.restore",
        Permission.DELETE,
        Notice("{target} is back in {channel}"),
        (At("artifact-remove", "action", ("restore",)),),
        by_key=ByKey.AS_NEEDED,
        api=("upload",),
    ),
    Act(
        "artifact.release",
        Permission.OWN,
        Notice("The name {target} is free again in {channel}"),
        (At("artifact-remove", "action", ("release",)),),
    ),
)

CREDENTIALS = (
    Act(
        "key.create",
        Whose.ONESELF,  # of a channel's own: OWN, see keys.mint_robot()
        Notice("A new API key: {target}", Told.HOLDERS, "key_create"),
        (At("account-keys"), At("channel-robots")),
    ),
    Act(
        "key.revoke",
        Whose.ONESELF,
        Notice("The API key {target} was revoked", Told.HOLDERS),
        (At("account-keys"), At("channel-robots")),
        by_key=ByKey.AS_NEEDED,  # the key that asks ends itself
        api=("key-current",),
    ),
    Act(
        "publisher.add",
        Permission.MANAGE,
        Notice("{target} is a trusted publisher of {channel} now", template="publisher_add"),
        PUBLISHERS,
        by_key=ByKey.WITHIN,
        api=("publishers",),
    ),
    Act(
        "publisher.remove",
        Permission.MANAGE,
        Notice("{target} is no trusted publisher of {channel} any more", template="publisher_remove"),
        PUBLISHERS,
        by_key=ByKey.AS_NEEDED,
        api=("publisher",),
    ),
    Act(
        "oauth.grant",
        Whose.ONESELF,
        Notice("{target} is signed in with your account", Told.FIRST_TIME, "oauth_grant"),
        (
            At("idp:oidc:authorization", "action", ("grant",)),
            At("idp:oidc:device_authorization", "action", ("confirm",)),
        ),
    ),
)

OF_TEAMS = (
    Act("team.update", Whose.TEAM_MANAGER, Notice("The team {target} was changed", Told.TEAM), TEAM),
    Act("team.delete", Whose.TEAM_MANAGER, None, TEAM),  # each channel's owners are told by member.remove
    Act("team.invite", Whose.TEAM_MANAGER, None, TEAM),
    Act("team.add", Whose.TEAM_MANAGER, Notice("Somebody else is in the team {target}", Told.TEAM), TEAM),
    Act("team.manager", Whose.TEAM_MANAGER, Notice("The team {target} has other managers", Told.TEAM), TEAM),
    Act("team.remove", Whose.TEAM_MANAGER, None, TEAM),
)

OF_ACCOUNTS = (
    Act(
        "account.email",
        Whose.ONESELF,
        Notice("Your e-mail address was changed", Told.ADDRESS_BEFORE, CHANGED),
        (At("account_email"),),
    ),
    Act(
        "account.password",
        Whose.ONESELF,
        Notice("Your password was changed", Told.ONESELF, CHANGED),
        (At("account_set_password"),),
    ),
    Act(
        "account.factor_add",
        Whose.ONESELF,
        Notice("You can sign in with {target} now", Told.ONESELF, CHANGED),
        (At("mfa_activate_totp"), At("mfa_add_webauthn")),
    ),
    Act(
        "account.factor_remove",
        Whose.ONESELF,
        Notice("You can't sign in with {target} any more", Told.ONESELF, CHANGED),
        (At("mfa_deactivate_totp"), At("mfa_remove_webauthn")),
    ),
    Act(
        "account.factor_reset",
        Whose.ONESELF,
        Notice("You have new recovery codes", Told.ONESELF, CHANGED),
        (At("mfa_generate_recovery_codes"),),
    ),
    Act(
        "account.connect",
        Whose.ONESELF,
        Notice("You can sign in with {target} now", Told.ONESELF, CHANGED),
        (At("socialaccount_connections"),),
    ),
    Act(
        "account.disconnect",
        Whose.ONESELF,
        Notice("You can't sign in with {target} any more", Told.ONESELF, CHANGED),
        (At("socialaccount_connections"),),
    ),
)

OF_ADMINISTRATORS = (
    Act("user.add", Whose.ADMINISTRATOR),
    Act("user.change", Whose.ADMINISTRATOR, Notice("An administrator changed your account", Told.NAMED)),
    Act("user.delete", Whose.ADMINISTRATOR),
    Act("admin.add", Whose.ADMINISTRATOR),
    Act("admin.change", Whose.ADMINISTRATOR),
    Act("admin.delete", Whose.ADMINISTRATOR),
    Act(
        "channel.free_name",
        Whose.ADMINISTRATOR,
        Notice("Everybody may use the channel's name {target} now", Told.LAST_OWNERS, "name_free"),
    ),
    Act(
        "user.factors_remove",
        Whose.ADMINISTRATOR,
        Notice("Your second factors were removed", Told.NAMED, CHANGED),
    ),
)

ACTS = {act.action: act for act in (*OF_CHANNELS, *CREDENTIALS, *OF_TEAMS, *OF_ACCOUNTS, *OF_ADMINISTRATORS)}
# Whatever is posted to these routes is an administrator's act; only looking, and signing out, is none.
ADMINISTRATION = "admin:"
NO_ACT_OF_ADMINISTRATORS = frozenset({"admin:login", "admin:logout", "admin:jsi18n"})


def places(route: str) -> list[At]:
    """The places on `route` of acts that ask for a proof; in an At without a field, by every POST."""
    if route.startswith(ADMINISTRATION) and route not in NO_ACT_OF_ADMINISTRATORS:
        return [At(route)]
    return [place for act in ACTS.values() if act.is_proved for place in act.places if place.route == route]


def lock_channel(action: str, actor: Actor, channel: Channel) -> Channel:
    """The channel as access.hold() has it, where `actor` may do the act there, by a credential that may."""
    locked = permissions.lock_channel(actor, channel, _needed(action))
    check_means(action, actor)
    return locked


def check(action: str, actor: Actor, channel: Channel) -> None:
    """The same for a transaction that locks another row than the channel's."""
    permissions.check_still_allowed(actor, channel, _needed(action))
    check_means(action, actor)


def may(action: str, actor: Actor, channel: Channel) -> bool:
    """Tell whether `actor` may do the act in `channel`, as far as their right goes."""
    return _needed(action) in permissions.permissions(actor, channel)


def check_means(action: str, actor: Actor) -> None:
    """Raise where it takes a person: what a key left behind would outlast it, or do more than it may."""
    if ACTS[action].by_key == ByKey.NEVER and (actor.key or actor.token):
        raise forbidden(
            "person_needed",
            f"This takes a person ({action}): a key or an application can't leave behind what outlasts it. "
            "Sign in and use the pages.",
        )


def _needed(action: str) -> Permission:
    needed = ACTS[action].needs
    if isinstance(needed, Permission):
        return needed
    raise ValueError(f"{action} needs no permission in a channel, but: {needed}")
