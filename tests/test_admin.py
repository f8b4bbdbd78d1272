"""What operators see and do in the admin."""

import pytest
from django.contrib.auth.models import Permission, User
from django.urls import reverse

from registry import training
from registry.models import Event, Project, Promotion, TrainingRun
from tests.factories import a_project, a_version, annotation_created, receive

pytestmark = pytest.mark.django_db

PAGES = ["project", "modelversion", "promotion", "event", "trainingrun", "stateentry", "blob"]
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


@pytest.mark.parametrize("model", PAGES)
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
    text = page(admin_client, "trainingrun", TrainingRun.objects.get(status="failed"))
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
