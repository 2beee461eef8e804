"""Every setting, from environment variables; each limit carries its unit. A bad value stops the start with one line.

Any variable NAME can be given as NAME_FILE, the path of a file that holds the value.
"""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from hub.variables import (
    SIGN_IN_VARIABLES,
    env,
    folder,
    kept_secret,
    new_rsa_key,
    numbers,
    oidc_client,
    oidc_variables,
    one_of,
    positive,
    sign_in_clients,
    switch,
    warn_of_unknown,
)

BASE_DIR = Path(__file__).resolve().parent.parent

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
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.github",
    "allauth.socialaccount.providers.gitlab",
    "allauth.socialaccount.providers.google",
    "allauth.socialaccount.providers.openid_connect",
    "allauth.usersessions",
    "allauth.idp.oidc",
]
MIDDLEWARE = [
    "hub.middleware.path_key",
    "hub.middleware.invitation_key",
    "hub.middleware.client_address",
    "hub.middleware.no_nul",
    "hub.middleware.head_as_get",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    # Before the check of the CSRF token, which reads the form.
    "hub.middleware.bounded_body",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "hub.middleware.kept_private",
    "django.contrib.messages.middleware.MessageMiddleware",
    "channels_app.accounts.leaving.leaving",
    "allauth.account.middleware.AccountMiddleware",
    "allauth.usersessions.middleware.UserSessionsMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "hub.middleware.plain_errors",
    "channels_app.route_limits.limited",
    "channels_app.accounts.reauthentication.confirmed",
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

# Shared by all processes, and there whenever the database is: codes and limits of signing in live in it.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "hub_cache",
        # Beyond it living entries are thrown out, by default of 300: a few hundred requests would end others' sign-ins.
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    }
}

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
# What is printed is a mail, whose links the log would hide.
CELERY_WORKER_REDIRECT_STDOUTS = False
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
LOGIN_URL = "account_login"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
LOGIN_REDIRECT_URL = LOGOUT_REDIRECT_URL = "home"
ACCOUNT_ADAPTER = "channels_app.accounts.adapters.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"username", "email"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "email*", "password1*"]
ACCOUNT_FORMS = {"signup": "channels_app.accounts.forms.SignUpForm"}
ACCOUNT_USERNAME_VALIDATORS = "channels_app.accounts.forms.USERNAME_VALIDATORS"
ACCOUNT_SESSION_REMEMBER = True
# By codes, never by links: no secret stands in an address, and mail scanners that open links use nothing up.
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_EMAIL_VERIFICATION_BY_CODE_ENABLED = ACCOUNT_EMAIL_VERIFICATION_SUPPORTS_RESEND = True
ACCOUNT_PASSWORD_RESET_BY_CODE_ENABLED = True
ACCOUNT_PASSWORD_RESET_BY_CODE_TIMEOUT = 15 * 60
ACCOUNT_CHANGE_EMAIL = ACCOUNT_REAUTHENTICATION_REQUIRED = True
# The hub writes to nobody who has no account and asked for none.
ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS = False
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
# Limits are those of channels_app.limits, in the database, for everything alike.
ACCOUNT_RATE_LIMITS = MFA_RATE_LIMITS = IDP_OIDC_RATE_LIMITS = False
ACCOUNT_REAUTHENTICATION_TIMEOUT = 15 * 60
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

# Signing up, and signing in by other providers

HUB_SIGN_UP = one_of("HUB_SIGN_UP", "invitation", "open", "domains")
HUB_SIGN_UP_DOMAINS: list[str] = [domain.lower() for domain in env.list("HUB_SIGN_UP_DOMAINS", default=[])]
if HUB_SIGN_UP == "domains" and not HUB_SIGN_UP_DOMAINS:
    raise ImproperlyConfigured("HUB_SIGN_UP is 'domains'; expected HUB_SIGN_UP_DOMAINS to name at least one.")
