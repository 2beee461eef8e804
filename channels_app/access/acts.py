"""Acts that last longer than a session, or that widen who may do what: one table of them.

Pages, API, protocols, the administration and commands ask this table. Re-authentication, notifications and
tests/access/test_acts.py are derived from it. An act has the name of its audit event, whose detail holds the state
before and after.
"""

from dataclasses import dataclass
from enum import StrEnum

from django.http import QueryDict

from channels_app.access import permissions
from channels_app.access.actions import Action
from channels_app.access.permissions import Actor, Permission
from channels_app.models import Channel
from hub.errors import forbidden


class Scope(StrEnum):
    """Whose an act is that lies in no channel."""

    ONESELF = "one's own account"
    TEAM_MANAGER = "managers of the team"
    ADMINISTRATOR = "administrators"


class KeyUse(StrEnum):
    """Rules on whether a key or an application's token may do it."""

    NEVER = "never: a person has to be signed in"
    WITHIN = "within its own rights and limits, and what it makes ends with it"
    AS_NEEDED = "with the scope that the act needs: nothing is left behind that can do more"


class Audience(StrEnum):
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
    told: Audience = Audience.OWNERS
    template: str = "act"


@dataclass(frozen=True, slots=True)
class ActRoute:
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
    needs: Permission | Scope
    notice: Notice | None = None
    places: tuple[ActRoute, ...] = ()
    is_proved: bool = True
    by_key: KeyUse = KeyUse.NEVER
    api: tuple[str, ...] = ()


MEMBERS = "channel-members"
TEAM = (ActRoute("team"),)
PUBLISHERS = (ActRoute("channel-publishers"), ActRoute("publisher-new"))
CHANGED = "account_changed"

OF_CHANNELS = (
    Act(
        Action.MEMBER_ADD,
        Permission.MANAGE,  # of an owner: OWN, see members.check_may_give()
        Notice("{target} is a member of {channel} now", Audience.OWNERS_AND_CONCERNED, "member_add"),
        (ActRoute(MEMBERS, "action", ("add",)),),
    ),
    Act(
        Action.MEMBER_CHANGE,
        Permission.MANAGE,
        Notice("{target} has another role in {channel} now", Audience.OWNERS_AND_CONCERNED, "member_change"),
        (ActRoute(MEMBERS, "action", ("change",)),),
    ),
    Act(
        Action.MEMBER_REMOVE,
        Permission.MANAGE,
        Notice("{target} is no member of {channel} any more", Audience.OWNERS_AND_CONCERNED, "member_remove"),
        (ActRoute(MEMBERS, "action", ("remove",)),),
    ),
    Act(
        Action.MEMBER_LEAVE,
        Permission.READ,
        Notice("{target} has left {channel}"),
        (ActRoute("channel-leave"),),
    ),
    Act(
        Action.INVITATION_SEND,
        Permission.MANAGE,
        Notice("{target} is invited to {channel}"),
        (ActRoute(MEMBERS, "action", ("add",)),),
    ),
    Act(
        Action.INVITATION_ACCEPT,
        Scope.ONESELF,
        Notice("{target} is a member of {channel} now"),
        (ActRoute("invitation"), ActRoute("account-invitations")),
        is_proved=False,  # the right was given before, by somebody who proved it
    ),
    Act(
        Action.CHANNEL_UPDATE,  # of who can read it; the description and the logo are no act
        Permission.MANAGE,
        Notice("Who can read {channel} was changed", Audience.OWNERS_OF_VISIBILITY),
        (ActRoute("channel-settings", "confirm_visibility"),),
    ),
    Act(
        Action.POLICY_CHANGE,
        Permission.MANAGE,
        Notice("The policies of {channel} were changed"),
        (ActRoute("channel-policies"),),
    ),
    Act(
        Action.CHANNEL_TRANSFER,
        Permission.OWN,
        Notice("{channel} belongs to {target} now", Audience.OWNERS_AND_ACTOR, "channel_transfer"),
        (ActRoute("channel-danger", "action", ("transfer",)),),
    ),
    Act(
        Action.CHANNEL_DELETE,
        Permission.OWN,
        Notice("{channel} was deleted", template="channel_delete"),
        (ActRoute("channel-danger", "action", ("delete",)),),
    ),
    Act(Action.CHANNEL_RESTORE, Permission.OWN, Notice("{channel} was restored"), (ActRoute("channel-restore"),)),
    Act(
        Action.ARTIFACT_RESTORE,
        Permission.DELETE,
        Notice("{target} is back in {channel}"),
        (ActRoute("artifact-remove", "action", ("restore",)),),
        by_key=KeyUse.AS_NEEDED,
        api=("upload",),
    ),
    Act(
        Action.ARTIFACT_RELEASE,
        Permission.OWN,
        Notice("The name {target} is free again in {channel}"),
        (ActRoute("artifact-remove", "action", ("release",)),),
    ),
)

