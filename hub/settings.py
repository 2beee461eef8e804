"""Every setting, from environment variables; each limit carries its unit. A bad value stops the start with one line.

A new one is read by a function of hub/variables.py, with its default and meaning, in the section where it belongs; then
`manage.py settings --write` brings docs/operating.md up to date. What nobody sets is in fixed_settings.py.
"""

from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from hub import private_files
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

HUB_DATA_DIR = folder("HUB_DATA_DIR", BASE_DIR / "data", "database, store, queue and temporary files", shown="`./data`")
EVERY_ADDRESS = "0.0.0.0"  # noqa: S104  # nosec B104  # compared, not bound
HUB_HOST = text("HUB_HOST", "127.0.0.1", "the address that `make run` listens on; `0.0.0.0` is every IPv4 address")
HUB_PORT = positive("HUB_PORT", 8000, "the port that `make run` listens on", at_most=65535)
HUB_PUBLIC_URL = text(
    "HUB_PUBLIC_URL",
    f"http://{'127.0.0.1' if HUB_HOST == EVERY_ADDRESS else HUB_HOST}:{HUB_PORT}",
    "the address that people and clients use",
    shown="`http://127.0.0.1:8000`",
).rstrip("/")
public = urlsplit(HUB_PUBLIC_URL)
if public.scheme not in ("http", "https") or not public.hostname or public.path or public.query:
    raise ImproperlyConfigured(
        f"HUB_PUBLIC_URL is {HUB_PUBLIC_URL!r}; expected an origin such as https://hub.example.org."
    )
# As clients write it: without the port, an international name in its ASCII form.
PUBLIC_HOST: str = public.hostname.encode("idna").decode()
HUB_PROXIES = positive(
    "HUB_PROXIES",
    0,
    "how many proxies of yours stand before the hub; then `X-Forwarded-For` and `X-Forwarded-Proto` are believed",
    at_least=0,
)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HUB_PROXIES else None
HUB_ALLOWED_HOSTS = words("HUB_ALLOWED_HOSTS", "further host names that the hub answers for, by commas")
LISTENING_HOSTS = [] if HUB_HOST == EVERY_ADDRESS else [HUB_HOST]
ALLOWED_HOSTS = [PUBLIC_HOST, *LISTENING_HOSTS, "localhost", "127.0.0.1", "[::1]", *HUB_ALLOWED_HOSTS]
CSRF_TRUSTED_ORIGINS = [HUB_PUBLIC_URL]
SECRET_KEY = text(
    "SECRET_KEY",
    "",
    "signs sessions and [encrypts second factors](#second-factors-at-rest); on several machines the same",
    shown="kept in the data folder",
) or kept_secret(HUB_DATA_DIR / "secret_key")
SECRET_KEY_FALLBACKS = words(
    "SECRET_KEY_FALLBACKS", "earlier values of it, by commas: what they signed or encrypted is still read"
)
HUB_PATH_KEYS = switch(
    "HUB_PATH_KEYS", True, "whether a key may come as `/t/KEY/` before the path, as from conda and mamba"
)
HUB_SECURITY_CONTACT = contact(
    "HUB_SECURITY_CONTACT",
    "who takes reports of security problems, for `/.well-known/security.txt`: an e-mail address or an `https://` page",
)
HUB_ADMIN_USERNAME = text("HUB_ADMIN_USERNAME", "admin", "the administrator that the first start makes")
HUB_ADMIN_PASSWORD = text("HUB_ADMIN_PASSWORD", "", "the same one's password", shown="printed once")
DEBUG = switch("HUB_DEBUG", False, "Django's debug pages; never in production")

section("Limits and times")

HUB_MAX_UPLOAD_BYTES = positive(
    "HUB_MAX_UPLOAD_BYTES", 2 * 1024**3, "the largest package; a channel can have its own limit", shown="2 GiB"
)
# The fields of publishing.archive.limits.Limits.
HUB_PACKAGE_LIMITS = numbers(
    "HUB_PACKAGE_LIMITS",
    "what a package may cost to check, as `name=number,…`",
    shown="see [Package checks](package-checks.md)",
)
HUB_RESERVATION_S = positive("HUB_RESERVATION_S", 900, "how long a file name stays reserved for an upload's bytes")
HUB_INDEX_PAUSE_MS = positive("HUB_INDEX_PAUSE_MS", 250, "the least time between two builds of one index")
HUB_RETIRED_SHARD_DAYS = positive("HUB_RETIRED_SHARD_DAYS", 7, "how long an unused shard is kept")
HUB_GRACE_HOURS = positive("HUB_GRACE_HOURS", 24, "how long what was deleted can be restored")
HUB_DOWNLOAD_COUNT_S = positive("HUB_DOWNLOAD_COUNT_S", 5, "how often counted downloads are written")
# The names of channels_app.rate_limits.counters.LIMITS.
HUB_RATE_LIMITS = numbers(
    "HUB_RATE_LIMITS", "how often what may be tried, as `name=number,…`", shown="see [Limits](#limits)"
)

