"""Acts: changes that outlast a session or widen somebody's access, in one table.

Pages, the API, upload protocols, the admin site and commands check this table. Re-authentication, notifications and
tests/access/test_acts.py are derived from it. An act has the name of its audit event. The event's detail holds the
state before and after.
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
    """Scopes of acts outside a channel: the users that may do them."""

    ONESELF = "one's own account"
    TEAM_MANAGER = "managers of the team"
    ADMINISTRATOR = "administrators"


class KeyUse(StrEnum):
    """Rules for acts by an API key or an application's token."""

    NEVER = "never: a signed-in user is required"
    WITHIN = "within its own rights and limits; the result expires with the key"
    AS_NEEDED = "with the scope that the act needs: the act leaves no further rights behind"


class Audience(StrEnum):
    """The recipients of a mail about an act; notifications.RECIPIENTS selects them. All owners include the actor."""

    OWNERS = "all owners of the channel"
    OWNERS_OF_VISIBILITY = "all owners of the channel, if its visibility changed"
    OWNERS_AND_ACTOR = "all owners of the channel, and the user who did it"
    OWNERS_AND_CONCERNED = "all owners of the channel, and the affected member or the managers of the affected team"
    TEAM = "the managers of the team, and all owners of its channels"
    HOLDERS = "the owner of the key, or all owners of the channel"
    ONESELF = "the user who did it"
    LAST_OWNERS = "the last owners of the deleted channel"
    NAMED = "the affected user"
    FIRST_TIME = "the user who did it, the first time"
    ADDRESS_BEFORE = "the user who did it, at the previous address"
    LOSER = "the owner of the pending publisher"
    ADMINISTRATORS = "administrators of the hub"
    APPROVERS = "the members of the channel who may approve it"


@dataclass(frozen=True, slots=True)
class Notice:
    """A mail: its subject with {target} and {channel}, its recipients, and its text.

    The text is the template templates/mail/<template>.txt.
    """

    subject: str
    told: Audience = Audience.OWNERS
    template: str = "act"


@dataclass(frozen=True, slots=True)
class ActRoute:
    """A route that does an act by POST.

    With `field`, only a POST that has this field does it. With `values`, the field must hold one of them.
    """

    route: str
    field: str = ""
    values: tuple[str, ...] = ()

    def matches(self, posted: QueryDict) -> bool:
        if not self.field:
            return True
        return self.field in posted and (not self.values or posted[self.field] in self.values)


