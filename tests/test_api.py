"""What operators see and do through the REST API."""

import json
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone
from rest_framework.authtoken.models import Token

from mlserver.env import Rate
from registry import aliases, failures, training
from registry.models import Alias, Event, Failure, Project, Promotion, TrainingRun
from tests.factories import a_project, a_version, annotation_created, predict_json, receive

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("_uncounted")]

LISTS = ["projects", "versions", "aliases", "promotions", "events", "runs", "failures"]
_NAMES = ["project", "modelversion", "alias", "promotion", "event", "trainingrun", "failure"]
MODELS = dict(zip(LISTS, _NAMES, strict=True))
SECRETS = ["ls-secret", "s3-secret", "api-secret", "extra-secret", "path-token", "url-password"]
FAILS = """
    class Fails(LabelStudioMLBase):
        def fit(self, event, data, **kwargs):
            self.set("key", "value")
            if "annotation" in data and data["annotation"]["id"] == 2:
                raise RuntimeError("two is bad luck at http://h/t/path-token/x")
"""


@pytest.fixture
def filled(db, make_backend, settings):
    """A project with two events, a failed run, versions and a failure, and secrets wherever there can be some."""
    settings.URL_TOKEN = "path-token"
    name = make_backend(FAILS)
    for number in (1, 2):
        payload = annotation_created(number, "a text", "Positive", token="ls-secret", task_data_password="s3-secret")
        receive(name, payload)
    project = Project.objects.get()
    url = "http://user:url-password@ls.example"
    Project.objects.update(access_token="api-secret", extra_params={"key": "extra-secret"}, label_studio_url=url)
    training.drain(project.pk)
    TrainingRun.objects.update(log="loaded http://h/t/path-token/x")
    aliases.point(a_version(project, "tuned", text="hello"), "baseline", by="a test")
    body = {"project": "52", "access_token": "ls-secret", "text": "api-secret"}
    failures.record(
        failures.Problem(name, "setup", "POST /t/path-token/setup", 400, "busy", "no", body=body, project="52")
    )
    project.refresh_from_db()
    return project


@pytest.fixture
def project(db):
    """A project with a live version, and nothing else."""
    project = a_project()
    a_version(project)
    project.refresh_from_db()
    return project


def a_client(*permissions, **user):
    """Return a client whose requests carry the token of a user with these permissions."""
    owner = User.objects.create_user(f"user{User.objects.count()}", **user)
    owner.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return Client(headers={"authorization": f"Token {Token.objects.create(user=owner).key}"})


@pytest.fixture
def root():
    return a_client(is_superuser=True)


def viewer(*more):
    return a_client(*(f"view_{model}" for model in MODELS.values()), *more)


def post(client, path, body=None, method="POST"):
    return client.generic(method, f"/api/{path}/", json.dumps(body) if body is not None else b"", "application/json")


def rows(client, path, **query):
    response = client.get(f"/api/{path}/", query)
    assert response.status_code == 200, response.content
    return response.json()["results"]


def refused(response, status, code):
    assert (response.status_code, response.json()["code"]) == (status, code), response.content
    assert set(response.json()) == {"code", "detail"}
    return response.json()["detail"]


# --- Who may -------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [*LISTS, "projects/1"])
def test_a_stranger_is_told_how_to_authenticate(client, path):
    response = client.get(f"/api/{path}/")
    assert "drf_create_token" in refused(response, 401, "not_authenticated")
    assert response["WWW-Authenticate"] == "Token"


@pytest.mark.parametrize("key", ["wrong", "with\0nul", "ünïcode", "a b", ""])
def test_a_wrong_token_is_refused(client, key):
    refused(client.get("/api/runs/", headers={"authorization": f"Token {key}"}), 401, "authentication_failed")


def test_a_user_who_was_deactivated_is_refused():
    client = a_client(is_active=False)
    refused(client.get("/api/runs/"), 401, "authentication_failed")


@pytest.mark.parametrize("name", LISTS)
def test_each_list_and_row_wants_the_permission_to_view_its_model(filled, name):
    bob, row = a_client(*(f"view_{model}" for other, model in MODELS.items() if other != name)), viewer()
    pk = rows(row, name)[0]["id"]
    for path in (name, f"{name}/{pk}"):
        detail = refused(bob.get(f"/api/{path}/"), 403, "permission_denied")
        assert f"registry.view_{MODELS[name]}" in detail
        assert row.get(f"/api/{path}/").status_code == 200


