"""LabelStudioMLBase on its own: no server, no database, no Label Studio."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from backends import LabelConfigError, LabelStudioMLBase
from backends.label_studio import LabelStudio
from backends.services import Services
from backends.signatures import call_accepting
from backends.state import MemoryState
from tests.factories import SENTIMENT

BOXES = (
    '<View><Image name="photo" value="$url"/><RectangleLabels name="boxes" toName="photo">'
    '<Label value="Car" predicted_values="sedan, suv,truck"/><Label value="Person"/><Label value="dog"/>'
    "</RectangleLabels></View>"
)


@pytest.fixture
def file_server(tmp_path, monkeypatch):
    """Yield the address of an HTTP server with a text at /note.txt, and the headers it was asked with."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.headers)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(f"Grüße von {self.path}".encode())

        def log_message(self, *args):
            pass

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


def build(backend, state=None, label_studio=None, **said):
    """Build as the server does."""
    said = {"project_id": "52", "label_config": SENTIMENT} | said
    services = Services(state or MemoryState(), label_studio=label_studio or LabelStudio())
    return backend.build(services, **said)


# --- State and versions --------------------------------------------------------------------------


def test_what_was_set_can_be_got():
    model = LabelStudioMLBase()
    assert (model.get("weights"), model.has("weights")) == (None, False)
    model.set("weights", {"a": 1})
    assert (model.get("weights"), model.has("weights")) == ({"a": 1}, True)
    model.set("weights", None)
    assert model.has("weights")


def test_two_models_do_not_share_their_state():
    one, other = LabelStudioMLBase(), LabelStudioMLBase()
    one.set("key", 1)
    assert other.get("key") is None


def test_what_label_studio_said_can_be_got_as_text():
    model = build(LabelStudioMLBase, extra_params={"threshold": 0.5})
    assert model.get("label_config") == SENTIMENT
    assert json.loads(model.get("parsed_label_config"))["sentiment"]["labels"] == ["Positive", "Negative"]
    assert model.get("extra_params") == '{"threshold": 0.5}'
    assert model.get("model_version") == "0.0.1"


def test_setting_a_word_of_label_studios_does_not_change_what_it_said():
    model = build(LabelStudioMLBase)
    model.set("label_config", "<View/>")
    assert model.get("label_config") == model.label_config == SENTIMENT


def test_a_version_begins_where_the_class_says_and_is_bumped():
    class Mine(LabelStudioMLBase):
        INITIAL_MODEL_VERSION = "baseline"

    model = Mine()
    assert model.model_version == "baseline"
    assert model.bump_model_version() == model.model_version == "baseline-2"
    model.set("model_version", 7)
    assert model.model_version == "7"


def test_the_version_that_setup_declares_never_undoes_a_trained_one():
    class Mine(LabelStudioMLBase):
        def setup(self):
            self.set("model_version", "1.0.0")

    state = MemoryState()
    assert build(Mine, state).bump_model_version() == "1.1.0"
    assert build(Mine, state).model_version == "1.1.0"


def test_a_new_declaration_of_setup_makes_a_new_version():
    class Mine(LabelStudioMLBase):
        code = "1.0.0"

        def setup(self):
            self.set("model_version", self.code)

    state = MemoryState()
    build(Mine, state).bump_model_version()
    Mine.code = "2.0.0"
    assert build(Mine, state).model_version == "2.0.0"


# --- How it is made ------------------------------------------------------------------------------


class Everything(LabelStudioMLBase):
    def __init__(self, project_id=None, label_config=None, **kwargs):
        super().__init__(project_id, label_config, **kwargs)


class Keywords(LabelStudioMLBase):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)


class Project(LabelStudioMLBase):
    def __init__(self, project_id):
        super().__init__(project_id=project_id)


class Nothing(LabelStudioMLBase):
    def __init__(self):
        super().__init__()


@pytest.mark.parametrize("backend", [LabelStudioMLBase, Everything, Keywords, Project, Nothing])
def test_an_own_init_may_take_what_it_likes(backend):
    model = build(backend, extra_params={"a": 1})
    assert (model.project_id, model.label_config, model.extra_params) == ("52", SENTIMENT, {"a": 1})


def test_setup_knows_the_project_the_config_and_the_parameters():
    class Mine(Nothing):
        def setup(self):
            self.seen = (self.project_id, list(self.parsed_label_config), self.extra_params, self.get("kept"))

    state = MemoryState()
    state.set("kept", "before")
    assert build(Mine, state, extra_params={"a": 1}).seen == ("52", ["sentiment"], {"a": 1}, "before")


def test_it_can_be_made_without_anything():
    model = LabelStudioMLBase()
    assert (model.project_id, model.label_config, model.extra_params) == ("", "", {})
    assert model.parsed_label_config == {}
    assert model.predict([{"id": 1}]) is None
    assert model.fit("ANNOTATION_CREATED", {}) is None


def test_a_broken_config_is_refused_in_words():
    with pytest.raises(LabelConfigError, match="not well-formed XML"):
        LabelStudioMLBase(label_config="<View>")


@pytest.mark.parametrize(
    ("said", "parsed"),
    [({"a": 1}, {"a": 1}), ('{"a": 1}', {"a": 1}), ("plain text", "plain text"), ([1, 2], [1, 2]), (0, 0), (None, {})],
)
def test_extra_parameters_can_be_any_json_or_the_text_of_some(said, parsed):
    model = build(LabelStudioMLBase, extra_params=said)
    assert model.extra_params == parsed
    model.set_extra_params(said)
    assert model.extra_params == parsed


