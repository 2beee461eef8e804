"""The WSGI application. It is WSGI, not ASGI, so that an upload can be refused before its body is read."""

import os
from importlib import import_module

from django.conf import settings
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")

application = get_wsgi_application()
# Import all views before the first request, which would wait for it.
import_module(settings.ROOT_URLCONF)
