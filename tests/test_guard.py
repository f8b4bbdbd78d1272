"""A version that was trained for one labelling config under another one; and what a version knows of its origin."""

import hashlib
import json
from typing import Any

import pytest

from backends import label_config as label_configs
from registry import training
from registry.guard import LabelGuard
from registry.lineage import config_hash
from registry.models import Failure, Project
from tests.factories import SENTIMENT, annotation_created, project_json, receive
from tests.histories import made

pytestmark = pytest.mark.django_db(transaction=True)

RENAMED = SENTIMENT.replace('"Negative"', '"Bad"')
ALWAYS = """
    class Always(LabelStudioMLBase):
        def fit(self, event, data, **kwargs):
            self.set("learnt", data["annotation"]["id"])
        def predict(self, tasks, **kwargs):
            def region(choice):
                value = {"choices": [choice]}
                return {"from_name": "sentiment", "to_name": "text", "type": "choices", "value": value}
            return [{"result": [region("Positive"), region("Negative")], "score": 0.5} for _ in tasks]
"""


@pytest.fixture
def post(client, chosen, queue):
    """Return a function that posts, to a server whose backend was trained for two choices."""
    name = chosen(ALWAYS)
    receive(name, annotation_created(1, "text", "Positive"))
    training.drain(Project.objects.get().pk)

    def post(path: str, **body: Any) -> Any:
        body = {"project": "52.1795419125", "tasks": [{"id": 1, "data": {"text": "text"}}]} | body
        answer = client.post(path, body, content_type="application/json")
        assert answer.status_code < 300, answer.content
        return answer.json()

    return post


def predicted(answer: Any) -> list[str]:
    return [choice for region in answer["results"][0]["result"] for choice in region["value"]["choices"]]


def test_labels_that_vanished_are_left_out_of_predictions_and_reported(post):
    assert predicted(post("/predict", label_config=RENAMED)) == ["Positive"]
    failure = Failure.objects.get()
    assert (failure.code, failure.status, failure.project) == ("labels_vanished", 200, Project.objects.get())
    assert "'Negative' of 'sentiment'" in failure.summary
    assert "train the project again" in failure.summary


def test_the_project_is_marked_for_training_until_it_is_trained_for_the_new_config(post):
    post("/predict", label_config=RENAMED)
    assert Project.objects.get().retraining_reason == "The labelling config has changed since 0.1.0 was trained."
    post("/webhook", **annotation_created(2, "text", "Positive", label_config=RENAMED))
    training.drain(Project.objects.get().pk)
    assert Project.objects.get().retraining_reason == ""


def test_under_the_config_it_was_trained_for_everything_is_predicted(post):
    assert predicted(post("/predict", label_config=SENTIMENT)) == ["Positive", "Negative"]
    assert Project.objects.get().retraining_reason == ""
    assert not Failure.objects.exists()


def test_how_a_config_looks_does_not_count(post):
    looks = SENTIMENT.replace("<View>", '<View>\n  <Header value="Rate"/>').replace(
        'value="Positive"', 'value="Positive" hotkey="p"'
    )
    assert config_hash(looks) == config_hash(SENTIMENT)
    assert config_hash(RENAMED) != config_hash(SENTIMENT)


def test_a_region_of_a_control_that_is_gone_is_left_out_and_relations_stay():
    guard = LabelGuard(label_configs.parse(SENTIMENT))
    relation = {"type": "relation", "from_id": "a", "to_id": "b"}
    gone = {"from_name": "topic", "to_name": "text", "type": "choices", "value": {"choices": ["Sport"]}}
    results, dropped = guard.keep([[{"result": [gone, relation], "score": 1.0}]])
    assert results == [[{"result": [relation], "score": 1.0}]]
    assert dropped == {("topic", "")}


def test_a_region_with_one_known_label_of_two_keeps_that():
    guard = LabelGuard(label_configs.parse(SENTIMENT))
    region = {"from_name": "sentiment", "to_name": "text", "type": "choices", "value": {"choices": ["Positive", "Old"]}}
    results, dropped = guard.keep([{"result": [region]}])
    assert results[0]["result"][0]["value"] == {"choices": ["Positive"]}
    assert dropped == {("sentiment", "Old")}


# --- Where a version comes from ------------------------------------------------------------------


def test_a_version_says_what_it_learnt_from_and_by_what_code(make_backend, queue, tmp_path):
    name = make_backend("""
        import random
        class Learns(LabelStudioMLBase):
            def fit(self, event, data, **kwargs):
                self.set("seed", [self.seed, random.random()])
                self.log_metrics({"loss": 0.25})
    """)
    (tmp_path / name / "requirements.txt").write_text("django>=5  # a comment\n--no-index\nno-such-package-here\n\n")
    receipts = [receive(name, made(number, number)) for number in (1, 2)]
    training.drain(Project.objects.get().pk)
    version = Project.objects.get().live
    assert version is not None
    assert (version.first_event, version.last_event, version.event_count) == (receipts[1].event_id,) * 2 + (1,)
    source = (tmp_path / name / "model.py").read_bytes()
    assert version.code_hash == hashlib.sha256(b"model.py\n" + source).hexdigest()
    assert version.label_config_hash == config_hash(project_json()["label_config"])
    assert set(version.libraries) == {"python", "label-studio-sdk", "django"}
    assert version.metrics == {"loss": 0.25}
    assert version.annotation_count == 1
    assert json.loads(bytes(version.entries.get().data or b""))[0] == version.seed
    assert version.size == version.entries.get().data.__len__()


def test_equal_training_sets_have_equal_manifests_and_a_changed_annotation_another(make_backend, queue):
    name = make_backend("""
        class Reads(LabelStudioMLBase):
            def fit(self, event, data, **kwargs):
                self.set("count", [data["task"]["id"], len(list(self.annotations()))])
    """)
    hashes = []
    for event in (made(1, 1), made(2, 2, task=2)):
        receive(name, event)
        training.drain(Project.objects.get().pk)
        live = Project.objects.get().live
        assert live is not None
        hashes.append((live.annotation_count, live.annotations_hash))
    assert [count for count, _ in hashes] == [1, 2]
    assert len({digest for _, digest in hashes}) == 2
