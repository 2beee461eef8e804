"""Settings, read from environment variables.

The functions of hub/variables.py read them; each call gives the name, the default and the meaning. A bad value stops
the start with one line. Names of limits end in their unit. After a change, run `manage.py settings --write` to update
the tables of docs/operating.md. Settings that no variable changes are in base_settings.py.
"""

from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from hub import private_files, sizes
from hub.base_settings import *  # noqa: F403
from hub.base_settings import BASE_DIR
from hub.observability import logs
from hub.social_providers import client, oidc_clients
from hub.variables import (
    contact,
    env,
    folder,
    group,
    kept_secret,
    new_rsa_key,
    numbers,
    one_of,
    positive,
    section,
    switch,
    text,
    warn_of_unknown,
    words,
)

section("The hub and its address")

HUB_DATA_DIR = folder(
    "HUB_DATA_DIR",
    BASE_DIR / "data",
    "folder of the database, the packages, the queue and temporary files",
    shown="`./data`",
)
EVERY_ADDRESS = "0.0.0.0"  # noqa: S104  # nosec B104  # compared, not bound
HUB_HOST = text("HUB_HOST", "127.0.0.1", "address that `make run` listens on; `0.0.0.0` listens on all IPv4 addresses")
HUB_PORT = positive("HUB_PORT", 8000, "port that `make run` listens on", at_most=65535)
HUB_PUBLIC_URL = text(
    "HUB_PUBLIC_URL",
    f"http://{'127.0.0.1' if HUB_HOST == EVERY_ADDRESS else HUB_HOST}:{HUB_PORT}",
    "public URL of the hub, as browsers and clients use it",
    shown="`http://127.0.0.1:8000`",
).rstrip("/")
public = urlsplit(HUB_PUBLIC_URL)
if public.scheme not in ("http", "https") or not public.hostname or public.path or public.query:
    raise ImproperlyConfigured(
        f"HUB_PUBLIC_URL is {HUB_PUBLIC_URL!r}; expected an origin such as https://hub.example.org."
    )
# The host name as clients send it: without the port, an international name in its ASCII form (IDNA).
PUBLIC_HOST: str = public.hostname.encode("idna").decode()
HUB_PROXIES = positive(
    "HUB_PROXIES",
    0,
    "number of reverse proxies in front of the hub; if above 0, `X-Forwarded-For` and `X-Forwarded-Proto` are trusted",
    at_least=0,
)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HUB_PROXIES else None
HUB_ALLOWED_HOSTS = words("HUB_ALLOWED_HOSTS", "additional host names that the hub accepts, comma-separated")
LISTENING_HOSTS = [] if HUB_HOST == EVERY_ADDRESS else [HUB_HOST]
ALLOWED_HOSTS = [PUBLIC_HOST, *LISTENING_HOSTS, "localhost", "127.0.0.1", "[::1]", *HUB_ALLOWED_HOSTS]
CSRF_TRUSTED_ORIGINS = [HUB_PUBLIC_URL]
SECRET_KEY = text(
    "SECRET_KEY",
    "",
    "secret that signs sessions and [encrypts second factors](#second-factors-at-rest); the same on all machines",
    shown="kept in the data folder",
) or kept_secret(HUB_DATA_DIR / "secret_key")
SECRET_KEY_FALLBACKS = words(
    "SECRET_KEY_FALLBACKS", "earlier values of `SECRET_KEY` that are still accepted, comma-separated"
)
HUB_PATH_KEYS = switch("HUB_PATH_KEYS", True, "accept keys in the path, as `/t/KEY/`; conda and mamba send them so")
HUB_SECURITY_CONTACT = contact(
    "HUB_SECURITY_CONTACT",
    "contact for security reports, shown in `/.well-known/security.txt`: an e-mail address or an `https://` page",
)
HUB_ADMIN_USERNAME = text("HUB_ADMIN_USERNAME", "admin", "user name of the initial administrator")
HUB_ADMIN_PASSWORD = text(
    "HUB_ADMIN_PASSWORD", "", "password of the initial administrator", shown="generated, printed once"
)
DEBUG = switch("HUB_DEBUG", False, "show Django's debug pages; never in production")