ACTIONS = [
    ("promote_modelversion", "POST", "versions/{version}/promote", {"reason": "it is better"}),
    ("promote_modelversion", "POST", "projects/{project}/rollback", {"reason": "it was better"}),
    ("change_alias", "POST", "versions/{version}/alias", {"name": "mine"}),
    ("change_alias", "POST", "aliases/{alias}/remove", None),
    ("replay_event", "POST", "events/replay", {"project": 1, "dry_run": True}),
    ("cancel_trainingrun", "POST", "runs/{run}/cancel", None),
    ("cancel_trainingrun", "POST", "runs/{run}/retry", None),
    ("change_project", "POST", "projects/{project}/train", None),
    ("change_project", "PATCH", "projects/{project}", {"training_policy": None}),
]


@pytest.mark.parametrize(("permission", "method", "path", "body"), ACTIONS, ids=[each[2] for each in ACTIONS])
def test_who_may_look_may_not_act_without_the_actions_own_permission(filled, permission, method, path, body):
    chosen = {name: getattr(filled, name + "s").first().pk for name in ("version", "run")}
    path = path.format(**chosen, alias=filled.aliases.get().pk, project=filled.pk)
    before = (filled.generation, Event.objects.count())
    assert permission in refused(post(viewer(), path, body, method), 403, "permission_denied")
    filled.refresh_from_db()
    assert (filled.generation, Event.objects.count()) == before
    assert post(viewer(permission), path, body, method).status_code in (200, 201, 204, 409)


def test_who_may_act_but_not_look_may_not_act(filled):
    response = post(a_client("promote_modelversion"), f"versions/{filled.live_id}/promote", {"reason": "x"})
    assert "view_modelversion" in refused(response, 403, "permission_denied")


def test_a_session_of_the_admin_is_a_credential(admin_client, filled):
    assert rows(admin_client, "projects")[0]["id"] == filled.pk


def test_an_action_by_session_wants_the_csrf_token(filled, admin_user):
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)
    path, body = f"versions/{filled.versions.first().pk}/promote", {"reason": "x"}
    assert "CSRF" in refused(post(client, path, body), 403, "permission_denied")
    client.cookies["mlserver_csrftoken"] = "a" * 32
    headers = {"x-csrftoken": "a" * 32}
    response = client.post(f"/api/{path}/", body, content_type="application/json", headers=headers)
    assert response.status_code == 201


def test_the_protocols_credentials_are_none_of_the_api(client, settings, filled):
    settings.BASIC_AUTH_USER, settings.BASIC_AUTH_PASS = "ls", "password"
    refused(client.get("/api/runs/", headers={"authorization": "Basic bHM6cGFzc3dvcmQ="}), 401, "not_authenticated")
    assert client.get("/t/path-token/api/runs/").status_code == 404
    assert rows(viewer(), "runs")


def test_an_api_token_is_none_of_the_protocols(settings, root):
    settings.BASIC_AUTH_USER, settings.BASIC_AUTH_PASS = "ls", "password"
    response = root.post("/predict", predict_json("a"), content_type="application/json")
    assert response["WWW-Authenticate"].startswith("Basic")


def test_the_command_line_makes_a_token(client, filled, capsys):
    from django.core.management import call_command

    User.objects.create_superuser("ann")
    call_command("drf_create_token", "ann")
    key = capsys.readouterr().out.split()[2]
    assert client.get("/api/runs/", headers={"authorization": f"Token {key}"}).status_code == 200


# --- What is shown -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LISTS)
def test_no_secret_is_in_any_answer(root, filled, name):
    listed = root.get(f"/api/{name}/")
    texts = [listed.content.decode()]
    texts += [root.get(f"/api/{name}/{row['id']}/").content.decode() for row in listed.json()["results"]]
    assert [secret for secret in SECRETS if any(secret in text for text in texts)] == []


def test_a_project_says_what_is_live_and_how_much_waits(root, filled):
    receive(filled.backend, annotation_created(3, "text", "Positive"))
    [project] = rows(root, "projects")
    assert project["live"] == {"id": filled.live_id, "name": "tuned"}
    assert project["events_waiting"] == filled.events.filter(status="pending").count() > 0
    assert "label_config" not in project
    assert "<View>" in root.get(f"/api/projects/{filled.pk}/").json()["label_config"]