HUB_SHUTDOWN_S = positive(
    "HUB_SHUTDOWN_S", 30, "how long a web process that is told to stop goes on with requests, such as a slow upload"
)

section("Trusted publishing")

HUB_MINTED_KEY_MINUTES = positive(
    "HUB_MINTED_KEY_MINUTES",
    15,
    "how long a [trusted publisher's](trusted-publishing.md) key lives, 5 to 60",
    at_least=5,
    at_most=60,
)
# Clients from before June 2026 ask their CI for tokens meant for prefix.dev, whichever hub they talk to.
HUB_PREFIX_DEV_AUDIENCE = switch(
    "HUB_PREFIX_DEV_AUDIENCE",
    False,
    "whether identity tokens made for `prefix.dev` are taken, as old clients ask for them",
)
HUB_INTERNAL_HOSTS = words(
    "HUB_INTERNAL_HOSTS",
    "issuers that may have a private address or speak http: hosts, with their ports, by commas",
)
HUB_TUF_URL = text(
    "HUB_TUF_URL",
    "https://tuf-repo-cdn.sigstore.dev",
    "where the public Sigstore's trust root is fetched from; empty: nowhere, the one shipped with the hub is used",
).rstrip("/")
HUB_TUF_ROOT = text("HUB_TUF_ROOT", "", "of another such place, the path of its first `root.json`")
HUB_TRUST_ROOT = text(
    "HUB_TRUST_ROOT",
    "",
    "a private Sigstore's `trusted_root.json`, by which [attestations](provenance.md) are verified; nothing is fetched",
)

section("Database and queue")

database_url = text(
    "DATABASE_URL",
    f"sqlite:///{HUB_DATA_DIR / 'hub.sqlite3'}",
    "`postgres://user:password@host/name`",
    shown="SQLite in the data folder",
)
HUB_DATABASE_CONNECTIONS = positive(
    "HUB_DATABASE_CONNECTIONS",
    16,
    "how many connections to PostgreSQL a process has at most, for all of its threads; see [Scaling](scaling.md)",
)
DATABASES: dict[str, dict[str, Any]] = {"default": env.db_url_config(database_url)}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # IMMEDIATE: a transaction that reads first and writes later would fail instead of waiting for its turn.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 30,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA busy_timeout=30000;",
    }
    DATABASES["default"]["CONN_MAX_AGE"] = 60
else:
    # Who waits longer is told to come again. A server that is down is tried for 5 s, then by whoever asks next.
    pool = {
        "min_size": 1,
        "max_size": HUB_DATABASE_CONNECTIONS,
        "timeout": 10,
        "reconnect_timeout": 5,
    }
    # Prepared are the queries of hub.database.prepared(), at once; Django's own cursors prepare none.
    DATABASES["default"]["OPTIONS"] = DATABASES["default"].get("OPTIONS", {}) | {"pool": pool, "prepare_threshold": 0}

REDIS_URL = text("REDIS_URL", "", "`redis://host:6379/0`", shown="a queue in the data folder")
QUEUE_DIR = HUB_DATA_DIR / "queue"
CELERY_BROKER_URL = REDIS_URL or "folder://localhost"
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = (
    # Of a worker that died: its jobs go to another one after an hour. A job that takes longer holds a lock.
    {"socket_connect_timeout": 2, "socket_timeout": 10, "visibility_timeout": 3600}
    if REDIS_URL
    else {
        "data_folder_in": str(QUEUE_DIR),
        "data_folder_out": str(QUEUE_DIR),
        "polling_interval": 0.05,
    }
)
CELERY_WORKER_ENABLE_REMOTE_CONTROL = bool(REDIS_URL)
if not REDIS_URL:
    QUEUE_DIR.mkdir(exist_ok=True)

section("Store and delivery")

