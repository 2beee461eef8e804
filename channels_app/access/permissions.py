"""Permissions: the table of roles, and the functions that look up a channel for an actor."""

from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any

from allauth.idp.oidc.models import Token
from django.core.exceptions import PermissionDenied
from django.db.models import (
    Case,
    IntegerField,
    Q,
    QuerySet,
    Value,
    When,
)
from django.http import Http404
from django.utils import timezone

from channels_app.access import revision
from channels_app.models import ApiKey, Channel, ChannelKind, KeyKind, Member, Role, TeamMember, User
from hub.errors import HubError, forbidden, not_found, unauthenticated

# From the strongest to the weakest; RANK orders members by it.
ROLES = (Role.OWNER, Role.MAINTAINER, Role.CONTRIBUTOR, Role.VIEWER)
RANK = Case(*(When(role=role, then=Value(n)) for n, role in enumerate(ROLES)), output_field=IntegerField())


class Permission(StrEnum):
    READ = "read"
    UPLOAD = "upload"
    DELETE = "delete"
    MANAGE = "manage"
    OWN = "own"


ROLE_PERMISSIONS: dict[str, frozenset[Permission]] = {
    Role.VIEWER: frozenset({Permission.READ}),
    Role.CONTRIBUTOR: frozenset({Permission.READ, Permission.UPLOAD}),
    Role.MAINTAINER: frozenset({Permission.READ, Permission.UPLOAD, Permission.DELETE, Permission.MANAGE}),
    Role.OWNER: frozenset(Permission),
}

# Permissions that no role gives in a channel whose packages come from elsewhere.
OF_OWN_PACKAGES = frozenset({Permission.UPLOAD, Permission.DELETE})

# The OAuth scopes by which users authorize applications.
TOKEN_SCOPES = {"channel:read": Permission.READ, "channel:upload": Permission.UPLOAD}

# The scopes of API keys. OWN (transfer or delete a channel) requires a signed-in user.
SCOPES = (Permission.READ, Permission.UPLOAD, Permission.DELETE, Permission.MANAGE)


@dataclass(frozen=True, slots=True)
class Actor:
    """The origin of a request: anonymous, a signed-in user, a user by key or token, or a key without a user.

    A key or token only narrows the user's rights. A key without a user is a channel key or a short-lived token. A
    channel key has rights only in its channel. A short-lived token has the rights of its trusted publishers.
    """

    user: User | None = None
    key: ApiKey | None = None
    token: Token | None = None  # an OAuth access token of the user's

    def __str__(self) -> str:
        return str(self.user or (self.key.name if self.key else "anonymous"))

    @property
    def short_lived_token(self) -> ApiKey | None:
        """Return the key if it is a short-lived token of trusted publishers."""
        return self.key if self.key and self.key.kind == KeyKind.SHORT_LIVED else None


ANONYMOUS = Actor()
# A stand-in for a missing channel, so that permissions are computed in either case.
NO_CHANNEL = Channel(pk=0, is_private=True)


def channel_for(actor: Actor, name: str, permission: Permission) -> Channel:
    """Return the channel `name` if `actor` has `permission` in it.

    Raise 401 if no credential was sent, else 403. The error does not tell whether a channel exists that the actor can't
    read, so that names can't be probed.
    """
    return decide(actor, name, permission)[0]


def decide(actor: Actor, name: str, permission: Permission) -> tuple[Channel, frozenset[Permission]]:
    """Return the same channel, and all permissions of `actor` in it."""
    channel = Channel.objects.filter(name=name, deleted_at=None).first()
    granted = permissions_if_any(actor, channel)
    if channel is None or permission not in granted:
        if channel and Permission.READ in granted and permission in OF_OWN_PACKAGES:
            check_own_packages(channel)
        raise _refusal(actor, name, permission, readable=Permission.READ in granted)
    _note_private_members(channel)
    return channel, granted


def page_channel(actor: Actor, name: str, permission: Permission = Permission.READ) -> Channel:
    """Return the channel for a page.

    Raise 404 if the actor can't read it, and 403 if `permission` is missing.
    """
    channel = Channel.objects.filter(name=name, deleted_at=None).first()
    granted = permissions_if_any(actor, channel)
    if channel is None or not _may_see_page(channel, granted):
        raise Http404
    if permission not in granted:
        if permission in OF_OWN_PACKAGES:
            check_own_packages(channel)
        if permission == Permission.READ:
            raise PermissionDenied(f"You can't read every member channel of '{name}', so its packages are not shown.")
        raise PermissionDenied(f"Your role in '{name}' does not let you {permission} there.")
    _note_private_members(channel)
    return channel


