"""What went wrong is found in the admin, grouped, with its traceback and without secrets."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection, connections
from django.urls import reverse

from registry import failures
from registry.failures import MAX_GROUPS, OVERFLOW, Problem
from registry.models import Failure
from tests.factories import a_project, predict_json, project_json, setup_json

pytestmark = pytest.mark.django_db(transaction=True)

RAISES = """
    class Fails(LabelStudioMLBase):
        def predict(self, tasks, **kwargs):
            raise RuntimeError("no GPU for " + tasks[0]["data"]["text"])
"""
ANSWERS = """
    class Answers(LabelStudioMLBase):
        def predict(self, tasks, **kwargs):
            return [{"result": [], "score": 0.0} for _ in tasks]
"""


def post(client, path, body, **extra):
    body = body if isinstance(body, (bytes, str)) else json.dumps(body)
    return client.generic("POST", path, body, content_type="application/json", **extra)


def a_problem(**fields):
    known = Problem(
        backend="text_classifier",
        endpoint="predict",
        request="POST /predict",
        status=400,
        code="invalid_request",
        detail="tasks: Field required",
    )
    return replace(known, **fields)


def test_a_prediction_that_raises_is_kept_with_the_traceback_of_its_cause(client, chosen):
    name = chosen(RAISES)
    project = a_project(name)
    assert post(client, "/predict", predict_json("ann")).status_code == 500
    failure = Failure.objects.get()
    assert (failure.backend, failure.project, failure.code, failure.count) == (name, project, "backend_failed", 1)
    assert failure.summary == "predict() raised. RuntimeError: no GPU for ann"
    assert "model.py" in failure.traceback
    assert failure.traceback.endswith("RuntimeError: no GPU for ann\n")
    assert (failure.request, '"text": "ann"' in failure.body) == ("POST /predict", True)


def test_failures_of_one_kind_are_one_row_with_the_last_request(client, chosen):
    chosen(RAISES)
    for text in ("one", "two", "three"):
        post(client, "/predict", predict_json(text))
    failure = Failure.objects.get()
    assert (failure.count, failure.last_seen > failure.first_seen) == (3, True)
    assert "three" in failure.summary
    assert "three" in failure.body


def test_projects_and_kinds_are_kept_apart(client, chosen):
    name = chosen(RAISES)
    a_project(name, ls_id=1)
    a_project(name, ls_id=2)
    for project in ("1", "2"):
        post(client, "/predict", predict_json("a", project=project))
    post(client, "/predict", {"project": "1"})
    assert Failure.objects.filter(code="backend_failed").count() == 2
    assert Failure.objects.get(code="invalid_request").summary == "tasks: Field required"


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("/setup", setup_json(schema="<View"), "invalid_label_config"),
        ("/webhook", {"action": "START_TRAINING"}, "invalid_request"),
        ("/predict", b'{"tasks": [', "invalid_json"),
        ("/nobody/predict", predict_json("a"), "unknown_backend"),
    ],
)
def test_a_refused_call_of_label_studio_is_kept_without_a_traceback(client, chosen, path, body, code):
    chosen(ANSWERS)
    post(client, path, body)
    failure = Failure.objects.get()
    assert (failure.code, failure.traceback, failure.request) == (code, "", f"POST {path}")


def test_what_is_not_label_studios_business_is_not_kept(client, chosen):
    chosen(ANSWERS)
    client.get("/nobody/health")
    client.get("/predict")
    post(client, "/health", {})
    assert post(client, "/predict", predict_json("a")).status_code == 200
    assert not Failure.objects.exists()


def test_nothing_confidential_is_kept(client, chosen, settings):
    settings.URL_TOKEN = "path-secret"
    name = chosen(RAISES)
    a_project(name, access_token="api-secret")
    body = predict_json("Token api-secret and pw-secret", params={"login": "me-secret", "password": "pw-secret"})
    post(client, "/t/path-secret/predict?access_token=query-secret", body)
    failure = Failure.objects.get()
    assert failure.request == "POST /t/•••/predict?access_token=•••"
    assert "no GPU for Token ••• and •••" in failure.traceback
    assert "secret" not in "".join(map(str, vars(failure).values()))


@pytest.mark.parametrize(
    "body",
    ['{"access_token": "my-secret", "a"', "{'token': 'my-secret'", "a=1&password=my-secret", '{"token": "my-secret'],
)
def test_secrets_in_a_body_that_is_not_json_are_masked(client, chosen, body):
    chosen(ANSWERS)
    post(client, "/setup", body)
    failure = Failure.objects.get()
    assert "•••" in failure.body
    assert "my-secret" not in failure.body


def test_a_webhooks_project_is_told_and_its_tokens_masked(client, chosen):
    project = a_project(chosen(ANSWERS))
    post(client, "/webhook", {"action": 7, "project": project_json(token="ls-secret")})
    failure = Failure.objects.get()
    assert (failure.project, "ls-secret" in failure.body) == (project, False)


def test_a_stranger_leaves_one_row_and_no_body(client, chosen, settings):
    settings.URL_TOKEN = "a-long-token"
    chosen(ANSWERS)
    for token in ("guess1", "guess2"):
        post(client, f"/t/{token}/predict", predict_json("spam"))
    failure = Failure.objects.get()
    assert (failure.status, failure.count, failure.body) == (401, 2, "")
    assert "guess" not in failure.request


def test_a_long_body_is_shortened_and_keeps_its_shape(client, chosen):
    chosen(ANSWERS)
    post(client, "/predict", {"tasks": [{"id": 1, "data": {"text": "x" * 100_000}}] * 500, "label_config": 7})
    failure = Failure.objects.get()
    assert len(failure.body) < 5000
    assert "… 497 more" in failure.body
    assert "(100000 characters)" in failure.body


def test_a_flood_of_different_garbage_makes_a_bounded_number_of_rows():
    names = ["".join(chr(97 + int(digit)) for digit in str(number)) for number in range(MAX_GROUPS + 50)]
    for name in names:
        failures.record(a_problem(detail=f"{name}: wrong"))
    assert Failure.objects.count() == MAX_GROUPS + 1
    assert Failure.objects.get(code=OVERFLOW).count == 50
    failures.record(a_problem(detail=f"{names[0]}: wrong"))
    failures.record(a_problem(status=500, code="internal_error", detail="The server failed."))
    assert Failure.objects.get(summary=f"{names[0]}: wrong").count == 2
    assert Failure.objects.filter(code="internal_error").exists()


def test_many_threads_lose_no_count():
    def record(number):
        failures.record(a_problem(detail=f"tasks.{number}: Field required"))
        connections.close_all()

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(record, range(80)))
    assert Failure.objects.get().count == 80


def test_what_cannot_be_stored_does_not_change_the_answer(client, chosen, caplog):
    chosen(RAISES)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE registry_failure RENAME TO hidden")
    try:
        response = post(client, "/predict", predict_json("a"))
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE hidden RENAME TO registry_failure")
    assert (response.status_code, response.json()["code"]) == (500, "backend_failed")
    assert "is not recorded" in caplog.text


def test_text_that_postgres_cannot_hold_is_kept_without_it():
    try:
        raise RuntimeError("a\0b \ud800")
    except RuntimeError as exc:
        failures.record(a_problem(status=500, error=exc))
    assert Failure.objects.get().summary == "RuntimeError: ab ?"


def test_the_admin_shows_what_went_wrong_what_it_means_and_the_traceback(admin_client, chosen):
    chosen(RAISES)
    post(admin_client, "/predict", predict_json("<b>"))
    listed = admin_client.get(reverse("admin:registry_failure_changelist")).content.decode()
    assert "RuntimeError: no GPU for &lt;b&gt;" in listed
    page = admin_client.get(reverse("admin:registry_failure_change", args=[Failure.objects.get().pk])).content.decode()
    assert "own code raised an error" in page
    assert "Traceback (most recent call last)" in page
    assert "POST /predict" in page


def test_a_resolved_failure_is_gone_and_only_who_may_resolves_it(client):
    failures.record(a_problem())
    user = User.objects.create_user("bob", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_failure"))
    client.force_login(user)
    action = {"action": "resolve", "_selected_action": [Failure.objects.get().pk]}
    client.post(reverse("admin:registry_failure_changelist"), action)
    assert Failure.objects.exists()
    user.user_permissions.add(Permission.objects.get(codename="delete_failure"))
    client.post(reverse("admin:registry_failure_changelist"), action)
    assert not Failure.objects.exists()
