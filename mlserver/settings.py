"""Django settings. Every environment variable of the server is read here, through env.py."""

import os
from pathlib import Path
from typing import Any

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

from mlserver.artifact_storage import artifact_storage
from mlserver.env import env_bool, env_int, env_list, env_rate, env_secret, env_str
from mlserver.secret_key import local_secret_key

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = Path(env_str("VAR_DIR", str(BASE_DIR / "var"))).resolve()

DEBUG = env_bool("DEBUG", False)
LOG_LEVEL = env_str("LOG_LEVEL", "INFO").upper()

# --- Engines -------------------------------------------------------------------------------------

DATABASE_URL = env_secret("DATABASE_URL")
REDIS_URL = env_secret("REDIS_URL")
EMBEDDED_POSTGRES = not DATABASE_URL
EMBEDDED_REDIS = not REDIS_URL

if EMBEDDED_POSTGRES:
    _database: dict[str, Any] = {"ENGINE": "mlserver.embedded", "NAME": "mlserver"}
else:
    _database = dict(dj_database_url.parse(DATABASE_URL))
    if _database["ENGINE"] != "django.db.backends.postgresql":
        raise ImproperlyConfigured("DATABASE_URL must name a Postgres database: postgresql://user:password@host/name.")

# A connection lives as long as its thread. No health check per request: it would double the
# queries of a predict; a lost connection is retried where the request looks its project up.
DATABASES = {"default": _database | {"CONN_MAX_AGE": None, "CONN_HEALTH_CHECKS": False}}
if not EMBEDDED_POSTGRES:
    # A database that is away is told of within seconds, and not when the network gives up.
    _reachable = {"connect_timeout": 3, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
    DATABASES["default"]["OPTIONS"] = _reachable | DATABASES["default"].get("OPTIONS", {})
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

CACHES: dict[str, dict[str, Any]] = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
if EMBEDDED_REDIS:
    # django-rq takes its client from a cache: the one way to have a client that starts its server.
    CACHES["embedded_redis"] = {"BACKEND": "mlserver.embedded.redis_client.EngineCache", "LOCATION": str(VAR_DIR)}
    _redis = {"USE_REDIS_CACHE": "embedded_redis"}
else:
    # A Redis that cannot be reached is told of at once: webhooks are answered without it.
    # One that its address names itself stands before this one, and counts.
    _timeout = ("&" if "?" in REDIS_URL else "?") + "socket_connect_timeout=1"
    _redis = {"URL": REDIS_URL if REDIS_URL.startswith("unix:") else REDIS_URL + _timeout}

# A job drains every waiting fit of one project, so it has no time limit of its own.
RQ_QUEUES = {"default": _redis | {"DEFAULT_TIMEOUT": -1}}
RQ = {"COMMIT_MODE": "on_db_commit"}

# --- Security ------------------------------------------------------------------------------------

SECRET_KEY = env_secret("SECRET_KEY")
if not SECRET_KEY:
    if not (EMBEDDED_POSTGRES or DEBUG):
        raise ImproperlyConfigured(
            "Set SECRET_KEY (or SECRET_KEY_FILE) to 50 or more random characters. "
            "It signs sessions and stored pickles, so keep it the same on every web and worker process."
        )
    SECRET_KEY = local_secret_key(VAR_DIR)

SECRET_KEY_FALLBACKS = env_list("SECRET_KEY_FALLBACKS")
ARCHIVE_KEY = env_secret("ARCHIVE_KEY", SECRET_KEY)

ALLOWED_HOSTS = env_list("ALLOWED_HOSTS", "*")
CSRF_TRUSTED_ORIGINS = env_list("CSRF_TRUSTED_ORIGINS")
# Cookies do not tell ports apart: under Django's own names, logging in here would log out of a
# Label Studio on the same host.
SESSION_COOKIE_NAME = "mlserver_sessionid"
CSRF_COOKIE_NAME = "mlserver_csrftoken"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = env_bool("SECURE_COOKIES", False)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if env_bool("BEHIND_TLS_PROXY", False) else None
SILENCED_SYSTEM_CHECKS = [
    "security.W004",  # HSTS and
    "security.W008",  # the redirect to HTTPS belong to the proxy in front of the server.
]

BASIC_AUTH_USER = env_str("BASIC_AUTH_USER")
BASIC_AUTH_PASS = env_secret("BASIC_AUTH_PASS")
URL_TOKEN = env_secret("URL_TOKEN")
if bool(BASIC_AUTH_USER) != bool(BASIC_AUTH_PASS):
    raise ImproperlyConfigured("Set both BASIC_AUTH_USER and BASIC_AUTH_PASS, or neither.")

# --- Backends ------------------------------------------------------------------------------------

ML_BACKEND = env_str("ML_BACKEND", "text_classifier")
BACKENDS_PATH = [Path(part).resolve() for part in env_list("BACKENDS_PATH", separator=os.pathsep)]
LABEL_STUDIO_URL = env_str("LABEL_STUDIO_URL")
LABEL_STUDIO_API_KEY = env_secret("LABEL_STUDIO_API_KEY")
MAX_BODY_MB = env_int("MAX_BODY_MB", 100, minimum=1)
DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_BODY_MB * 1024 * 1024
PRELOAD_BACKEND = env_bool("PRELOAD_BACKEND", True)
PREDICT_QUEUE_SECONDS = env_int("PREDICT_QUEUE_SECONDS", 60, minimum=1)
TRAINING_ATTEMPTS = env_int("TRAINING_ATTEMPTS", 3, minimum=1)
HEARTBEAT_SECONDS = env_int("HEARTBEAT_SECONDS", 10, minimum=3)
SWEEP_SECONDS = env_int("SWEEP_SECONDS", 10, minimum=1)
REQUEUE_SECONDS = env_int("REQUEUE_SECONDS", 60, minimum=1)
KEEP_EVENTS_DAYS = env_int("KEEP_EVENTS_DAYS", 365)
KEEP_RUNS_DAYS = env_int("KEEP_RUNS_DAYS", 365)
KEEP_VERSIONS = env_int("KEEP_VERSIONS", 100)
KEEP_FAILURES_DAYS = env_int("KEEP_FAILURES_DAYS", 90)
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    "artifacts": artifact_storage(env_str("ARTIFACT_STORAGE", str(VAR_DIR / "artifacts"))),
}
ARTIFACT_CACHE = Path(env_str("ARTIFACT_CACHE", str(VAR_DIR / "artifact-cache"))).resolve()
ARTIFACT_CACHE_MB = env_int("ARTIFACT_CACHE_MB", 10_240, minimum=1)
MAX_WARM_INSTANCES = env_int("MAX_WARM_INSTANCES", 32, minimum=1)

