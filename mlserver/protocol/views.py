"""The views of Label Studio's ML protocol."""

from typing import Any

from django.conf import settings
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import render
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from backends import label_config as label_configs
from backends import loading
from mlserver.protocol import messages
from mlserver.protocol.authentication import ProtocolAuthentication
from mlserver.protocol.errors import BodyTooLarge
from mlserver.protocol.json import FixedNegotiation, OrjsonParser, OrjsonRenderer
from registry import events, metrics, projects, serving, versions
from registry.models import Event

# What a webhook is answered with; other statuses are named as they are.
_RECEIVED: dict[str, str] = {Event.Status.PENDING: "ok"}


class ProtocolView(APIView):
    """Base of the views: JSON in and out, authenticated, for the backend that the address names."""

    authentication_classes = [ProtocolAuthentication]
    permission_classes = []
    throttle_classes = []
    parser_classes = [OrjsonParser]
    renderer_classes = [OrjsonRenderer]
    content_negotiation_class = FixedNegotiation
    versioning_class = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Refuse what need not be read: a stranger, an unknown backend, a body that is too large."""
        super().initial(request, *args, **kwargs)
        self.backend: str = kwargs.get("backend") or settings.ML_BACKEND
        if loading.loaded(self.backend) is None:
            loading.folder_of(self.backend, settings.BACKENDS_PATH)
        if int(request.META.get("CONTENT_LENGTH") or 0) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            raise BodyTooLarge(
                f"The body is larger than {settings.MAX_BODY_MB} MB. Send fewer tasks, or raise MAX_BODY_MB."
            )


class OpenView(ProtocolView):
    """Base of the views that tell no more than that the server is there."""

    authentication_classes = []


class HealthView(OpenView):
    """GET /health: Label Studio asks with a timeout of one second, and often."""

    def get(self, request: Request, **kwargs: Any) -> Response:
        """Answer at once; no model is loaded."""
        return Response({"status": "UP", "backend": self.backend})


class IndexView(OpenView):
    """GET /: the health for Label Studio, a page for a person."""

    def get(self, request: Request, **kwargs: Any) -> HttpResponseBase:
        """Answer in the form that the caller reads."""
        if "text/html" not in request.META.get("HTTP_ACCEPT", ""):
            return Response({"status": "UP", "backend": self.backend})
        context = {
            "backend": self.backend,
            "address": request.build_absolute_uri(request.path).rstrip("/"),
            "backends": loading.available(settings.BACKENDS_PATH),
        }
        return render(request._request, "mlserver/index.html", context)


class SetupView(ProtocolView):
    """POST /setup: Label Studio says what a project is, and asks for the model version."""

    def post(self, request: Request, **kwargs: Any) -> Response:
        """Remember the project, start warming its model, and answer with the version that will serve."""
        message = messages.Setup.read(request.data)
        label_configs.parse(message.label_config)
        project = projects.find_or_create(self.backend, message.project)
        projects.remember(
            project,
            label_config=message.label_config,
            extra_params=message.extra_params,
            label_studio_url=message.hostname or "",
            access_token=message.access_token or "",
        )
        return Response({"model_version": serving.warm(project, message.label_config)})


class PredictView(ProtocolView):
    """POST /predict: predictions for a batch of tasks, or for one while it is being labelled."""

    def post(self, request: Request, **kwargs: Any) -> Response:
        """Answer one item per task, in order."""
        message = messages.Predict.read(request.data)
        params = message.params or messages.PredictParams()
        results = serving.predict(
            projects.standing(self.backend, message.project),
            message.tasks,
            label_config=message.label_config,
            context=params.context,
            login=params.login,
            password=params.password,
        )
        if "model_version" in message.model_fields_set:
            results = [item[0] if isinstance(item, list) else item for item in results]
        return Response({"results": results})


class WebhookView(ProtocolView):
    """POST /webhook: something happened in a project. Label Studio waits one second and never retries."""

    def post(self, request: Request, **kwargs: Any) -> Response:
        """Store the event and answer; training comes later, in a worker."""
        body: bytes = request._request.body
        payload: Any = request.data
        message = messages.Webhook.read(payload)
        receipt = events.receive(self.backend, message.project, message.action, payload, body)
        answer = {"status": _RECEIVED.get(receipt.status, receipt.status), "event": str(receipt.event_id)}
        if receipt.run_id:
            answer["job"] = str(receipt.run_id)
        return Response(answer, status=201)


class VersionsView(ProtocolView):
    """GET /versions: the model versions there are, whatever the project."""

    def get(self, request: Request, **kwargs: Any) -> Response:
        """Answer with their names, the newest first."""
        return Response({"versions": versions.names(self.backend)})


class MetricsView(ProtocolView):
    """GET /metrics: counts for Prometheus."""

    def get(self, request: Request, **kwargs: Any) -> HttpResponse:
        """Answer in Prometheus's text format."""
        return HttpResponse(metrics.exposition(), content_type="text/plain; version=0.0.4; charset=utf-8")