HUB_GITLAB_URL: str = env.str("HUB_GITLAB_URL", default="https://gitlab.com").rstrip("/")
HUB_OIDC_PROVIDERS: list[str] = env.list("HUB_OIDC_PROVIDERS", default=[])
SOCIALACCOUNT_ADAPTER = "channels_app.accounts.adapters.SocialAccountAdapter"
SOCIALACCOUNT_FORMS = {"signup": "channels_app.accounts.forms.SocialSignUpForm"}
SOCIALACCOUNT_EMAIL_AUTHENTICATION_AUTO_CONNECT = True
SOCIALACCOUNT_PROVIDERS = {
    "github": {"APPS": sign_in_clients("HUB_GITHUB"), "OAUTH_PKCE_ENABLED": True},
    "google": {"APPS": sign_in_clients("HUB_GOOGLE"), "OAUTH_PKCE_ENABLED": True, "SCOPE": ["profile", "email"]},
    "gitlab": {"APPS": sign_in_clients("HUB_GITLAB"), "OAUTH_PKCE_ENABLED": True, "GITLAB_URL": HUB_GITLAB_URL},
    "openid_connect": {
        "APPS": [oidc_client(name) for name in HUB_OIDC_PROVIDERS],
        "OAUTH_PKCE_ENABLED": True,
    },
}

# Second factors

MFA_ADAPTER = "channels_app.accounts.adapters.MFAAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
# Whoever signed up has a verified address; an account that an administrator made may have none.
MFA_ALLOW_UNVERIFIED_EMAIL = True

# Signing in pixi and other applications: the hub as OAuth and OpenID provider

IDP_OIDC_ADAPTER = "channels_app.accounts.oauth.adapter.HubAdapter"
# Signs identity tokens. Of several machines all need the same one.
HUB_OIDC_PRIVATE_KEY: str = env.str("HUB_OIDC_PRIVATE_KEY", default="", multiline=True)
IDP_OIDC_PRIVATE_KEY = HUB_OIDC_PRIVATE_KEY or kept_secret(HUB_DATA_DIR / "oidc_private_key.pem", new_rsa_key)
# Clients refresh 300 seconds before the end; what is revoked ends at once, however long it would have lived.
IDP_OIDC_ACCESS_TOKEN_EXPIRES_IN = 3600
IDP_OIDC_REFRESH_TOKEN_EXPIRES_IN = 90 * 24 * 3600
IDP_OIDC_DEVICE_CODE_EXPIRES_IN = 900

# Mail: printed, unless EMAIL_URL names a server, such as smtp+tls://user:password@mail.example.org:587

vars().update(env.email("EMAIL_URL", default="consolemail://"))
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL: str = env.str("HUB_MAIL_FROM", default=f"Channelhub <hub@{public.hostname}>")

# conda and mamba send a key as /t/<key>/ before the path; where nobody uses them so, this turns it off.
HUB_PATH_KEYS = switch("HUB_PATH_KEYS", default=True)

# Browser security

# Of every body but an upload; see hub.middleware.bounded_body.
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = public.scheme == "https"
SESSION_COOKIE_HTTPONLY = True
# Behind a proxy that says by what the request came; the probes of health come from inside.
SECURE_SSL_REDIRECT = public.scheme == "https" and HUB_PROXIES > 0
SECURE_REDIRECT_EXEMPT = ["^healthz$"]
# HSTS for the other hosts of the domain is not the hub's to ask for.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
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
    "formatters": {"line": {"()": "hub.redaction.Formatter", "fmt": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {"django.request": {"level": "ERROR"}, "celery": {"level": "WARNING"}, "urllib3": {"level": "ERROR"}},
}

warn_of_unknown(
    {name for name in globals() if name.startswith("HUB_")}
    | {"HUB_DEBUG", "HUB_ALLOWED_HOSTS", "HUB_MAIL_FROM"}
    | SIGN_IN_VARIABLES.union(*(oidc_variables(name) for name in HUB_OIDC_PROVIDERS))
)
