"""Rules for sign-up: HUB_SIGN_UP, by e-mail address. Each OpenID Connect provider has a setting of its own."""

from django.conf import settings
from django.http import HttpRequest

from channels_app.people import invitations
from channels_app.people.invitation_views import IN_SESSION


def is_open(request: HttpRequest) -> bool:
    """Tell whether the sign-up page is available. With `invitation`, it takes the link of an invitation."""
    return settings.HUB_SIGN_UP != "invitation" or invitations.find(request.session.get(IN_SESSION, "")) is not None


def may_sign_up(email: str) -> bool:
    """Tell whether the address may sign up. It is verified before the first sign-in."""
    if settings.HUB_SIGN_UP == "open" or invitations.is_invited(email):
        return True
    return settings.HUB_SIGN_UP == "domains" and email.rpartition("@")[2].lower() in settings.HUB_SIGN_UP_DOMAINS


def refusal(email: str) -> str:
    if settings.HUB_SIGN_UP == "invitation":
        return f"There is no pending invitation for {email}. Sign up with the address that the invitation was sent to."
    domains = ", ".join(settings.HUB_SIGN_UP_DOMAINS)
    return f"{email} has another domain; expected an address of {domains}, or one that was invited."
