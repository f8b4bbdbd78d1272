"""The admin site: what operators come for stands first."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.apps import AdminConfig
from django.http import HttpRequest

_ORDER = (
    "Project",
    "ModelVersion",
    "Promotion",
    "Alias",
    "TrainingRun",
    "Event",
    "Failure",
    "AnnotatedTask",
    "Annotation",
    "Artifact",
    "StoredFile",
    "StateEntry",
    "Blob",
)


class OperatorSite(admin.AdminSite):
    """Django's admin, with the registry before everything else and its pages in the order of use."""

    site_header = "ML server for Label Studio"
    site_title = "ML server"
    index_title = "Projects, versions and training"

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """Return the apps and their models, sorted for operators and not by the alphabet."""
        apps = super().get_app_list(request, app_label)
        for app in apps:
            app["models"].sort(key=lambda model: _place(model["object_name"]))
        return sorted(apps, key=lambda app: bool(app["app_label"] != "registry"))


class OperatorSiteConfig(AdminConfig):
    """Puts the site in place of Django's own."""

    default_site = "registry.site.OperatorSite"


def _place(model: str) -> int:
    return _ORDER.index(model) if model in _ORDER else len(_ORDER)