section("Limits and times")

HUB_MAX_UPLOAD_BYTES = positive(
    "HUB_MAX_UPLOAD_BYTES",
    2 * sizes.GIB,
    "largest package that is accepted; a channel can have its own limit",
    shown="2 GiB",
)
# The fields of publishing.archive.limits.Limits.
HUB_PACKAGE_LIMITS = numbers(
    "HUB_PACKAGE_LIMITS",
    "limits on the cost of checking a package, as `name=number,…`",
    shown="see [Package checks](package-checks.md)",
)
HUB_RESERVATION_S = positive(
    "HUB_RESERVATION_S", 900, "seconds for which an upload reserves its file name until its bytes are stored"
)
HUB_INDEX_PAUSE_MS = positive("HUB_INDEX_PAUSE_MS", 250, "minimum milliseconds between two builds of one index")
HUB_RETIRED_SHARD_DAYS = positive("HUB_RETIRED_SHARD_DAYS", 7, "days for which an unused shard is kept")
HUB_GRACE_HOURS = positive("HUB_GRACE_HOURS", 24, "hours within which a deleted package or channel can be restored")
HUB_DOWNLOAD_COUNT_S = positive("HUB_DOWNLOAD_COUNT_S", 5, "seconds between two writes of the download counts")
# The names of channels_app.rate_limits.counters.LIMITS.
HUB_RATE_LIMITS = numbers("HUB_RATE_LIMITS", "rate limits, as `name=number,…`", shown="see [Limits](#limits)")

HUB_SHUTDOWN_S = positive(
    "HUB_SHUTDOWN_S", 30, "seconds that a stopping web process waits for running requests, such as a slow upload"
)

section("Trusted publishing")

HUB_SHORT_LIVED_TOKEN_MINUTES = positive(
    "HUB_SHORT_LIVED_TOKEN_MINUTES",
    15,
    "lifetime in minutes of a [trusted publisher's](trusted-publishing.md) short-lived token, 5 to 60",
    at_least=5,
    at_most=60,
)
# Clients released before June 2026 always request identity tokens for the audience prefix.dev.
HUB_PREFIX_DEV_AUDIENCE = switch(
    "HUB_PREFIX_DEV_AUDIENCE",
    False,
    "accept identity tokens with the audience `prefix.dev`, which old clients request",
)
HUB_INTERNAL_HOSTS = [
    host.lower()
    for host in words(
        "HUB_INTERNAL_HOSTS",
        "hosts (with their ports) of issuers, [webhooks](webhooks.md), [upstreams](upstreams.md) and "
        "[imports](imports.md) that may have a private address or use http, comma-separated",
        like=r"[^/@?#\s]+",
        expected="hosts with their ports, such as conda.lan:8080, without http:// and paths",
    )
]
HUB_UPSTREAM_STORES = words(
    "HUB_UPSTREAM_STORES",
    "folders and `s3://BUCKET/PREFIX` that [upstreams](upstreams.md#folders-and-buckets) may use, with all below them, "
    "comma-separated",
    like=r"(file://)?/.*|s3://[^/]+(/.*)?",
    expected="absolute paths such as /srv/mirrors, or s3://BUCKET/PREFIX",
)
HUB_TUF_URL = text(
    "HUB_TUF_URL",
    "https://tuf-repo-cdn.sigstore.dev",
    "TUF repository of the Sigstore trust root; empty: use the trust root that is shipped with the hub",
).rstrip("/")
HUB_TUF_ROOT = text("HUB_TUF_ROOT", "", "path of the initial `root.json`, if `HUB_TUF_URL` is another repository")
HUB_TRUST_ROOT = text(
    "HUB_TRUST_ROOT",
    "",
    "path of a private Sigstore's `trusted_root.json` to verify [attestations](provenance.md); disables TUF",
)

section("Database and queue")