def test_one_version_of_a_project_is_live(root, filled):
    assert [row["name"] for row in rows(root, "versions") if row["live"]] == ["tuned"]


def test_the_ledger_names_the_versions(root, filled):
    move = rows(root, "promotions")[0]
    assert (move["from_version"]["name"], move["to_version"]["name"], move["actor"]) == ("0.1.0", "tuned", "a test")


def test_an_events_body_is_shown_by_itself_only_and_masked(root, filled):
    event = Event.objects.earliest("id")
    assert all("body" not in row for row in rows(root, "events"))
    body = root.get(f"/api/events/{event.pk}/").json()["body"]
    assert body["task"]["data"]["text"] == "a text"
    assert body["project"]["token"] == "•••"


def test_an_event_nested_deeply_is_shown_as_far_as_it_can_be(root, filled):
    Event.objects.update(body=b'{"action": "X", "data": ' + b"[" * 900 + b"]" * 900 + b"}")
    response = root.get(f"/api/events/{Event.objects.first().pk}/")
    assert "…" in response.content.decode()


def test_a_run_shows_its_log_and_traceback_by_itself(root, filled):
    run = TrainingRun.objects.filter(status="failed").latest("id")
    assert not {"log", "traceback"} & set(rows(root, "runs")[0])
    shown = root.get(f"/api/runs/{run.pk}/").json()
    assert "two is bad luck at http://h/t/•••/x" in shown["traceback"]
    assert "loaded http://h/t/•••/x" in shown["log"]


def test_a_run_names_the_version_that_it_made(root, filled):
    made = filled.versions.get(name="0.1.0")
    assert [row["version"] for row in rows(root, "runs", status="succeeded")] == [made.pk]


def test_a_failure_shows_its_last_request(root, filled):
    failure = Failure.objects.get()
    assert "request" not in rows(root, "failures")[0]
    assert root.get(f"/api/failures/{failure.pk}/").json()["request"] == "POST /t/•••/setup"


@pytest.mark.parametrize("name", LISTS)
def test_a_longer_list_takes_no_more_queries(root, filled, name, django_assert_max_num_queries):
    for number in range(3, 9):
        receive(filled.backend, annotation_created(number, "text", "Positive", ls_id=50 + number))
        a_version(filled, f"v{number}")
    with django_assert_max_num_queries(2):  # the token, and the page
        rows(root, name)


@pytest.mark.parametrize(
    ("name", "columns"),
    [("events", ["body"]), ("runs", ["log", "traceback"]), ("failures", ["body"]), ("projects", ["label_config"])],
)
def test_a_list_does_not_load_what_is_large(root, filled, name, columns, django_assert_num_queries):
    with django_assert_num_queries(2) as asked:
        rows(root, name)
    assert not [column for column in columns if f'"{column}"' in asked.captured_queries[1]["sql"]]


@pytest.mark.parametrize("name", ["projects", "projects/1"])
def test_a_projects_token_is_not_even_loaded(root, filled, name, django_assert_num_queries):
    with django_assert_num_queries(2) as asked:
        root.get(f"/api/{name.replace('1', str(filled.pk))}/")
    assert '"access_token"' not in asked.captured_queries[1]["sql"]


def test_the_root_lists_the_lists(root):
    assert set(root.get("/api/").json()) == {*LISTS, "schema", "docs"}


# --- Pages and filters ---------------------------------------------------------------------------


def test_pages_neither_repeat_nor_miss_rows_while_new_ones_come(root, filled):
    numbers = range(3, 13)
    for number in numbers:
        receive(filled.backend, annotation_created(number, "text", "Positive"))
    expected = list(Event.objects.order_by("-id").values_list("pk", flat=True))
    seen, address = [], "/api/events/?page_size=5"
    while address:
        page = root.get(address).json()
        seen += [row["id"] for row in page["results"]]
        address = page["next"]
        receive(filled.backend, annotation_created(100 + len(seen), "text", "Positive"))
    assert seen == expected


def test_the_previous_page_is_the_one_before(root, filled):
    first = root.get("/api/events/?page_size=1").json()
    second = root.get(first["next"]).json()
    assert root.get(second["previous"]).json()["results"] == first["results"]


