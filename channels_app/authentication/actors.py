"""Authentication: the credential of a request → its actor. Only this module reads credentials.

A key arrives as a bearer token (pixi, rattler, mamba) or by basic authentication (conda, curl): as the password with
any user name, or as the user name. It also arrives in front of the path as `/t/<key>/` (conda, mamba; see
hub.http.middleware), or in a header of its own (quetz, Artifactory). Browsers have a session.
"""

import base64
import binascii
import time

from allauth.account import app_settings
from allauth.account.authentication import get_authentication_records
from allauth.idp.oidc.models import Token
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse, QueryDict
from django.middleware.csrf import CsrfViewMiddleware

from channels_app.access.permissions import ANONYMOUS, Actor
from channels_app.authentication import api_keys, placeholders
from channels_app.models import User
from hub.errors import HubError, forbidden, unauthenticated
from hub.http.middleware import KEY_HEADERS, PATH_KEY
from hub.http.request_metrics import LOG_ACTOR

# An OAuth access token is 64 random bytes in base64 (allauth.idp.oidc.internal.oauthlib.server).
TOKEN_CHARACTERS = 86
YOUR_KEYS = f"Your keys are at {settings.HUB_PUBLIC_URL}/account/keys."
NOT_FROM_HERE = (
    "Nothing was changed: the page is older than your last sign-in, or does not belong to this hub. "
    "Reload the page and try again. If that does not help, allow cookies for this hub."
)
# Messages by kind of channels_app.authentication.placeholders.
NO_KEY = {
    "empty": f"An empty key was sent. Is the variable that holds it set where the client runs? {YOUR_KEYS}",
    "variable": "The name of a variable was sent as the key, not its value. Use your shell's or CI's syntax for it.",
    "unset": f"The key that was sent is the word for an unset value, such as None or null. Set it. {YOUR_KEYS}",
    "hidden": f"Dots, stars or the like were sent as the key. Copy the key itself: it is shown once. {YOUR_KEYS}",
    "word": f"A placeholder from an example was sent as the key. Replace it by your own key. {YOUR_KEYS}",
    "quoted": "The key was sent with quotes or brackets around it. Remove them: Authorization: Bearer KEY.",
    "prefixed": "The key was sent after another word, such as a second Bearer. Send it as: Authorization: Bearer KEY.",
}


def actor(request: HttpRequest) -> Actor:
    """Return the actor of the request, by key or by session.

    Raise 401 for an invalid credential, even for public channels.
    """
    secret = credential(request)
    if secret is not None:
        return _require_safe_method(request, log_actor(request, _actor_by(secret)))
    user = request.user
    return log_actor(request, ANONYMOUS if isinstance(user, AnonymousUser) else Actor(user=user))


def log_actor(request: HttpRequest, found: Actor) -> Actor:
    """Add the actor to the access log of this request, and return it."""
    request.META[LOG_ACTOR] = f"{found} with the key {found.key.pk}" if found.key else str(found)
    return found


def _require_safe_method(request: HttpRequest, found: Actor) -> Actor:
    """Return the actor of a safe request; raise 403 for other methods.

    A key may only read pages, whatever its scopes. Changes on pages need a session.
    """
    if request.method in ("GET", "HEAD", "OPTIONS"):
        return found
    raise forbidden(
        "key_on_page", "API keys have read-only access to pages. Sign in to change something here, or use the API."
    )


def credential_source(request: HttpRequest) -> str:
    """Name the source of the credential in use.

    It is `path`, `bearer`, `basic`, `x-api-key`, `x-jfrog-art-api`, `session` or `none`.
    """
    sent = _sent_credential(request)
    return sent[0] if sent else "session" if request.user.is_authenticated else "none"


def key_actor(request: HttpRequest) -> Actor:
    """Return the actor by key or token alone, and ignore the session.

    Endpoints of clients that change something use it, because a cookie must not authorize them.
    """
    secret = credential(request)
    return log_actor(request, ANONYMOUS if secret is None else _actor_by(secret))


def signed_in(request: HttpRequest) -> Actor:
    """Return the actor by session alone; raise 403 if the request has no signed-in user.

    It does not check the CSRF token, so use it for reading only.
    """
    user = request.user
    if isinstance(user, AnonymousUser):
        # Not 401: its challenge would make the browser open its own password dialog.
        raise forbidden("signed_out", "You are signed out. Sign in again in another tab, then try again.")
    return Actor(user=user)


def person(request: HttpRequest) -> User:
    """Return the signed-in user, for views with `login_required`."""
    assert isinstance(request.user, User)  # noqa: S101  # nosec B101  # tells mypy
    return request.user


