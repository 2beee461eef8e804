"""The WSGI application. It is WSGI, not ASGI, so that an upload can be refused before its body is read."""

import os
from importlib import import_module
from typing import Any

from django.conf import settings
from django.core.handlers.wsgi import WSGIRequest
from django.core.wsgi import get_wsgi_application
from django.utils.http import parse_header_parameters

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")


class Request(WSGIRequest):
    """A request whose texts are UTF-8, as all pages are, whatever charset its Content-Type names.

    Django would decode the address by that charset before any middleware runs. By some it can't, and the request ended
    as an error of the server's, past the hub's own answer, measures and access log.
    """

    def _set_content_type_params(self, meta: dict[str, Any]) -> None:
        try:
            self.content_type, self.content_params = parse_header_parameters(meta.get("CONTENT_TYPE", ""))
        except ValueError:
            # Of a type that can't be read nothing is believed, here and by whatever reads it again.
            meta["CONTENT_TYPE"] = self.content_type = ""
            self.content_params = {}


application = get_wsgi_application()
application.request_class = Request
# Import all views before the first request, which would wait for it.
import_module(settings.ROOT_URLCONF)