def test_the_oldest_come_first_where_that_is_asked_for(root, filled):
    assert rows(root, "events", ordering="id") == rows(root, "events")[::-1]


def test_failures_are_ordered_by_count_through_their_pages(root, filled):
    name = filled.backend
    for code, count in (("a", 3), ("b", 3), ("c", 1)):
        for _ in range(count):
            failures.record(failures.Problem(name, "predict", "POST /predict", 500, code, "no"))
    seen, address = [], "/api/failures/?ordering=-count&page_size=1"
    while address:
        page = root.get(address).json()
        seen += [row["count"] for row in page["results"]]
        address = page["next"]
    assert seen == [3, 3, 1, 1]


def test_lists_are_narrowed_to_a_project_or_a_backend(root, filled):
    other = a_project(ls_id=53)
    receive(other.backend, annotation_created(9, "text", "Positive", ls_id=53))
    a_version(other)
    for name in ("versions", "promotions", "events", "runs"):
        assert {row["project"] for row in rows(root, name)} == {filled.pk, other.pk}
        assert {row["project"] for row in rows(root, name, project=other.pk)} == {other.pk}
        assert {row["project"] for row in rows(root, name, backend=filled.backend)} == {filled.pk}
    assert [row["id"] for row in rows(root, "projects", ls_id=53)] == [other.pk]


@pytest.mark.parametrize(
    ("name", "query", "count"),
    [
        ("events", {"status": "done"}, 1),
        ("events", {"status": "pending"}, 1),
        ("events", {"action": "ANNOTATION_CREATED"}, 2),
        ("events", {"action": "TASKS_CREATED"}, 0),
        ("runs", {"status": "succeeded"}, 1),
        ("versions", {"live": "true"}, 1),
        ("versions", {"live": "false"}, 2),
        ("versions", {"pruned": "true"}, 0),
        ("versions", {"pruned": "false", "name": "tuned"}, 1),
        ("promotions", {"actor": "a test"}, 1),
        ("failures", {"code": "busy", "status": 400}, 1),
        ("failures", {"status": 500}, 0),
        ("failures", {"status": 2**40}, 0),
        ("runs", {"project": 2**63 - 1}, 0),
    ],
)
def test_lists_are_narrowed_by_their_columns(root, filled, name, query, count):
    Event.objects.filter(status="failed").update(status="pending")
    assert len(rows(root, name, **query)) == count


@pytest.mark.parametrize("name", ["promotions", "events", "runs", "failures"])
def test_lists_are_narrowed_by_time(root, filled, name):
    hour_ago, in_an_hour = timezone.now() - timedelta(hours=1), timezone.now() + timedelta(hours=1)
    everything = rows(root, name)
    assert rows(root, name, since=hour_ago.isoformat(), until=in_an_hour.isoformat()) == everything != []
    assert rows(root, name, since=in_an_hour.isoformat()) == rows(root, name, until="2020-01-01") == []


CURSORS = ["x", "ünï", "cD1hYmM=", "cD0lMDA=", "bz0tMQ==", "cj14", "\0", "%%%", "cD05OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk="]


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"projct": 1}, "projct: There is no such filter; there are: action, backend, cursor"),
        ({"project": ""}, "project: It is empty"),
        ({"project": "x"}, "project: "),
        ({"project": 2**63}, "project: "),
        ({"project": "9" * 5000}, "project: "),
        ({"project": "-1"}, "project: "),
        ({"status": "gone"}, "status: "),
        ({"action": "a\0b"}, "action: "),
        ({"since": "yesterday"}, "since: "),
        ({"since": "2026-02-30T00:00:00Z"}, "since: "),
        ({"page_size": 0}, "page_size: It must be a whole number from 1 to 200."),
        ({"page_size": 201}, "page_size: "),
        ({"page_size": "²"}, "page_size: "),
        ({"ordering": "body"}, "ordering: It must be one of: -id, id."),
        *(({"cursor": cursor}, "cursor: ") for cursor in CURSORS[:-3]),
    ],
)
def test_a_wrong_parameter_is_refused_by_its_name(root, query, named):
    assert named in refused(root.get("/api/events/", query), 400, "invalid_request")


