"""Libraries of the hub that load without its settings. Forks of a process that has imported them start faster."""

from importlib import import_module

LIBRARIES = (
    "celery.apps.beat", "celery.apps.worker", "celery.bin.beat", "celery.bin.celery", "celery.bin.worker",
    "celery.concurrency.thread", "cryptography.x509", "django.contrib.admin.sites", "django.core.management",
    "django.db.models", "django.template.defaulttags", "environ", "fido2.server", "gunicorn.app.wsgiapp",
    "gunicorn.workers.gthread", "jinja2", "jwt", "kombu.transport.filesystem", "kombu.transport.redis", "markdown_it",
    "msgpack", "oauthlib.oauth2", "prometheus_client", "psycopg_pool", "pydantic", "qrcode", "rattler", "requests",
)  # fmt: skip

for name in LIBRARIES:
    import_module(name)