HUB_STORAGE = one_of("HUB_STORAGE", ("filesystem", "s3"), "or `s3`, with the variables below")
HUB_DELIVERY = one_of(
    "HUB_DELIVERY",
    ("stream", "redirect", "accel"),
    "or `redirect`: packages come from the store by signed URLs; or `accel`: nginx sends files, and keeps the store's",
)
HUB_CDN_URL = text(
    "HUB_CDN_URL", "", "a CDN before the hub, `https://cdn.example.org`: packages of public channels come from it"
).rstrip("/")
HUB_PRESIGNED_URL_S = positive("HUB_PRESIGNED_URL_S", 60, "how long a signed URL lives")
CHANNEL_STORES: dict[str, dict[str, Any]] = {
    "filesystem": {"BACKEND": "hub.storage.folder.FolderStore", "OPTIONS": {"root": HUB_DATA_DIR / "channels"}},
    "s3": {"BACKEND": "hub.storage.s3.S3Store"},
}
STORAGES: dict[str, dict[str, Any]] = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    "channels": CHANNEL_STORES[HUB_STORAGE],
}
AWS_STORAGE_BUCKET_NAME = text("AWS_STORAGE_BUCKET_NAME", "", "the bucket")
if HUB_STORAGE == "s3" and not AWS_STORAGE_BUCKET_NAME:
    raise ImproperlyConfigured("HUB_STORAGE is 's3'; expected AWS_STORAGE_BUCKET_NAME to name the bucket.")
AWS_S3_ENDPOINT_URL = text("AWS_S3_ENDPOINT_URL", "", "where it is, unless at AWS") or None
AWS_S3_REGION_NAME = text("AWS_S3_REGION_NAME", "", "its region", shown="as boto3 finds it") or None
# Without an endpoint boto3 would sign "auto" addresses for the global host, whatever the region.
AWS_S3_ADDRESSING_STYLE = one_of(
    "AWS_S3_ADDRESSING_STYLE",
    ("auto", "path", "virtual") if AWS_S3_ENDPOINT_URL else ("virtual", "path", "auto"),
    "or `path`",
    shown="`auto` at an endpoint, else `virtual`",
)
# Without keys boto3 looks where it always does: a profile, a role, the machine's own.
AWS_S3_ACCESS_KEY_ID = text("AWS_ACCESS_KEY_ID", "", "the key to it", shown="as boto3 finds it") or None
AWS_S3_SECRET_ACCESS_KEY = text("AWS_SECRET_ACCESS_KEY", "", "its secret", shown="as boto3 finds it") or None
AWS_SESSION_TOKEN = text("AWS_SESSION_TOKEN", "", "of a temporary key", shown="as boto3 finds it") or None
STATIC_ROOT = HUB_DATA_DIR / "static"
UPLOAD_DIR = HUB_DATA_DIR / "uploads"
UPLOAD_DIR.mkdir(exist_ok=True)
STATIC_ROOT.mkdir(exist_ok=True)
HUB_READERS_GROUP = group(
    "HUB_READERS_GROUP",
    "the group that may read packages in the data folder, by name or number: nginx's, where it sends them",
    shown="the hub's user alone",
)
IS_SENT_BY_OTHERS = HUB_DELIVERY == "accel" and HUB_STORAGE == "filesystem"
private_files.tighten(HUB_DATA_DIR, readers=HUB_READERS_GROUP, is_sent_by_others=IS_SENT_BY_OTHERS)

section("People")

HUB_SIGN_UP = one_of(
    "HUB_SIGN_UP",
    ("invitation", "open", "domains"),
    "who may [make an account](#who-signs-in-and-by-what): `invitation`, `open` or `domains`",
)
HUB_SIGN_UP_DOMAINS = [
    domain.lower()
    for domain in words("HUB_SIGN_UP_DOMAINS", "for `domains`: those of the e-mail addresses that may, by commas")
]
if HUB_SIGN_UP == "domains" and not HUB_SIGN_UP_DOMAINS:
    raise ImproperlyConfigured("HUB_SIGN_UP is 'domains'; expected HUB_SIGN_UP_DOMAINS to name at least one.")
HUB_GITLAB_URL = text("HUB_GITLAB_URL", "https://gitlab.com", "a GitLab of one's own").rstrip("/")
HUB_OIDC_PROVIDERS = words(
    "HUB_OIDC_PROVIDERS", "[providers of OpenID Connect](#who-signs-in-and-by-what) that people sign in by, by commas"
)
SOCIALACCOUNT_PROVIDERS: dict[str, dict[str, Any]] = {
    "github": {"APPS": client("HUB_GITHUB", "the client registered at GitHub")},
    "gitlab": {
        "APPS": client("HUB_GITLAB", "the one at GitLab, with the scope `read_user`"),
        "GITLAB_URL": HUB_GITLAB_URL,
    },
    "google": {"APPS": client("HUB_GOOGLE", "the one at Google"), "SCOPE": ["profile", "email"]},
    "openid_connect": {"APPS": oidc_clients(HUB_OIDC_PROVIDERS)},
}
for provider in SOCIALACCOUNT_PROVIDERS.values():
    provider["OAUTH_PKCE_ENABLED"] = True