@pytest.mark.parametrize("ordering", ["-last_seen", "-count", "id"])
@pytest.mark.parametrize("cursor", CURSORS)
def test_a_cursor_that_was_made_up_breaks_nothing(root, cursor, ordering):
    assert root.get("/api/failures/", {"cursor": cursor, "ordering": ordering}).status_code in (200, 400)


@pytest.mark.parametrize("since", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "0001-01-01"])
def test_times_at_the_ends_of_the_calendar_break_nothing(root, since):
    assert root.get("/api/events/", {"since": since}).status_code in (200, 400)


def test_a_truth_value_that_is_none_is_refused(root):
    assert "true or false" in refused(root.get("/api/versions/?live=yes"), 400, "invalid_request")


# --- Actions -------------------------------------------------------------------------------------


def test_promoting_moves_the_live_version_and_answers_with_the_ledgers_row(root, filled):
    version = filled.versions.get(name="0.1.0")
    response = post(root, f"versions/{version.pk}/promote", {"reason": "tuned was worse"})
    move = Promotion.objects.latest("id")
    assert (response.status_code, response.json()["id"]) == (201, move.pk)
    assert (move.to_version, move.actor, move.reason) == (version, "user0", "tuned was worse")
    filled.refresh_from_db()
    assert filled.live == version


def test_rolling_back_makes_the_version_before_live_again(root, filled):
    response = post(root, f"projects/{filled.pk}/rollback", {"reason": "tuned was worse"})
    assert (response.status_code, response.json()["to_version"]["name"]) == (201, "0.1.0")
    assert response.json()["rollback"] is True
    filled.refresh_from_db()
    assert filled.live.name == "0.1.0"


def test_rolling_back_where_there_is_nothing_before_is_a_conflict(root, project):
    post(root, f"projects/{project.pk}/rollback", {"reason": "worse"})
    refused(post(root, f"projects/{project.pk}/rollback", {"reason": "worse"}), 409, "version_conflict")


def test_a_version_by_itself_says_what_it_was_made_of(root, filled):
    version = filled.versions.get(name="0.1.0")
    shown = root.get(f"/api/versions/{version.pk}/").json()
    assert (shown["code_hash"], shown["seed"]) == (version.code_hash, version.seed)
    assert (shown["event_count"], shown["annotation_count"], shown["size"]) == (1, 1, version.size)
    assert shown["libraries"]["python"]
    assert root.get(f"/api/versions/{filled.live_id}/").json()["aliases"] == ["baseline"]


def test_a_version_is_compared_with_its_parent_or_with_the_one_that_is_named(root, filled):
    first = filled.versions.get(number=1)
    answer = root.get(f"/api/versions/{filled.live_id}/compare/").json()
    assert (answer["before"]["name"], answer["after"]["name"]) == ("0.1.0", "tuned")
    assert answer["state"] == {"added": ["text"], "changed": [], "removed": []}
    answer = root.get(f"/api/versions/{filled.live_id}/compare/", {"to": first.pk}).json()
    assert answer["state"]["added"] == ["key", "text"]


@pytest.mark.parametrize(("query", "status"), [({"to": "x"}, 400), ({"with": "1"}, 400), ({"to": 2**62}, 404)])
def test_a_comparison_with_what_is_not_there_is_refused(root, filled, query, status):
    response = root.get(f"/api/versions/{filled.live_id}/compare/", query)
    assert (response.status_code, set(response.json())) == (status, {"code", "detail"})


def test_a_version_without_a_parent_has_nothing_to_be_compared_with(root, filled):
    first = filled.versions.get(number=1)
    refused(root.get(f"/api/versions/{first.pk}/compare/"), 404, "not_found")


def test_an_alias_is_given_found_and_removed(root, filled):
    version = filled.versions.get(number=1)
    answer = post(root, f"versions/{version.pk}/alias", {"name": "release", "protected": True})
    assert (answer.status_code, answer.json()["version"]["name"]) == (201, version.name)
    assert [row["id"] for row in rows(root, "aliases", name="release")] == [answer.json()["id"]]
    assert post(root, f"aliases/{answer.json()['id']}/remove").status_code == 204
    assert not Alias.objects.filter(name="release").exists()


