"""Invitations by mail: a role in a channel for whoever shows the link and has the address that it was sent to.

The link's secret (256 bits) is neither kept nor queued: it follows from the row and the hub's own secret, so that the
job can write it into the mail. What is kept is its SHA-256, by which it is found again.

A link gets forwarded and lies in archives; so it alone is not enough, the address has to be a verified one of the
account. And it ends with the right of whoever sent it: else somebody who is about to be removed could come back by it.
"""

import hashlib
from datetime import timedelta

from allauth.account.models import EmailAddress
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.db.models import QuerySet
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.http import urlsafe_base64_encode

from channels_app import acts, audit, limits, mailing, outbox
from channels_app.access import Actor, Permission, hold, permissions
from channels_app.models import Channel, Invitation, Member, Role, User
from channels_app.people import members
from hub.errors import HubError, bad_request, conflict, forbidden, not_found

LIFETIME = timedelta(days=7)
SEND = "channels_app.tasks.send_invitation"


def invite(*, actor: Actor, channel: Channel, email: str, role: str) -> Invitation:
    """Send the invitation; one that waits for the same address already is renewed, and its link ends."""
    if actor.user is None:
        raise forbidden("person_needed", "Invitations come from people; a key without a user can't send any.")
    address = _address(email)
    limits.hit("invitation-by-account", f"user {actor.user.pk}", "invitations of yours")
    limits.hit("mail-by-recipient", address, "mails to this address")
    with transaction.atomic():
        locked = acts.hold("invitation.send", actor, channel)
        members.check_may_give(actor, locked, role)
        invitation = Invitation.objects.filter(channel=locked, email=address).first()
        if invitation:
            members.check_may_give(actor, locked, invitation.role)
        invitation = invitation or Invitation(channel=locked, email=address)
        invitation.role, invitation.invited_by = role, actor.user
        invitation.expires_at = timezone.now() + LIFETIME
        invitation.digest = digest_of(secret_of(invitation))
        invitation.save()
        _record("invitation.send", actor, invitation, address)
        outbox.put(SEND, invitation.pk, lane=lane(invitation.pk))
    return invitation


@transaction.atomic
def withdraw(*, actor: Actor, channel: Channel, email: str) -> None:
    """End an invitation and its link."""
    locked = hold(actor, channel, Permission.MANAGE)
    invitation = Invitation.objects.filter(channel=locked, email=email).first()
    if invitation is None:
        raise not_found("no_invitation", f"No invitation of {email[:254]} to '{locked}' is waiting (any more).")
    members.check_may_give(actor, locked, invitation.role)
    _record("invitation.withdraw", actor, invitation, invitation.email)
    invitation.delete()


@transaction.atomic
def accept(*, user: User, invitation: Invitation) -> Member:
    """Make `user` the member that the invitation speaks of; it is used up."""
    current = _held(user, invitation)
    member = Member.objects.create(channel=current.channel, user=user, role=current.role)
    _record("invitation.accept", Actor(user=user), current, user.username)
    current.delete()
    return member


@transaction.atomic
def decline(*, user: User, invitation: Invitation) -> None:
    current = _held(user, invitation)
    _record("invitation.decline", Actor(user=user), current, current.email)
    current.delete()


def refusal(user: User, invitation: Invitation) -> HubError | None:
    """Why the invitation is not for `user`, if it is not."""
    channel = invitation.channel
    if not EmailAddress.objects.filter(user=user, email__iexact=invitation.email, verified=True).exists():
        return forbidden(
            "not_your_address",
            f"This invitation was sent to {invitation.email}, which is no verified address of your account '{user}'. "
            "Sign in with the account that has it, verify it as yours, or ask for an invitation to your own address.",
        )
    own = Member.objects.filter(channel=channel, user=user).first()
    if own:
        return conflict("is_member", f"You are a member of '{channel}' already: {own.role}. Its owners change roles.")
    inviter = invitation.invited_by
    needed = Permission.OWN if invitation.role == Role.OWNER else Permission.MANAGE
    if inviter is None or not inviter.is_active or needed not in permissions(Actor(user=inviter), channel):
        return forbidden(
            "inviter_may_not",
            f"Whoever invited you may not give that role in '{channel}' any more. Ask an owner for a new invitation.",
        )
    return None


def waiting() -> QuerySet[Invitation]:
    """The invitations that can still be accepted."""
    return Invitation.objects.filter(expires_at__gt=timezone.now(), channel__deleted_at=None)


def find(digest: str) -> Invitation | None:
    return waiting().filter(digest=digest).select_related("channel", "invited_by").first()


def is_invited(email: str) -> bool:
    """Whether an invitation waits for that address: it may sign up where that takes one."""
    return waiting().filter(email=email.strip().lower()).exists()


def forget_expired() -> None:
    Invitation.objects.filter(expires_at__lte=timezone.now()).delete()


def send_mail(invitation_id: int) -> None:
    """Send the link, unless the invitation is gone. Raises OSError where the mail server does not take it."""
    invitation = waiting().filter(pk=invitation_id).select_related("channel", "invited_by").first()
    if invitation is None:
        return
    link = f"{settings.HUB_PUBLIC_URL}/invitations/{secret_of(invitation)}"
    context = {"invitation": invitation, "link": link, "hub_url": settings.HUB_PUBLIC_URL, "days": LIFETIME.days}
    text = render_to_string("mail/invitation.txt", context)
    subject = f"You are invited to the channel {invitation.channel} as {members.with_article(invitation.role)}"
    mailing.deliver(subject, text, invitation.email)


def lane(invitation_id: int) -> str:
    return f"invitation {invitation_id}"


def secret_of(invitation: Invitation) -> str:
    """The link's secret: 43 letters, digits, dashes and underscores; another one for every sending."""
    sending = f"{invitation.channel_id} {invitation.email} {invitation.expires_at.isoformat()}"
    return urlsafe_base64_encode(salted_hmac("invitation", sending, algorithm="sha256").digest())


def digest_of(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _held(user: User, invitation: Invitation) -> Invitation:
    """The invitation as it is now, its channel locked; raises where it is gone or not for `user`."""
    channel = Channel.objects.select_for_update(no_key=True).filter(pk=invitation.channel_id).first()
    current = find(invitation.digest)
    if channel is None or current is None:
        raise not_found("no_invitation", "The invitation is gone: it was used, withdrawn, sent again, or is too old.")
    if error := refusal(user, current):
        raise error
    return current


def _address(email: str) -> str:
    address = email.strip().lower()
    try:
        validate_email(address)
    except ValidationError:
        raise bad_request("bad_email", f"'{email[:100]}' is no e-mail address.") from None
    return address


def _record(action: str, actor: Actor, invitation: Invitation, target: str) -> None:
    audit.record(action, by=actor, channel=invitation.channel, target=target, detail={"role": invitation.role})
