"""The WSGI application. It is WSGI, not ASGI, so that an upload can be refused before its body is read."""

import codecs
import os
from importlib import import_module
from typing import Any

from django.conf import settings
from django.core.handlers.wsgi import WSGIRequest
from django.core.wsgi import get_wsgi_application
from django.utils.http import parse_header_parameters

from hub.starting import without_collections

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")


class Request(WSGIRequest):
    """A request that is always decoded as UTF-8, like all pages, not by the charset of its Content-Type.

    Django decodes the query by that charset before any middleware runs. Some charsets fail, and the request would end
    as a server error without the hub's own response, metrics and access log.
    """

    def __init__(self, environ: dict[str, Any]) -> None:
        if not _is_readable(environ.get("CONTENT_TYPE", "")):
            # Ignore an unreadable Content-Type, here and in all code that reads it again.
            environ["CONTENT_TYPE"] = ""
        super().__init__(environ)

    @property
    def encoding(self) -> None:
        """Return None: the default, UTF-8."""

    @encoding.setter
    def encoding(self, charset: str) -> None:
        """Ignore the charset, which Django sets from the Content-Type."""


def _is_readable(content_type: str) -> bool:
    """Tell whether Django can read the Content-Type. An unknown charset is readable: Django ignores it."""
    try:
        codecs.lookup(parse_header_parameters(content_type)[1].get("charset", "utf-8"))
    except LookupError:
        return True
    except ValueError:
        return False
    return True


with without_collections():
    application = get_wsgi_application()
    application.request_class = Request
    # Import all views before the first request, which would wait for it.
    import_module(settings.ROOT_URLCONF)