@dataclass(frozen=True, slots=True)
class Act:
    """An act and its rules.

    `needs` is the permission or scope that the act requires. If `is_proved` is set, a session must re-authenticate at
    `places`. `api` lists the routes of the API at which keys may do it.
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
        Permission.MANAGE,  # for the role of owner: OWN, see members.check_may_give()
        Notice("{target} is now a member of {channel}", Audience.OWNERS_AND_CONCERNED, "member_add"),
        (ActRoute(MEMBERS, "action", ("add",)),),
    ),
    Act(
        Action.MEMBER_CHANGE,
        Permission.MANAGE,
        Notice("{target} has a new role in {channel}", Audience.OWNERS_AND_CONCERNED, "member_change"),
        (ActRoute(MEMBERS, "action", ("change",)),),
    ),
    Act(
        Action.MEMBER_REMOVE,
        Permission.MANAGE,
        Notice("{target} is no longer a member of {channel}", Audience.OWNERS_AND_CONCERNED, "member_remove"),
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
        Notice("{target} is now a member of {channel}"),
        (ActRoute("invitation"), ActRoute("account-invitations")),
        is_proved=False,  # the inviter has re-authenticated before
    ),
    Act(
        Action.CHANNEL_UPDATE,  # of the visibility; changes of description and logo are not acts
        Permission.MANAGE,
        Notice("The visibility of {channel} was changed", Audience.OWNERS_OF_VISIBILITY),
        (ActRoute("channel-settings", "confirm_visibility"),),
    ),
    Act(
        Action.POLICY_CHANGE,
        Permission.MANAGE,
        Notice("The policies of {channel} were changed"),
        (ActRoute("channel-policies"), ActRoute("channel-promotion-rules")),
    ),
    Act(
        Action.RELATION_CHANGE,
        Permission.MANAGE,
        Notice("The related channels of {channel} were changed"),
        (ActRoute("channel-relations"),),
    ),
    Act(
        Action.VIRTUAL_CHANGE,
        Permission.MANAGE,
        Notice("The member channels or name rules of {channel} were changed"),
        (ActRoute("channel-virtual", "action", ("save",)),),
    ),
    Act(
        Action.UPSTREAM_CHANGE,
        Permission.OWN,
        Notice("The upstream of {channel} was changed"),
        (
            ActRoute("channel-upstream", "action", ("save",)),
            ActRoute("channel-upstream-filters", "action", ("save",)),
        ),
    ),
    Act(
        Action.UPSTREAM_ACCEPT,
        Permission.OWN,
        Notice("A changed package of {channel} was accepted: {target}"),
        (ActRoute("channel-upstream", "action", ("accept",)),),
    ),
    Act(
        Action.WATCH_CHANGE,
        Permission.OWN,
        Notice("The watch of the store by {channel} was turned {target}"),
        (ActRoute("channel-watch", "action", ("start", "stop")),),
    ),
    Act(
        Action.RETENTION_ADD,
        Permission.MANAGE,
        Notice("A new retention rule of {channel}: {target}"),
        (ActRoute("channel-retention", "action", ("save",)),),
    ),
    Act(
        Action.RETENTION_CHANGE,
        Permission.MANAGE,
        Notice("The retention rule {target} of {channel} was changed"),
        (ActRoute("channel-retention", "action", ("save",)),),
    ),
    Act(
        Action.RETENTION_REMOVE,
        Permission.MANAGE,
        Notice("The retention rule {target} of {channel} was removed"),
        (ActRoute("channel-retention", "action", ("remove",)),),
    ),
    Act(
        Action.CHANNEL_TRANSFER,
        Permission.OWN,
        Notice("{channel} now belongs to {target}", Audience.OWNERS_AND_ACTOR, "channel_transfer"),
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
        Notice("Restored in {channel}: {target}"),
        (
            ActRoute("artifact-remove", "action", ("restore",)),
            ActRoute("channel-select", "action", ("restore",)),
            ActRoute("channel-promotion", "action", ("rollback",)),
        ),
        by_key=KeyUse.AS_NEEDED,
        api=("upload", "rest:artifact-restore", "rest:removals", "rest:promotions", "rest:promotion-rollback"),
    ),
    Act(
        Action.ARTIFACT_RELEASE,
        Permission.OWN,
        Notice("The file name {target} can be used again in {channel}"),
        (ActRoute("artifact-remove", "action", ("release",)),),
    ),
)

CREDENTIALS = (
    Act(
        Action.KEY_CREATE,
        Scope.ONESELF,  # for a channel key: OWN, see api_keys.mint_robot()
        Notice("A new API key: {target}", Audience.HOLDERS, "key_create"),
        (ActRoute("account-keys"), ActRoute("channel-robots")),
    ),
    Act(
        Action.KEY_REVOKE,
        Scope.ONESELF,
        Notice("The API key {target} was revoked", Audience.HOLDERS),
        (ActRoute("account-keys"), ActRoute("channel-robots")),
        by_key=KeyUse.AS_NEEDED,  # a key may revoke only itself
        api=("key-current",),
    ),
    Act(
        Action.PUBLISHER_ADD,
        Permission.MANAGE,
        Notice("{target} is now a trusted publisher of {channel}", template="publisher_add"),
        PUBLISHERS,
        by_key=KeyUse.WITHIN,
        api=("publishers",),
    ),
    Act(
        Action.PUBLISHER_REMOVE,
        Permission.MANAGE,
        Notice("{target} is no longer a trusted publisher of {channel}", template="publisher_remove"),
        PUBLISHERS,
        by_key=KeyUse.AS_NEEDED,
        api=("publisher",),
    ),
    Act(
        Action.WEBHOOK_ADD,
        Permission.MANAGE,
        Notice("A new webhook of {channel}: {target}"),
        (ActRoute("channel-webhooks"),),
    ),
    Act(
        Action.WEBHOOK_CHANGE,
        Permission.MANAGE,
        Notice("The webhook {target} of {channel} was changed"),
        (ActRoute("channel-webhook", "action", ("change", "off", "on")),),
    ),
    Act(
        Action.WEBHOOK_REMOVE,
        Permission.MANAGE,
        Notice("The webhook {target} of {channel} was removed"),
        (ActRoute("channel-webhook", "action", ("remove",)),),
        by_key=KeyUse.AS_NEEDED,
    ),
    Act(
        Action.OAUTH_GRANT,
        Scope.ONESELF,
        Notice("{target} can now use your account", Audience.FIRST_TIME, "oauth_grant"),
        (
            ActRoute("idp:oidc:authorization", "action", ("grant",)),
            ActRoute("idp:oidc:device_authorization", "action", ("confirm",)),
        ),
    ),
)

OF_TEAMS = (
    Act(Action.TEAM_UPDATE, Scope.TEAM_MANAGER, Notice("The team {target} was changed", Audience.TEAM), TEAM),
    Act(Action.TEAM_DELETE, Scope.TEAM_MANAGER, None, TEAM),  # member.remove notifies the owners of each channel
    Act(Action.TEAM_INVITE, Scope.TEAM_MANAGER, None, TEAM),
    Act(Action.TEAM_ADD, Scope.TEAM_MANAGER, Notice("The team {target} has a new member", Audience.TEAM), TEAM),
    Act(
        Action.TEAM_MANAGER,
        Scope.TEAM_MANAGER,
        Notice("The managers of the team {target} were changed", Audience.TEAM),
        TEAM,
    ),
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
        Notice("You can now sign in with {target}", Audience.ONESELF, CHANGED),
        (ActRoute("mfa_activate_totp"), ActRoute("mfa_add_webauthn")),
    ),
    Act(
        Action.ACCOUNT_FACTOR_REMOVE,
        Scope.ONESELF,
        Notice("You can no longer sign in with {target}", Audience.ONESELF, CHANGED),
        (ActRoute("mfa_deactivate_totp"), ActRoute("mfa_remove_webauthn")),
    ),
    Act(
        Action.ACCOUNT_FACTOR_RESET,
        Scope.ONESELF,
        Notice("Your recovery codes were replaced", Audience.ONESELF, CHANGED),
        (ActRoute("mfa_generate_recovery_codes"),),
    ),
    Act(
        Action.ACCOUNT_CONNECT,
        Scope.ONESELF,
        Notice("You can now sign in with {target}", Audience.ONESELF, CHANGED),
        (ActRoute("socialaccount_connections"),),
    ),
    Act(
        Action.ACCOUNT_DISCONNECT,
        Scope.ONESELF,
        Notice("You can no longer sign in with {target}", Audience.ONESELF, CHANGED),
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
    Act(Action.UPSTREAM_ADD, Scope.ADMINISTRATOR, None, (ActRoute("channel-new-upstream"),)),
    Act(Action.CHANNEL_QUOTA, Scope.ADMINISTRATOR, Notice("The storage quota of {channel} was changed")),
    Act(
        Action.CHANNEL_FREE_NAME,
        Scope.ADMINISTRATOR,
        Notice("The channel name {target} is available to everybody", Audience.LAST_OWNERS, "name_free"),
    ),
    Act(
        Action.USER_FACTORS_REMOVE,
        Scope.ADMINISTRATOR,
        Notice("Your second factors were removed", Audience.NAMED, CHANGED),
    ),
)

# Acts with the permission to manage that concern packages of the channel's own.
OF_OWN_PACKAGES = frozenset({Action.POLICY_CHANGE, Action.PUBLISHER_ADD, Action.RETENTION_ADD, Action.RETENTION_CHANGE})
ACTS = {act.action: act for act in (*OF_CHANNELS, *CREDENTIALS, *OF_TEAMS, *OF_ACCOUNTS, *OF_ADMINISTRATORS)}
# Every POST to the admin site is an act of an administrator, except on the routes of NO_ACT_OF_ADMINISTRATORS.
ADMINISTRATION = "admin:"
NO_ACT_OF_ADMINISTRATORS = frozenset({"admin:login", "admin:logout", "admin:jsi18n"})


def places(route: str) -> list[ActRoute]:
    """Return the places on `route` with acts that require re-authentication.

    An ActRoute without a field stands for every POST to its route.
    """
    if route.startswith(ADMINISTRATION) and route not in NO_ACT_OF_ADMINISTRATORS:
        return [ActRoute(route)]
    return [place for act in ACTS.values() if act.is_proved for place in act.places if place.route == route]


def lock_channel(action: str, actor: Actor, channel: Channel) -> Channel:
    """Lock and return the channel, as permissions.lock_channel() does.

    Raise an error if `actor` may not do the act there, or not with this kind of credential.
    """
    locked = permissions.lock_channel(actor, channel, _needed(action))
    check_credential_kind(action, actor)
    if action in OF_OWN_PACKAGES:
        permissions.check_own_packages(locked)
    return locked


def check(action: str, actor: Actor, channel: Channel) -> None:
    """Check the same as lock_channel(), for a transaction that locks another row than the channel's."""
    permissions.check_still_allowed(actor, channel, _needed(action))
    check_credential_kind(action, actor)


def may(action: str, actor: Actor, channel: Channel) -> bool:
    """Tell whether the permissions of `actor` in `channel` suffice for the act."""
    return _needed(action) in permissions.permissions(actor, channel)


def check_credential_kind(action: str, actor: Actor) -> None:
    """Raise 403 if the act requires a signed-in user and `actor` uses a key or an application's token.

    The effect of such an act could outlast the key, or exceed its rights.
    """
    if ACTS[action].by_key == KeyUse.NEVER and (actor.key or actor.token):
        raise forbidden(
            "person_needed",
            f"API keys and applications can't do this ({action}), because the effect would outlast them. "
            "Sign in and use the hub's pages.",
        )


def _needed(action: str) -> Permission:
    needed = ACTS[action].needs
    if isinstance(needed, Permission):
        return needed
    raise ValueError(f"{action} needs no permission in a channel, but: {needed}")
