"""The mail of an invitation: recipients, link and delivery state."""

from django.conf import settings
from django.template.loader import render_to_string
from django.utils import timezone

from channels_app.audit import mailing
from channels_app.models import Invitation, User
from channels_app.people import invitation_rules, invitations, members

ERROR_CHARACTERS = 200


def send_mail(invitation_id: int) -> None:
    """Send the link, unless the invitation is gone. Raise OSError if the mail server doesn't accept the mail."""
    found = invitations.pending().filter(pk=invitation_id)
    invitation = found.select_related("channel", "to_team", "user", "team", "invited_by").first()
    if invitation is None:
        return
    text = render_to_string("mail/invitation.txt", _context(invitation))
    row = Invitation.objects.filter(pk=invitation.pk)
    try:
        for address in _addresses(invitation):
            mailing.deliver(_subject(invitation), text, address)
    except OSError as error:
        row.update(mail_failure=(str(error) or type(error).__name__)[:ERROR_CHARACTERS])
        raise
    row.update(mailed_at=timezone.now(), mail_failure="")


def link_of(invitation: Invitation) -> str:
    """Return the invitation's URL. It works only for the account that was invited."""
    return f"{settings.HUB_PUBLIC_URL}/invitations/{invitations.secret_of(invitation)}"


def _addresses(invitation: Invitation) -> list[str]:
    """Return the recipients: for a team its managers; for an unknown user name none."""
    if invitation.email:
        return [invitation.email]
    if invitation.team:
        people = User.objects.filter(teams__team=invitation.team, teams__is_manager=True, is_active=True)
        return list(people.exclude(email="").values_list("email", flat=True))
    return [invitation.user.email] if invitation.user and invitation.user.email else []


def _subject(invitation: Invitation) -> str:
    if invitation.to_team:
        return f"You are invited to the team {invitation.to_team}"
    subject = f"The {invitation.invitee_name} is" if invitation.team else "You are"
    return f"{subject} invited to the channel {invitation.channel} as {members.with_article(invitation.role)}"


def _context(invitation: Invitation) -> dict[str, object]:
    days = invitation_rules.LIFETIME.days
    return {"invitation": invitation, "link": link_of(invitation), "hub_url": settings.HUB_PUBLIC_URL, "days": days}
