"""`GET …/may` below each upload address: nginx asks it whether a request may upload, before it reads the body.

nginx's auth_request knows 2xx, 401 and 403. So a refusal is 403 here, and headers of their own hold the response to the
upload. nginx builds that response from them.
"""

from collections.abc import Callable
from functools import wraps

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt

from channels_app.access.permissions import Permission, channel_for
from channels_app.authentication import actors, decision_cache
from hub.errors import HubError
from hub.http.decorators import allow
from hub.plain_text import one_line
from publishing.labels import names

View = Callable[[HttpRequest, str], None]


def answered(check: View) -> Callable[..., HttpResponseBase]:
    """Make a view of `check`: respond with 204, or with 403 and the refusal in headers.

    Parts of the path other than the channel are ignored.
    """

    @csrf_exempt
    @allow("GET", "HEAD")
    @wraps(check)
    def view(request: HttpRequest, channel: str, **_: str) -> HttpResponse:
        try:
            if _is_of_upload(request):
                check(request, channel)
        except HubError as error:
            return HttpResponse(status=403, content_type="text/plain", headers=_refusal_headers(error))
        return HttpResponse(status=204, content_type="text/plain", headers={"Cache-Control": "no-store"})

    return view


@answered
def by_key(request: HttpRequest, channel: str) -> None:
    """Check an upload by the prefix protocol, which needs a key in any of its places and ignores cookies."""
    decision_cache.upload_decision(request, channel)
    names.of_query(request)


@answered
def by_session(request: HttpRequest, channel: str) -> None:
    """Check an upload by the page, which needs a session.

    The upload itself checks the CSRF token, which may be in the body.
    """
    channel_for(actors.signed_in(request), channel, Permission.UPLOAD)


def _is_of_upload(request: HttpRequest) -> bool:
    """Tell whether the request uploads. Others of the same address read a page or file, or are refused."""
    method, body = request.headers.get("X-Checked-Method", "POST"), request.headers.get("X-Checked-Body", "")
    return method in ("POST", "PUT") or body not in ("", "0")


def _refusal_headers(error: HubError) -> dict[str, str]:
    sentence = one_line(error.detail).encode("ascii", "backslashreplace").decode()
    names = {"WWW-Authenticate": "X-Refused-Challenge", "Retry-After": "X-Refused-Retry-After"}
    more = {names[name]: value for name, value in error.headers.items() if name in names}
    refusal = {"X-Refused-Status": str(error.status), "X-Refused-Code": error.code, "X-Refused-Sentence": sentence}
    return {"Cache-Control": "no-store", **refusal, **more}
