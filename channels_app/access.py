"""Who may do what: one table, and one way to get at a channel."""

from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any

from allauth.idp.oidc.models import Token
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404
from django.utils import timezone

from channels_app import access_epoch
from channels_app.models import ApiKey, Channel, KeyKind, Member, Role, TeamMember, User
from hub.errors import HubError, forbidden, not_found, unauthenticated


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

# What applications that users have let in can do in their name (OAuth).
TOKEN_SCOPES = {"channel:read": Permission.READ, "channel:upload": Permission.UPLOAD}

# What a key can be for. To own (transfer, delete a channel) takes a person.
SCOPES = (Permission.READ, Permission.UPLOAD, Permission.DELETE, Permission.MANAGE)


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks: nobody, a user in a browser, a user by a key or a token, which only narrow the user's rights, or a key.

    A key without a user is a robot's, with rights in its channel alone, or minted: then its rights are those of the
    trusted publishers that it was minted for.
    """

    user: User | None = None
    key: ApiKey | None = None
    token: Token | None = None  # an OAuth access token of the user's

    def __str__(self) -> str:
        return str(self.user or (self.key.name if self.key else "nobody"))

    @property
    def minted_key(self) -> ApiKey | None:
        """The key, where it was minted for trusted publishers."""
        return self.key if self.key and self.key.kind == KeyKind.MINTED else None


ANYONE = Actor()
# In the place of a channel that is not there: rights in it are asked for all the same.
NO_CHANNEL = Channel(pk=0, is_private=True)


def channel_for(actor: Actor, name: str, permission: Permission) -> Channel:
    """The channel `name`, if `actor` has `permission` in it; else 401 (no credential was sent) or 403.

    A channel that the actor can't read and one that does not exist are answered alike, so names can't be probed.
    """
    return decide(actor, name, permission)[0]


def decide(actor: Actor, name: str, permission: Permission) -> tuple[Channel, frozenset[Permission]]:
    """The same, and everything that `actor` may do there."""
    channel = Channel.objects.filter(name=name, deleted_at=None).first()
    granted = permissions_if_any(actor, channel)
    if channel is None or permission not in granted:
        raise _refusal(actor, name, permission, readable=Permission.READ in granted)
    return channel, granted


def page_channel(actor: Actor, name: str, permission: Permission = Permission.READ) -> Channel:
    """The channel for a page: what the actor can't see is 404, what they may not do there is 403."""
    channel = Channel.objects.filter(name=name, deleted_at=None).first()
    granted = permissions_if_any(actor, channel)
    if channel is None or Permission.READ not in granted:
        raise Http404
    if permission not in granted:
        raise PermissionDenied(f"Your role in '{name}' does not let you {permission} there.")
    return channel


def check_still_allowed(actor: Actor, channel: Channel, permission: Permission, *, epoch: int | None = None) -> None:
    """Ask again, inside a committing transaction: rights, keys and channels can go while a body arrives.

    `epoch` is the access epoch from before this very right was asked for; nothing has to be where it still stands.
    """
    if access_epoch.stands(epoch):
        return
    if (actor.key and not _is_usable(actor.key)) or (actor.token and not _is_live(actor.token)):
        raise unauthenticated("invalid_key", "The key was revoked while the upload was under way.")
    if actor.user and not _is_as_before(actor.user):
        raise forbidden(
            "account_changed", f"The account '{actor.user}' has lost its rights meanwhile; nothing was changed."
        )
    if channel_for(actor, channel.name, permission).pk != channel.pk:
        raise not_found("channel_gone", f"The channel '{channel}' was deleted while the upload was under way.")


def hold(actor: Actor, channel: Channel, permission: Permission) -> Channel:
    """The channel as it is now, its row locked until the transaction ends, and the actor's right asked again.

    Whoever changes its members or its state calls it first, so that two changes never decide by the same old truth.
    """
    # Without the key, which is never changed: uploads refer to it and need not wait.
    locked = Channel.objects.select_for_update(no_key=True).filter(pk=channel.pk).first()
    check_still_allowed(actor, channel, permission)
    return locked or channel


