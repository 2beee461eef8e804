"""allauth's adapters: rules for sign-up, verification of addresses, and actions at sign-in."""

import logging
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.models import EmailAddress
from allauth.account.stages import EmailVerificationStage
from allauth.core import context
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialApp, SocialLogin
from allauth.socialaccount.providers.base import Provider
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.safestring import SafeString, mark_safe
from qrcode import QRCode
from qrcode.image.svg import SvgPathFillImage

from channels_app.accounts import attempts, browsers, equal_work, factor_secrets, groups, sign_up
from channels_app.audit import mailing
from channels_app.authentication import actors
from channels_app.models import User
from channels_app.rate_limits import counters

WRONG = "Wrong user name or password. Passwords are case-sensitive."
WRONG_CODE = "Wrong code, or the code was already used or has expired."

# allauth's mail template for an address that has no account.
TO_NOBODY = "account/email/unknown_account"
CODE_SENT = "account/messages/email_confirmation_sent.txt"
HAS_WRITTEN = "channelhub.has_written"  # in META: this request has queued a mail

logger = logging.getLogger(__name__)


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    error_messages = DefaultAccountAdapter.error_messages | {
        "username_password_mismatch": WRONG,
        "email_password_mismatch": WRONG,
        "username_taken": "This user name is taken, perhaps in other capitals. Choose another.",
        "incorrect_code": WRONG_CODE,
        "incorrect_password": "Wrong password.",  # nosec B105  # a message
        "enter_current_password": "Wrong password.",  # nosec B105  # a message
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return sign_up.is_open(request)

    def is_reauthentication_required(self, *, app: str, **kwargs: Any) -> bool:
        """Tell whether allauth's own pages must ask for another sign-in; a recent one is enough."""
        return not actors.is_fresh(context.request)

    def get_login_stages(self) -> list[str]:
        ours = f"{FirstSignIn.__module__}.{FirstSignIn.__qualname__}"
        return [ours if stage.endswith(".EmailVerificationStage") else stage for stage in super().get_login_stages()]

    def post_login(self, request: HttpRequest, user: User, **kwargs: Any) -> HttpResponse:
        login: SocialLogin | None = (kwargs["signal_kwargs"] or {}).get("sociallogin")
        if login:
            groups.update_teams(user=user, account=login.account)
        response: HttpResponse = super().post_login(request, user, **kwargs)
        return response

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Queue the mail. For an address without an account, queue a mail without a recipient.

        Both cases cost the same work, so that the response time doesn't reveal accounts.
        """
        counters.hit("mail-by-recipient", attempts.recipient(self.request, email), "mails to this address")
        if visitors := attempts.visitor_mail_counter(self.request, email):
            counters.hit("mail-by-visitors", visitors, "mails that visitors ask for")
        equal_work.mail_queries(template_prefix, email)
        is_to_nobody = template_prefix == TO_NOBODY
        template = equal_work.RESET_CODE if is_to_nobody else template_prefix
        mail = self.render_mail(template, email, {"hub_url": settings.HUB_PUBLIC_URL, **context})
        mailing.put(to="" if is_to_nobody else email, subject=mail.subject, text=str(mail.body))
        self.request.META[HAS_WRITTEN] = True

    def add_message(
        self, request: HttpRequest, level: int, message_template: str | None = None, *args: Any, **kwargs: Any
    ) -> None:
        """Queue a mail without a recipient where allauth claims to have sent a code but has not.

        allauth does so for addresses without an account; the work has to be the same.
        """
        if message_template == CODE_SENT and HAS_WRITTEN not in request.META:
            context = kwargs.get("message_context") or args[0]
            self.send_mail(TO_NOBODY, context["email"], {"code": self.generate_password_reset_code()})
        super().add_message(request, level, message_template, *args, **kwargs)


class FirstSignIn(EmailVerificationStage):  # type: ignore[misc]
    """Verification of the e-mail address before the first sign-in.

    It applies to users who signed up. Accounts that an administrator created need none. Only sign-up stores an address
    before the first sign-in; addresses that are added later may stay unverified.
    """

    def handle(self) -> tuple[HttpResponse | None, bool]:
        user = self.login.user
        if user and (user.last_login or not EmailAddress.objects.filter(user=user).exists()):
            return None, True
        verdict: tuple[HttpResponse | None, bool] = super().handle()
        return verdict


class SocialAccountAdapter(DefaultSocialAccountAdapter):  # type: ignore[misc]
    error_messages = DefaultSocialAccountAdapter.error_messages | {
        "no_password": "This is the only way to sign in to your account. Set a password first.",  # nosec B105  # a message
        "no_verified_email": "Verify your e-mail address first: without one, a forgotten password can't be replaced.",
    }

    def get_app(self, request: HttpRequest, provider: str, client_id: str | None = None) -> SocialApp:
        """Return the provider's settings. Raise Http404 if the provider is not set up."""
        try:
            return super().get_app(request, provider, client_id)
        except SocialApp.DoesNotExist:
            raise Http404 from None

    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        """Tell whether the provider's setting, or one of its verified addresses, allows sign-up."""
        if sociallogin.provider.app.settings.get("sign_up"):
            return True
        if settings.HUB_SIGN_UP == "open":
            return True
        return any(address.verified and sign_up.may_sign_up(address.email) for address in sociallogin.email_addresses)

    def on_authentication_error(
        self, request: HttpRequest, provider: Provider, error: str = "", exception: Exception | None = None, **_: Any
    ) -> None:
        logger.warning("A sign-in by %s failed: %s.", provider.sub_id, exception or error)

    def populate_user(self, request: HttpRequest, sociallogin: SocialLogin, data: dict[str, Any]) -> User:
        """Derive the user name; providers may send an e-mail address, of which the part before the @ is taken."""
        name = str(data.get("username") or data.get("email") or "").partition("@")[0]
        user: User = super().populate_user(request, sociallogin, data | {"username": name})
        return user


class MFAAdapter(DefaultMFAAdapter):  # type: ignore[misc]
    error_messages = DefaultMFAAdapter.error_messages | {"incorrect_code": WRONG_CODE}

    def encrypt(self, text: str) -> str:
        return factor_secrets.encrypt(text)

    def decrypt(self, encrypted_text: str) -> str:
        return factor_secrets.decrypt(encrypted_text)

    def generate_authenticator_name(self, user: User, type: Authenticator.Type) -> str:  # noqa: A002  (allauth's)
        return browsers.in_words(context.request.headers.get("User-Agent", ""))

    def build_totp_svg(self, url: str) -> SafeString:
        """Return the QR code as inline SVG, since the page's policy forbids `data:` URLs.

        Its background is white, so that cameras can read it in dark mode.
        """
        code = QRCode(image_factory=SvgPathFillImage)
        code.add_data(url)
        svg: str = code.make_image().to_string(encoding="unicode")
        return mark_safe(svg)  # noqa: S308  # nosec B308, B703  # generated here, of squares only
