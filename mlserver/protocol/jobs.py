"""Job calls of older Label Studio versions, answered in their words."""

from typing import Any

import orjson
from rest_framework import status
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response

from mlserver.protocol import messages
from mlserver.protocol.views import ProtocolView
from registry import events, projects
from registry.models import TrainingRun

_QUEUED, _STARTED, _FINISHED, _FAILED = "queued", "started", "finished", "failed"
_STATUS_WORDS = {
    TrainingRun.Status.QUEUED: _QUEUED,
    TrainingRun.Status.RUNNING: _STARTED,
    TrainingRun.Status.SUCCEEDED: _FINISHED,
    TrainingRun.Status.FAILED: _FAILED,
    TrainingRun.Status.CANCELLED: "stopped",
    # The events of a lost run are trained on again by another one.
    TrainingRun.Status.LOST: _FAILED,
}


class JobRemoved(APIException):
    """The job is not known, or not any more."""

    status_code = status.HTTP_410_GONE
    default_code = "job_removed"


class TrainView(ProtocolView):
    """POST /train: what older versions send for START_TRAINING."""

    def post(self, request: Request, **kwargs: Any) -> Response:
        """Have the project trained and answer with the job's id."""
        body: Any = request.data
        message = messages.Train.read(body)
        payload = {**body, "action": "START_TRAINING"}
        receipt = events.receive(self.backend, message.project, payload["action"], payload, orjson.dumps(payload))
        return Response({"job": str(receipt.run_id)}, status=status.HTTP_201_CREATED)


class JobStatusView(ProtocolView):
    """POST /job_status: how far a training run is."""

    def post(self, request: Request, **kwargs: Any) -> Response:
        """Answer with the run's state, in RQ's words."""
        job = messages.JobStatus.read(request.data).job
        runs = TrainingRun.objects.filter(project__backend=self.backend).select_related("merged_into")
        run = runs.filter(pk=int(job)).first() if job.isdecimal() and len(job) < 19 else None
        if run is None:
            raise JobRemoved("There is no such job, or it was removed.")
        run = run.merged_into or run
        return Response(
            {
                "job": job,
                "job_status": _STATUS_WORDS.get(TrainingRun.Status(run.status), _FINISHED),
                "error": "The training run failed; the admin shows why." if run.traceback else "",
                "created_at": run.created_at,
                "enqueued_at": run.created_at,
                "started_at": run.started_at,
                "ended_at": run.finished_at,
                "progress": run.progress,
            }
        )


class IsTrainingView(ProtocolView):
    """GET /is_training?project=<id>: whether a project has training waiting or running."""

    def get(self, request: Request, **kwargs: Any) -> Response:
        """Answer for the project, or for the whole backend where none is named."""
        runs = TrainingRun.objects.unfinished().filter(project__backend=self.backend)
        if named := request.query_params.get("project"):
            project = projects.find(self.backend, projects.parse_key(named))
            runs = runs.filter(project=project) if project else runs.none()
        return Response({"is_training": runs.exists()})