CREDENTIALS = (
    Act(
        Action.KEY_CREATE,
        Scope.ONESELF,  # of a channel's own: OWN, see keys.mint_robot()
        Notice("A new API key: {target}", Audience.HOLDERS, "key_create"),
        (ActRoute("account-keys"), ActRoute("channel-robots")),
    ),
    Act(
        Action.KEY_REVOKE,
        Scope.ONESELF,
        Notice("The API key {target} was revoked", Audience.HOLDERS),
        (ActRoute("account-keys"), ActRoute("channel-robots")),
        by_key=KeyUse.AS_NEEDED,  # the key that asks ends itself
        api=("key-current",),
    ),
    Act(
        Action.PUBLISHER_ADD,
        Permission.MANAGE,
        Notice("{target} is a trusted publisher of {channel} now", template="publisher_add"),
        PUBLISHERS,
        by_key=KeyUse.WITHIN,
        api=("publishers",),
    ),
    Act(
        Action.PUBLISHER_REMOVE,
        Permission.MANAGE,
        Notice("{target} is no trusted publisher of {channel} any more", template="publisher_remove"),
        PUBLISHERS,
        by_key=KeyUse.AS_NEEDED,
        api=("publisher",),
    ),
    Act(
        Action.OAUTH_GRANT,
        Scope.ONESELF,
        Notice("{target} is signed in with your account", Audience.FIRST_TIME, "oauth_grant"),
        (
            ActRoute("idp:oidc:authorization", "action", ("grant",)),
            ActRoute("idp:oidc:device_authorization", "action", ("confirm",)),
        ),
    ),
)

OF_TEAMS = (
    Act(Action.TEAM_UPDATE, Scope.TEAM_MANAGER, Notice("The team {target} was changed", Audience.TEAM), TEAM),
    Act(Action.TEAM_DELETE, Scope.TEAM_MANAGER, None, TEAM),  # each channel's owners are told by member.remove
    Act(Action.TEAM_INVITE, Scope.TEAM_MANAGER, None, TEAM),
    Act(Action.TEAM_ADD, Scope.TEAM_MANAGER, Notice("Somebody else is in the team {target}", Audience.TEAM), TEAM),
    Act(Action.TEAM_MANAGER, Scope.TEAM_MANAGER, Notice("The team {target} has other managers", Audience.TEAM), TEAM),
    Act(Action.TEAM_REMOVE, Scope.TEAM_MANAGER, None, TEAM),
)

OF_ACCOUNTS = (
    Act(
        Action.ACCOUNT_EMAIL,
        Scope.ONESELF,
        Notice("Your e-mail address was changed", Audience.ADDRESS_BEFORE, CHANGED),
        (ActRoute("account_email"),),
    ),
    Act(
        Action.ACCOUNT_PASSWORD,
        Scope.ONESELF,
        Notice("Your password was changed", Audience.ONESELF, CHANGED),
        (ActRoute("account_set_password"),),
    ),
    Act(
        Action.ACCOUNT_FACTOR_ADD,
        Scope.ONESELF,
        Notice("You can sign in with {target} now", Audience.ONESELF, CHANGED),
        (ActRoute("mfa_activate_totp"), ActRoute("mfa_add_webauthn")),
    ),
    Act(
        Action.ACCOUNT_FACTOR_REMOVE,
        Scope.ONESELF,
        Notice("You can't sign in with {target} any more", Audience.ONESELF, CHANGED),
        (ActRoute("mfa_deactivate_totp"), ActRoute("mfa_remove_webauthn")),
    ),
    Act(
        Action.ACCOUNT_FACTOR_RESET,
        Scope.ONESELF,
        Notice("You have new recovery codes", Audience.ONESELF, CHANGED),
        (ActRoute("mfa_generate_recovery_codes"),),
    ),
    Act(
        Action.ACCOUNT_CONNECT,
        Scope.ONESELF,
        Notice("You can sign in with {target} now", Audience.ONESELF, CHANGED),
        (ActRoute("socialaccount_connections"),),
    ),
    Act(
        Action.ACCOUNT_DISCONNECT,
        Scope.ONESELF,
        Notice("You can't sign in with {target} any more", Audience.ONESELF, CHANGED),
        (ActRoute("socialaccount_connections"),),
    ),
)

OF_ADMINISTRATORS = (
    Act(Action.USER_ADD, Scope.ADMINISTRATOR),
    Act(Action.USER_CHANGE, Scope.ADMINISTRATOR, Notice("An administrator changed your account", Audience.NAMED)),
    Act(Action.USER_DELETE, Scope.ADMINISTRATOR),
    Act(Action.ADMIN_ADD, Scope.ADMINISTRATOR),
    Act(Action.ADMIN_CHANGE, Scope.ADMINISTRATOR),
    Act(Action.ADMIN_DELETE, Scope.ADMINISTRATOR),
    Act(
        Action.CHANNEL_FREE_NAME,
        Scope.ADMINISTRATOR,
        Notice("Everybody may use the channel's name {target} now", Audience.LAST_OWNERS, "name_free"),
    ),
    Act(
        Action.USER_FACTORS_REMOVE,
        Scope.ADMINISTRATOR,
        Notice("Your second factors were removed", Audience.NAMED, CHANGED),
    ),
)

ACTS = {act.action: act for act in (*OF_CHANNELS, *CREDENTIALS, *OF_TEAMS, *OF_ACCOUNTS, *OF_ADMINISTRATORS)}
# Whatever is posted to these routes is an administrator's act; only looking, and signing out, is none.
ADMINISTRATION = "admin:"
NO_ACT_OF_ADMINISTRATORS = frozenset({"admin:login", "admin:logout", "admin:jsi18n"})


def places(route: str) -> list[ActRoute]:
    """The places on `route` of acts that ask for a proof; in an At without a field, by every POST."""
    if route.startswith(ADMINISTRATION) and route not in NO_ACT_OF_ADMINISTRATORS:
        return [ActRoute(route)]
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
    if ACTS[action].by_key == KeyUse.NEVER and (actor.key or actor.token):
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