def _note_private_members(channel: Channel) -> None:
    if channel.kind == ChannelKind.VIRTUAL:
        channel.has_private_member = private_members(channel).exists()


def _may_see_page(channel: Channel, granted: frozenset[Permission]) -> bool:
    """Tell whether the actor may know the channel.

    Managers of a virtual channel may, so that they can remove a member that they may no longer read.
    """
    return Permission.READ in granted or (channel.kind == ChannelKind.VIRTUAL and Permission.MANAGE in granted)


def check_own_packages(channel: Channel) -> None:
    """Raise 403 unless the channel has packages of its own, which can be uploaded, labelled, patched and removed."""
    if channel.kind != ChannelKind.PACKAGES:
        raise forbidden(
            "channel_takes_no_uploads",
            f"'{channel}' has no packages of its own: they come from {ChannelKind(channel.kind).label}. "
            "Use another channel for this.",
        )


def check_still_allowed(
    actor: Actor, channel: Channel, permission: Permission, *, access_revision: int | None = None
) -> None:
    """Check the permission again in the transaction that commits.

    Rights, keys and channels can end while a body is received. `access_revision` was read before the permission was
    first checked. If it is still current, no further check is needed.
    """
    if revision.is_current(access_revision):
        return
    if (actor.key and not _is_usable(actor.key)) or (actor.token and not _is_live(actor.token)):
        raise unauthenticated("invalid_key", "The key was revoked while the upload was under way.")
    if actor.user and not _is_still_active(actor.user):
        raise forbidden(
            "account_changed", f"The account '{actor.user}' has lost its rights in the meantime; nothing was changed."
        )
    if channel_for(actor, channel.name, permission).pk != channel.pk:
        raise not_found("channel_gone", f"The channel '{channel}' was deleted while the upload was under way.")


def lock_channel(actor: Actor, channel: Channel, permission: Permission) -> Channel:
    """Lock the channel's row until the transaction ends, check the permission again, and return the row.

    Every change of a channel's members or state calls it first, so that concurrent changes don't decide by stale data.
    """
    # FOR NO KEY UPDATE: the primary key never changes, so uploads that refer to the row need not wait.
    locked = Channel.objects.select_for_update(no_key=True).filter(pk=channel.pk).first()
    check_still_allowed(actor, channel, permission)
    return locked or channel


def permissions(actor: Actor, channel: Channel) -> frozenset[Permission]:
    """Return all permissions of `actor` in `channel`.

    They follow from the current memberships and from the key's own limits.
    """
    granted = own_permissions(actor, channel)
    if not channel.is_private:
        granted |= {Permission.READ}
    if channel.kind == ChannelKind.VIRTUAL and Permission.READ in granted and not _reads_members(actor, channel):
        granted -= {Permission.READ}
    return granted


def private_members(channel: Channel) -> QuerySet[Channel]:
    """Select the private members of a virtual channel, also deleted ones: its index may still have their names."""
    return Channel.objects.filter(member_of__channel=channel, is_private=True).distinct()


def _reads_members(actor: Actor, channel: Channel) -> bool:
    """Tell whether the actor may read every private member of a virtual channel, so that it shows none of its names."""
    return all(Permission.READ in own_permissions(actor, member) for member in private_members(channel))


def permissions_if_any(actor: Actor, channel: Channel | None) -> frozenset[Permission]:
    """Return the same; none if `channel` is None.

    The work is the same in both cases, so that the time of the answer does not reveal whether a channel exists.
    """
    granted = permissions(actor, channel or NO_CHANNEL)
    return granted if channel else frozenset()


def sorted_permissions(actor: Actor, channel: Channel | None) -> list[Permission]:
    """Return the same permissions from the weakest to the strongest, for output."""
    granted = permissions_if_any(actor, channel)
    return [permission for permission in Permission if permission in granted]


def may_upload_name(actor: Actor, channel: Channel, package_name: str) -> bool:
    """Tell whether the name patterns of the key, or of its trusted publishers, match `package_name`."""
    if actor.key is None:
        return True
    if actor.short_lived_token is None:
        return _matches_globs(actor.key, package_name)
    publishers = actor.short_lived_token.publishers.filter(channel=channel).select_related("made_with")
    return any(
        _matches_globs(publisher, package_name)
        and (publisher.made_with is None or _matches_globs(publisher.made_with, package_name))
        for publisher in publishers
    )


def check_name(actor: Actor, channel: Channel, package_name: str, action: str) -> None:
    """Raise 403 if the actor's key is limited to other package names.

    `action` describes the action for the message, with {} in place of the name.
    """
    if not may_upload_name(actor, channel, package_name):
        raise forbidden(
            "name_not_allowed",
            f"{actor} may not {action.format(package_name)} '{channel}': it is limited to other package names.",
        )


