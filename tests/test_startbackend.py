"""./manage.py startbackend and checkbackend, and the backend that the first makes."""

import itertools
import os
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.core.management import CommandError, call_command
from django.urls import get_resolver

from backends import loading, scaffolding
from mlserver.management.commands.startbackend import ADDRESSES
from registry import training
from registry.models import Project
from tests.factories import wire

ROOT = django_settings.BASE_DIR
_numbers = itertools.count(1)
NESTED = """
<View>
  <Text name="t" value="$t"/>
  <Choices name="c" toName="t" allowNested="true"><Choice value="A"><Choice value="B"/></Choice></Choices>
</View>
"""
FILES = {
    "__init__.py",
    "_wsgi.py",
    "model.py",
    "README.md",
    "requirements.txt",
    "test_model.py",
    "Dockerfile",
    "docker-compose.yml",
}


def start(name, directory):
    """Run startbackend and return what it printed."""
    out = StringIO()
    call_command("startbackend", name, directory=Path(directory), stdout=out)
    return out.getvalue()


def check(name, **options):
    """Run checkbackend and return what it printed."""
    out = StringIO()
    call_command("checkbackend", name, stdout=out, **options)
    return out.getvalue()


def run(*command, cwd=ROOT, **env):
    """Run Python as a person would, in a process that knows the project only by cwd and env."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "BACKENDS_PATH")}
    return subprocess.run(
        [sys.executable, *command], cwd=cwd, env=environment | env, capture_output=True, text=True, timeout=120
    )


@pytest.fixture
def scaffolded(tmp_path, settings):
    """Return the folder of a new backend that the server knows of."""
    name = f"scaffolded{next(_numbers)}_{os.getpid()}"
    settings.BACKENDS_PATH = [tmp_path]
    settings.ML_BACKEND = name
    start(name, tmp_path)
    return tmp_path / name


# --- What is made --------------------------------------------------------------------------------


def test_a_folder_with_everything_is_made_and_the_next_steps_are_told(tmp_path):
    told = start("my_model", tmp_path)
    folder = tmp_path / "my_model"
    assert {path.name for path in folder.iterdir()} == FILES
    assert "class MyModel(LabelStudioMLBase)" in (folder / "model.py").read_text()
    for step in (f"python -m pytest {folder}", "runserver 9090 --backend my_model", "http://localhost:9090"):
        assert step in told
    assert len(told.splitlines()) <= 6


def test_how_a_folder_elsewhere_becomes_known_is_told_until_it_is(tmp_path, settings):
    hint = f"export BACKENDS_PATH={tmp_path}"
    assert hint in start("one", tmp_path)
    settings.BACKENDS_PATH = [tmp_path]
    assert hint not in start("two", tmp_path)


def test_no_placeholder_is_left_in_any_file(scaffolded):
    texts = {path.name: path.read_text() for path in scaffolded.iterdir()}
    assert [name for name, text in texts.items() if "%{" in text] == []
    assert scaffolded.name in texts["README.md"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("yolo", "Yolo"), ("my_model", "MyModel"), ("v2_text", "V2Text"), ("any", "AnyBackend"), ("true", "TrueBackend")],
)
def test_the_class_is_named_after_the_backend_and_shadows_nothing(name, expected, tmp_path):
    start(name, tmp_path)
    assert scaffolding.class_name(name) == expected
    source = (tmp_path / name / "model.py").read_text()
    assert f"class {expected}(" in source
    compile(source, "model.py", "exec")


# --- It works untouched --------------------------------------------------------------------------


def test_its_own_tests_pass_untouched(scaffolded):
    finished = run("-m", "pytest", "-q", "-p", "no:cacheprovider", str(scaffolded))
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "passed" in finished.stdout


def post(client, path, body):
    response = client.post(path, body, content_type="application/json")
    assert response.status_code in (200, 201), response.content
    return response.json()


@pytest.mark.django_db(transaction=True)
def test_it_answers_label_studio_and_learns_from_it(client, scaffolded, queue):
    assert post(client, "/setup", wire("setup")["json"]) == {"model_version": "0.1.0"}
    nothing = {"result": [], "score": 0.0, "model_version": "0.1.0"}
    assert post(client, "/predict", wire("predict_single")["json"]) == {"results": [nothing]}
    assert "job" in post(client, "/webhook", wire("webhook_ANNOTATION_CREATED")["json"])
    training.drain(Project.objects.get().pk)
    assert predicted(client) == (["Neutral"], 1.0, "0.2.0")


@pytest.mark.django_db(transaction=True)
def test_it_honours_every_event_that_label_studio_sends(client, scaffolded, queue):
    expected = {
        "START_TRAINING": ([], 0.0, "0.1.0"),
        "ANNOTATION_CREATED": (["Neutral"], 1.0, "0.2.0"),
        "ANNOTATION_CREATED_skipped": (["Neutral"], 1.0, "0.2.0"),
        "ANNOTATION_UPDATED": (["Negative"], 1.0, "0.3.0"),
        "TASKS_CREATED": (["Negative"], 1.0, "0.3.0"),
        "ANNOTATIONS_DELETED": ([], 0.0, "0.4.0"),
        "ANNOTATIONS_CREATED": (["Positive"], 0.5, "0.5.0"),
    }
    seen = {}
    for event in expected:
        post(client, "/webhook", wire(f"webhook_{event}")["json"])
        training.drain(Project.objects.get().pk)
        seen[event] = predicted(client)
    assert seen == expected


def predicted(client):
    """Return the choices, the score and the version that Label Studio gets for a recorded task."""
    [prediction] = post(client, "/predict", wire("predict_single")["json"])["results"]
    choices = [choice for region in prediction["result"] for choice in region["value"]["choices"]]
    return choices, prediction["score"], prediction["model_version"]


@pytest.mark.parametrize(
    "config",
    [
        "<View/>",
        '<View><Image name="i" value="$i"/><BrushLabels name="b" toName="i"><Label value="A"/></BrushLabels></View>',
        '<View><Audio name="a" value="$a"/><Choices name="c" toName="a"><Choice value="A"/></Choices></View>',
        '<View><Text name="t" value="$t"/><Choices name="c" toName="t" value="$options"/></View>',
        NESTED,
        '<View><Text name="a" value="$a"/><Text name="b" value="$b"/><Pairwise name="p" toName="a,b"/></View>',
    ],
)
def test_it_serves_any_labelling_config(config, scaffolded, settings):
    from backends.testing import BackendContract

    class Contract(BackendContract):
        backend = loading.load(scaffolded.name, settings.BACKENDS_PATH)
        label_config = config
        tasks = [{"id": 1, "data": {}}, {"id": 2, "data": {"i": "x"}}]

    contract = Contract()
    contract.test_it_predicts_an_item_per_task()
    contract.test_it_predicts_after_every_event_that_label_studio_sends()


SERVE = """
from wsgiref.util import setup_testing_defaults
from _wsgi import app