def permissions(actor: Actor, channel: Channel) -> frozenset[Permission]:
    """Everything that `actor` may do in `channel`, by membership as it is now and by the key's own limits."""
    granted = own_permissions(actor, channel)
    return granted if channel.is_private else granted | {Permission.READ}


def permissions_if_any(actor: Actor, channel: Channel | None) -> frozenset[Permission]:
    """The same, and nothing where there is no channel: by the same work, so that the time tells nothing."""
    granted = permissions(actor, channel or NO_CHANNEL)
    return granted if channel else frozenset()


def sorted_permissions(actor: Actor, channel: Channel | None) -> list[Permission]:
    """The same from the least to the most, for people and programs to read."""
    granted = permissions_if_any(actor, channel)
    return [permission for permission in Permission if permission in granted]


def may_upload_name(actor: Actor, channel: Channel, package_name: str) -> bool:
    """Whether the key's package names, or those of its trusted publishers, let this one through."""
    if actor.key is None:
        return True
    if actor.minted_key is None:
        return _lets_through(actor.key, package_name)
    publishers = actor.minted_key.publishers.filter(channel=channel).select_related("made_with")
    return any(
        _lets_through(publisher, package_name)
        and (publisher.made_with is None or _lets_through(publisher.made_with, package_name))
        for publisher in publishers
    )


def check_name(actor: Actor, channel: Channel, package_name: str, deed: str) -> None:
    """Raise 403 where the actor's key is limited to other package names. `deed` has {} where the name belongs."""
    if not may_upload_name(actor, channel, package_name):
        raise forbidden(
            "name_not_allowed",
            f"{actor} may not {deed.format(package_name)} '{channel}': it is limited to other names.",
        )


def is_member(user: User) -> Q:
    """A condition on channels: `user` is a member, or in a team that is."""
    return Q(pk__in=memberships(user).values("channel"))


def memberships(user: User | None) -> QuerySet[Member]:
    """The user's own memberships and those of the user's teams; nobody has none."""
    if user is None:
        return Member.objects.none()
    return Member.objects.filter(Q(user=user) | Q(team__in=TeamMember.objects.filter(user=user).values("team")))


def attainable_scopes(user: User) -> list[Permission]:
    """What a key of `user` could be of use for: to read, and what some role of theirs lets them do somewhere."""
    roles = memberships(user).values_list("role", flat=True).distinct()
    granted = ROLE_PERMISSIONS[Role.VIEWER].union(*(ROLE_PERMISSIONS[role] for role in roles))
    return [scope for scope in SCOPES if scope in granted or user.is_superuser]


def visible_channels(actor: Actor) -> QuerySet[Channel]:
    """The channels whose existence `actor` may know of: those of the user, narrowed by the key."""
    channels, user, key = Channel.objects.filter(deleted_at=None), actor.user, actor.key
    public = Q(is_private=False)
    if minted := actor.minted_key:
        return channels.filter(public | Q(pk__in=_read_by_publishers(minted)))
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
    """The permissions that `actor` holds in `channel`, without that anyone may read a public one."""
    key = actor.key
    if minted := actor.minted_key:
        return _minted_permissions(minted, channel)
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
    """The scopes of an application's token that mean something in channels."""
    return [scope for scope in token.get_scopes() if scope in TOKEN_SCOPES]


def _token_permissions(token: Token) -> frozenset[Permission]:
    return frozenset(TOKEN_SCOPES[scope] for scope in channel_scopes(token))


def _may_read(token: Token) -> bool:
    return Permission.READ in _token_permissions(token)


def _minted_permissions(key: ApiKey, channel: Channel) -> frozenset[Permission]:
    """What the publishers that `key` was minted for may do in `channel`, as they are now."""
    publishers = _publishers(key).filter(channel=channel)
    return frozenset().union(*(publisher_permissions(publisher) for publisher in publishers))


