"""Composition. Every value comes from the environment through env.py; tests/settings.py overrides a few lines."""

import socket
from typing import Any

from csp.constants import NONE, SELF

from confhub import env
from confhub.core import logs

BASE_DIR = env.BASE_DIR
VAR_DIR = env.VAR_DIR

if env.flag("CONFHUB_LOCAL", default=False) or env.flag("DEBUG", default=False):
    env.read_dotenv()
DEBUG = env.flag("DEBUG", default=False)
SECRET_KEY = env.secret_key(debug=env.flag("CONFHUB_LOCAL", default=DEBUG)).value
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", default="localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS")
PORT = env.number("PORT", default=8000)

# --- What ConfHub is told -------------------------------------------------------------------
CONFHUB_HOST = env.text("CONFHUB_HOST", socket.gethostname())  # this host's name in statuses
CONFHUB_MAX_RELEASE_BYTES = env.number("CONFHUB_MAX_RELEASE_BYTES", default=1024 * 1024)
# KID:BASE64, the first seals; text here, because a system check says what is wrong with it
CONFHUB_MASTER_KEYS = env.master_keys(local=env.flag("CONFHUB_LOCAL", default=DEBUG))
CONFHUB_ADMIN_PASSWORD = env.text("CONFHUB_ADMIN_PASSWORD")
CONFHUB_ADMIN_TOKEN = env.text("CONFHUB_ADMIN_TOKEN")
# Names, or NAME:PORT, of hosts to which webhooks and hooks may go though their address is private
CONFHUB_OUTGOING_ALLOW = env.words("CONFHUB_OUTGOING_ALLOW")
# REST calls of one token, or of one person's sessions, that a web process takes in a minute; 0: all
CONFHUB_CALLS_PER_MINUTE = env.number("CONFHUB_CALLS_PER_MINUTE", default=3000)
# Where people reach the pages; links in webhooks and mails begin so
CONFHUB_PUBLIC_URL = env.text("CONFHUB_PUBLIC_URL", f"http://127.0.0.1:{PORT}").rstrip("/")
# Deploy gates and watch streams that one web process lets wait at once
CONFHUB_MAX_WAITING = env.number("CONFHUB_MAX_WAITING", default=2000)
CONFHUB_FOLLOW = env.flag("CONFHUB_FOLLOW", default=False)  # this worker follows and sweeps
CONFHUB_HOST_DUTY = env.flag("CONFHUB_HOST_DUTY", default=False)  # this one serves its host
ETCD_ENDPOINTS = env.words("ETCD_ENDPOINTS", default="127.0.0.1:2379")
ETCD_PREFIX = env.text("ETCD_PREFIX", "/confhub/v1")
ETCD_CREDENTIALS = env.etcd_credentials()
# Instances' ids begin with their host's name, so that etcd's roles keep hosts apart
CONFHUB_INSTANCE_PREFIX = env.flag("CONFHUB_INSTANCE_PREFIX", default=False)
REDIS_URL = env.text("REDIS_URL", "redis://127.0.0.1:6379/0")

# --- Mail: webhooks in the form of an e-mail -------------------------------------------------
EMAIL_URL = env.text("EMAIL_URL")  # "": none is sent, and no webhook can be an e-mail
_mail: dict[str, Any] = env.mail(EMAIL_URL)
EMAIL_BACKEND = _mail.get("EMAIL_BACKEND", "django.core.mail.backends.dummy.EmailBackend")
EMAIL_HOST, EMAIL_PORT = _mail.get("EMAIL_HOST", ""), _mail.get("EMAIL_PORT", 25)
EMAIL_HOST_USER = _mail.get("EMAIL_HOST_USER") or ""
EMAIL_HOST_PASSWORD = _mail.get("EMAIL_HOST_PASSWORD") or ""
EMAIL_USE_TLS, EMAIL_USE_SSL = _mail.get("EMAIL_USE_TLS", False), _mail.get("EMAIL_USE_SSL", False)
EMAIL_FILE_PATH = _mail.get("EMAIL_FILE_PATH") or None
CONFHUB_MAIL_FROM = DEFAULT_FROM_EMAIL = env.text("CONFHUB_MAIL_FROM", "confhub@localhost")

# --- The application ------------------------------------------------------------------------
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "django_htmx",
    "django_vite",
    "confhub.core",
    "confhub.events",
    "confhub.catalog",
    "confhub.access",
    "confhub.releases",
    "confhub.publishing",
    "confhub.fleet",
    "confhub.deploys",
    "confhub.webhooks",
    "confhub.api",
    "confhub.cli",
    "dashboard",
]
MIDDLEWARE = [
    "confhub.core.requests.RequestIdMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]
ROOT_URLCONF = "confhub.urls"
ASGI_APPLICATION = "confhub.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "dashboard.shell.context",
            ],
        },
    },
]