database_url = text(
    "DATABASE_URL",
    f"sqlite:///{HUB_DATA_DIR / 'hub.sqlite3'}",
    "database, as `postgres://user:password@host/name`",
    shown="SQLite in the data folder",
)
HUB_DATABASE_CONNECTIONS = positive(
    "HUB_DATABASE_CONNECTIONS",
    16,
    "maximum number of PostgreSQL connections per process; see [Scaling](scaling.md)",
)
DATABASES: dict[str, dict[str, Any]] = {"default": env.db_url_config(database_url)}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # IMMEDIATE takes the write lock at the start. A deferred transaction that reads and then writes would fail instead
    # of waiting.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 30,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA busy_timeout=30000;",
    }
    DATABASES["default"]["CONN_MAX_AGE"] = 60
else:
    # A request that gets no connection within 10 s is answered with 503. A server that is down is retried for 5 s, and
    # then again at the next request.
    pool = {
        "min_size": 1,
        "max_size": HUB_DATABASE_CONNECTIONS,
        "timeout": 10,
        "reconnect_timeout": 5,
    }
    # The threshold 0 prepares queries of hub.database.prepared() on first use. Django's own cursors never prepare.
    DATABASES["default"]["OPTIONS"] = DATABASES["default"].get("OPTIONS", {}) | {"pool": pool, "prepare_threshold": 0}

REDIS_URL = text("REDIS_URL", "", "job queue, as `redis://host:6379/0`", shown="a queue in the data folder")
QUEUE_DIR = HUB_DATA_DIR / "queue"
CELERY_BROKER_URL = REDIS_URL or "folder://localhost"
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = (
    # Redis redelivers the jobs of a dead worker after an hour. A job that runs longer holds a lock.
    {"socket_connect_timeout": 2, "socket_timeout": 10, "visibility_timeout": 3600}
    if REDIS_URL
    else {
        "data_folder_in": str(QUEUE_DIR),
        "polling_interval": 0.05,
    }
)
CELERY_WORKER_ENABLE_REMOTE_CONTROL = bool(REDIS_URL)
if not REDIS_URL:
    QUEUE_DIR.mkdir(exist_ok=True)

section("Store and delivery")

HUB_STORAGE = one_of(
    "HUB_STORAGE", ("filesystem", "s3"), "package store: `filesystem`, or `s3` with the `AWS_…` variables below"
)
HUB_DELIVERY = one_of(
    "HUB_DELIVERY",
    ("stream", "redirect", "accel"),
    "how packages are sent: `stream` (by the hub), `redirect` (signed URLs of the store), `accel` (by nginx, cached)",
)
HUB_CDN_URL = text(
    "HUB_CDN_URL", "", "CDN in front of the hub for packages of public channels, such as `https://cdn.example.org`"
).rstrip("/")
HUB_PRESIGNED_URL_S = positive("HUB_PRESIGNED_URL_S", 60, "lifetime of a signed URL in seconds")
CHANNEL_STORES: dict[str, dict[str, Any]] = {
    "filesystem": {
        "BACKEND": "hub.storage.folder.FolderStore",
        "OPTIONS": {"root": HUB_DATA_DIR / "channels", "follows_links": False},
    },
    "s3": {"BACKEND": "hub.storage.s3.S3Store"},
}
STORAGES: dict[str, dict[str, Any]] = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    "channels": CHANNEL_STORES[HUB_STORAGE],
}
AWS_STORAGE_BUCKET_NAME = text("AWS_STORAGE_BUCKET_NAME", "", "S3 bucket")
if HUB_STORAGE == "s3" and not AWS_STORAGE_BUCKET_NAME:
    raise ImproperlyConfigured("HUB_STORAGE is 's3'; expected AWS_STORAGE_BUCKET_NAME to name the bucket.")
