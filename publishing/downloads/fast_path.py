"""Fast path for clients that read channel files: it skips sessions, CSRF and messages, which only browsers need.

It skips no access check: the middleware before it in MIDDLEWARE applies, and the view is the same.
"""

from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import ResolverMatch

from channels_app.channels.channels import routed_words
from channels_app.identifiers import CHANNEL
from hub.http.middleware import GetResponse, has_body, plain_answer
from hub.protocols import CHECK_SUFFIX
from publishing.downloads.addresses import below_channel


def fast_path(get_response: GetResponse) -> GetResponse:
    """Answer requests for channel files that have neither cookies nor a body, without the rest of the middleware."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        channel, _, path = request.path_info.removeprefix("/").partition("/")
        if not path or channel in routed_words() or not CHANNEL.match(channel) or not _is_plain(request):
            return get_response(request)
        request.user = AnonymousUser()
        request.resolver_match = ResolverMatch(
            below_channel, (), {"channel": channel, "path": path}, "channel-file", route="<str:channel>/<path:path>"
        )
        try:
            return below_channel(request, channel, path)
        except Exception as error:
            if (answer := plain_answer(request, error)) is None:
                raise
            return answer

    return middleware


def _is_plain(request: HttpRequest) -> bool:
    # A protocol may have uploads below a channel's URL; their check is no file.
    is_file = request.method in ("GET", "HEAD") and not request.path_info.endswith(CHECK_SUFFIX)
    return is_file and not request.META.get("HTTP_COOKIE") and not has_body(request)
