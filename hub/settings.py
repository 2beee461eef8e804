"""Every setting, from environment variables; each limit carries its unit. A bad value stops the start with one line.

Any variable NAME can be given as NAME_FILE, the path of a file that holds the value.
"""

import os
import secrets
import warnings
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.FileAwareEnv()


def one_of(name: str, *allowed: str) -> str:
    """The variable `name`, by default the first of `allowed`; anything else is an error."""
    value: str = env.str(name, default=allowed[0])
    if value not in allowed:
        raise ImproperlyConfigured(f"{name} is {value!r}; expected one of: {', '.join(allowed)}.")
    return value


def positive(name: str, default: int, *, at_least: int = 1, at_most: int | None = None) -> int:
    """The variable `name`, a whole number, above zero where nothing else is said."""
    value: str = env.str(name, default=str(default))
    number = int(value) if value.isascii() and value.isdigit() else -1
    if number < at_least or (at_most and number > at_most):
        expected = f"from {at_least} to {at_most}" if at_most else "above zero" if at_least else "from 0 on"
        raise ImproperlyConfigured(f"{name} is {value!r}; expected a whole number {expected}.")
    return number


def numbers(name: str) -> dict[str, int]:
    """The variable `name`, as "name=number,…"; by default empty."""
    found = [entry.partition("=")[::2] for entry in env.list(name, default=[])]
    for key, value in found:
        if not (key and value.isascii() and value.isdigit()):
            raise ImproperlyConfigured(f"{name} has {f'{key}={value}'!r}; expected name=number,name=number,….")
    return {key: int(value) for key, value in found}


def switch(name: str, *, default: bool) -> bool:
    """The variable `name`, `true` or `false`."""
    return one_of(name, *(("true", "false") if default else ("false", "true"))) == "true"


def folder(name: str, default: Path) -> Path:
    """The folder that the variable `name` names, made where it is missing."""
    path = Path(env.str(name, default=str(default))).expanduser().resolve()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ImproperlyConfigured(f"{name} is {str(path)!r}, which can't be made: {error.strerror}.") from None
    if not os.access(path, os.W_OK | os.X_OK):
        raise ImproperlyConfigured(f"{name} is {str(path)!r}, which this user can't write to.")
    return path


def kept_secret(path: Path) -> str:
    """The secret in the file at `path`, made at the first start."""
    try:
        with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(48))
    except FileExistsError:
        pass
    return path.read_text()


def warn_of_unknown(known: set[str]) -> None:
    """Warn of a HUB_… variable that is not among `known`: a misspelt setting is without effect."""
    found = {name.removesuffix("_FILE") for name in os.environ if name.startswith("HUB_")}
    for name in sorted(found - known):
        warnings.warn(f"{name} is set but is no setting of the hub; is it misspelt?", stacklevel=2)


# Where the hub is and what it keeps

HUB_DATA_DIR = folder("HUB_DATA_DIR", BASE_DIR / "data")
HUB_PORT = positive("HUB_PORT", 8000, at_most=65535)
HUB_PUBLIC_URL: str = env.str("HUB_PUBLIC_URL", default=f"http://127.0.0.1:{HUB_PORT}").rstrip("/")
public = urlsplit(HUB_PUBLIC_URL)
if public.scheme not in ("http", "https") or not public.hostname or public.path or public.query:
    raise ImproperlyConfigured(
        f"HUB_PUBLIC_URL is {HUB_PUBLIC_URL!r}; expected an origin such as https://hub.example.org."
    )
# As clients write it: without the port, an international name in its ASCII form.
PUBLIC_HOST: str = public.hostname.encode("idna").decode()
# How many proxies of one's own stand before the hub, each of which adds to X-Forwarded-For and sets X-Forwarded-Proto.
HUB_PROXIES = positive("HUB_PROXIES", 0, at_least=0)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HUB_PROXIES else None