def is_member(user: User) -> Q:
    """Return a condition on channels: `user` is a member, directly or by a team."""
    return Q(pk__in=memberships(user).values("channel"))


def memberships(user: User | None) -> QuerySet[Member]:
    """Select the memberships of the user and of the user's teams; none without a user."""
    if user is None:
        return Member.objects.none()
    return Member.objects.filter(Q(user=user) | Q(team__in=TeamMember.objects.filter(user=user).values("team")))


def memberships_of(actor: Actor) -> QuerySet[Member]:
    """Select the memberships of the actor's user, of a limited key only those in its channels."""
    found, key = memberships(actor.user), actor.key
    return found if key is None or key.all_channels else found.filter(channel__in=key.channels.values("pk"))


def attainable_scopes(user: User) -> list[Permission]:
    """Return the scopes that are useful for a key of `user`.

    These are `read`, and every permission that the user has in at least one channel.
    """
    roles = memberships(user).values_list("role", flat=True).distinct()
    granted = ROLE_PERMISSIONS[Role.VIEWER].union(*(ROLE_PERMISSIONS[role] for role in roles))
    return [scope for scope in SCOPES if scope in granted or user.is_superuser]


def visible_channels(actor: Actor) -> QuerySet[Channel]:
    """Select the channels that `actor` may see: those of the user, narrowed by the key.

    A virtual channel is visible only to those who may read each of its private members.
    """
    found = _channels_by_role(actor)
    hidden_members = Channel.objects.filter(is_private=True).exclude(pk__in=found.values("pk"))
    hidden = Channel.objects.filter(kind=ChannelKind.VIRTUAL, virtual_members__member__in=hidden_members)
    return found.filter(deleted_at=None).exclude(pk__in=hidden.values("pk"))


def _channels_by_role(actor: Actor) -> QuerySet[Channel]:
    """Select the channels that `actor` may see by itself, also deleted ones, without regard to members of others."""
    channels, user, key = Channel.objects.all(), actor.user, actor.key
    public = Q(is_private=False)
    if short_lived := actor.short_lived_token:
        return channels.filter(public | Q(pk__in=_read_by_publishers(short_lived)))
    if key and key.kind == KeyKind.ROBOT:
        return channels.filter(public | Q(pk=key.robot_of_id if Permission.READ in key.scopes else None))
    if user is None or (key and Permission.READ not in key.scopes) or (actor.token and not _may_read(actor.token)):
        return channels.filter(public)
    if not user.is_superuser:
        channels = channels.filter(public | is_member(user))
    if key and not key.all_channels:
        channels = channels.filter(public | Q(keys=key))
    return channels.distinct()


def own_permissions(actor: Actor, channel: Channel) -> frozenset[Permission]:
    """Return the permissions of `actor` in `channel`, without the public right to read."""
    granted = _given(actor, channel)
    return granted if channel.kind == ChannelKind.PACKAGES else granted - OF_OWN_PACKAGES


def _given(actor: Actor, channel: Channel) -> frozenset[Permission]:
    """Return the same, as if the channel had packages of its own."""
    key = actor.key
    if short_lived := actor.short_lived_token:
        return _short_lived_permissions(short_lived, channel)
    if key and key.kind == KeyKind.ROBOT:
        return _scopes(key) if key.robot_of_id == channel.pk else frozenset()
    granted = _user_permissions(actor.user, channel)
    if key:
        granted &= _key_permissions(key, channel)
    if actor.token:
        granted &= _token_permissions(actor.token)
    return granted


def _user_permissions(user: User | None, channel: Channel) -> frozenset[Permission]:
    if user is None:
        return frozenset()
    if user.is_superuser:
        return ROLE_PERMISSIONS[Role.OWNER]
    members = memberships(user).filter(channel=channel)
    return frozenset().union(*(ROLE_PERMISSIONS[role] for role in members.values_list("role", flat=True)))


def _key_permissions(key: ApiKey, channel: Channel) -> frozenset[Permission]:
    if not key.all_channels and not key.channels.filter(pk=channel.pk).exists():
        return frozenset()
    return _scopes(key)


def _scopes(key: ApiKey) -> frozenset[Permission]:
    return frozenset(Permission(scope) for scope in key.scopes)


def channel_scopes(token: Token) -> list[str]:
    """Return those scopes of an application's token that apply to channels."""
    return [scope for scope in token.get_scopes() if scope in TOKEN_SCOPES]


def _token_permissions(token: Token) -> frozenset[Permission]:
    return frozenset(TOKEN_SCOPES[scope] for scope in channel_scopes(token))


