"""What Label Studio calls, and what it is answered."""

import pytest

from backends import loading
from registry.models import Event, Failure, ModelVersion, Project
from tests.factories import (
    CREATED,
    SENTIMENT,
    WIRE,
    a_project,
    a_version,
    annotation_created,
    predict_json,
    project_json,
    setup_json,
    wire,
)
from tests.processes import eventually

pytestmark = pytest.mark.django_db(transaction=True)

LENGTH = """
    class Length(LabelStudioMLBase):
        def predict(self, tasks, context=None, **kwargs):
            return [{"result": [], "score": len(task["data"]["text"])} for task in tasks]
        def fit(self, event, data, **kwargs):
            pass
"""


def post(client, path, body):
    return client.post(path, body, content_type="application/json")


@pytest.mark.parametrize("name", sorted(path.stem for path in WIRE.glob("*.json")))
def test_every_recorded_request_is_accepted(client, name):
    recorded = wire(name)
    if recorded["method"] == "GET":
        response = client.get(recorded["path"])
    else:
        response = post(client, recorded["path"], recorded["json"])
    assert response.status_code in (200, 201), response.content
    assert isinstance(response.json(), dict)


def test_health_loads_no_model(client, chosen):
    name = chosen("raise SystemExit('imported')")
    response = client.get("/health")
    assert (response.status_code, response.json()) == (200, {"status": "UP", "backend": name})
    assert loading.loaded(name) is None


def test_setup_remembers_what_label_studio_says(client, chosen):
    chosen(LENGTH)
    response = post(client, "/setup", setup_json(extra_params={"threshold": 0.5}))
    assert response.json() == {"model_version": "0.0.1"}
    project = Project.objects.get()
    assert (project.ls_id, project.ls_created) == (52, CREATED)
    assert project.extra_params == {"threshold": 0.5}
    assert (project.label_studio_url, project.access_token) == ("http://ls.example", "ls-secret-token")


@pytest.mark.parametrize("extra_params", [None, {}, [1, {"a": None}], "plain", 7, False])
def test_extra_params_of_any_json_reach_the_model(client, chosen, extra_params):
    chosen("""
        class Echo(LabelStudioMLBase):
            def predict(self, tasks):
                return [{"result": [], "echo": self.extra_params}] * len(tasks)
    """)
    post(client, "/setup", setup_json(extra_params=extra_params))
    answer = post(client, "/predict", predict_json("a")).json()
    assert answer["results"][0]["echo"] == ({} if extra_params is None else extra_params)


def test_setup_answers_although_the_model_takes_long_to_load(client, chosen, tmp_path):
    chosen(f"""
        import pathlib, time
        class Slow(LabelStudioMLBase):
            def setup(self):
                while not pathlib.Path({str(tmp_path / "go")!r}).exists():
                    time.sleep(0.01)
    """)
    response = post(client, "/setup", setup_json())
    (tmp_path / "go").touch()
    assert response.json() == {"model_version": "0.0.1"}


def test_what_setup_raises_after_the_answer_is_among_the_failures(client, chosen, tmp_path):
    chosen(f"""
        import pathlib, time
        class Late(LabelStudioMLBase):
            def setup(self):
                while not pathlib.Path({str(tmp_path / "go")!r}).exists():
                    time.sleep(0.01)
                raise RuntimeError("the weights are gone")
    """)
    assert post(client, "/setup", setup_json()).status_code == 200
    (tmp_path / "go").touch()
    eventually(Failure.objects.exists)
    failure = Failure.objects.get()
    assert "the weights are gone" in failure.summary
    assert "RuntimeError" in failure.traceback


def test_setup_answers_with_the_version_that_setup_declares(client, chosen):
    chosen("""
        class Declares(LabelStudioMLBase):
            def setup(self):
                self.set("model_version", "bert-base")
            def predict(self, tasks):
                return [{"result": []} for _ in tasks]
    """)
    assert post(client, "/setup", setup_json()).json() == {"model_version": "bert-base"}
    results = post(client, "/predict", predict_json("a", "b")).json()["results"]
    assert [item["model_version"] for item in results] == ["bert-base", "bert-base"]


