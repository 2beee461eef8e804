"""Settings that are the same for every hub. No environment variable changes them."""

from pathlib import Path

from kombu import Queue

from hub import sizes

BASE_DIR = Path(__file__).resolve().parent.parent

# Applications and middleware

INSTALLED_APPS = [
    "channels_app",
    "publishing",
    "hub.administration.AdministrationConfig",
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
    "hub.database.connection_released",
    "hub.http.unread_bodies.answer_before_body",
    "hub.http.request_metrics.request_metrics",
    "hub.http.middleware.path_key",
    "publishing.downloads.path_key_routes.allow_path_key_routes",
    "hub.http.middleware.invitation_key",
    "hub.http.middleware.client_address",
    "hub.http.middleware.reject_nul_bytes",
    "hub.http.middleware.bounded_numbers",
    "hub.http.middleware.head_as_get",
    "hub.http.middleware.https_for_changes",
    "django.middleware.security.SecurityMiddleware",
    "hub.http.content_policy.set_policy",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "hub.http.middleware.permissions_policy",
    "django.middleware.common.CommonMiddleware",
    # The fast path answers reads of channel files. The middleware below serves browsers and requests that change data.
    "publishing.downloads.fast_path.fast_path",
    "hub.http.compression.compress",
    "hub.http.visible_pages.show_invisible_characters",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    # Before the check of the CSRF token, which reads the form.
    "channels_app.site.misplaced.refuse_large_bodies",
    "hub.http.middleware.bounded_body",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "hub.http.middleware.no_store_for_authenticated",
    "django.contrib.messages.middleware.MessageMiddleware",
    "channels_app.accounts.external_redirects.external_redirect",
    "channels_app.accounts.lost_forms.warn_of_lost_form",
    "channels_app.accounts.devices.known_devices",
    "allauth.account.middleware.AccountMiddleware",
    "allauth.usersessions.middleware.UserSessionsMiddleware",
    "hub.http.middleware.plain_errors",
    "channels_app.site.route_limits.rate_limit",
    "channels_app.accounts.reauthentication.require_recent_login",
]
# Protocols of clients, each in one file. hub/protocols.py derives routes, reserved names and more from them.
PROTOCOLS = [
    "publishing.protocols.prefix.PROTOCOL",
    "publishing.protocols.anaconda.PROTOCOL",
    "publishing.protocols.quetz.PROTOCOL",
    "publishing.protocols.artifactory.PROTOCOL",
    "publishing.protocols.minting.PROTOCOL",
    "publishing.protocols.provenance.PROTOCOL",
    "publishing.protocols.upload_page.PROTOCOL",
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

# Database, queue and stores

# Shared by all processes and available whenever the database is. Sign-in codes and rate limits live in it.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "hub_cache",
        # Above this number Django culls live entries. Its default of 300 would end other people's sign-ins.
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    }
}

CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
# A worker reserves one job at a time, so that no job waits behind a long one while another worker is idle.
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
# A worker consumes all queues unless it gets `--queues index`.
CELERY_TASK_QUEUES = [Queue(name, routing_key=name) for name in ("index", "checks", "housekeeping")]
CELERY_TASK_DEFAULT_QUEUE = "housekeeping"
CELERY_TASK_ROUTES = {
    "publishing.tasks.build_index": {"queue": "index"},
    "publishing.tasks.build_stale_indexes": {"queue": "index"},
    "publishing.tasks.open_channel": {"queue": "index"},
    "publishing.tasks.wake_stale_indexes": {"queue": "index"},
    "publishing.tasks.verify*": {"queue": "checks"},
    "publishing.tasks.apply_retention*": {"queue": "checks"},
}
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
# Only mails are printed (console backend). The log would redact the links in them.
CELERY_WORKER_REDIRECT_STDOUTS = False
CELERY_TIMEZONE = "UTC"

AWS_S3_SIGNATURE_VERSION = "s3v4"
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True
EMAIL_TIMEOUT = 10

# Accounts

AUTH_USER_MODEL = "channels_app.User"
LOGIN_URL = "account_login"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
LOGIN_REDIRECT_URL = LOGOUT_REDIRECT_URL = "home"
ACCOUNT_ADAPTER = "channels_app.accounts.adapters.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"username", "email"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "email*", "password1*"]
ACCOUNT_FORMS = {
    "login": "channels_app.accounts.forms.SignInForm",
    "signup": "channels_app.accounts.forms.SignUpForm",
}
ACCOUNT_USERNAME_VALIDATORS = "channels_app.access.user_names.VALIDATORS"
ACCOUNT_SESSION_REMEMBER = True
# E-mail verification uses codes, not links: no secret is in a URL, and mail scanners that open links use up no code.
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_EMAIL_VERIFICATION_BY_CODE_ENABLED = ACCOUNT_EMAIL_VERIFICATION_SUPPORTS_RESEND = True
ACCOUNT_PASSWORD_RESET_BY_CODE_ENABLED = True
ACCOUNT_PASSWORD_RESET_BY_CODE_TIMEOUT = 15 * 60
ACCOUNT_CHANGE_EMAIL = ACCOUNT_REAUTHENTICATION_REQUIRED = True
# The adapter suppresses this mail: the hub sends no mail to people without an account.
ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS = True
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
# allauth's limits are off: channels_app.rate_limits.counters limits all of these in the database.
ACCOUNT_RATE_LIMITS = MFA_RATE_LIMITS = IDP_OIDC_RATE_LIMITS = False
ACCOUNT_REAUTHENTICATION_TIMEOUT = 15 * 60
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}Validator"}
    for name in ("UserAttributeSimilarity", "MinimumLength", "CommonPassword")
]
SOCIALACCOUNT_ADAPTER = "channels_app.accounts.adapters.SocialAccountAdapter"
SOCIALACCOUNT_FORMS = {"signup": "channels_app.accounts.forms.SocialSignUpForm"}
SOCIALACCOUNT_EMAIL_AUTHENTICATION_AUTO_CONNECT = True

# Second factors

MFA_ADAPTER = "channels_app.accounts.adapters.MFAAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
# People who signed up have a verified address. Accounts that an administrator created may have none.
MFA_ALLOW_UNVERIFIED_EMAIL = True

# The hub as OAuth and OpenID Connect provider, for pixi and other applications

IDP_OIDC_ADAPTER = "channels_app.accounts.oauth.adapter.HubAdapter"
# Clients refresh 300 seconds before expiry. A revoked token is refused at once, whatever its lifetime.
IDP_OIDC_ACCESS_TOKEN_EXPIRES_IN = 3600
IDP_OIDC_REFRESH_TOKEN_EXPIRES_IN = 90 * 24 * 3600
IDP_OIDC_DEVICE_CODE_EXPIRES_IN = 900

# Browser security

# Limit of every body except uploads; see hub.http.middleware.bounded_body.
DATA_UPLOAD_MAX_MEMORY_SIZE = sizes.MIB
CSRF_FAILURE_VIEW = "channels_app.site.error_pages.csrf_failed"
SESSION_COOKIE_HTTPONLY = True
SECURE_REDIRECT_EXEMPT = ["^healthz$", "^readyz$", "^metrics$"]
# W005 and W021 ask for HSTS on subdomains and for preloading, which is not the hub's decision.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
# Not "no-referrer": browsers would send `Origin: null` with forms, and Django's CSRF check would fail at sign-in.
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        **{of: ["'none'"] for of in ("default-src", "base-uri", "frame-ancestors")},
        **{of: ["'self'"] for of in ("script-src", "style-src", "img-src", "font-src", "connect-src", "form-action")},
    }
}
