"""Who may make an account: HUB_SIGN_UP, by e-mail address. Providers of OpenID Connect have a setting each."""

from django.conf import settings
from django.http import HttpRequest

from channels_app.people import invitations
from channels_app.people.invitation_views import IN_SESSION


def is_open(request: HttpRequest) -> bool:
    """Whether there is a page of signing up at all: where it takes an invitation, for whoever followed its link."""
    return settings.HUB_SIGN_UP != "invitation" or invitations.find(request.session.get(IN_SESSION, "")) is not None


def may_sign_up(email: str) -> bool:
    """Whether an account may be made for the address, which is verified before it is signed in to."""
    if settings.HUB_SIGN_UP == "open" or invitations.is_invited(email):
        return True
    return settings.HUB_SIGN_UP == "domains" and email.rpartition("@")[2].lower() in settings.HUB_SIGN_UP_DOMAINS


def refusal(email: str) -> str:
    if settings.HUB_SIGN_UP == "invitation":
        return f"No invitation of {email} is waiting. Sign up with the address that the invitation was sent to."
    domains = ", ".join(settings.HUB_SIGN_UP_DOMAINS)
    return f"{email} is of another domain; expected an address of {domains}, or one that was invited."
