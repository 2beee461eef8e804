"""The routes that are served below `/t/<key>/`: what clients read and send in that way, and nothing else.

A key in an address is read by whoever sees the address. So it opens no page, no account and no form.
"""

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import Resolver404, resolve

from channels_app.channels.channels import ROUTED
from channels_app.identifiers import CHANNEL
from channels_app.site import misplaced
from hub.errors import HubError
from hub.http.middleware import NO_PAGE, PATH_KEY, PATH_KEY_PREFIX, SAFE_METHODS, GetResponse, answer

# Files of channels, the two calls of the prefix protocol, what a key is, and feeds: their readers send no headers.
SERVED = {
    "channel-file",
    "channel-address",
    "upload",
    "upload-check",
    "delete",
    "whoami",
    "channel-feed",
    "package-feed",
}
# The files of a channel whose name was reserved only after it was made; see addresses.nowhere.
OLD_CHANNELS = "nowhere"


def allow_path_key_routes(get_response: GetResponse) -> GetResponse:
    """Answer 404 where a key stands before anything but a route of SERVED."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if PATH_KEY not in request.META or is_served(request.path_info):
            return get_response(request)
        return answer(_refusal(request))

    return middleware


def is_served(path: str) -> bool:
    """Tell whether the route of `path` is one of SERVED; the resolver is asked where it is no channel's file."""
    first, _, rest = path.removeprefix("/").partition("/")
    if rest and first not in ROUTED and CHANNEL.match(first):
        return True
    try:
        name = resolve(path).view_name
    except Resolver404:
        return False
    return name in SERVED or (name == OLD_CHANNELS and not path.startswith((settings.STATIC_URL, PATH_KEY_PREFIX)))


def _refusal(request: HttpRequest) -> HubError:
    """An upload is told its address; whatever reads learns that there are no pages."""
    return NO_PAGE if request.method in SAFE_METHODS else misplaced.refusal(request, is_there=False)