def is_fresh(request: HttpRequest) -> bool:
    """Tell whether the user signed in or re-authenticated within ACCOUNT_REAUTHENTICATION_TIMEOUT."""
    oldest = time.time() - app_settings.REAUTHENTICATION_TIMEOUT
    return any(record["at"] > oldest for record in get_authentication_records(request, request.user))


def session_actor(request: HttpRequest, csrf_token: str, *, refusal: str = NOT_FROM_HERE) -> Actor:
    """Return the actor by session alone, for a view that changes something and reads its body itself.

    Raise 403 with `refusal` if the CSRF check fails. Django's own check looks for the token in request.POST, which
    would read the whole body first. So the view is exempt from it, and request.POST is replaced by the token alone.
    """
    actor = signed_in(request)
    request.POST = QueryDict.fromkeys(["csrfmiddlewaretoken"], csrf_token)  # type: ignore[assignment]
    # Django logs its reason. Its page is replaced by the hub's error.
    if CsrfViewMiddleware(_placeholder_view).process_view(request, _placeholder_view, (), {}) is not None:
        raise forbidden("not_from_here", refusal)
    return actor


def _placeholder_view(request: HttpRequest) -> HttpResponse:
    """Return an empty response: Django's check takes a view as its argument."""
    return HttpResponse()


def _actor_by(secret: str) -> Actor:
    key = api_keys.look_up(secret)
    if key:
        api_keys.note_use(key)
        return Actor(user=key.owner, key=key)
    token = None if secret.startswith(api_keys.PREFIX) else live_token(secret)
    if token is None or token.user is None:
        raise _invalid_credential(secret)
    return Actor(user=token.user, token=token)


def live_token(secret: str) -> Token | None:
    """Return the valid OAuth access token of an active user; one query."""
    tokens = Token.objects.select_related("user", "client").filter(user__is_active=True)
    return tokens.lookup(Token.Type.ACCESS_TOKEN, secret)


def credential(request: HttpRequest) -> str | None:
    """Return the key or token of the request, not yet verified; None if there is none."""
    sent = _sent_credential(request)
    return sent[1] if sent else None


def _sent_credential(request: HttpRequest) -> tuple[str, str] | None:
    """Return the source and the text of the credential.

    A key in a header of its own counts before Authorization, which requests and curl also fill from .netrc.
    """
    path_key: str | None = request.META.get(PATH_KEY)
    if path_key is not None:
        return "path", path_key
    named = [(name.lower(), request.headers[name].strip()) for name in KEY_HEADERS if name in request.headers]
    if keys := [each for each in named if looks_like_key(each[1])]:
        return keys[0]
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    match scheme.lower():
        case "":
            return named[0] if named else None
        case "bearer" | "token":  # anaconda-client sends `token`
            return "bearer", value.strip()
        case "basic":
            return "basic", _basic_credential(value)
        case _:
            # Without a scheme the first word is the key itself.
            found = f"is of the scheme '{scheme[:20]}'" if value else "names no scheme"
            raise unauthenticated(
                "unknown_scheme", f"The Authorization header {found}; expected Bearer or Basic, such as 'Bearer KEY'."
            )


def _basic_credential(value: str) -> str:
    """Return the key of a basic authentication.

    The password is the key, with any user name. The user name is the key if the password is empty, as in
    `https://KEY@host` on anaconda.org. If both look like keys, the password is used.
    """
    try:
        user, _, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise unauthenticated("bad_basic", "The Authorization header is not valid basic authentication.") from None
    if not looks_like_key(password) and looks_like_key(user):
        return user
    is_left_out = password in ("", "x-oauth-basic")
    return user if is_left_out and placeholders.kind(user) else password


def looks_like_key(secret: str) -> bool:
    """Tell whether `secret` has the form of a hub key, even a damaged one, or of an application's token."""
    return secret.startswith(api_keys.PREFIX) or len(secret) == TOKEN_CHARACTERS


def _invalid_credential(secret: str) -> HubError:
    kind = placeholders.kind(secret)
    if kind == "empty":
        return unauthenticated("empty_key", NO_KEY[kind])
    if kind:
        return unauthenticated("placeholder_key", NO_KEY[kind])
    return unauthenticated("invalid_key", _invalid_key_detail(secret))


def _invalid_key_detail(secret: str) -> str:
    """Describe the error of a key. The message never repeats the credential."""
    if len(secret) == TOKEN_CHARACTERS:
        return "The sign-in of this application has ended or was revoked. Sign in again: pixi auth login HUB --oauth."
    if not secret.startswith(api_keys.PREFIX):
        return f"This is not a key of this hub: its keys begin with '{api_keys.PREFIX}'."
    if not api_keys.has_shape(secret):
        return "The key is damaged: its checksum does not fit. Was it cut off when it was copied?"
    return "The key is not valid here: it is unknown, expired or revoked. Make a new one."