def test_predict_answers_one_item_per_task_in_order(client, chosen):
    chosen(LENGTH)
    results = post(client, "/predict", predict_json("a", "abc", "ab")).json()["results"]
    assert [item["score"] for item in results] == [1.0, 3.0, 2.0]


def test_predict_says_the_version_that_setup_says(client, chosen):
    name = chosen(LENGTH)
    a_version(a_project(name), "trained-7")
    version = post(client, "/setup", setup_json()).json()["model_version"]
    results = post(client, "/predict", predict_json("a")).json()["results"]
    assert results[0]["model_version"] == version == "trained-7"


def test_no_tasks_give_no_results(client, chosen):
    chosen(LENGTH)
    assert post(client, "/predict", predict_json()).json() == {"results": []}


@pytest.mark.parametrize("context", [None, {}, {"result": [{"id": "x1", "type": "choices"}]}])
def test_the_context_of_interactive_labelling_reaches_the_model(client, chosen, context):
    chosen("""
        class Echo(LabelStudioMLBase):
            def predict(self, tasks, context):
                return [{"result": [], "echo": context}]
    """)
    body = predict_json("a", params={"login": None, "password": None, "context": context})
    assert post(client, "/predict", body).json()["results"][0]["echo"] == context


def test_a_predict_without_a_config_uses_the_one_known(client, chosen):
    name = chosen("""
        class Names(LabelStudioMLBase):
            def predict(self, tasks):
                return [{"result": [], "names": list(self.parsed_label_config)} for _ in tasks]
    """)
    a_project(name)
    body = predict_json("a")
    del body["label_config"]
    assert post(client, "/predict", body).json()["results"][0]["names"] == ["sentiment"]


def test_a_changed_label_config_is_seen_at_once(client, chosen):
    chosen("""
        class Labels(LabelStudioMLBase):
            def predict(self, tasks):
                return [{"result": [], "labels": self.parsed_label_config["sentiment"]["labels"]}]
    """)
    post(client, "/predict", predict_json("a"))
    changed = SENTIMENT.replace("Negative", "Bad")
    results = post(client, "/predict", predict_json("a", label_config=changed)).json()["results"]
    assert results[0]["labels"] == ["Positive", "Bad"]


def test_setup_runs_once_for_many_predictions(client, chosen):
    chosen("""
        class Counts(LabelStudioMLBase):
            setups = 0
            def setup(self):
                type(self).setups += 1
            def predict(self, tasks):
                return [{"result": [], "score": self.setups}]
    """)
    post(client, "/setup", setup_json())
    scores = [post(client, "/predict", predict_json("a")).json()["results"][0]["score"] for _ in range(3)]
    assert scores == [1.0, 1.0, 1.0]


def test_a_webhook_is_stored_whole_and_answered_with_its_run(client, chosen):
    chosen(LENGTH)
    post(client, "/setup", setup_json())
    payload = annotation_created(1, "nice \0 text", "Positive")
    response = post(client, "/webhook", payload)
    event = Event.objects.get()
    assert (response.status_code, response.json()) == (
        201,
        {"status": "ok", "event": str(event.pk), "job": str(event.run_id)},
    )
    assert event.payload == payload


@pytest.mark.parametrize("action", ["TASKS_CREATED", "LABEL_LINK_CREATED", "SOMETHING_NEW", "x" * 500])
def test_an_event_that_is_not_the_models_business_is_stored_as_ignored(client, chosen, action):
    chosen(LENGTH)
    post(client, "/setup", setup_json())
    response = post(client, "/webhook", {"action": action, "project": project_json()})
    assert (response.status_code, response.json()["status"]) == (201, "ignored")
    assert Event.objects.get().payload["action"] == action


