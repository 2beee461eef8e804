"""Who belongs to a channel: adding, changing, removing, leaving.

A channel has several owners or one, never none. Only owners make or unmake owners; maintainers manage everyone else.
Rights follow from membership at every request, so a removed member's keys end with it.
"""

from django.db import transaction

from channels_app import audit
from channels_app.access import Actor, Permission, hold, permissions
from channels_app.models import Channel, Member, Role, User
from hub.errors import bad_request, conflict, forbidden, not_found


@transaction.atomic
def add(*, actor: Actor, channel: Channel, username: str, role: str) -> Member:
    """Make the user of that name a member; 404 where there is none, 409 where they are one already."""
    locked = hold(actor, channel, Permission.MANAGE)
    _check_role(role)
    _check_may_touch(actor, locked, role)
    user = user_named(username)
    existing = Member.objects.filter(channel=locked, user=user).first()
    if existing:
        raise conflict("is_member", f"{user} is a member already: {existing.role}. Change the role in the list below.")
    member = Member.objects.create(channel=locked, user=user, role=role)
    _record("member.add", actor, member, {"role": role})
    return member


@transaction.atomic
def change(*, actor: Actor, channel: Channel, username: str, role: str) -> Member:
    """Give a member another role."""
    locked = hold(actor, channel, Permission.MANAGE)
    _check_role(role)
    member = _member(locked, username)
    before = member.role
    if before == role:
        return member
    _check_may_touch(actor, locked, before, role)
    _check_an_owner_stays(member)
    member.role = role
    member.save(update_fields=["role"])
    _record("member.change", actor, member, {"from": before, "to": role})
    return member


@transaction.atomic
def remove(*, actor: Actor, channel: Channel, username: str) -> None:
    """End somebody's membership, and with it what their keys may do here."""
    locked = hold(actor, channel, Permission.MANAGE)
    member = _member(locked, username)
    _check_may_touch(actor, locked, member.role)
    _check_an_owner_stays(member)
    _record("member.remove", actor, member, {"role": member.role})
    member.delete()


@transaction.atomic
def leave(*, actor: Actor, channel: Channel) -> None:
    """End one's own membership, whatever the role."""
    locked = hold(actor, channel, Permission.READ)
    member = _member(locked, actor.user.username if actor.user else "")
    _check_an_owner_stays(member)
    _record("member.leave", actor, member, {"role": member.role})
    member.delete()


def user_named(username: str) -> User:
    """The user of exactly that name, who can still sign in; 404 where there is none."""
    user = User.objects.filter(username=username, is_active=True).first()
    if user is None:
        raise not_found(
            "no_such_user",
            f"There is no user '{username[:150]}' on this hub. Names distinguish capital letters; "
            "an administrator can make an account.",
        )
    return user


def is_last_owner(member: Member) -> bool:
    """Whether no other owner is left who can sign in."""
    owners = Member.objects.filter(channel=member.channel, role=Role.OWNER, user__is_active=True)
    return member.role == Role.OWNER and not owners.exclude(pk=member.pk).exists()


def _member(channel: Channel, username: str) -> Member:
    member = Member.objects.filter(channel=channel, user__username=username).select_related("user", "channel").first()
    if member is None:
        raise not_found("no_such_member", f"{username[:150] or 'Nobody'} is no member of '{channel}' (any more).")
    return member


def _check_role(role: str) -> None:
    if role not in Role.values:
        raise bad_request("bad_role", f"'{role[:20]}' is no role; expected one of: {', '.join(Role.values)}.")


def _check_may_touch(actor: Actor, channel: Channel, *roles: str) -> None:
    """Raise where one of `roles`, given or taken, is an owner's and the actor is none."""
    if Role.OWNER in roles and Permission.OWN not in permissions(actor, channel):
        raise forbidden("owners_only", f"Only owners of '{channel}' make or unmake owners; you are none.")


def _check_an_owner_stays(member: Member) -> None:
    if is_last_owner(member):
        raise conflict(
            "last_owner",
            f"{member.user} is the last owner of '{member.channel}', and a channel is never without one. "
            "Make somebody else an owner first, or transfer or delete the channel.",
        )


def _record(action: str, actor: Actor, member: Member, detail: dict[str, str]) -> None:
    audit.record(
        action, actor=actor.user, key=actor.key, channel=member.channel, target=member.user.username, detail=detail
    )
