"""`GET …/may` below each address that takes uploads: would whoever asks be let in? Asked by nginx before the body.

nginx's auth_request knows 2xx, 401 and 403. So a refusal is 403 here, with what the upload itself is answered in
headers of their own; nginx makes that answer of them.
"""

from collections.abc import Callable
from functools import wraps

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt

from channels_app.access.permissions import Permission, channel_for
from channels_app.authentication import actors, decision_cache
from hub.errors import HubError
from hub.plain_text import one_line

View = Callable[[HttpRequest, str], None]


def answered(check: View) -> Callable[..., HttpResponseBase]:
    """204, or 403 with the refusal in headers."""

    @wraps(check)
    def view(request: HttpRequest, channel: str) -> HttpResponse:
        if request.method not in ("GET", "HEAD"):
            raise HubError(405, "wrong_method", "Whether an upload is let in is asked by GET.", {"Allow": "GET, HEAD"})
        try:
            if _is_of_upload(request):
                check(request, channel)
        except HubError as error:
            return HttpResponse(status=403, content_type="text/plain", headers=_told(error))
        return HttpResponse(status=204, content_type="text/plain", headers={"Cache-Control": "no-store"})

    return csrf_exempt(view)


@answered
def by_key(request: HttpRequest, channel: str) -> None:
    """The address of the prefix protocol: a key in any of its places, never a cookie."""
    decision_cache.upload_decision(request, channel)


@answered
def by_session(request: HttpRequest, channel: str) -> None:
    """The page: a session. The CSRF token, which may be in the body, is asked for by the upload itself."""
    channel_for(actors.signed_in(request), channel, Permission.UPLOAD)


def _is_of_upload(request: HttpRequest) -> bool:
    """Whoever only looks at the address, without a body, is let on: the page is at the same one."""
    method, body = request.headers.get("X-Checked-Method", "POST"), request.headers.get("X-Checked-Body", "")
    return method not in ("GET", "HEAD", "OPTIONS") or body not in ("", "0")


def _told(error: HubError) -> dict[str, str]:
    sentence = one_line(error.detail).encode("ascii", "backslashreplace").decode()
    names = {"WWW-Authenticate": "X-Refused-Challenge", "Retry-After": "X-Refused-Retry-After"}
    more = {names[name]: value for name, value in error.headers.items() if name in names}
    told = {"X-Refused-Status": str(error.status), "X-Refused-Code": error.code, "X-Refused-Sentence": sentence}
    return {"Cache-Control": "no-store", **told, **more}