HUB_OIDC_PRIVATE_KEY = text(
    "HUB_OIDC_PRIVATE_KEY",
    "",
    "signs identity tokens: an RSA key, as PEM; on several machines the same",
    shown="kept in the data folder",
).replace("\\n", "\n")
IDP_OIDC_PRIVATE_KEY = HUB_OIDC_PRIVATE_KEY or kept_secret(HUB_DATA_DIR / "oidc_private_key.pem", new_rsa_key)
email_url = text(
    "EMAIL_URL", "consolemail://", "`smtp+tls://user:password@mail.example.org:587`", shown="mails are printed"
)
vars().update(env.email_url_config(email_url))
DEFAULT_FROM_EMAIL = text(
    "HUB_MAIL_FROM", f"Channelhub <hub@{public.hostname}>", "whom mails are from", shown="`Channelhub <hub@HOST>`"
)

section("Limits of each user")

# What strangers can use up is bounded where anybody can make an account.
IS_FOR_STRANGERS = HUB_SIGN_UP == "open"
HUB_USER_CHANNELS = positive(
    "HUB_USER_CHANNELS",
    20 if IS_FOR_STRANGERS else 0,
    "how many [channels](#limits-of-each-user) a user may have, those that CI may make included; 0: any number",
    at_least=0,
    shown="20 where sign-up is `open`, else 0",
)
HUB_USER_BYTES = positive(
    "HUB_USER_BYTES",
    10 * 1024**3 if IS_FOR_STRANGERS else 0,
    "how many bytes of packages a user's channels may hold; 0: any number",
    at_least=0,
    shown="10 GiB where sign-up is `open`, else 0",
)
HUB_USER_PACKAGES_A_DAY = positive(
    "HUB_USER_PACKAGES_A_DAY",
    500 if IS_FOR_STRANGERS else 0,
    "how many packages a day (UTC) may come into a user's channels; 0: any number",
    at_least=0,
    shown="500 where sign-up is `open`, else 0",
)
HUB_USER_PENDING_PUBLISHERS = positive(
    "HUB_USER_PENDING_PUBLISHERS",
    20,
    "how many trusted publishers a user may have that wait for their channel; 0: any number",
    at_least=0,
)
HUB_USER_TEAMS = positive("HUB_USER_TEAMS", 50, "how many teams a user may make; 0: any number", at_least=0)
HUB_USER_KEYS = positive(
    "HUB_USER_KEYS",
    200,
    "how many API keys that work a user may have, and a channel of its own; 0: any number",
    at_least=0,
)
HUB_CHANNEL_PUBLISHERS = positive(
    "HUB_CHANNEL_PUBLISHERS", 100, "how many trusted publishers a channel may have; 0: any number", at_least=0
)

# Browser security

SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = public.scheme == "https"
# Behind a proxy that says by what the request came; the probes of health come from inside.
SECURE_SSL_REDIRECT = public.scheme == "https" and HUB_PROXIES > 0
SECURE_HSTS_SECONDS = 31_536_000 if public.scheme == "https" else 0

section("Logs and metrics")

HUB_LOG_FORMAT = one_of(
    "HUB_LOG_FORMAT", ("line", "json"), "or `json`: an object a line; see [Monitoring](monitoring.md#logs)"
)
HUB_ACCESS_LOG = switch("HUB_ACCESS_LOG", False, "whether every request has its line in the log")
HUB_METRICS_TOKEN = text(
    "HUB_METRICS_TOKEN", "", "what Prometheus sends as a bearer token for `/metrics`, which nobody reads without it"
)
SENTRY_DSN = text("SENTRY_DSN", "", "where errors are reported to, such as `https://KEY@sentry.example.org/1`")
LOGGING_CONFIG = "hub.observability.logs.configure"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"stderr": {"()": logs.FORMATTERS[HUB_LOG_FORMAT]}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "stderr"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {
        "django.request": {"level": "ERROR"},
        # A wrong Host header is the client's fault: the access log has its 400, and needs no traceback.
        "django.security.DisallowedHost": {"level": "CRITICAL"},
        "celery": {"level": "WARNING"},
        "urllib3": {"level": "ERROR"},
    },
}
if SENTRY_DSN:
    from hub.observability import sentry  # with the library, which a hub without the setting need not load

    sentry.start(SENTRY_DSN)

warn_of_unknown()
