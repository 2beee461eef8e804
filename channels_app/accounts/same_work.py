"""The work that allauth has with an account, done for nobody as well: else the time would tell who has one."""

from allauth.account.internal.flows.email_verification_by_code import EMAIL_VERIFICATION_CODE_SESSION_KEY
from allauth.account.models import EmailAddress
from allauth.account.views import email_verification_sent
from django.http import HttpRequest, HttpResponse

from channels_app.models import User

NOBODY = 0
FORGOTTEN = "account/email/password_reset_code"


def go_on(user: User) -> None:
    """As with the address of a new account, within the transaction that takes the account back."""
    of_user = EmailAddress.objects.filter(user=user)
    address = EmailAddress.objects.create(user=user, email=f"{user.pk}@new.invalid", verified=False)
    of_user.exists()
    of_user.filter(verified=True).exists()
    of_user.filter(email=address.email).first()
    User.objects.filter(pk=user.pk).first()
    of_user.filter(email=address.email).first()


def verify(request: HttpRequest) -> HttpResponse:
    """The page of the code that proves an address, as where an account waits for it."""
    state = request.session.get(EMAIL_VERIFICATION_CODE_SESSION_KEY)
    if state and "user_id" not in state:
        for _ in range(2):
            User.objects.order_by("pk").first()
        if request.POST.get("action") == "resend":
            EmailAddress.objects.filter(user=NOBODY, email=state["email"]).first()
    response: HttpResponse = email_verification_sent(request)
    return response


def write(template: str, email: str) -> None:
    """As before a mail to an address that has no account, which is looked for twice."""
    if template == FORGOTTEN:
        User.objects.filter(email=email).first()
