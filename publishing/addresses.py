"""Addresses that are no file's: a channel's own, a subdir's, and whatever else lies below the hub's own words.

A browser that opens the address of a channel or a subdir is led to the channel's page, whichever channel it is: the
page alone decides what is shown, so private and missing channels are answered alike. Clients get a sentence.
"""

from contextlib import suppress
from http import HTTPStatus
from typing import NoReturn
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import Resolver404, resolve, reverse
from django.views.decorators.csrf import csrf_exempt

from channels_app import authentication
from channels_app.access import ANYONE, visible_channels
from channels_app.models import Channel
from channels_app.names import CHANNEL, CHANNEL_MAX_CHARACTERS, is_subdir
from hub.errors import HubError, not_found
from hub.middleware import is_browser
from publishing.downloads import channel_file

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
# Routes that take any word: to match one of them says nothing about an address.
TAKES_ANYTHING = ("nowhere", "channel-address", "channel-file")


@csrf_exempt  # it changes nothing, whatever is sent
def channel_address(request: HttpRequest, channel: str) -> HttpResponse:
    """`/CHANNEL` and `/CHANNEL/`."""
    return channel_page(request, channel) or _no_file(request, channel)


def channel_page(request: HttpRequest, channel: str, subdir: str = "") -> HttpResponse | None:
    """The way to a channel's page for a browser; None for clients, and for what can't be a channel's name."""
    name = channel.lower()
    if request.method not in ("GET", "HEAD") or not is_browser(request) or not _is_name(name):
        return None
    query = f"?{urlencode({'platform': subdir})}" if subdir else ""
    response = redirect(reverse("channel", args=[name]) + query)
    response.headers["Vary"] = "Accept"
    return response


@csrf_exempt
def below_channel(request: HttpRequest, channel: str, path: str) -> HttpResponseBase:
    """`/CHANNEL/…`: a subdir's address leads a browser to the page, everything else is a file."""
    if "/" not in path[:-1]:
        subdir = path.removesuffix("/").lower()
        if is_subdir(subdir) and (page := channel_page(request, channel, subdir)):
            return page
    try:
        return channel_file(request, channel, path)
    except HubError as error:
        # A person has sent no credential that a sentence about one could mean.
        if error.code == "no_access" and is_browser(request) and authentication.way(request) == "session":
            raise Http404 from error
        raise


@csrf_exempt
def nowhere(request: HttpRequest, word: str, path: str = "") -> HttpResponseBase:
    """404 for what begins with a word of the hub's own and is none of its addresses.

    A channel may have such a name from before the word was reserved: then these are its addresses.
    """
    if request.method in SAFE_METHODS and Channel.objects.filter(name=word, deleted_at=None).exists():
        try:
            return _named_like_a_word(request, word, path)
        except HubError as error:
            if error.status not in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
                raise
    if page := _other_slash(request):
        return page
    raise Http404


def _named_like_a_word(request: HttpRequest, word: str, path: str) -> HttpResponseBase:
    """A file of the channel. The way to a page is shown for a public one alone: it would tell of a private one."""
    is_public = visible_channels(ANYONE).filter(name=word).exists()
    if is_public and path:
        return below_channel(request, word, path)
    if is_public and (page := channel_page(request, word)):
        return page
    if not path:
        raise Http404
    return channel_file(request, word, path)


def _other_slash(request: HttpRequest) -> HttpResponse | None:
    """The way to the address that differs by the slash at its end alone, where that is one; for browsers."""
    path = request.path_info
    other = path[:-1] if path.endswith("/") else f"{path}/"
    if request.method not in ("GET", "HEAD") or not is_browser(request):
        return None
    with suppress(Resolver404):
        if resolve(other).view_name not in TAKES_ANYTHING:
            query = request.META.get("QUERY_STRING", "")
            return redirect(f"{other}?{query}" if query else other)
    return None


def _is_name(name: str) -> bool:
    return len(name) <= CHANNEL_MAX_CHARACTERS and CHANNEL.match(name) is not None


def _no_file(request: HttpRequest, channel: str) -> NoReturn:
    if request.method not in SAFE_METHODS or not _is_name(channel):
        raise Http404
    raise not_found(
        "no_such_file",
        f"There is no file at {request.path}. The files of a channel are at /CHANNEL/SUBDIR/FILE, "
        f"such as /{channel}/noarch/repodata.json.",
    )
