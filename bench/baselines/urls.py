"""Each baseline under a prefix of its own."""

from django.urls import path

from bench.baselines import views

urlpatterns = [
    path(f"{prefix}/{endpoint}", view(endpoint))
    for prefix, view in (("drf", views.plain_drf), ("drf-orjson", views.fixed_drf), ("django", views.plain_django))
    for endpoint in ("health", "setup", "predict", "webhook")
] + [path(f"insert/{endpoint}", views.inserting_django(endpoint)) for endpoint in ("health", "predict", "webhook")]