def test_a_protected_alias_is_not_moved_without_the_permission(filled):
    version = filled.versions.get(number=1)
    aliases.point(version, "release", by="a test", protected=True)
    response = post(viewer("change_alias"), f"versions/{version.pk}/alias", {"name": "release"})
    assert "protected" in refused(response, 403, "permission_denied")


def test_live_is_no_alias(root, filled):
    refused(post(root, f"versions/{filled.live_id}/alias", {"name": "live"}), 409, "version_conflict")


def test_the_promotion_policy_is_set_and_taken_back(root, project):
    for policy in ({"mode": "hold"}, None):
        response = post(root, f"projects/{project.pk}", {"promotion_policy": policy}, "PATCH")
        assert (response.status_code, response.json()["promotion_policy"]) == (200, policy)
        assert Project.objects.get().promotion_policy == policy


def test_promoting_the_live_version_is_a_conflict(root, project):
    response = post(root, f"versions/{project.live_id}/promote", {"reason": "again"})
    assert "live already" in refused(response, 409, "version_conflict")


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "reason: This field is required."),
        ({"reason": "  "}, "reason: This field may not be blank."),
        ({"reason": None}, "reason: "),
        ({"reason": "a\0b"}, "reason: Null characters are not allowed."),
        ({"reason": ["x"]}, "reason: "),
        ({"reason": "x", "resaon": "y"}, "resaon: There is no such field; there are: reason."),
        ([], "Expected a dictionary"),
        ("text", "Expected a dictionary"),
        (7, "Expected a dictionary"),
        (None, "reason: "),
    ],
    ids=repr,
)
def test_promoting_without_a_readable_reason_is_refused(root, project, body, named):
    assert named in refused(post(root, f"versions/{project.live_id}/promote", body), 400, "invalid_request")


def test_a_waiting_run_is_cancelled_and_tried_again(root, filled):
    receipt = receive(filled.backend, annotation_created(3, "text", "Positive"))
    response = post(root, f"runs/{receipt.run_id}/cancel")
    assert (response.status_code, response.json()["status"]) == (200, "cancelled")
    assert "over already: cancelled" in refused(post(root, f"runs/{receipt.run_id}/cancel"), 409, "run_conflict")
    assert post(root, f"runs/{receipt.run_id}/retry", {}).json() == {"events": 1}
    assert Event.objects.get(pk=receipt.event_id).status == "pending"
    refused(post(root, f"runs/{receipt.run_id}/retry"), 409, "run_conflict")


def test_a_dry_run_of_a_replay_changes_nothing(root, filled):
    Event.objects.update(status="done")
    before = list(Event.objects.values())
    answer = post(root, "events/replay", {"project": filled.pk, "dry_run": True, "fresh": True}).json()
    assert answer == {"dry_run": True, "events": 2, "left_out": 0}
    assert list(Event.objects.values()) == before


def test_replaying_a_project_afresh_has_its_events_wait_again(root, filled):
    Event.objects.update(status="done")
    answer = post(root, "events/replay", {"project": filled.pk, "fresh": True}).json()
    assert answer == {"dry_run": False, "events": 2, "left_out": 0}
    assert set(Event.objects.values_list("status", flat=True)) == {"pending"}
    assert Promotion.objects.latest("id").actor == "user0"


def test_replaying_takes_only_the_events_named_or_of_that_time(root, filled):
    Event.objects.update(status="done")
    first, second = Event.objects.order_by("id")
    Event.objects.filter(pk=first.pk).update(received_at=timezone.now() - timedelta(days=2))
    yesterday = (timezone.now() - timedelta(days=1)).isoformat()
    assert post(root, "events/replay", {"project": filled.pk, "until": yesterday}).json()["events"] == 1
    assert post(root, "events/replay", {"ids": [first.pk, second.pk], "action": first.action}).json() == {
        "dry_run": False,
        "events": 1,
        "left_out": 1,
    }


