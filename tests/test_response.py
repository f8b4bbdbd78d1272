"""What predict() may return, and what of it Label Studio gets."""

import json
from collections import OrderedDict
from enum import Enum, IntEnum, StrEnum
from types import SimpleNamespace

import numpy as np
import pytest
from label_studio_sdk.label_interface.objects import PredictionValue

from backends import InvalidPrediction, ModelResponse
from backends.response import to_results

REGION = {"from_name": "c", "to_name": "t", "type": "choices", "value": {"choices": ["A"]}}
PREDICTION = {"result": [REGION], "score": 0.5}
SENT = PREDICTION | {"model_version": "7"}
NOTHING = {"result": [], "score": 0.0, "model_version": "7"}


def results(answer, tasks=1):
    return to_results(answer, tasks, "7")


def value(item):
    """Return an item of a region's value as it leaves the server."""
    return results([{"result": [{"value": item}]}])[0]["result"][0]["value"]


@pytest.mark.parametrize(
    "answer",
    [
        [PREDICTION],
        (PREDICTION,),
        {"predictions": [PREDICTION]},
        ModelResponse(predictions=[PREDICTION]),
        [PredictionValue(result=[REGION], score=0.5)],
        ModelResponse(predictions=[PredictionValue(result=[REGION], score=0.5)]),
        [OrderedDict(PREDICTION)],
        [PREDICTION | {"result": (REGION,)}],
    ],
    ids=["list", "tuple", "dict", "ModelResponse", "SDK", "SDK in ModelResponse", "OrderedDict", "tuple of regions"],
)
def test_every_form_of_a_prediction_leaves_in_the_same_one(answer):
    assert results(answer) == [SENT]


@pytest.mark.parametrize("answer", [None, [], (), ModelResponse(predictions=[]), {"predictions": []}])
def test_no_answer_at_all_is_an_empty_prediction_per_task(answer):
    assert results(answer, tasks=2) == [NOTHING, NOTHING]


@pytest.mark.parametrize("item", [None, {}, [], (), {"result": None}, {"result": [], "score": None}])
def test_a_task_without_a_prediction_gets_an_empty_one(item):
    assert results([item, PREDICTION], tasks=2) == [NOTHING, SENT]


def test_a_task_can_have_several_predictions():
    assert results([[PREDICTION, {"result": []}]]) == [[SENT, NOTHING]]


def test_no_tasks_are_answered_with_no_predictions():
    assert results([], tasks=0) == results(None, tasks=0) == []


def test_the_version_of_the_server_replaces_what_a_prediction_says():
    assert results(ModelResponse(predictions=[PREDICTION | {"model_version": "mine"}], model_version="2")) == [SENT]


def test_further_keys_of_a_prediction_are_kept():
    assert results([PREDICTION | {"cluster": 3}]) == [SENT | {"cluster": 3}]


def test_what_the_backend_returned_is_not_changed():
    answer = [{"result": [dict(REGION)]}]
    results(answer)
    assert answer == [{"result": [REGION]}]


class Color(str, Enum):  # noqa: UP042  (what many models still define)
    RED = "red"


class Mood(StrEnum):
    GLAD = "glad"


class Level(IntEnum):
    HIGH = 3


@pytest.mark.parametrize(
    ("item", "sent"),
    [
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.str_("cat"), "cat"),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (np.array(0.5), 0.5),
        ((1, 2), [1, 2]),
        ({1: "a"}, {"1": "a"}),
        ({np.int64(5): "a"}, {"5": "a"}),
        (Color.RED, "red"),
        (Mood.GLAD, "glad"),
        (Level.HIGH, 3),
        ({Color.RED: 1}, {"red": 1}),
        ("日本語 🙂", "日本語 🙂"),
        (2**63, 2**63),
        (None, None),
    ],
)
def test_values_become_plain_json(item, sent):
    plain = value(item)
    assert plain == sent
    assert type(plain) is type(sent)
    assert json.loads(json.dumps(plain)) == sent


