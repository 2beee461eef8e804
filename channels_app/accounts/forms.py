"""Forms of sign-in and sign-up, with the hub's labels; allauth does the rest."""

from typing import Any

from allauth.account.forms import BaseSignupForm, LoginForm, SignupForm
from allauth.socialaccount.forms import SignupForm as SocialSignupForm
from django import forms
from django.db import transaction
from django.http import HttpRequest, HttpResponse

from channels_app.accounts import equal_work, sign_up
from channels_app.audit import mailing
from channels_app.models import User
from channels_app.rate_limits import counters
from channels_app.ui.form_fields import AS_TYPED

CODE_SENT = "A code is sent to this address to verify it."
CODE_IN_LOG = "This hub sends no mail: a code is written to its log; ask an administrator for it."


class _HubSignUpForm(BaseSignupForm):  # type: ignore[misc]
    """Labels, help texts and the check of the address, for both sign-up forms."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        name, email = self.fields["username"], self.fields["email"]
        name.label, name.help_text = "User name", "Shown next to your uploads. Not case-sensitive."
        name.widget.attrs |= AS_TYPED | {"autocomplete": "username"}
        email.label, email.help_text = "E-mail", CODE_SENT if mailing.is_set_up() else CODE_IN_LOG
        for field in self.fields.values():
            field.widget.attrs.pop("placeholder", None)

    def clean_email(self) -> str:
        email: str = super().clean_email()
        if not sign_up.may_sign_up(email):
            raise forms.ValidationError(sign_up.refusal(email))
        return email


class SignInForm(LoginForm):  # type: ignore[misc]
    """allauth's sign-in form, without its second lookup by address: that would hash each password twice."""

    def user_credentials(self) -> dict[str, str]:
        return {"username": self.cleaned_data["login"], "password": self.cleaned_data["password"]}


class SignUpForm(_HubSignUpForm, SignupForm):  # type: ignore[misc]
    """Sign-up with a password."""

    account_already_exists: bool

    def try_save(self, request: HttpRequest) -> tuple[User | None, HttpResponse | None]:
        """Create the account. For an address that has one, create it and roll back.

        Both cases cost the same work, so that the response time doesn't reveal accounts.
        """
        is_known: bool = self.account_already_exists
        self.account_already_exists = False
        with transaction.atomic():
            user = self.save(request)
            if is_known:
                equal_work.address_queries(user)
            transaction.set_rollback(is_known)
        self.account_already_exists = is_known
        if not is_known:
            return user, None
        # A rollback writes nothing to disk; this write costs as much as that of a new account.
        counters.count("sign-up-by-address", "nobody")
        refused: tuple[None, HttpResponse] = super().try_save(request)
        return refused


class SocialSignUpForm(_HubSignUpForm, SocialSignupForm):  # type: ignore[misc]
    """Sign-up with a provider that didn't send all required fields."""
