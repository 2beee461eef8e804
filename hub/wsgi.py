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
    """A request that is always decoded as UTF-8, like all pages, not by the charset of its Content-Type.

    Django decodes the path by that charset before any middleware runs. Some charsets fail, and the request would end as
    a server error without the hub's own response, metrics and access log.
    """

    def _set_content_type_params(self, meta: dict[str, Any]) -> None:
        try:
            self.content_type, self.content_params = parse_header_parameters(meta.get("CONTENT_TYPE", ""))
        except ValueError:
            # Ignore an unreadable Content-Type, here and in all code that reads it again.
            meta["CONTENT_TYPE"] = self.content_type = ""
            self.content_params = {}


application = get_wsgi_application()
application.request_class = Request
# Import all views before the first request, which would wait for it.
import_module(settings.ROOT_URLCONF)
