"""The WSGI application: WSGI and not ASGI, so that an upload can be refused before its body is read."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")

application = get_wsgi_application()