@pytest.mark.parametrize("score", [1, np.float32(1), np.array(1.0), True])
def test_a_score_leaves_as_a_float(score):
    [prediction] = results([{"result": [], "score": score}])
    assert prediction["score"] == 1.0
    assert type(prediction["score"]) is float


def circular():
    region: dict[str, object] = {}
    region["value"] = region
    return [{"result": [region]}]


def deep():
    nested: list[object] = []
    for _ in range(100_000):
        nested = [nested]
    return [{"result": [{"value": nested}]}]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ([PREDICTION], "returned 1 predictions for 2 tasks"),
        ([PREDICTION] * 3, "returned 3 predictions for 2 tasks"),
        ("text", "one item per task, not `str`"),
        (PREDICTION, "one item per task, not `dict`"),
        (np.array([1, 2]), "one item per task, not `ndarray`"),
        (iter([PREDICTION] * 2), "one item per task, not `list_iterator`"),
        ([PREDICTION, "text"], "Prediction 1 must be a dict or a PredictionValue, not `str`"),
        ([PREDICTION, 0], "Prediction 1 must be a dict or a PredictionValue, not `int`"),
        ([PREDICTION, False], "Prediction 1 must be a dict"),
        ([PREDICTION, np.array([1, 2])], "Prediction 1 must be a dict or a PredictionValue, not `ndarray`"),
        ([PREDICTION, [PREDICTION, None]], "Prediction 1 must be a dict or a PredictionValue, not `NoneType`"),
    ],
)
def test_an_answer_of_the_wrong_shape_is_refused_in_words(answer, words):
    with pytest.raises(InvalidPrediction, match=words):
        results(answer, tasks=2)


@pytest.mark.parametrize(
    ("prediction", "words"),
    [
        ({"result": REGION}, "`result` must be a list of regions"),
        ({"result": ["text"]}, "`result` must be a list of regions"),
        ({"result": [], "score": "high"}, "`score` must be a number, not `str`"),
        ({"result": [], "score": [0.5]}, "`score` must be a number, not `list`"),
        ({"result": [], "score": float("nan")}, "NaN and infinity are not JSON"),
        ({"result": [], "score": np.float64("inf")}, "NaN and infinity are not JSON"),
        ({"result": [], "score": 10**400}, "more than 64 bits"),
        ({"result": [{"value": {"x": float("-inf")}}]}, "NaN and infinity are not JSON"),
        ({"result": [{"value": {"x": SimpleNamespace()}}]}, "`SimpleNamespace` is not JSON"),
        ({"result": [{"value": {"x": {1, 2}}}]}, "`set` is not JSON"),
        ({"result": [{"value": {"x": b"bytes"}}]}, "`bytes` is not JSON"),
        ({"result": [{"value": {(1, 2): "x"}}]}, "a dict key of type `tuple` is not JSON"),
        ({"result": [{"value": 2**64}]}, "more than 64 bits"),
        ({"result": [{"value": "\ud83d"}]}, "half of a surrogate pair"),
        ({"result": [{"\ud83d": 1}]}, "half of a surrogate pair"),
    ],
)
def test_a_prediction_that_label_studio_would_drop_is_refused_in_words(prediction, words):
    with pytest.raises(InvalidPrediction, match=f"Prediction 1: .*{words}"):
        results([PREDICTION, prediction], tasks=2)


@pytest.mark.parametrize("answer", [circular(), deep()], ids=["circular", "deep"])
def test_a_prediction_without_a_bottom_is_refused_in_words(answer):
    with pytest.raises(InvalidPrediction, match="nested too deeply or contains itself"):
        results(answer)


def test_a_response_gives_its_version_to_the_predictions_without_one():
    response = ModelResponse(predictions=[{"result": []}, [{"result": [], "model_version": "own"}]])
    assert not response.has_model_version()
    response.set_version("3")
    assert response.has_model_version()
    assert [response.predictions[0]["model_version"], response.predictions[1][0]["model_version"]] == ["3", "own"]
