"""The settings that are the same for every hub: no environment variable changes them."""

from pathlib import Path

from kombu import Queue

BASE_DIR = Path(__file__).resolve().parent.parent

# Applications, and what every request passes through

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
    "hub.database.given_back",
    "hub.unread_bodies.answered_first",
    "hub.observed.observed",
    "hub.middleware.path_key",
    "publishing.path_key_routes.served_routes",
    "hub.middleware.invitation_key",
    "hub.middleware.client_address",
    "hub.middleware.no_nul",
    "hub.middleware.bounded_numbers",
    "hub.middleware.head_as_get",
    "hub.middleware.https_for_changes",
    "django.middleware.security.SecurityMiddleware",
    "hub.content_policy.ContentPolicy",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "hub.middleware.few_permissions",
    "django.middleware.common.CommonMiddleware",
    # Clients that read channel files are answered here; what follows is for browsers and for what changes something.
    "publishing.short_way.short_way",
    "hub.compression.compressed",
    "hub.visible_pages.made_visible",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    # Before the check of the CSRF token, which reads the form.
    "channels_app.misplaced.large_ones",
    "hub.middleware.bounded_body",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "hub.middleware.kept_private",
    "django.contrib.messages.middleware.MessageMiddleware",
    "channels_app.accounts.leaving.leaving",
    "channels_app.accounts.signed_out.told",
    "channels_app.accounts.devices.kept",
    "allauth.account.middleware.AccountMiddleware",
    "allauth.usersessions.middleware.UserSessionsMiddleware",
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

# Database, queue and stores

# Shared by all processes, and there whenever the database is: codes and limits of signing in live in it.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "hub_cache",
        # Beyond it living entries are thrown out, by default of 300: a few hundred requests would end others' sign-ins.
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    }
}

CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
# No job waits behind a long one in a worker's hands, while another worker has nothing to do.
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
# A worker takes all queues where it is not told which (`--queues index`).
CELERY_TASK_QUEUES = [Queue(name, routing_key=name) for name in ("index", "checks", "housekeeping")]
CELERY_TASK_DEFAULT_QUEUE = "housekeeping"
CELERY_TASK_ROUTES = {
    "publishing.tasks.build_index": {"queue": "index"},
    "publishing.tasks.build_stale_indexes": {"queue": "index"},
    "publishing.tasks.open_channel": {"queue": "index"},
    "publishing.tasks.wake_stale_indexes": {"queue": "index"},
    "publishing.tasks.verify*": {"queue": "checks"},
}
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
# What is printed is a mail, whose links the log would hide.
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
ACCOUNT_USERNAME_VALIDATORS = "channels_app.user_names.VALIDATORS"
ACCOUNT_SESSION_REMEMBER = True
# By codes, never by links: no secret stands in an address, and mail scanners that open links use nothing up.
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_EMAIL_VERIFICATION_BY_CODE_ENABLED = ACCOUNT_EMAIL_VERIFICATION_SUPPORTS_RESEND = True
ACCOUNT_PASSWORD_RESET_BY_CODE_ENABLED = True
ACCOUNT_PASSWORD_RESET_BY_CODE_TIMEOUT = 15 * 60
ACCOUNT_CHANGE_EMAIL = ACCOUNT_REAUTHENTICATION_REQUIRED = True
# The adapter does the work of such a mail, and sends none: the hub writes to nobody who has no account.
ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS = True
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
# Limits are those of channels_app.limits, in the database, for everything alike.
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
# Whoever signed up has a verified address; an account that an administrator made may have none.
MFA_ALLOW_UNVERIFIED_EMAIL = True

# Signing in pixi and other applications: the hub as OAuth and OpenID provider

IDP_OIDC_ADAPTER = "channels_app.accounts.oauth.adapter.HubAdapter"
# Clients refresh 300 seconds before the end; what is revoked ends at once, however long it would have lived.
IDP_OIDC_ACCESS_TOKEN_EXPIRES_IN = 3600
IDP_OIDC_REFRESH_TOKEN_EXPIRES_IN = 90 * 24 * 3600
IDP_OIDC_DEVICE_CODE_EXPIRES_IN = 900

# Browser security

# Of every body but an upload; see hub.middleware.bounded_body.
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
CSRF_FAILURE_VIEW = "channels_app.views.csrf_failed"
SESSION_COOKIE_HTTPONLY = True
SECURE_REDIRECT_EXEMPT = ["^healthz$", "^readyz$", "^metrics$"]
# HSTS for the other hosts of the domain is not the hub's to ask for.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
# Not "no-referrer": with it browsers send `Origin: null` with forms, which fails Django's CSRF check at every sign-in.
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        **{of: ["'none'"] for of in ("default-src", "base-uri", "frame-ancestors")},
        **{of: ["'self'"] for of in ("script-src", "style-src", "img-src", "font-src", "connect-src", "form-action")},
    }
}