def _may_read(token: Token) -> bool:
    return Permission.READ in _token_permissions(token)


def _short_lived_permissions(key: ApiKey, channel: Channel) -> frozenset[Permission]:
    """Return the current permissions in `channel` of the publishers of the short-lived token `key`."""
    publishers = _publishers(key).filter(channel=channel)
    return frozenset().union(*(publisher_permissions(publisher) for publisher in publishers))


def _read_by_publishers(key: ApiKey) -> list[int]:
    """Return the ids of the channels that the short-lived token `key` may read by its publishers."""
    return [each.channel_id for each in _publishers(key) if Permission.READ in publisher_permissions(each)]


def _publishers(key: ApiKey) -> QuerySet[Any]:
    trusted = key.publishers.filter(issuer__is_enabled=True)
    return trusted.select_related("channel", "made_with__owner")


def publisher_permissions(publisher: Any) -> frozenset[Permission]:
    """Return the permissions of one publisher.

    If a key created the publisher, they are limited to the current permissions of that key.
    """
    rights = {Permission.UPLOAD: publisher.may_upload, Permission.READ: publisher.may_read}
    given = frozenset(permission for permission, has in rights.items() if has)
    creator = publisher.made_with
    if creator is None:
        return given
    if not _is_usable(creator) or _is_expired(creator):
        return frozenset()
    return given & own_permissions(Actor(user=creator.owner, key=creator), publisher.channel)


def _is_expired(key: ApiKey) -> bool:
    return key.expires_at is not None and key.expires_at <= timezone.now()


def _matches_globs(holder: Any, package_name: str) -> bool:
    """Tell whether the name patterns of a key or a publisher match `package_name`."""
    return not holder.package_globs or any(fnmatchcase(package_name, glob) for glob in holder.package_globs)


def _is_live(token: Token) -> bool:
    return bool(Token.objects.valid().filter(pk=token.pk, user__is_active=True).exists())


def _is_usable(key: ApiKey) -> bool:
    return ApiKey.objects.filter(Q(owner=None) | Q(owner__is_active=True), pk=key.pk, revoked_at=None).exists()


def _is_still_active(user: User) -> bool:
    """Tell whether the account is still active, and still an administrator if it was one."""
    found = User.objects.filter(pk=user.pk, is_active=True)
    return (found.filter(is_superuser=True) if user.is_superuser else found).exists()


def _refusal(actor: Actor, name: str, permission: Permission, *, readable: bool) -> HubError:
    if actor == ANONYMOUS:
        return unauthenticated(
            "credential_needed",
            f"No key was sent, and anonymous users have no {permission} access to '{name}'. "
            "Send an API key of a member: as a bearer token, or as the password of basic authentication."
            + _case_hint(name),
        )
    if not readable:
        return forbidden(
            "no_access",
            f"{actor} has no {permission} access to '{name}' with this credential, or there is no such channel. "
            "Check the name and the key's channels, or ask an owner of the channel to add you." + _case_hint(name),
        )
    if actor.short_lived_token:
        return forbidden(
            "publisher_may_not", f"{actor} may read '{name}' but not {permission} there: its trusted publisher may not."
        )
    if permission == Permission.OWN and (actor.key or actor.token):
        return forbidden(
            "person_needed", f"API keys and applications can't do this in '{name}'. Sign in as an owner of the channel."
        )
    if actor.token and permission not in _token_permissions(actor.token):
        return forbidden("scope_missing", _token_scope_detail(actor.token, permission))
    if actor.key and permission not in actor.key.scopes:
        return forbidden(
            "scope_missing",
            f"The key '{actor.key.name}' is for {', '.join(actor.key.scopes)}; this needs a key with '{permission}'.",
        )
    return forbidden(
        "role_missing",
        f"{actor} may read '{name}' but not {permission} there. Ask an owner of the channel for a role that may.",
    )


def _case_hint(name: str) -> str:
    """Return a hint if the name has capital letters. It does not depend on the existing channels."""
    return f" Channel names are lower case, such as '{name.lower()}'." if name != name.lower() else ""


def _token_scope_detail(token: Token, permission: Permission) -> str:
    """Describe the scopes of an application's token, and the remedy.

    Some permissions have no scope for tokens.
    """
    granted = ", ".join(sorted(_token_permissions(token))) or "nothing in channels"
    needed_scope = next((scope for scope, each in TOKEN_SCOPES.items() if each == permission), None)
    remedy = f"sign it in again with the scope '{needed_scope}'" if needed_scope else "use the hub's pages"
    name = token.client.name if token.client else "The application"
    return (
        f"{name} is authorized for {granted}; to {permission} there, {remedy} or send an API key with '{permission}'."
    )
