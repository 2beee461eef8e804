"""Routes that accept a key in the path, `/t/<key>/`: only those that clients need.

Anyone who sees the URL can read the key. So it gives no access to pages, accounts and forms.
"""

from functools import cache

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import Resolver404, resolve

from channels_app.channels.channels import routed_words
from channels_app.identifiers import CHANNEL
from channels_app.site import misplaced
from hub import protocols
from hub.errors import HubError
from hub.http.middleware import NO_PAGE, PATH_KEY, PATH_KEY_PREFIX, SAFE_METHODS, GetResponse, answer

# Channel files, whoami, and feeds, whose readers send no headers. Client protocols declare their own.
SERVED = frozenset({"channel-file", "channel-address", "whoami", "channel-feed", "package-feed"})
# Files of a channel whose name was reserved after it was created; see addresses.reserved_word.
OLD_CHANNELS = "reserved-word"


def allow_path_key_routes(get_response: GetResponse) -> GetResponse:
    """Answer 404 if the path has a key and the route accepts none."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if PATH_KEY not in request.META or is_served(request.path_info):
            return get_response(request)
        return answer(_refusal(request))

    return middleware


def is_served(path: str) -> bool:
    """Tell whether the route accepts a key in the path. Channel files are recognized without the URL resolver."""
    first, _, rest = path.removeprefix("/").partition("/")
    if rest and first not in routed_words() and CHANNEL.match(first):
        return True
    try:
        name = resolve(path).view_name
    except Resolver404:
        return False
    return name in served() or (name == OLD_CHANNELS and not path.startswith((settings.STATIC_URL, PATH_KEY_PREFIX)))


@cache
def served() -> frozenset[str]:
    return SERVED | protocols.path_key_routes()


def _refusal(request: HttpRequest) -> HubError:
    """Return the refusal: for writes with the right upload URL, for reads that keys open no pages."""
    return NO_PAGE if request.method in SAFE_METHODS else misplaced.refusal(request, is_there=False)
