"""Database work as for an existing account, done for addresses without one as well.

Otherwise the response time would reveal which addresses have an account.
"""

from allauth.account.models import EmailAddress
from allauth.account.views import email_verification_sent
from django.http import HttpRequest, HttpResponse

from channels_app.accounts.allauth_internals import unverified_address
from channels_app.models import User

NO_USER = 0
RESET_CODE = "account/email/password_reset_code"


def address_queries(user: User) -> None:
    """Run the queries of a new address, within the transaction that is rolled back."""
    of_user = EmailAddress.objects.filter(user=user)
    address = EmailAddress.objects.create(user=user, email=f"{user.pk}@new.invalid", verified=False)
    of_user.exists()
    of_user.filter(verified=True).exists()
    of_user.filter(email=address.email).first()
    User.objects.filter(pk=user.pk).first()
    of_user.filter(email=address.email).first()


def verification_page(request: HttpRequest) -> HttpResponse:
    """Show the page for the code that verifies an address, with the queries of an account that waits for it."""
    state = unverified_address(request)
    if state and "user_id" not in state:
        for _ in range(2):
            User.objects.order_by("pk").first()
        if request.POST.get("action") == "resend":
            EmailAddress.objects.filter(user=NO_USER, email=state["email"]).first()
    response: HttpResponse = email_verification_sent(request)
    return response


def mail_queries(template: str, email: str) -> None:
    """Run the query that precedes a mail to an address with an account."""
    if template == RESET_CODE:
        # As allauth looks for an address without an account: on PostgreSQL by a cursor, which is three statements.
        list(User.objects.filter(email=email).iterator())