def _read_by_publishers(key: ApiKey) -> list[int]:
    """The ids of the channels that `key`, which was minted, may read by its publishers."""
    return [each.channel_id for each in _publishers(key) if Permission.READ in publisher_permissions(each)]


def _publishers(key: ApiKey) -> QuerySet[Any]:
    trusted = key.publishers.filter(issuer__is_enabled=True)
    return trusted.select_related("channel", "made_with__owner")


def publisher_permissions(publisher: Any) -> frozenset[Permission]:
    """The permissions of one publisher: of what a key gave it, no more than that key still may itself."""
    rights = {Permission.UPLOAD: publisher.may_upload, Permission.READ: publisher.may_read}
    given = frozenset(permission for permission, has in rights.items() if has)
    maker = publisher.made_with
    if maker is None:
        return given
    if not _is_usable(maker) or _is_over(maker):
        return frozenset()
    return given & own_permissions(Actor(user=maker.owner, key=maker), publisher.channel)


def _is_over(key: ApiKey) -> bool:
    return key.expires_at is not None and key.expires_at <= timezone.now()


def _lets_through(holder: Any, package_name: str) -> bool:
    """Tell whether the package names that a key or a publisher is limited to let this one through."""
    return not holder.package_globs or any(fnmatchcase(package_name, glob) for glob in holder.package_globs)


def _is_live(token: Token) -> bool:
    return bool(Token.objects.valid().filter(pk=token.pk, user__is_active=True).exists())


def _is_usable(key: ApiKey) -> bool:
    return ApiKey.objects.filter(Q(owner=None) | Q(owner__is_active=True), pk=key.pk, revoked_at=None).exists()


def _is_as_before(user: User) -> bool:
    """Tell whether the account may still sign in, and is an administrator's still where it was one."""
    found = User.objects.filter(pk=user.pk, is_active=True)
    return (found.filter(is_superuser=True) if user.is_superuser else found).exists()


def _refusal(actor: Actor, name: str, permission: Permission, *, readable: bool) -> HubError:
    if actor == ANYONE:
        return unauthenticated(
            "credential_needed",
            f"No key was sent, and '{name}' is not a channel that anyone may {_in_words(permission)}. "
            "Send an API key of a member: as a bearer token, or as the password of basic authentication."
            + _of_capitals(name),
        )
    if not readable:
        return forbidden(
            "no_access",
            f"'{name}' is no channel that {actor} may {_in_words(permission)} with this credential. "
            "Check the name and the key's channels, or ask an owner of the channel to add you." + _of_capitals(name),
        )
    if actor.minted_key:
        return forbidden(
            "publisher_may_not", f"{actor} may read '{name}' but not {permission} there: its trusted publisher may not."
        )
    if actor.token and permission not in _token_permissions(actor.token):
        return forbidden("scope_missing", _of_the_token(actor.token, permission))
    if actor.key and permission not in actor.key.scopes:
        return forbidden(
            "scope_missing",
            f"The key '{actor.key.name}' is for {', '.join(actor.key.scopes)}; this needs a key with '{permission}'.",
        )
    return forbidden(
        "role_missing",
        f"{actor} may read '{name}' but not {permission} there. Ask an owner of the channel for a role that may.",
    )


def _in_words(permission: Permission) -> str:
    """After `a channel that somebody may`."""
    return "upload to" if permission == Permission.UPLOAD else permission


def _of_capitals(name: str) -> str:
    """Say why no channel can have this name. Ignores which channels there are."""
    return f" Names of channels have small letters alone, such as '{name.lower()}'." if name != name.lower() else ""


def _of_the_token(token: Token, permission: Permission) -> str:
    """What an application's token is for; some things none is for."""
    granted = ", ".join(sorted(_token_permissions(token))) or "nothing in channels"
    wanted = next((scope for scope, each in TOKEN_SCOPES.items() if each == permission), None)
    remedy = f"sign it in again with the scope '{wanted}'" if wanted else "use the hub's pages"
    name = token.client.name if token.client else "The application"
    return f"{name} was let in for {granted}; to {permission} there, {remedy} or send an API key with '{permission}'."
