"""URLs of channels and subdirs, which are no files, and URLs below reserved words.

A browser that opens the URL of a channel or subdir is redirected to the channel's page, even if the channel is private
or missing: only the page checks access, so the redirect reveals nothing. Clients get an error message.
"""

import re
from contextlib import suppress
from http import HTTPStatus
from typing import NoReturn
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import Resolver404, resolve, reverse
from django.views.decorators.csrf import csrf_exempt

from channels_app.access.permissions import ANONYMOUS, visible_channels
from channels_app.authentication import actors
from channels_app.identifiers import CHANNEL, CHANNEL_MAX_CHARACTERS, KNOWN_SUBDIRS, is_subdir
from channels_app.models import Channel
from hub.errors import HubError, not_found
from hub.http.decorators import bounds_own_body
from hub.http.middleware import is_browser
from publishing.downloads.views import channel_file

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
# A subdir, a label or a subdir of a label; all of them are no files.
FOLDER = re.compile(r"(?:label/[^/]+(?:/|\Z))?(?P<subdir>[^/]+)?/?\Z")
# Catch-all routes: a match doesn't show that the URL exists.
TAKES_ANYTHING = ("reserved-word", "channel-address", "channel-file")


@csrf_exempt  # this view changes nothing
@bounds_own_body
def channel_address(request: HttpRequest, channel: str) -> HttpResponse:
    """Answer `/CHANNEL` and `/CHANNEL/`."""
    return channel_page(request, channel) or _no_file(request, channel)


def channel_page(request: HttpRequest, channel: str, subdir: str = "") -> HttpResponse | None:
    """Redirect a browser to the channel's page. Return None for clients and for names that no channel can have."""
    name = channel.lower()
    if request.method not in ("GET", "HEAD") or not is_browser(request) or not _is_name(name):
        return None
    query = f"?{urlencode({'platform': subdir})}" if subdir else ""
    response = redirect(reverse("channel", args=[name]) + query)
    response.headers["Vary"] = "Accept"
    return response


@csrf_exempt
@bounds_own_body
def below_channel(request: HttpRequest, channel: str, path: str) -> HttpResponseBase:
    """Answer `/CHANNEL/…`: redirect a browser from a subdir or a label to the page, and treat other paths as files."""
    if folder := FOLDER.match(path):
        subdir = (folder["subdir"] or "").lower()
        if (not subdir or is_subdir(subdir)) and (page := channel_page(request, channel, subdir)):
            return page
    try:
        return channel_file(request, channel, path)
    except HubError as error:
        # A browser session sent no credential, so a message about one would mislead.
        if error.code == "no_access" and is_browser(request) and actors.credential_source(request) == "session":
            raise Http404 from error
        raise


@csrf_exempt
@bounds_own_body
def alias_file(request: HttpRequest, channel: str, path: str) -> HttpResponseBase:
    """Answer another address of a channel's file, such as `/get/CHANNEL/…`, as its own address.

    A channel may have got the first word as its name before that was reserved; then a subdir follows it.
    """
    if channel in KNOWN_SUBDIRS:
        word, _, rest = request.path_info.removeprefix("/").partition("/")
        return reserved_word(request, word, rest)
    return below_channel(request, channel, path)


@csrf_exempt
@bounds_own_body
def reserved_word(request: HttpRequest, word: str, path: str = "") -> HttpResponseBase:
    """Answer 404 for an unknown URL that begins with a reserved word.

    A channel that was created before the word was reserved may have this name; then its files and page are served.
    """
    if request.method in SAFE_METHODS and Channel.objects.filter(name=word, deleted_at=None).exists():
        try:
            return _channel_with_reserved_name(request, word, path)
        except HubError as error:
            if error.status not in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
                raise
    if page := _redirect_by_slash(request):
        return page
    raise Http404


def _channel_with_reserved_name(request: HttpRequest, word: str, path: str) -> HttpResponseBase:
    """Serve the channel. Redirect to the page only if the channel is public: it would reveal a private one."""
    is_public = visible_channels(ANONYMOUS).filter(name=word).exists()
    if is_public and path:
        return below_channel(request, word, path)
    if is_public and (page := channel_page(request, word)):
        return page
    if not path:
        raise Http404
    return channel_file(request, word, path)


def _redirect_by_slash(request: HttpRequest) -> HttpResponse | None:
    """Redirect a browser to the same URL with or without the trailing slash, if that URL exists."""
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
