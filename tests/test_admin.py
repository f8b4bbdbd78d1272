"""What operators see and do in the admin."""

import pytest
from django.urls import reverse

from registry import aliases, failures, training
from registry.models import AnnotatedTask, Annotation, Artifact, Event, Project, Promotion, StoredFile, TrainingRun
from tests.admin_pages import act, log_in, page
from tests.factories import a_project, a_version, annotation_created, receive

pytestmark = pytest.mark.django_db

JOURNAL = ["promotion", "event", "trainingrun", "stateentry", "blob", "artifact", "storedfile"]
JOURNAL += ["failure", "annotatedtask", "annotation"]
PAGES = ["project", "modelversion", "alias", *JOURNAL]
FAILS = """
    class Fails(LabelStudioMLBase):
        def fit(self, event, data, **kwargs):
            self.set("key", "value")
            if data["annotation"]["id"] == 2:
                raise RuntimeError("two is <b>bad</b> luck")
"""


@pytest.fixture
def filled(make_backend, queue):
    """A project with two events, a failed run, and state in every form."""
    name = make_backend(FAILS)
    for number in (1, 2):
        payload = annotation_created(number, "a text", "Positive", token="ls-secret", task_data_password="s3-secret")
        receive(name, payload)
    project = Project.objects.get()
    Project.objects.update(access_token="api-secret", extra_params={"a": 1})
    training.drain(project.pk)
    a_version(project, "tuned", text="hello", numbers=[1, 2], raw=b"xx", pickled={1, 2}, large="x" * 10_000)
    version = project.versions.get(name="tuned")
    stored = StoredFile.objects.create(digest="d" * 64, size=2048, complete=True)
    Artifact.objects.create(version=version, path="weights.bin", file=stored)
    aliases.point(version, "staging", by="a test")
    failures.record(failures.Problem(name, "predict", "POST /predict", 400, "busy", "too busy", project="52"))
    return project


@pytest.mark.parametrize("model", PAGES)
def test_every_list_and_every_row_can_be_read(admin_client, filled, model):
    from django.apps import apps

    page(admin_client, model)
    for row in apps.get_model("registry", model).objects.all():
        page(admin_client, model, row)


@pytest.mark.parametrize("model", JOURNAL)
def test_nothing_can_be_added_changed_or_deleted(admin_client, filled, model):
    from django.apps import apps

    row = apps.get_model("registry", model).objects.first()
    assert admin_client.get(reverse(f"admin:registry_{model}_add")).status_code == 403
    assert admin_client.post(reverse(f"admin:registry_{model}_change", args=[row.pk]), {}).status_code == 403
    assert admin_client.post(reverse(f"admin:registry_{model}_delete", args=[row.pk]), {}).status_code == 403


def test_an_event_shows_what_was_sent_without_its_secrets(admin_client, filled):
    text = page(admin_client, "event", Event.objects.first())
    assert "ANNOTATION_CREATED" in text
    assert "a text" in text
    assert "ls-secret" not in text
    assert "s3-secret" not in text


def test_a_project_shows_no_token(admin_client, filled):
    text = page(admin_client, "project", filled)
    assert "•••" in text
    assert "api-secret" not in text


def test_a_failed_run_shows_its_traceback_as_text(admin_client, filled):
    text = page(admin_client, "trainingrun", TrainingRun.objects.filter(status="failed").latest("id"))
    assert "two is &lt;b&gt;bad&lt;/b&gt; luck" in text


def test_a_versions_state_can_be_read(admin_client, filled):
    filled.refresh_from_db()
    text = page(admin_client, "modelversion", filled.live)
    assert "hello" in text
    assert "[1, 2]" in text
    assert "9.8" in text  # KB of the large value


def test_the_admin_wants_a_login(client):
    a_project()
    response = client.get(reverse("admin:registry_project_changelist"))
    assert (response.status_code, response.url.split("?")[0]) == (302, "/admin/login/")


def test_an_unknown_admin_page_is_a_page(admin_client):
    response = admin_client.get("/admin/nothing/")
    assert response.status_code == 404
    assert b"<h1>" in response.content


def set_policy(client, project, policy):
    return client.post(reverse("admin:registry_project_change", args=[project.pk]), {"training_policy": policy})


def test_of_a_project_only_the_policies_are_changed(admin_client, filled):
    fields = {"training_policy": '{"min_annotations": 10}', "title": "Mine", "declared_version": "9"}
    response = admin_client.post(reverse("admin:registry_project_change", args=[filled.pk]), fields)
    assert response.status_code == 302
    project = Project.objects.get()
    assert (project.training_policy, project.title, project.declared_version) == (
        {"min_annotations": 10},
        "Reviews",
        "",
    )
    assert set_policy(admin_client, filled, "").status_code == 302
    assert Project.objects.get().training_policy is None