AWS_S3_ENDPOINT_URL = text("AWS_S3_ENDPOINT_URL", "", "S3 endpoint URL; not needed for AWS") or None
AWS_S3_REGION_NAME = text("AWS_S3_REGION_NAME", "", "S3 region", shown="as boto3 finds it") or None
# Without an endpoint, boto3's "auto" would sign addresses for the global host instead of the region's.
AWS_S3_ADDRESSING_STYLE = one_of(
    "AWS_S3_ADDRESSING_STYLE",
    ("auto", "path", "virtual") if AWS_S3_ENDPOINT_URL else ("virtual", "path", "auto"),
    "S3 addressing style: `auto`, `path` or `virtual`",
    shown="`auto` with an endpoint URL, else `virtual`",
)
# Without these keys, boto3 uses its default credential chain: profile, role, instance metadata.
AWS_S3_ACCESS_KEY_ID = text("AWS_ACCESS_KEY_ID", "", "S3 access key ID", shown="as boto3 finds it") or None
AWS_S3_SECRET_ACCESS_KEY = text("AWS_SECRET_ACCESS_KEY", "", "S3 secret access key", shown="as boto3 finds it") or None
AWS_SESSION_TOKEN = (
    text("AWS_SESSION_TOKEN", "", "session token of temporary S3 credentials", shown="as boto3 finds it") or None
)
STATIC_ROOT = HUB_DATA_DIR / "static"
UPLOAD_DIR = HUB_DATA_DIR / "uploads"
UPLOAD_DIR.mkdir(exist_ok=True)
STATIC_ROOT.mkdir(exist_ok=True)
HUB_READERS_GROUP = group(
    "HUB_READERS_GROUP",
    "group (name or number) that may read packages in the data folder, such as nginx's group with `accel`",
    shown="only the hub's user can read them",
)
IS_SENT_BY_OTHERS = HUB_DELIVERY == "accel" and HUB_STORAGE == "filesystem"
private_files.restrict(HUB_DATA_DIR, readers=HUB_READERS_GROUP, is_sent_by_others=IS_SENT_BY_OTHERS)

section("People")

HUB_SIGN_UP = one_of(
    "HUB_SIGN_UP",
    ("invitation", "open", "domains"),
    "people who can [sign up](#who-signs-in-and-by-what): `invitation` (invited people), `open` (anybody), `domains`",
)
HUB_SIGN_UP_DOMAINS = [
    domain.lower() for domain in words("HUB_SIGN_UP_DOMAINS", "e-mail domains that may sign up, comma-separated")
]
if HUB_SIGN_UP == "domains" and not HUB_SIGN_UP_DOMAINS:
    raise ImproperlyConfigured("HUB_SIGN_UP is 'domains'; expected HUB_SIGN_UP_DOMAINS to name at least one.")
HUB_GITLAB_URL = text("HUB_GITLAB_URL", "https://gitlab.com", "URL of the GitLab instance for sign-in").rstrip("/")
HUB_OIDC_PROVIDERS = words(
    "HUB_OIDC_PROVIDERS", "names of [OpenID Connect providers](#who-signs-in-and-by-what) for sign-in, comma-separated"
)
SOCIALACCOUNT_PROVIDERS: dict[str, dict[str, Any]] = {
    "github": {"APPS": client("HUB_GITHUB", "of the OAuth app registered at GitHub")},
    "gitlab": {
        "APPS": client("HUB_GITLAB", "of the application registered at GitLab, with the scope `read_user`"),
        "GITLAB_URL": HUB_GITLAB_URL,
    },
    "google": {"APPS": client("HUB_GOOGLE", "of the OAuth client registered at Google"), "SCOPE": ["profile", "email"]},
    "openid_connect": {"APPS": oidc_clients(HUB_OIDC_PROVIDERS)},
}
for provider in SOCIALACCOUNT_PROVIDERS.values():
    provider["OAUTH_PKCE_ENABLED"] = True

HUB_OIDC_PRIVATE_KEY = text(
    "HUB_OIDC_PRIVATE_KEY",
    "",
    "RSA private key (PEM) that signs identity tokens; the same on all machines",
    shown="kept in the data folder",
).replace("\\n", "\n")
IDP_OIDC_PRIVATE_KEY = HUB_OIDC_PRIVATE_KEY or kept_secret(HUB_DATA_DIR / "oidc_private_key.pem", new_rsa_key)
email_url = text(
    "EMAIL_URL",
    "consolemail://",
    "mail server, as `smtp+tls://user:password@mail.example.org:587`",
    shown="mails are printed",
)
vars().update(env.email_url_config(email_url))
DEFAULT_FROM_EMAIL = text(
    "HUB_MAIL_FROM", f"Channelhub <hub@{public.hostname}>", "sender address of mails", shown="`Channelhub <hub@HOST>`"
)

section("Limits of each user")