environ = {"PATH_INFO": "/health"}
setup_testing_defaults(environ)
print(b"".join(app(environ, lambda status, headers: print(status))).decode())
"""


@pytest.mark.parametrize("variable", ["MLSERVER_HOME", "PYTHONPATH"])
def test_its_folder_can_be_served_on_its_own(scaffolded, variable):
    finished = run("-c", SERVE, cwd=scaffolded, **{variable: str(ROOT)})
    assert finished.returncode == 0, finished.stderr
    assert f'"backend":"{scaffolded.name}"' in finished.stdout
    assert "200 OK" in finished.stdout


def test_a_folder_that_does_not_find_the_server_says_what_to_set(scaffolded):
    finished = run("_wsgi.py", cwd=scaffolded)
    assert finished.returncode == 1
    assert "Set MLSERVER_HOME to the folder of the server" in finished.stderr
    assert "Traceback" not in finished.stderr


# --- Names that will not do ----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Yolo", "2fast", "my-model", "my model", "", "../up", "_private", "naïve", "x" * 101])
def test_a_name_that_is_no_package_name_is_refused(name, tmp_path):
    with pytest.raises(CommandError, match="Choose up to 100 lower-case letters, digits and underscores"):
        start(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["class", "import", "lambda"])
def test_a_word_of_python_is_refused(name, tmp_path):
    with pytest.raises(CommandError, match=f"word of Python itself. Choose another name, such as {name}_model"):
        start(name, tmp_path)


@pytest.mark.parametrize("name", ["base", "state", "scaffold", "scaffolding", "testing", "predict_fn", "errors"])
def test_a_part_of_the_package_is_refused(name, tmp_path):
    with pytest.raises(CommandError, match=f"part of the package .* Choose another name, such as {name}_model"):
        start(name, tmp_path)


@pytest.mark.parametrize("name", sorted(ADDRESSES))
def test_an_address_of_the_server_is_refused(name, tmp_path):
    with pytest.raises(CommandError, match=f"is an address of the server. Choose another name, such as {name}_model"):
        start(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_every_address_of_the_server_is_refused():
    routes = [str(pattern.pattern) for pattern in flat(get_resolver().url_patterns)]
    first = {route.split("/")[0] for route in routes if route and not route.startswith("<")}
    assert first <= ADDRESSES


def flat(patterns):
    for pattern in patterns:
        if str(pattern.pattern):
            yield pattern
        else:
            yield from flat(getattr(pattern, "url_patterns", []))


def test_a_backend_that_is_there_is_refused_wherever_the_new_one_would_be(tmp_path):
    with pytest.raises(CommandError, match=r"a backend named 'text_classifier' already. Choose .* text_classifier_2"):
        start("text_classifier", tmp_path)


def test_nothing_is_ever_overwritten(tmp_path):
    start("mine", tmp_path)
    (tmp_path / "mine" / "model.py").write_text("my work")
    with pytest.raises(CommandError, match=f"{tmp_path}/mine exists already; nothing was changed"):
        start("mine", tmp_path)
    assert (tmp_path / "mine" / "model.py").read_text() == "my work"


def test_a_directory_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(CommandError, match=r"file exists already|cannot be written"):
        start("mine", tmp_path / "file")


# --- checkbackend --------------------------------------------------------------------------------


def test_checkbackend_tells_what_a_backend_is_and_lets_it_predict(scaffolded):
    told = check(scaffolded.name)
    for words in ("Scaffolded", "ANNOTATION_CREATED", "0.1.0", '"score": 0.0', "It works."):
        assert words in told


def test_checkbackend_takes_a_labelling_config(make_backend, tmp_path):
    name = make_backend("""
        class Boxes(LabelStudioMLBase):
            def predict(self, tasks, **kwargs):
                self.get_first_tag_occurence("RectangleLabels", "Image")
                return [{"result": [], "score": 0.7} for _ in tasks]
    """)
    config = tmp_path / "config.xml"
    config.write_text('<View><Image name="i" value="$photo"/><RectangleLabels name="r" toName="i"/></View>')
    told = check(name, label_config=config)
    assert "photo" in told
    assert '"score": 0.7' in told
    with pytest.raises(CommandError, match=r"needs <RectangleLabels> over .* --label-config FILE"):
        check(name)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import not_there_at_all", "imports 'not_there_at_all', which is not installed"),
        ("answer = 42", "defines no backend"),
        ("class M(LabelStudioMLBase):\n    def setup(self):\n        1 / 0", r"setup\(\) raised ZeroDivisionError"),
        (
            "class M(LabelStudioMLBase):\n    def predict(self, tasks): return tasks[0]['x']",
            r"predict\(\) raised KeyErr",
        ),
        ("class M(LabelStudioMLBase):\n    def predict(self, tasks): return [1]", "Label Studio cannot use .* `int`"),
        ("class M(LabelStudioMLBase):\n    def predict(self, tasks): return [{}, {}]", "2 predictions for 1 tasks"),
    ],
)
def test_checkbackend_names_what_is_wrong(source, words, make_backend):
    with pytest.raises(CommandError, match=words):
        check(make_backend(source))


def test_checkbackend_names_the_line_that_raised(make_backend):
    name = make_backend("class M(LabelStudioMLBase):\n    def predict(self, tasks):\n        return tasks[7]")
    with pytest.raises(CommandError, match=r"predict\(\) raised IndexError: .* \(model.py, line 5\)"):
        check(name)


def test_checkbackend_names_a_backend_or_a_file_that_is_not_there(tmp_path):
    with pytest.raises(CommandError, match=r"no backend named 'yolo'. Backends here: "):
        check("yolo")
    with pytest.raises(CommandError, match=r"none.xml cannot be read"):
        check("text_classifier", label_config=tmp_path / "none.xml")
