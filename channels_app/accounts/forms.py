"""The forms of signing up, in the hub's words; allauth does the rest."""

from typing import Any

from allauth.account.forms import BaseSignupForm, LoginForm, SignupForm
from allauth.socialaccount.forms import SignupForm as SocialSignupForm
from django import forms
from django.db import transaction
from django.http import HttpRequest, HttpResponse

from channels_app import limits, mailing
from channels_app.accounts import same_work, sign_up
from channels_app.forms import AS_TYPED
from channels_app.models import User

CODE_SENT = "A code is sent there, to see that it is yours."
CODE_IN_LOG = "This hub sends no mail: a code is written to its log; ask an administrator for it."


class _InOurWords(BaseSignupForm):  # type: ignore[misc]
    """What both forms share."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        name, email = self.fields["username"], self.fields["email"]
        name.label, name.help_text = "User name", "Shown beside what you publish. Capitals make no other name."
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
    """allauth looks for a user name as for an address, too; with both it would hash one password twice."""

    def user_credentials(self) -> dict[str, str]:
        return {"username": self.cleaned_data["login"], "password": self.cleaned_data["password"]}


class SignUpForm(_InOurWords, SignupForm):  # type: ignore[misc]
    """With a password."""

    account_already_exists: bool

    def try_save(self, request: HttpRequest) -> tuple[User | None, HttpResponse | None]:
        """Make the account; where its address has one, make it as well and take it back: the time tells nothing."""
        is_known: bool = self.account_already_exists
        self.account_already_exists = False
        with transaction.atomic():
            user = self.save(request)
            if is_known:
                same_work.go_on(user)
            transaction.set_rollback(is_known)
        self.account_already_exists = is_known
        if not is_known:
            return user, None
        # What is taken back never reaches the disk; this does, as a new account would.
        limits.count("sign-up-by-address", "nobody")
        refused: tuple[None, HttpResponse] = super().try_save(request)
        return refused


class SocialSignUpForm(_InOurWords, SocialSignupForm):  # type: ignore[misc]
    """For whom a provider did not say all that an account needs."""
