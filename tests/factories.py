"""Plain functions that make what a test needs."""

import json
from pathlib import Path
from typing import Any

from registry import events, projects
from registry.models import ModelVersion, Project
from registry.versions import Change, create, ensure_initial

WIRE = Path(__file__).parent / "wire"
CREATED = 1795419125
SENTIMENT = (
    '<View><Text name="text" value="$text"/><Choices name="sentiment" toName="text" choice="single">'
    '<Choice value="Positive"/><Choice value="Negative"/></Choices></View>'
)


def wire(name: str) -> dict[str, Any]:
    """Return a recorded request: its method, path and JSON body."""
    recorded: dict[str, Any] = json.loads((WIRE / f"{name}.json").read_text())
    return recorded


def a_project(backend: str = "text_classifier", ls_id: int = 52, created: int = CREATED, **fields: Any) -> Project:
    """Return a stored project."""
    fields = {"label_config": SENTIMENT} | fields
    return Project.objects.create(backend=backend, ls_id=ls_id, ls_created=created, **fields)


def a_version(project: Project, name: str | None = None, **changes: Any) -> ModelVersion:
    """Return a new live version of the project, made from the one before."""
    from registry.codec import encode

    parent = ensure_initial(project.pk, "0.0.1").live
    assert parent is not None
    values = {key: encode(key, value) for key, value in changes.items()}
    return create(parent, None, Change(values, name=name), actor="a test", reason="a test")


def project_json(ls_id: int = 52, created_at: str = "2026-11-23T07:32:05.584274Z", **fields: Any) -> dict[str, Any]:
    """Return a project as webhooks carry it."""
    return {"id": ls_id, "title": "Reviews", "label_config": SENTIMENT, "created_at": created_at} | fields


def annotation_created(number: int, text: str, choice: str, **project: Any) -> dict[str, Any]:
    """Return the webhook of a new annotation."""
    region = {"from_name": "sentiment", "to_name": "text", "type": "choices", "value": {"choices": [choice]}}
    return {
        "action": "ANNOTATION_CREATED",
        "annotation": {"id": number, "result": [region], "was_cancelled": False},
        "task": {"id": number, "data": {"text": text}},
        "project": project_json(**project),
    }


def receive(backend: str, payload: dict[str, Any]) -> events.Receipt:
    """Receive a webhook as its view does."""
    key = projects.parse_webhook_key(payload["project"])
    return events.receive(backend, key, payload["action"], payload, json.dumps(payload).encode())


def setup_json(**fields: Any) -> dict[str, Any]:
    """Return a body of POST /setup."""
    return {
        "project": f"52.{CREATED}",
        "schema": SENTIMENT,
        "hostname": "http://ls.example",
        "access_token": "ls-secret-token",
        "extra_params": None,
    } | fields


def predict_json(*texts: str, **fields: Any) -> dict[str, Any]:
    """Return a body of POST /predict for tasks with these texts."""
    return {
        "tasks": [{"id": number, "data": {"text": text}} for number, text in enumerate(texts, 1)],
        "project": f"52.{CREATED}",
        "label_config": SENTIMENT,
        "params": {"login": None, "password": None, "context": None},
    } | fields