@pytest.mark.parametrize(
    ("body", "code", "named"),
    [
        ({}, "invalid_request", "Name a project, or the ids of events."),
        ({"fresh": True}, "invalid_request", "Name a project"),
        ({"ids": []}, "invalid_request", "ids: "),
        ({"ids": [2**63]}, "invalid_request", "ids.0: "),
        ({"ids": [1e300]}, "invalid_request", "ids.0: "),
        ({"ids": [2**63 - 1]}, "unknown_events", "9223372036854775807"),
        ({"project": 1, "since": "0001-01-01T00:00:00+14:00"}, "invalid_request", "since: "),
        ({"project": "x"}, "invalid_request", "project: "),
        ({"project": 1, "dryrun": True}, "invalid_request", "dryrun: There is no such field"),
        ({"project": 1, "action": "a\0"}, "invalid_request", "action: "),
    ],
    ids=repr,
)
def test_a_replay_that_cannot_be_read_is_refused(root, body, code, named):
    assert named in refused(post(root, "events/replay", body), 400, code)


def test_training_is_started_as_by_label_studios_button(root, filled):
    response = post(root, f"projects/{filled.pk}/train")
    event = Event.objects.latest("id")
    assert response.status_code == 201
    assert response.json() == {"event": event.pk, "status": "pending", "run": event.run_id}
    assert (event.action, event.project) == ("START_TRAINING", filled)
    assert event.payload["project"] == {"id": 52, "created_at": "2026-11-23T07:32:05+00:00"}
    training.drain(filled.pk)
    assert TrainingRun.objects.get(events=event).status == "succeeded"


def test_a_project_whose_backend_is_gone_cannot_be_trained(root):
    project = a_project("gone")
    assert "no backend named 'gone'" in refused(post(root, f"projects/{project.pk}/train"), 409, "unknown_backend")
    assert not Event.objects.exists()


def test_a_training_policy_is_set_and_taken_back(root, filled, queue):
    receive(filled.backend, annotation_created(3, "text", "Positive"))
    queue.empty()
    Project.objects.update(drain_queued_at=None)
    body = {"training_policy": {"min_annotations": 10}}
    response = post(root, f"projects/{filled.pk}", body, "PATCH")
    assert (response.status_code, response.json()["training_policy"]) == (200, {"min_annotations": 10})
    assert Project.objects.get().training_policy == {"min_annotations": 10}
    assert post(root, f"projects/{filled.pk}", {"training_policy": None}, "PATCH").status_code == 200
    assert Project.objects.get().training_policy is None


@pytest.mark.parametrize(
    ("body", "code", "named"),
    [
        ({"training_policy": {"min_annotations": 0}}, "invalid_policy", "min_annotations: Input should be greater"),
        ({"training_policy": {"speed": 1}}, "invalid_policy", "speed: Unexpected keyword argument"),
        ({"training_policy": {"quiet_seconds": 1e300}}, "invalid_policy", "quiet_seconds: "),
        ({"training_policy": {"min_annotations": 1e300}}, "invalid_policy", "min_annotations: "),
        ({"training_policy": {"a\0": 1}}, "invalid_policy", "a\0: "),
        ({"training_policy": [1]}, "invalid_policy", "The policy"),
        ({}, "invalid_request", "Name training_policy, promotion_policy or both."),
        ({"promotion_policy": {"mode": "sometimes"}}, "invalid_policy", "mode: Input should be 'at_once'"),
        ({"title": "Mine"}, "invalid_request", "title: There is no such field"),
    ],
    ids=repr,
)
def test_a_policy_that_cannot_be_read_is_refused(root, project, body, code, named):
    assert named in refused(post(root, f"projects/{project.pk}", body, "PATCH"), 400, code)
    assert Project.objects.get().training_policy is None


# --- Errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"{", b"\xff", b'{"reason": NaN}', b"[" * 5000], ids=repr)
def test_what_is_not_json_is_refused(root, project, body):
    response = root.generic("POST", f"/api/versions/{project.live_id}/promote/", body, "application/json")
    assert "must be JSON" in refused(response, 400, "invalid_json")


@pytest.mark.parametrize("content_type", ["text/plain", "multipart/form-data", "application/x-www-form-urlencoded", ""])
def test_a_body_of_another_type_is_refused_before_it_is_read(admin_client, project, content_type):
    address = f"/api/versions/{project.live_id}/promote/"
    response = admin_client.generic("POST", address, b"reason=x", content_type)
    assert "application/json" in refused(response, 415, "unsupported_media_type")


def test_a_body_that_is_too_large_is_refused(root):
    response = post(root, "events/replay", {"ids": [1] * 400_000})
    assert "1024 KB" in refused(response, 413, "body_too_large")


