"""What operators see and do in the admin."""

import pytest
from django.contrib.auth.models import Permission, User
from django.urls import reverse

from registry import failures, training
from registry.models import AnnotatedTask, Annotation, Event, Project, Promotion, TrainingRun
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
    failures.record(failures.Problem(name, "predict", "POST /predict", 400, "busy", "too busy", project="52"))
    return project


def page(client, model, row=None):
    name = f"admin:registry_{model}_change" + ("list" if row is None else "")
    response = client.get(reverse(name, args=[] if row is None else [row.pk]))
    assert response.status_code == 200
    return response.content.decode()


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


def test_a_user_who_may_only_look_finds_no_action(client, filled):
    user = User.objects.create_user("bob", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_modelversion"))
    client.force_login(user)
    assert "make_live" not in page(client, "modelversion")


def make_live(client, versions, **fields):
    data = {"action": "make_live", "_selected_action": [version.pk for version in versions], **fields}
    return client.post(reverse("admin:registry_modelversion_changelist"), data, follow=True).content.decode()


def test_making_a_version_live_asks_for_the_reason_and_writes_it_down(admin_client, filled):
    version = filled.versions.get(name="0.1.0")
    assert "Make version 0.1.0 live?" in make_live(admin_client, [version])
    assert "This field is required" in make_live(admin_client, [version], confirmed="1", reason="")
    text = make_live(admin_client, [version], confirmed="1", reason="tuned was worse")
    assert "0.1.0 is live" in text
    move = Promotion.objects.latest("id")
    assert (move.to_version, move.actor, move.reason) == (version, "admin", "tuned was worse")
    filled.refresh_from_db()
    assert filled.live == version


def test_only_one_version_can_be_made_live_at_a_time(admin_client, filled):
    assert "Select one version" in make_live(admin_client, filled.versions.all())


def test_making_the_live_version_live_is_explained(admin_client, filled):
    filled.refresh_from_db()
    assert "live already" in make_live(admin_client, [filled.live], confirmed="1", reason="again")


def test_the_admin_wants_a_login(client):
    a_project()
    response = client.get(reverse("admin:registry_project_changelist"))
    assert (response.status_code, response.url.split("?")[0]) == (302, "/admin/login/")


def test_an_unknown_admin_page_is_a_page(admin_client):
    response = admin_client.get("/admin/nothing/")
    assert response.status_code == 404
    assert b"<h1>" in response.content


def act(client, model, action, rows, **fields):
    data = {"action": action, "_selected_action": [row.pk for row in rows], **fields}
    return client.post(reverse(f"admin:registry_{model}_changelist"), data, follow=True).content.decode()


def set_policy(client, project, policy):
    return client.post(reverse("admin:registry_project_change", args=[project.pk]), {"training_policy": policy})


def test_of_a_project_only_the_training_policy_is_changed(admin_client, filled):
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
    user = User.objects.create_user("bob", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_project"))
    client.force_login(user)
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


@pytest.mark.parametrize(("model", "action"), [("event", "replay"), ("trainingrun", "cancel"), ("failure", "resolve")])
def test_a_user_who_may_only_look_is_offered_no_action(client, filled, model, action):
    user = User.objects.create_user("bob", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename=f"view_{model}"))
    client.force_login(user)
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