# --- What the server calls -----------------------------------------------------------------------


def test_predict_and_fit_get_the_arguments_that_they_name():
    class Narrow(LabelStudioMLBase):
        def predict(self, tasks):  # type: ignore[override]
            return len(tasks)

        def fit(self, event, data, job_id):  # type: ignore[override]
            return event, data, job_id

    model = Narrow()
    assert call_accepting(model.predict, [1, 2], context=None, login=None) == 2
    done = model.process_event("ANNOTATION_CREATED", {"task": {}}, "job 3", {"more": 1})
    assert done == ("ANNOTATION_CREATED", {"task": {}}, "job 3")


def test_only_the_train_events_reach_fit():
    class Mine(LabelStudioMLBase):
        TRAIN_EVENTS = ("TASKS_DELETED",)

        def fit(self, event, data, **kwargs):
            return kwargs

    model = Mine()
    assert model.process_event("ANNOTATION_CREATED", {}, "1", {}) is None
    assert model.process_event("TASKS_DELETED", {}, "1", {"more": 1}) == {"job_id": "1", "more": 1}
    assert (Mine.handles("TASKS_DELETED"), Mine.handles("ANNOTATION_CREATED")) == (True, False)


def test_an_own_process_event_takes_part_in_every_event():
    class Mine(LabelStudioMLBase):
        def process_event(self, event, data, job_id, additional_params):
            return event

    assert Mine.handles("PROJECT_UPDATED")
    assert Mine().process_event("PROJECT_UPDATED", {}, "1", {}) == "PROJECT_UPDATED"


# --- The labelling config ------------------------------------------------------------------------


def test_the_first_control_of_a_type_is_found():
    model = LabelStudioMLBase(label_config=BOXES)
    found = ("boxes", "photo", "url")
    assert model.get_first_tag_occurence("RectangleLabels", "Image") == found
    assert model.get_first_tag_occurence(("Choices", "RectangleLabels"), ("Text", "Image")) == found
    assert model.get_first_tag_occurence("RectangleLabels", "Image", name_filter=lambda name: "box" in name) == found


@pytest.mark.parametrize(
    ("control", "filters"),
    [("Choices", {}), (("Choices", "Labels"), {}), ("RectangleLabels", {"name_filter": lambda name: name == "other"})],
)
def test_a_control_that_is_not_there_is_named(control, filters):
    model = LabelStudioMLBase(label_config=BOXES)
    named = " or ".join(f"<{name}>" for name in ([control] if isinstance(control, str) else control))
    with pytest.raises(LabelConfigError, match=f"needs {named} over <Image>"):
        model.get_first_tag_occurence(control, "Image", **filters)


def test_a_models_class_names_are_mapped_to_labels():
    model = LabelStudioMLBase(label_config=BOXES)
    names = ["sedan", "truck", "person", "Dog", "cat"]
    assert model.build_label_map("boxes", names) == {
        "sedan": "Car",
        "truck": "Car",
        "person": "Person",
        "Dog": "dog",
    }


def test_a_class_name_equal_to_a_label_is_preferred_to_one_equal_but_for_case():
    model = LabelStudioMLBase(label_config=BOXES)
    assert model.build_label_map("boxes", ["DOG", "dog", "Car"]) == {"dog": "dog", "Car": "Car"}


def test_a_new_config_is_worked_with_from_then_on():
    model = LabelStudioMLBase(label_config=BOXES)
    model.use_label_config(SENTIMENT)
    assert model.get_first_tag_occurence("Choices", "Text") == ("sentiment", "text", "text")


# --- Files ---------------------------------------------------------------------------------------


def test_urls_in_a_task_are_replaced_by_their_texts(file_server):
    address, _ = file_server
    data = {"note": f"{address}/note.txt", "title": "no url", "n": 3, "all": [f"{address}/a.txt"]}
    task = {"id": 1, "data": data}
    assert LabelStudioMLBase().preload_task_data(task) == {
        "note": "Grüße von /note.txt",
        "title": "no url",
        "n": 3,
        "all": ["Grüße von /a.txt"],
    }
    assert data["note"] == f"{address}/note.txt"


def test_urls_are_replaced_by_paths_where_that_is_asked_for(file_server):
    address, _ = file_server
    path = LabelStudioMLBase().preload_task_data({"id": 1}, f"{address}/note.txt", read_file=False)
    assert Path(path).read_text(encoding="utf-8") == "Grüße von /note.txt"


def test_a_file_is_downloaded_once(file_server):
    address, asked = file_server
    model = LabelStudioMLBase()
    assert model.get_local_path(f"{address}/note.txt") == model.get_local_path(f"{address}/note.txt")
    assert len(asked) == 1


def test_an_upload_is_fetched_from_label_studio_with_the_projects_token(file_server):
    address, asked = file_server
    model = build(LabelStudioMLBase, label_studio=LabelStudio(url=address, token="sesame"))
    model.get_local_path("/data/upload/1/note.txt")
    assert "sesame" in asked[0]["Authorization"]
    assert model.get_label_studio_access_token() == "sesame"


def test_the_projects_token_is_told_to_no_other_server(file_server):
    address, asked = file_server
    model = build(LabelStudioMLBase, label_studio=LabelStudio(url="http://ls.example", token="sesame"))
    model.get_local_path(f"{address}/note.txt")
    assert asked[0]["Authorization"] is None
    assert LabelStudioMLBase().get_label_studio_access_token() is None
