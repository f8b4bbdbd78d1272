"""The whole URL surface.

Label Studio keeps the path of the address it was given on every call, so each of these is an
address to paste into it:

    http://host:9090                          the backend chosen by ML_BACKEND
    http://host:9090/<backend>                any other backend of this server
    http://host:9090/t/<token>[/<backend>]    the same, authenticated by URL_TOKEN
"""

from django.contrib import admin
from django.urls import include, path

from mlserver.protocol import jobs, views

_protocol = [
    path("", views.IndexView.as_view(), name="index"),
    path("health", views.HealthView.as_view(), name="health"),
    path("setup", views.SetupView.as_view(), name="setup"),
    path("predict", views.PredictView.as_view(), name="predict"),
    path("webhook", views.WebhookView.as_view(), name="webhook"),
    path("versions", views.VersionsView.as_view(), name="versions"),
    path("train", jobs.TrainView.as_view(), name="train"),
    path("job_status", jobs.JobStatusView.as_view(), name="job_status"),
    path("is_training", jobs.IsTrainingView.as_view(), name="is_training"),
    path("metrics", views.MetricsView.as_view(), name="metrics"),
]

urlpatterns = [
    path("", include(_protocol)),
    path("admin/", admin.site.urls),
    path("api/", include("mlserver.api.urls")),
    path("queues/", include("django_rq.urls")),
    path("t/<str:token>", views.IndexView.as_view()),
    path("t/<str:token>/", include(_protocol)),
    path("t/<str:token>/<slug:backend>/", include(_protocol)),
    path("<slug:backend>", views.IndexView.as_view()),
    path("<slug:backend>/", include(_protocol)),
]

handler400 = "mlserver.protocol.errors.bad_request"
handler404 = "mlserver.protocol.errors.not_found"
handler500 = "mlserver.protocol.errors.server_error"
