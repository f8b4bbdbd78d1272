"""The least that Django and DRF need, with this server's settings for what gunicorn's hooks read."""

from mlserver.settings import *  # noqa: F403

ROOT_URLCONF = "bench.baselines.urls"
# DRF's defaults ask for the user, whose class these two hold.
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "rest_framework"]
MIDDLEWARE = []
REST_FRAMEWORK = {}