DEBUG = switch("HUB_DEBUG", default=False)
SECRET_KEY: str = env.str("SECRET_KEY", default="") or kept_secret(HUB_DATA_DIR / "secret_key")
ALLOWED_HOSTS = [PUBLIC_HOST, "localhost", "127.0.0.1", "[::1]", *env.list("HUB_ALLOWED_HOSTS", default=[])]
CSRF_TRUSTED_ORIGINS = [HUB_PUBLIC_URL]

# Limits

HUB_MAX_UPLOAD_BYTES = positive("HUB_MAX_UPLOAD_BYTES", 2 * 1024**3)
# What a package may cost to check, as "name=number,…": the fields of publishing.archive.rules.Limits.
HUB_PACKAGE_LIMITS = numbers("HUB_PACKAGE_LIMITS")
HUB_RESERVATION_S = positive("HUB_RESERVATION_S", 900)
HUB_INDEX_PAUSE_MS = positive("HUB_INDEX_PAUSE_MS", 250)
HUB_RETIRED_SHARD_DAYS = positive("HUB_RETIRED_SHARD_DAYS", 7)
HUB_GRACE_HOURS = positive("HUB_GRACE_HOURS", 24)
HUB_DOWNLOAD_COUNT_S = positive("HUB_DOWNLOAD_COUNT_S", 5)
HUB_PRESIGNED_URL_S = positive("HUB_PRESIGNED_URL_S", 60)
# How often what may be tried, as "name=number,…": the names of channels_app.limits.LIMITS.
HUB_RATE_LIMITS = numbers("HUB_RATE_LIMITS")

# Trusted publishing

HUB_MINTED_KEY_MINUTES = positive("HUB_MINTED_KEY_MINUTES", 15, at_least=5, at_most=60)
# Clients from before June 2026 ask their CI for tokens meant for prefix.dev, whichever hub they talk to.
HUB_PREFIX_DEV_AUDIENCE = switch("HUB_PREFIX_DEV_AUDIENCE", default=False)
# Hosts, each with its port where that is not the usual one, that the hub may ask at private addresses and by http.
HUB_INTERNAL_HOSTS: list[str] = env.list("HUB_INTERNAL_HOSTS", default=[])
# Where the public Sigstore's trust root comes from (TUF); empty: nowhere, the one shipped with the hub is used.
HUB_TUF_URL: str = env.str("HUB_TUF_URL", default="https://tuf-repo-cdn.sigstore.dev").rstrip("/")
# Of another TUF repository: the path of its first root.json.
HUB_TUF_ROOT: str = env.str("HUB_TUF_ROOT", default="")
# Of a private Sigstore: the path of its trusted_root.json; then nothing is fetched.
HUB_TRUST_ROOT: str = env.str("HUB_TRUST_ROOT", default="")

# Django

INSTALLED_APPS = [
    "channels_app",
    "publishing",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.humanize",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "csp",
]
MIDDLEWARE = [
    "hub.middleware.path_key",
    "hub.middleware.client_address",
    "hub.middleware.no_nul",
    "hub.middleware.head_as_get",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "hub.middleware.plain_errors",
]
ROOT_URLCONF = "hub.urls"
WSGI_APPLICATION = "hub.wsgi.application"
APPEND_SLASH = False
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# Database: SQLite in the data folder, or DATABASE_URL

DATABASES: dict[str, dict[str, Any]] = {
    "default": env.db("DATABASE_URL", default=f"sqlite:///{HUB_DATA_DIR / 'hub.sqlite3'}")
}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # IMMEDIATE: a transaction that reads first and writes later would fail instead of waiting for its turn.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 30,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA busy_timeout=30000;",
    }
DATABASES["default"] |= {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}

# Queue: Redis, or a folder that needs no server

REDIS_URL: str = env.str("REDIS_URL", default="")
QUEUE_DIR = HUB_DATA_DIR / "queue"
CELERY_BROKER_URL = REDIS_URL or "folder://localhost"
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = (
    {"socket_connect_timeout": 2, "socket_timeout": 10}
    if REDIS_URL
    else {
        "data_folder_in": str(QUEUE_DIR),
        "data_folder_out": str(QUEUE_DIR),
        "polling_interval": 0.05,
    }
)
if not REDIS_URL:
    QUEUE_DIR.mkdir(exist_ok=True)
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_WORKER_ENABLE_REMOTE_CONTROL = bool(REDIS_URL)
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"

