"""Client protocols: their declarations, each in its own file, and the facts that the rest of the hub derives.

The setting PROTOCOLS lists them. The first one with a command is recommended to clients that use a wrong address.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from django.conf import settings
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path
from django.urls.converters import get_converters
from django.utils.module_loading import import_string

View = Callable[..., HttpResponseBase]

CHECK_SUFFIX = "/may"
ARGUMENT = re.compile(r"<(\w+):(\w+)>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A route whose body is a package: the right to upload is checked before anything reads the body.

    `route` has the syntax of path(). `check` answers at the same address with `/may` appended. The texts are for
    refusals and the doctor; without a command they don't recommend the route.
    """

    route: str
    name: str
    view: View
    check: View
    method: str = "POST"
    command: str = ""  # of the client, with {url} and {channel}
    curl: str = ""  # the command of curl up to the address
    too_long: str = ""  # the mistake if segments follow the address

    @property
    def endpoint(self) -> list[str]:
        """Return the segments before the first argument."""
        return self.route.partition("<")[0].split("/")[:-1]

    @property
    def regex(self) -> str:
        """Return a regular expression of the path without its first slash."""
        return ARGUMENT.sub(lambda argument: get_converters()[argument[1]].regex, self.route)

    def address(self, channel: str = "CHANNEL") -> str:
        """Return the path for people to read: its other arguments are placeholders."""
        return "/" + ARGUMENT.sub(lambda each: channel if each[2] == "channel" else each[2].upper(), self.route)


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """The declaration of a client protocol. A view that reads its own body has the decorator bounds_own_body."""

    uploads: tuple[Upload, ...] = ()
    routes: tuple[URLPattern, ...] = ()
    path_key_routes: frozenset[str] = frozenset()  # names of routes that clients call below /t/KEY/

    @property
    def url_patterns(self) -> list[URLPattern]:
        patterns = []
        for upload in self.uploads:
            patterns.append(path(upload.route, upload.view, name=upload.name))
            patterns.append(path(f"{upload.route}{CHECK_SUFFIX}", upload.check, name=_check_name(upload)))
        return [*patterns, *self.routes]


@cache
def protocols() -> tuple[Protocol, ...]:
    return tuple(import_string(name) for name in settings.PROTOCOLS)


def uploads() -> list[Upload]:
    return [upload for protocol in protocols() for upload in protocol.uploads]


def recommended_uploads() -> list[Upload]:
    return [upload for upload in uploads() if upload.command]


def upload_endpoints() -> list[list[str]]:
    return [upload.endpoint for upload in recommended_uploads()]


def url_patterns(*, begin_with_channel: bool) -> list[URLPattern]:
    """Return the routes that begin with a channel's name, which must come after reserved words, or the others."""
    patterns = [pattern for protocol in protocols() for pattern in protocol.url_patterns]
    return [pattern for pattern in patterns if str(pattern.pattern).startswith("<") is begin_with_channel]


def first_words() -> set[str]:
    """Return the first path segments of all routes, which no channel may be named like."""
    patterns = url_patterns(begin_with_channel=False)
    return {str(pattern.pattern).removeprefix("^").partition("/")[0] for pattern in patterns}


def path_key_routes() -> frozenset[str]:
    """Return the names of routes that clients call below /t/KEY/, with the checks of uploads."""
    names = frozenset().union(*(protocol.path_key_routes for protocol in protocols()))
    return names | {_check_name(upload) for upload in uploads() if upload.name in names}


def _check_name(upload: Upload) -> str:
    return f"{upload.name}-check"