def test_a_webhook_brings_the_projects_new_config(client, chosen):
    name = chosen(LENGTH)
    project = a_project(name)
    changed = project_json(title="New title", label_config="<View/>")
    post(client, "/webhook", {"action": "PROJECT_UPDATED", "project": changed})
    project.refresh_from_db()
    assert (project.title, project.label_config) == ("New title", "<View/>")


@pytest.mark.parametrize("label_config", ["<broken", "<a>" * 3000 + "</a>" * 3000, "\0", ""])
def test_a_webhook_is_accepted_whatever_its_config_looks_like(client, chosen, label_config):
    chosen(LENGTH)
    payload = {"action": "START_TRAINING", "project": project_json(label_config=label_config)}
    assert post(client, "/webhook", payload).status_code == 201
    assert Event.objects.count() == 1


def test_versions_are_listed_newest_first(client, chosen):
    project = a_project(chosen(LENGTH))
    a_version(project, "b")
    a_version(project, "a")
    assert client.get("/versions").json() == {"versions": ["a", "b", "0.0.1"]}


def test_the_index_is_json_for_label_studio_and_a_page_for_a_person(client, chosen):
    name = chosen(LENGTH)
    assert client.get("/", headers={"accept": "*/*"}).json() == {"status": "UP", "backend": name}
    page = client.get("/", headers={"accept": "text/html"}).content.decode()
    assert name in page
    assert "http://testserver</code>" in page


def test_old_versions_of_label_studio_get_one_prediction_per_task(client, chosen):
    chosen("""
        class Twice(LabelStudioMLBase):
            def predict(self, tasks):
                return [[{"result": [], "score": 2}, {"result": [], "score": 1}] for _ in tasks]
    """)
    assert len(post(client, "/predict", predict_json("a")).json()["results"][0]) == 2
    [old] = post(client, "/predict", predict_json("a", model_version=None)).json()["results"]
    assert old["score"] == 2


def test_events_for_a_model_that_does_not_learn_are_ignored(client, chosen):
    chosen(LENGTH.split("def fit")[0])
    post(client, "/setup", setup_json())
    response = post(client, "/webhook", annotation_created(1, "nice", "Positive"))
    assert (response.status_code, response.json()["status"]) == (201, "ignored")


def test_metrics_count_events_and_runs(client, chosen):
    chosen(LENGTH)
    post(client, "/webhook", annotation_created(1, "nice", "Positive"))
    lines = client.get("/metrics").content.decode().splitlines()
    assert 'mlserver_events{status="pending"} 1' in lines
    assert 'mlserver_training_runs{status="queued"} 1' in lines


def test_each_backend_answers_under_its_own_name(client, make_backend):
    one, two = make_backend(LENGTH), make_backend(LENGTH.replace("len(", "-len("))
    scores = [
        post(client, f"/{name}/predict", predict_json("abc")).json()["results"][0]["score"] for name in (one, two)
    ]
    assert scores == [3.0, -3.0]
    assert sorted(Project.objects.values_list("backend", flat=True)) == sorted([one, two])


def test_two_label_studio_servers_that_share_a_project_number_share_nothing(client, chosen):
    name = chosen(LENGTH)
    a_version(a_project(name, created=1_000), "theirs")
    ours = post(client, "/setup", setup_json(project="52.2000")).json()
    assert ours == {"model_version": "0.0.1"}
    assert ModelVersion.objects.filter(project__ls_created=1_000).count() == 2


def test_setup_and_webhook_name_the_same_project(client, chosen):
    chosen(LENGTH)
    post(client, "/setup", wire("setup")["json"])
    post(client, "/webhook", wire("webhook_ANNOTATION_CREATED")["json"])
    assert Project.objects.count() == 1


def test_a_project_without_its_creation_second_is_the_newest_of_that_number(client, chosen):
    name = chosen(LENGTH)
    a_project(name, created=1_000)
    newest = a_project(name, created=2_000)
    post(client, "/webhook", {"action": "START_TRAINING", "project": {"id": 52}})
    assert Event.objects.get().project == newest