@pytest.mark.parametrize("path", ["runs/0", "runs/99999999999999999999999", "runs/" + "9" * 5000])
def test_a_row_that_is_not_there_is_said_so(root, path):
    refused(root.get(f"/api/{path}/"), 404, "not_found")


@pytest.mark.parametrize("path", ["runs/x/", "nothing", "runs/1/stop/", "predict", "health"])
def test_an_address_that_is_not_there_is_said_so(root, path):
    assert "/api/docs/" in refused(root.get(f"/api/{path}"), 404, "not_found")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST", "OPTIONS"])
def test_what_an_address_does_not_do_is_refused(root, project, method):
    refused(root.generic(method, f"/api/versions/{project.live_id}/"), 405, "method_not_allowed")


def test_head_answers_as_get_does_without_the_body(root, project):
    response = root.head(f"/api/projects/{project.pk}/")
    assert (response.status_code, response.content) == (200, b"")


def test_an_address_is_taken_without_its_last_slash(root, project):
    assert root.get("/api/runs").json() == root.get("/api/runs/").json()
    response = root.post(f"/api/versions/{project.live_id}/promote", {"reason": "x"}, content_type="application/json")
    refused(response, 409, "version_conflict")


def test_a_fault_of_the_server_is_told_without_its_traceback(root, project, monkeypatch):
    def breaks(*args, **kwargs):
        raise RuntimeError("a secret")

    monkeypatch.setattr("registry.versions.promote", breaks)
    response = post(root, f"versions/{project.live_id}/promote", {"reason": "x"})
    assert "a secret" not in refused(response, 500, "internal_error")


# --- Rates ---------------------------------------------------------------------------------------


def test_more_requests_than_the_rate_allows_are_told_when_to_come_again(root, settings):
    settings.API_THROTTLE = Rate(2, 86_400)
    other = viewer()
    assert [root.get("/api/runs/").status_code for _ in range(3)] == [200, 200, 429]
    response = root.get("/api/projects/")
    assert "Expected available in" in refused(response, 429, "throttled")
    assert 1 <= int(response["Retry-After"]) <= 86_400
    assert other.get("/api/runs/").status_code == 200


def test_strangers_are_counted_by_their_address_and_not_by_what_they_say_it_is(client, settings):
    settings.API_THROTTLE = Rate(2, 86_400)
    headers = [{"x-forwarded-for": f"10.0.0.{number}", "authorization": f"Token {number}"} for number in range(3)]
    assert [client.get("/api/runs/", headers=each).status_code for each in headers] == [401, 401, 429]
    assert client.get("/health").status_code == 200


def test_requests_are_counted_across_processes(root, settings):
    import django_rq

    root.get("/api/runs/")
    assert list(django_rq.get_connection("default").scan_iter("api-throttle:user *"))


def test_without_redis_nobody_is_refused(root, settings, monkeypatch):
    from redis.exceptions import ConnectionError as RedisAway

    def away(*args, **kwargs):
        raise RedisAway("away")

    settings.API_THROTTLE = Rate(1, 86_400)
    monkeypatch.setattr("redis.client.Pipeline.execute", away)
    assert [root.get("/api/runs/").status_code for _ in range(3)] == [200, 200, 200]


# --- Beside the protocol -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status", "body"),
    [
        ("GET", "/health", 200, b'{"status":"UP","backend":"text_classifier"}'),
        ("GET", "/versions", 200, b'{"versions":[]}'),
        ("GET", "/is_training", 200, b'{"is_training":false}'),
        ("PUT", "/predict", 405, b'{"code":"method_not_allowed","detail":"Method \\"PUT\\" not allowed."}'),
        (
            "POST",
            "/predict",
            415,
            b'{"code":"unsupported_media_type","detail":"Unsupported media type \\"text/plain\\" in request."}',
        ),
    ],
)
def test_the_protocol_answers_as_it_did(client, method, path, status, body):
    response = client.generic(method, path, b"x" if method == "POST" else b"", "text/plain")
    assert (response.status_code, response.content) == (status, body)
    assert response["Content-Type"] == "application/json"
    assert set(response.headers) - {"Content-Length"} == {
        "Content-Type",
        "Allow",
        "X-Frame-Options",
        "X-Content-Type-Options",
        "Referrer-Policy",
        "Cross-Origin-Opener-Policy",
    }
