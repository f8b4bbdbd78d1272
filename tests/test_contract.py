"""The contract that backends inherit, and the events that it is made of."""

import pytest

from backends import LabelStudioMLBase, testing
from backends.testing import BackendContract
from tests.factories import SENTIMENT, wire


class Good(LabelStudioMLBase):
    """Learns one thing, keeps it, and says it of every task."""

    def predict(self, tasks, context=None, **kwargs):
        return [{"result": self.result(), "score": self.get("count") or 0} for _ in tasks]

    def fit(self, event, data, **kwargs):
        self.set("count", (self.get("count") or 0) + 1)

    def result(self):
        return [testing.choices_region("sentiment", "text", "Positive")]


class Forgetful(Good):
    count = 0

    def predict(self, tasks, context=None, **kwargs):
        return [{"result": [], "score": self.count} for _ in tasks]

    def fit(self, event, data, **kwargs):
        self.count += 1


class Misnaming(Good):
    def result(self):
        return [testing.choices_region("mood", "text", "Positive")]


class Inventing(Good):
    def result(self):
        return [testing.choices_region("sentiment", "text", "Splendid")]


class Demanding(Good):
    def predict(self, tasks, context=None, **kwargs):
        return [{"result": [], "score": len(task["data"]["text"])} for task in tasks]


class Meddling(Good):
    def predict(self, tasks, context=None, **kwargs):
        for task in tasks:
            task["data"].clear()
        return []


class Restless(Good):
    def predict(self, tasks, context=None, **kwargs):
        self.bump_model_version()
        return []


class OneEvent(Good):
    def fit(self, event, data, **kwargs):
        self.set("seen", data["annotation"]["id"])


def broken_promises(model):
    """Return the tests of the contract that a backend does not pass."""

    class Contract(BackendContract):
        backend = model
        label_config = SENTIMENT
        tasks = [{"id": 1, "data": {"text": "a"}}, {"id": 2, "data": {"text": "b"}}]

    failed = set()
    for name in (name for name in dir(Contract) if name.startswith("test_")):
        try:
            getattr(Contract(), name)()
        except Exception:
            failed.add(name.removeprefix("test_it_"))
    return failed


def test_a_good_backend_passes_the_contract():
    assert broken_promises(Good) == set()


@pytest.mark.parametrize(
    ("model", "promise"),
    [
        (Forgetful, "test_what_it_learnt_is_in_its_state"),
        (Misnaming, "predicts_an_item_per_task"),
        (Inventing, "predicts_an_item_per_task"),
        (Demanding, "survives_a_task_without_data"),
        (Meddling, "leaves_the_tasks_as_they_were"),
        (Restless, "has_a_version_and_predicting_does_not_change_it"),
        (OneEvent, "predicts_after_every_event_that_label_studio_sends"),
        (OneEvent, "survives_the_deletion_of_annotations_it_never_saw"),
    ],
)
def test_the_contract_tells_what_a_backend_does_not_keep(model, promise):
    assert promise in broken_promises(model)


TASK = {"id": 3, "data": {"text": "a"}}


@pytest.mark.parametrize(
    ("recorded", "event"),
    [
        ("ANNOTATION_CREATED", testing.annotation_event(TASK, [])),
        ("ANNOTATION_CREATED_skipped", testing.annotation_event(TASK, [], skipped=True)),
        ("ANNOTATION_UPDATED", testing.annotation_event(TASK, [], action="ANNOTATION_UPDATED")),
        ("ANNOTATIONS_CREATED", testing.bulk_event([(TASK, [])])),
        ("ANNOTATIONS_DELETED", testing.deletion_event(1)),
        ("START_TRAINING", testing.training_event()),
    ],
)
def test_events_for_tests_have_the_shape_that_label_studio_sends(recorded, event):
    sent = wire(f"webhook_{recorded}")["json"]
    assert event.action == sent.pop("action")
    assert_within(event.data, sent)


def assert_within(made, sent):
    """Assert that every key was really sent, with a value of that type."""
    if made is None or sent is None:
        return
    assert type(made) is type(sent)
    if isinstance(made, dict):
        assert set(made) <= set(sent)
        for key, value in made.items():
            if key not in ("data", "result"):
                assert_within(value, sent[key])
    elif isinstance(made, list):
        for one, other in zip(made, sent, strict=False):
            assert_within(one, other)
