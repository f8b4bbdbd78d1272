"""What a backend keeps with set(), and what get() gives back."""

from enum import Enum

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from registry import codec, entries
from registry.errors import StateError
from registry.models import Blob, ModelVersion, Project, StateEntry
from registry.state import LiveState, StagedState
from registry.versions import promote
from tests.factories import a_project, a_version

pytestmark = pytest.mark.django_db


class Colour(Enum):
    RED = 1


def live_state(project: Project) -> LiveState:
    state = LiveState(project.pk)
    state.begin("0.0.1")
    return state


@pytest.mark.parametrize(
    "value",
    [
        "text",
        "",
        "NUL \0 and lone \ud800",
        b"\x00\xff",
        None,
        True,
        0,
        -(2**63),
        2**200,
        1.5,
        float("inf"),
        [1, ["a", None]],
        {"a": {"b": [1.5]}},
        {"a": "\0"},
        (1, 2),
        {1: "a"},
        {"a": (1,)},
        {"x", "y"},
        Colour.RED,
        "x" * 100_000,
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_value_comes_back_as_it_was(value):
    project = a_project()
    live_state(project).set("key", value)
    found = live_state(project).get("key")
    assert (found, type(found)) == (value, type(value))


def test_numpy_arrays_and_models_come_back():
    project = a_project()
    model = LogisticRegression().fit([[0.0], [1.0]], ["no", "yes"])
    live_state(project).set("model", {"weights": np.arange(3), "model": model})
    found = live_state(project).get("model")
    assert found["weights"].tolist() == [0, 1, 2]
    assert found["model"].predict([[0.9]]).tolist() == ["yes"]


def test_an_unknown_key_is_none_and_absent():
    state = live_state(a_project())
    assert (state.get("nothing"), state.has("nothing")) == (None, False)
    state.set("nothing", None)
    assert (state.get("nothing"), state.has("nothing")) == (None, True)


def test_changing_what_get_returned_changes_nothing_that_is_kept():
    state = live_state(a_project())
    state.set("list", [1])
    state.get("list").append(2)
    assert state.get("list") == [1]


def test_a_pickle_that_this_server_did_not_sign_is_not_loaded(tmp_path):
    project = a_project()
    state = live_state(project)
    state.set("model", {1: "a"})
    entry = StateEntry.objects.get()
    assert entry.data is not None
    StateEntry.objects.update(data=bytes(entry.data)[:-1] + b"!")
    with pytest.raises(StateError, match="not signed"):
        live_state(project).get("model")


def test_a_pickle_signed_with_the_key_before_is_still_loaded(settings):
    project = a_project()
    live_state(project).set("model", {1: "a"})
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "a new key"
    assert live_state(project).get("model") == {1: "a"}


def test_what_cannot_be_pickled_is_refused_by_name():
    with pytest.raises(StateError, match=r"'handler'.*cannot be pickled"):
        live_state(a_project()).set("handler", lambda: None)


@pytest.mark.parametrize("key", ["", "x" * 300, "a\0b"])
def test_a_key_that_cannot_be_stored_is_refused(key):
    with pytest.raises(StateError, match="key"):
        live_state(a_project()).set(key, 1)


def test_a_write_while_serving_goes_to_the_live_version_at_once():
    project = a_project()
    first, second = live_state(project), live_state(project)
    first.set("count", 1)
    assert second.get("count") == 1
    assert ModelVersion.objects.count() == 1


def test_a_large_value_is_stored_once_for_all_versions_that_hold_it():
    project = a_project()
    large = b"x" * 1_000_000
    version = a_version(project, weights=large)
    for _ in range(3):
        version = a_version(project, other=version.name)
    assert Blob.objects.get().size == 1_000_000
    assert entries.read(version.pk, "weights") == codec.encode("weights", large)


def test_versions_keep_their_own_values():
    project = a_project()
    old = a_version(project, key="old", untouched=1)
    a_version(project, key="new")
    assert [live_state(project).get(key) for key in ("key", "untouched")] == ["new", 1]
    promote(old, by="a test", reason="because")
    assert live_state(project).get("key") == "old"


def test_staged_writes_are_seen_by_the_fit_and_by_nobody_else():
    project = a_project()
    a_version(project, key="before")
    staged = StagedState(project.pk)
    staged.begin("0.0.1")
    staged.stage()
    staged.set("key", "during")
    assert (staged.get("key"), live_state(project).get("key")) == ("during", "before")


def test_writing_the_same_value_again_is_no_change():
    project = a_project()
    state = live_state(project)
    state.set("key", [1])
    revision = Project.objects.get().state_revision
    live_state(project).set("key", [1])
    assert Project.objects.get().state_revision == revision


def test_naming_a_version_while_serving_makes_it_live():
    project = a_project()
    state = live_state(project)
    state.set("key", 1)
    state.set("model_version", "tuned")
    assert live_state(project).get("model_version") == "tuned"
    assert live_state(project).get("key") == 1