# Stores: the packages' and the pages' own

HUB_STORAGE = one_of("HUB_STORAGE", "filesystem", "s3")
HUB_DELIVERY = one_of("HUB_DELIVERY", "stream", "redirect")
CHANNEL_STORES: dict[str, dict[str, Any]] = {
    "filesystem": {"BACKEND": "hub.storage.folder.FolderStore", "OPTIONS": {"root": HUB_DATA_DIR / "channels"}},
    "s3": {"BACKEND": "hub.storage.s3.S3Store"},
}
STORAGES: dict[str, dict[str, Any]] = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    "channels": CHANNEL_STORES[HUB_STORAGE],
}
if HUB_STORAGE == "s3":
    # Without keys boto3 looks where it always does: a profile, a role, the machine's own.
    AWS_S3_ACCESS_KEY_ID: str | None = env.str("AWS_ACCESS_KEY_ID", default=None)
    AWS_S3_SECRET_ACCESS_KEY: str | None = env.str("AWS_SECRET_ACCESS_KEY", default=None)
    AWS_SESSION_TOKEN: str | None = env.str("AWS_SESSION_TOKEN", default=None)
    AWS_STORAGE_BUCKET_NAME: str = env.str("AWS_STORAGE_BUCKET_NAME")
    AWS_S3_ENDPOINT_URL: str | None = env.str("AWS_S3_ENDPOINT_URL", default=None)
    AWS_S3_REGION_NAME: str | None = env.str("AWS_S3_REGION_NAME", default=None)
    # Without an endpoint boto3 would sign "auto" addresses for the global host, whatever the region.
    AWS_S3_ADDRESSING_STYLE = one_of(
        "AWS_S3_ADDRESSING_STYLE",
        *(("auto", "path", "virtual") if AWS_S3_ENDPOINT_URL else ("virtual", "path", "auto")),
    )
    AWS_S3_SIGNATURE_VERSION = "s3v4"
STATIC_URL = "/static/"
STATIC_ROOT = HUB_DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True
UPLOAD_DIR = HUB_DATA_DIR / "uploads"
UPLOAD_DIR.mkdir(exist_ok=True)
STATIC_ROOT.mkdir(exist_ok=True)

# People

HUB_ADMIN_USERNAME: str = env.str("HUB_ADMIN_USERNAME", default="admin")
HUB_ADMIN_PASSWORD: str = env.str("HUB_ADMIN_PASSWORD", default="")
AUTH_USER_MODEL = "channels_app.User"
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = LOGOUT_REDIRECT_URL = "home"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

# Mail: printed, unless EMAIL_URL names a server, such as smtp+tls://user:password@mail.example.org:587

vars().update(env.email("EMAIL_URL", default="consolemail://"))
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL: str = env.str("HUB_MAIL_FROM", default=f"Channelhub <hub@{public.hostname}>")

# conda and mamba send a key as /t/<key>/ before the path; where nobody uses them so, this turns it off.
HUB_PATH_KEYS = switch("HUB_PATH_KEYS", default=True)

# Browser security

SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = public.scheme == "https"
SESSION_COOKIE_HTTPONLY = True
SECURE_HSTS_SECONDS = 31_536_000 if public.scheme == "https" else 0
# Not "no-referrer": with it browsers send `Origin: null` with forms, which fails Django's CSRF check at every sign-in.
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
    }
}

# Logs: one line each, to the standard error

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {"django.request": {"level": "ERROR"}, "celery": {"level": "WARNING"}},
}

warn_of_unknown(
    {name for name in globals() if name.startswith("HUB_")} | {"HUB_DEBUG", "HUB_ALLOWED_HOSTS", "HUB_MAIL_FROM"}
)
