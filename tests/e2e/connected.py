"""A Label Studio project with one of our backends connected to it, seen from both sides."""

from collections.abc import Sequence
from typing import Any

import httpx

from tests.e2e.database import Memory, Row
from tests.e2e.label_studio import LabelStudioServer
from tests.e2e.processes import until
from tests.e2e.server import MLServer

SENTIMENT = (
    '<View><Text name="text" value="$text"/><Choices name="sentiment" toName="text" choice="single" '
    'showInLine="true"><Choice value="Positive"/><Choice value="Negative"/><Choice value="Neutral"/></Choices></View>'
)
TEXTS = (
    "Great service and lovely food",
    "Rude, slow and awful",
    "Lovely people, great evening",
    "Awful soup from a rude waiter",
    "Great view, lovely place",
    "Slow, awful and rude kitchen",
)


class ConnectedProject:
    """One project. What is asked of Label Studio goes through its SDK where the SDK has a way."""

    def __init__(self, label_studio: LabelStudioServer, title: str, label_config: str = SENTIMENT) -> None:
        self.label_studio = label_studio
        self.ls = label_studio.sdk
        self.project = self.ls.projects.create(title=title, label_config=label_config)
        self.id: int = self.project.id
        self.ml_id = 0
        self._memory: Memory | None = None

    # --- Label Studio's side -------------------------------------------------------------------

    def import_texts(self, texts: Sequence[str] = TEXTS) -> list[int]:
        """Import one task per text and return their ids."""
        tasks = [{"data": {"text": text}} for text in texts]
        return list(self.ls.projects.import_tasks(self.id, request=tasks, return_task_ids=True).task_ids)

    def connect(self, server: MLServer, backend: str = "text_classifier", path: str = "", **options: Any) -> None:
        """Add our backend to the project: the one at `/`, or the one of that path."""
        created = self.ls.ml.create(url=f"{server.url}{path}", project=self.id, title=f"ours at {path}", **options)
        self.ml_id = created.id
        self._memory = Memory(server.database, backend, self.id, int(self.project.created_at.timestamp()))
        # A setup() that takes long goes on after Label Studio was answered.
        until(lambda: self.ours.project()["live_id"], f"the model of project {self.id} is set up")

    def backend(self) -> Any:
        """Return the backend as Label Studio shows it; Label Studio asks for its state first."""
        return self.ls.ml.get(self.ml_id)

    def task_ids(self) -> list[int]:
        """Return the project's tasks."""
        return [task.id for task in self.ls.tasks.list(project=self.id)]

    def retrieve_predictions(self, task_ids: Sequence[int] = ()) -> None:
        """Do what “Retrieve predictions” does, for all tasks or for these."""
        selected = {"all": False, "included": list(task_ids)} if task_ids else {"all": True}
        self.ls.actions.create(id="retrieve_tasks_predictions", project=self.id, selected_items=selected)

    def predictions(self, version: str = "") -> list[Any]:
        """Return the predictions that Label Studio keeps, all or those of one version."""
        found = self.ls.predictions.list(project=self.id)
        return [prediction for prediction in found if prediction.model_version == version or not version]

    def next_task(self) -> Row:
        """Return what the label stream shows next."""
        return dict(self.ask("GET", f"/api/projects/{self.id}/next").json())

    def annotate(self, task_id: int, choice: str, **fields: Any) -> int:
        """Submit an annotation and return its id."""
        return int(self.ls.annotations.create(task_id, result=[chosen(choice)], lead_time=1.5, **fields).id)

    def act(self, action: str, task_ids: Sequence[int], **fields: Any) -> Row:
        """Run an action of the Data Manager that the SDK has no name for."""
        body = {"selectedItems": {"all": False, "included": list(task_ids)}, "project": str(self.id), **fields}
        return dict(self.ask("POST", f"/api/dm/actions?id={action}&project={self.id}", json=body).json())

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Ask Label Studio the way its own pages do."""
        answer = self.label_studio.session.request(method, path, **options)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text[:500]}"
        return answer

    # --- Our side ------------------------------------------------------------------------------

    @property
    def ours(self) -> Memory:
        """What our server remembers of the project."""
        assert self._memory is not None, "No backend was connected."
        return self._memory

    def event(self, action: str, count: int = 1) -> Row:
        """Return the newest event of the action once there are that many and it is settled."""

        def settled() -> Row | None:
            found = self.ours.events(action)
            return found[-1] if len(found) >= count and found[-1]["status"] != "pending" else None

        return until(settled, f"{count} settled {action} in project {self.id}")

    def settle(self) -> str:
        """Return the version that serves once every event has been trained on."""
        until(
            lambda: all(event["status"] != "pending" for event in self.ours.events()),
            f"every event of project {self.id} is settled",
        )
        return self.ours.live()

    def examples(self) -> dict[int, str]:
        """Return what there is to learn from: {annotation id: choice}."""
        gone = self.ours.deleted_tasks()
        return {
            number: row["payload"]["result"][0]["value"]["choices"][0]
            for number, row in self.ours.annotations().items()
            if not (row["deleted"] or row["skipped"] or row["task_ls_id"] in gone)
        }

    def learnt(self) -> int:
        """Return how many examples the text classifier's newest fit learnt from."""
        fits = [run for run in self.ours.runs() if run["status"] == "succeeded"]
        return int(fits[-1]["metrics"]["examples"])


def chosen(choice: str) -> Row:
    """Return the region of a choice."""
    return {"from_name": "sentiment", "to_name": "text", "type": "choices", "value": {"choices": [choice]}}
