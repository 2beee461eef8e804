"""The WSGI application: WSGI and not ASGI, so that an upload can be refused before its body is read."""

import os
from importlib import import_module

from django.conf import settings
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")

application = get_wsgi_application()
# Every view, before the first request and not while it waits.
import_module(settings.ROOT_URLCONF)