# With open sign-up, anybody can create an account, so default limits apply.
IS_FOR_STRANGERS = HUB_SIGN_UP == "open"
HUB_USER_CHANNELS = positive(
    "HUB_USER_CHANNELS",
    20 if IS_FOR_STRANGERS else 0,
    "maximum [channels](#limits-of-each-user) of a user, including those a pending publisher can create; 0: no limit",
    at_least=0,
    shown="20 where sign-up is `open`, else 0",
)
HUB_USER_BYTES = positive(
    "HUB_USER_BYTES",
    10 * sizes.GIB if IS_FOR_STRANGERS else 0,
    "maximum bytes of packages in all channels of a user; 0: no limit",
    at_least=0,
    shown="10 GiB where sign-up is `open`, else 0",
)
HUB_USER_PACKAGES_A_DAY = positive(
    "HUB_USER_PACKAGES_A_DAY",
    500 if IS_FOR_STRANGERS else 0,
    "maximum packages uploaded to a user's channels per day (UTC); 0: no limit",
    at_least=0,
    shown="500 where sign-up is `open`, else 0",
)
HUB_WATCHED_CHANNELS = positive(
    "HUB_WATCHED_CHANNELS",
    0 if IS_FOR_STRANGERS else 20,
    "maximum number of channels that [watch their prefix](imports.md#watch-a-prefix) of the store; 0: none",
    at_least=0,
    shown="0 where sign-up is `open`, else 20",
)
HUB_USER_PENDING_PUBLISHERS = positive(
    "HUB_USER_PENDING_PUBLISHERS",
    20,
    "maximum pending trusted publishers (whose channel doesn't exist yet) of a user; 0: no limit",
    at_least=0,
)
HUB_USER_TEAMS = positive("HUB_USER_TEAMS", 50, "maximum teams that a user can create; 0: no limit", at_least=0)
HUB_USER_KEYS = positive(
    "HUB_USER_KEYS",
    200,
    "maximum active API keys of a user, and of a channel; 0: no limit",
    at_least=0,
)
HUB_CHANNEL_BYTES = positive(
    "HUB_CHANNEL_BYTES",
    0,
    "maximum bytes of packages in a channel, unless it has its own [quota](#quotas-of-channels); 0: no limit",
    at_least=0,
)
HUB_CHANNEL_PUBLISHERS = positive(
    "HUB_CHANNEL_PUBLISHERS", 100, "maximum trusted publishers of a channel; 0: no limit", at_least=0
)

# Browser security

SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = public.scheme == "https"
# Redirect only behind a proxy that sets X-Forwarded-Proto. Health probes call the hub directly, by http.
SECURE_SSL_REDIRECT = public.scheme == "https" and HUB_PROXIES > 0
SECURE_HSTS_SECONDS = 31_536_000 if public.scheme == "https" else 0

section("Logs and metrics")

HUB_LOG_FORMAT = one_of(
    "HUB_LOG_FORMAT",
    ("line", "json"),
    "log format: `line`, or `json` (one object per line); see [Monitoring](monitoring.md#logs)",
)
HUB_ACCESS_LOG = switch("HUB_ACCESS_LOG", False, "log every request")
HUB_METRICS_TOKEN = text(
    "HUB_METRICS_TOKEN", "", "bearer token that Prometheus sends to `/metrics`; without it, `/metrics` is disabled"
)
SENTRY_DSN = text("SENTRY_DSN", "", "Sentry DSN for error reports, such as `https://KEY@sentry.example.org/1`")
LOGGING_CONFIG = "hub.observability.logs.configure"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"stderr": {"()": logs.FORMATTERS[HUB_LOG_FORMAT]}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "stderr"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {
        "django.request": {"level": "ERROR"},
        # A wrong Host header is an error of the client. The access log shows its 400; a traceback would add nothing.
        "django.security.DisallowedHost": {"level": "CRITICAL"},
        "celery": {"level": "WARNING"},
        "urllib3": {"level": "ERROR"},
    },
}
if SENTRY_DSN:
    from hub.observability import sentry  # imported here, because loading the library costs time and memory

    sentry.start(SENTRY_DSN)

warn_of_unknown()