# --- Django --------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "mlserver",  # before django_rq and staticfiles, whose rqworker and runserver it extends
    "registry",
    "registry.site.OperatorSiteConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "rest_framework.authtoken",
    "drf_spectacular",
    "drf_spectacular_sidecar",  # the files of /api/docs/, so that a browser fetches none from elsewhere
    "django_rq",
]

# Pages in a browser pass through these. The ML protocol passes through none of them: see wsgi.py.
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

ROOT_URLCONF = "mlserver.urls"
WSGI_APPLICATION = "mlserver.wsgi.application"
# LS calls /predict and /webhook without a trailing slash; a redirect would turn its POST into a GET.
APPEND_SLASH = False
STATIC_URL = "/static/"
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False
LANGUAGE_CODE = "en-us"
USE_TZ = True
TIME_ZONE = env_str("TIME_ZONE", "UTC")

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]

# Of the ML protocol, whose views inherit these. The operators' API sets its own; see mlserver/api/base.py.
REST_FRAMEWORK = {
    "EXCEPTION_HANDLER": "mlserver.protocol.errors.exception_handler",
    "UNAUTHENTICATED_USER": None,
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",  # asked by ./manage.py spectacular alone
}

API_THROTTLE = env_rate("API_THROTTLE", "600/min")

SPECTACULAR_SETTINGS = {
    "TITLE": "ML server for Label Studio: operator API",
    "DESCRIPTION": "Look at projects, versions, events, training runs and failures, and act on them as in the admin.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "COMPONENT_SPLIT_REQUEST": True,
    "COMPONENT_SPLIT_PATCH": False,
    "PREPROCESSING_HOOKS": ["mlserver.api.schema.only_the_api"],
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "mlserver.api.schema.describe_errors",
        "mlserver.api.schema.refuse_unknown_fields",
    ],
    "ENUM_NAME_OVERRIDES": {
        "EventStatus": "registry.models.Event.Status",
        "RunStatus": "registry.models.TrainingRun.Status",
    },
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": "mlserver.logs.SecretMaskingFormatter",
            "format": "%(asctime)s %(levelname)s %(name)s %(message)s",
        },
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    "loggers": {
        "django": {"handlers": ["console"], "level": LOG_LEVEL, "propagate": False},
        "django.server": {"handlers": ["console"], "level": LOG_LEVEL, "propagate": False},
        "rq.worker": {"handlers": ["console"], "level": LOG_LEVEL, "propagate": False},
    },
}
