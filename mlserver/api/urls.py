"""The addresses under /api/, with or without a slash at their end."""

from typing import Any

from django.urls import include, path, re_path
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.routers import SimpleRouter

from mlserver.api import views
from mlserver.api.base import OperatorView
from mlserver.api.errors import no_such_address
from mlserver.api.schema import DocsView, SchemaView


class OperatorRouter(SimpleRouter):
    """Takes an address without its last slash as well: a redirect would turn a POST into a GET."""

    def __init__(self) -> None:
        super().__init__()
        self.trailing_slash = "/?"


_router = OperatorRouter()
_router.register("projects", views.ProjectViewSet)
_router.register("versions", views.VersionViewSet)
_router.register("aliases", views.AliasViewSet)
_router.register("promotions", views.PromotionViewSet)
_router.register("events", views.EventViewSet)
_router.register("runs", views.RunViewSet)
_router.register("failures", views.FailureViewSet)


class RootView(OperatorView):
    """What there is."""

    @extend_schema(exclude=True)
    def get(self, request: Request, **kwargs: Any) -> Response:
        """Answer with the addresses of the lists."""
        lists = {prefix: reverse(f"{basename}-list", request=request) for prefix, _, basename in _router.registry}
        return Response(lists | {name: reverse(f"api-{name}", request=request) for name in ("schema", "docs")})


urlpatterns = [
    path("", RootView.as_view(), name="api-root"),
    re_path(r"^schema/?$", SchemaView.as_view(), name="api-schema"),
    re_path(r"^docs/?$", DocsView.as_view(), name="api-docs"),
    path("", include(_router.urls)),
    re_path("", no_such_address),
]