# --- The database ---------------------------------------------------------------------------
# Explicit transactions in actions; a request is not one, because it may only wait for the database.
_database: dict[str, Any] = env.database(
    env.text("DATABASE_URL", f"sqlite:///{VAR_DIR / 'confhub.sqlite3'}")
)
if "sqlite" in str(_database["ENGINE"]):
    # IMMEDIATE, because a deferred transaction that reads first fails at once with "database is
    # locked" when it comes to write, whatever the timeout. The journal stays DELETE: SQLite before
    # 3.51.3 can corrupt a WAL with two writers (docs/decisions/0005-sqlite-and-postgresql.md).
    _database["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 10,
        "init_command": "PRAGMA foreign_keys=ON; PRAGMA synchronous=FULL;",
    }
else:
    # Pooled, because an ASGI server gives each request a thread of its own.
    _database["OPTIONS"] = {
        "pool": {"min_size": 1, "max_size": 12, "timeout": 5},
        "options": "-c lock_timeout=3s -c statement_timeout=15s "
        "-c idle_in_transaction_session_timeout=30s",
    }
    _database["CONN_HEALTH_CHECKS"] = True
DATABASES = {"default": _database}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"

# --- Sessions and passwords -----------------------------------------------------------------
LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "sign-in"
CONFHUB_HTTPS = env.flag("CONFHUB_HTTPS", default=False)  # behind a proxy that ends TLS
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = CONFHUB_HTTPS
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SECURE_HSTS_SECONDS = 31_536_000 if CONFHUB_HTTPS else 0
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if CONFHUB_HTTPS else None
# A release may be sent whole; a character of two bytes in UTF-8 has six as a \u escape in JSON.
DATA_UPLOAD_MAX_MEMORY_SIZE = 4 * CONFHUB_MAX_RELEASE_BYTES
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
# No nonce and nothing inline: pages stay cacheable and there is nothing to stamp.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}

# --- Static files ---------------------------------------------------------------------------
STATIC_URL = "/static/"
STATIC_ROOT = env.text("STATIC_ROOT") or None  # where `collectstatic` puts them; none in a checkout
FRONTEND_DIST = BASE_DIR / "dashboard" / "frontend" / "dist"
STATICFILES_DIRS = [FRONTEND_DIST] if FRONTEND_DIST.is_dir() else []
WHITENOISE_USE_FINDERS = True  # so that a checkout needs no collectstatic
DJANGO_VITE = {"default": {"dev_mode": False, "manifest_path": FRONTEND_DIST / "manifest.json"}}

# --- Celery: a doorbell, never the record (docs/decisions/0004-celery-is-a-doorbell.md) ------
CELERY_BROKER_URL = REDIS_URL
CELERY_RESULT_BACKEND = None
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_DEFAULT_QUEUE = "confhub"
CELERY_TASK_ACKS_LATE = False  # a bell heard is done with: its work is in rows, and sweeps find it
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
# No time limits: the threads pool cannot enforce them, so every wait in a task has its own.
CELERY_VISIBILITY_TIMEOUT = 180  # longer than a task ever takes, or a slow one runs twice at once
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": CELERY_VISIBILITY_TIMEOUT,
    "unacked_restore_interval": 10,
    "unacked_restore_throttle": 1,
    "socket_timeout": 5,
    "socket_connect_timeout": 2,
    "socket_keepalive": True,
    "health_check_interval": 5,
    "global_keyprefix": "confhub:",
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 10
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_TASK_PUBLISH_RETRY_POLICY = {
    "max_retries": 2,
    "interval_start": 0,
    "interval_step": 0.2,
    "interval_max": 0.5,
}
# Beat only rings doorbells; every one is also rung by name the moment there is work.
CELERY_BEAT_SCHEDULE = {
    "relay": {"task": "confhub.publishing.relay", "schedule": 2.0},
    "reconcile": {"task": "confhub.publishing.reconcile", "schedule": 20.0},
    "fan-out": {"task": "confhub.events.fan_out", "schedule": 2.0},
    "tell-hooks": {"task": "confhub.publishing.tell_hooks", "schedule": 10.0},
    "forget": {"task": "confhub.fleet.forget_gone", "schedule": 300.0},
    "forget-events": {"task": "confhub.events.forget_old", "schedule": 3600.0},
}
CELERY_BEAT_SCHEDULE_FILENAME = env.text("CONFHUB_BEAT_FILE", str(VAR_DIR / "beat-schedule"))

# --- Channels: a nudge that rows are waiting; a lost one costs a delay ------------------------
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        "CONFIG": {
            "hosts": [
                {
                    "address": REDIS_URL,
                    "socket_connect_timeout": 2,
                    "socket_keepalive": True,
                    "max_connections": 2000,  # 200 sockets closing at once exhaust the default
                }
            ],
            "prefix": "confhub-live",
            "capacity": 1000,
            "expiry": 30,
            "group_expiry": 7200,
        },
    },
}

LOGGING = logs.dict_config(
    level=env.text("LOG_LEVEL", "INFO"),
    as_json=env.flag("LOG_JSON", default=not env.flag("CONFHUB_LOCAL", default=DEBUG)),
)