def test_a_project_is_neither_added_nor_deleted(admin_client, filled):
    assert admin_client.get(reverse("admin:registry_project_add")).status_code == 403
    assert admin_client.post(reverse("admin:registry_project_delete", args=[filled.pk]), {}).status_code == 403


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        ('{"min_annotations": 0}', "min_annotations: Input should be greater than or equal to 1"),
        ('{"speed": 1}', "speed: Unexpected keyword argument"),
        ("[1]", "The policy"),
        ("{", "Enter a valid JSON"),
    ],
)
def test_a_policy_that_cannot_be_read_is_refused_by_its_field(admin_client, filled, policy, reason):
    assert reason in set_policy(admin_client, filled, policy).content.decode()
    assert Project.objects.get().training_policy is None


def test_a_new_policy_is_applied_to_what_waits(admin_client, filled, queue):
    receive(filled.backend, annotation_created(3, "text", "Positive"))
    queue.empty()
    Project.objects.update(drain_queued_at=None)
    set_policy(admin_client, filled, "{}")
    assert queue.count == 1


def test_a_user_who_may_only_look_cannot_change_the_policy(client, filled):
    log_in(client, "view_project")
    assert 'name="training_policy"' not in page(client, "project", filled)
    assert set_policy(client, filled, "{}").status_code == 403


def test_a_run_shows_progress_metrics_and_log_without_secrets(admin_client, filled, settings):
    settings.URL_TOKEN = "path-token"
    run = TrainingRun.objects.latest("id")
    told = {"progress": 0.4, "progress_text": "epoch 4/10", "metrics": {"f1": 0.75}}
    TrainingRun.objects.filter(pk=run.pk).update(**told, log="loaded http://h/t/path-token/x")
    text = page(admin_client, "trainingrun", run)
    for part in ("40% epoch 4/10", "f1 = 0.75", "loaded http://h/t/•••/x"):
        assert part in text
    assert "40% epoch 4/10" in page(admin_client, "trainingrun")


def test_a_waiting_run_is_cancelled_and_tried_again(admin_client, filled):
    receipt = receive(filled.backend, annotation_created(3, "text", "Positive"))
    run = TrainingRun.objects.get(events=receipt.event_id)
    assert f"{run} is cancelled" in act(admin_client, "trainingrun", "cancel", [run])
    run.refresh_from_db()
    assert (run.status, Event.objects.get(pk=receipt.event_id).status) == ("cancelled", "cancelled")
    assert "is over already: cancelled" in act(admin_client, "trainingrun", "cancel", [run])
    assert f"1 events of {run} wait" in act(admin_client, "trainingrun", "retry", [run])
    assert Event.objects.get(pk=receipt.event_id).status == "pending"


def test_replaying_events_says_what_and_asks_first(admin_client, filled):
    event = Event.objects.earliest("id")
    text = act(admin_client, "event", "replay", [event])
    assert "<b>1</b> of <b>Reviews #52" in text
    assert Event.objects.get(pk=event.pk).status == "done"
    assert "1 events wait" in act(admin_client, "event", "replay", [event], confirmed="1", fresh="on")
    assert Event.objects.get(pk=event.pk).status == "pending"
    assert Promotion.objects.latest("id").actor == "admin"


def test_events_that_wait_already_are_left_out_of_a_replay(admin_client, filled):
    receipt = receive(filled.backend, annotation_created(3, "text", "Positive"))
    text = act(admin_client, "event", "replay", [Event.objects.get(pk=receipt.event_id)])
    assert "nothing to train on again" in text
    assert "1 of those selected are left out" in text


@pytest.mark.parametrize(
    ("model", "action"),
    [("event", "replay"), ("trainingrun", "cancel"), ("failure", "resolve"), ("modelversion", "make_live")],
)
def test_a_user_who_may_only_look_is_offered_no_action(client, filled, model, action):
    log_in(client, f"view_{model}")
    assert f'value="{action}"' not in page(client, model)


def test_an_event_nested_deeply_is_shown_as_far_as_it_can_be(admin_client, filled):
    Event.objects.update(body=b'{"action": "X", "data": ' + b"[" * 900 + b"]" * 900 + b"}")
    assert "…" in page(admin_client, "event", Event.objects.first())


def test_a_tasks_page_links_to_its_annotations(admin_client, filled):
    annotation, task = Annotation.objects.latest("id"), AnnotatedTask.objects.latest("id")
    address = reverse("admin:registry_annotation_changelist")
    query = f"project__id__exact={filled.pk}&task_ls_id={annotation.task_ls_id}"
    assert f"{address}?{query}" in page(admin_client, "annotatedtask", task).replace("&amp;", "&")
    assert str(annotation) in admin_client.get(f"{address}?{query}").content.decode()
