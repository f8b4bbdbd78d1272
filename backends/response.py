"""What `predict()` may return, and the one form in which it leaves the server."""

import math
from typing import Any

from pydantic import BaseModel, ConfigDict

from backends.errors import InvalidPrediction

_INTEGERS = range(-(2**63), 2**64)
_PLAIN_TYPES: tuple[type[Any], ...] = (int, float, dict, list, tuple)


class ModelResponse(BaseModel):
    """Predictions for the tasks of one request, an item per task: a prediction or a list of them."""

    model_config = ConfigDict(protected_namespaces=(), arbitrary_types_allowed=True)

    predictions: list[Any]
    model_version: str | None = None

    def has_model_version(self) -> bool:
        """Return whether a version was given."""
        return bool(self.model_version)

    def set_version(self, version: str) -> None:
        """Give the response, and each prediction without one, this version."""
        self.model_version = version
        self.update_predictions_version()

    def update_predictions_version(self) -> None:
        """Give each prediction without a version the response's."""
        for item in self.predictions:
            for prediction in item if isinstance(item, list) else [item]:
                if isinstance(prediction, dict):
                    prediction.setdefault("model_version", self.model_version)
                elif not prediction.model_version:
                    prediction.model_version = self.model_version


def to_results(answer: Any, task_count: int, model_version: str) -> list[Any]:
    """Return Label Studio's `results`: one item per task, in order, of plain JSON.

    Every prediction carries `model_version` and a finite `score`; a task without a prediction gets
    an empty one. Accepted are a ModelResponse, a list of dicts, of lists or of the SDK's
    `PredictionValue`, a dict with `predictions`, and None. Raise InvalidPrediction for anything that
    Label Studio would drop: a wrong count, NaN, a value that is not JSON.
    """
    if isinstance(answer, ModelResponse):
        answer = answer.predictions
    elif isinstance(answer, dict) and "predictions" in answer:
        answer = answer["predictions"]
    # Nothing at all, as a model says that has learnt nothing yet.
    if answer is None or (isinstance(answer, list | tuple) and not answer):
        answer = [None] * task_count
    if not isinstance(answer, list | tuple):
        raise InvalidPrediction(f"predict() must return a list with one item per task, not {_kind(answer)}.")
    if len(answer) != task_count:
        raise InvalidPrediction(f"predict() returned {len(answer)} predictions for {task_count} tasks.")
    return [_item(item, model_version, index) for index, item in enumerate(answer)]


def _item(item: Any, model_version: str, index: int) -> Any:
    if isinstance(item, list | tuple) and item:
        return [_prediction(part, model_version, index) for part in item]
    # Only these say “nothing”; 0 or "" is a mistake, and an array has no truth value.
    nothing = item is None or isinstance(item, list | tuple)
    return _prediction({} if nothing else item, model_version, index)


def _prediction(prediction: Any, model_version: str, index: int) -> dict[str, Any]:
    if isinstance(prediction, BaseModel):
        prediction = prediction.model_dump()
    if not isinstance(prediction, dict):
        raise InvalidPrediction(f"Prediction {index} must be a dict or a PredictionValue, not {_kind(prediction)}.")
    try:
        plain: dict[str, Any] = dict(prediction) if _is_plain(prediction) else _plain(prediction)
    except InvalidPrediction as exc:
        raise InvalidPrediction(f"Prediction {index}: {exc}") from exc
    except RecursionError as exc:
        raise InvalidPrediction(f"Prediction {index} is nested too deeply or contains itself.") from exc
    result = plain.get("result")
    if result is None:
        result = []
    elif not isinstance(result, list) or not all(isinstance(region, dict) for region in result):
        raise InvalidPrediction(f"Prediction {index}: `result` must be a list of regions, each a dict.")
    plain["result"] = result
    plain["score"] = _score(plain.get("score"), index)
    # The string that /setup answered: Label Studio finds its predictions again by it.
    plain["model_version"] = model_version
    return plain


def _score(score: Any, index: int) -> float:
    if score is None:
        return 0.0
    if isinstance(score, int | float):
        return float(score)  # Of 64 bits at most: it went through _plain.
    raise InvalidPrediction(f"Prediction {index}: `score` must be a number, not {_kind(score)}.")


def _is_plain(value: Any) -> bool:
    """Whether the value is JSON as it stands, which most are: looking costs a third of copying."""
    kind = type(value)
    if kind is str:
        return bool(value.isascii())
    if kind is float:
        return math.isfinite(value)
    if kind is dict:
        return all(type(key) is str and key.isascii() and _is_plain(item) for key, item in value.items())
    if kind is list:
        return all(map(_is_plain, value))
    return value is None or kind is bool or (kind is int and value in _INTEGERS)


def _plain(value: Any) -> Any:
    """Return the value in JSON's own types; numpy numbers and arrays become theirs."""
    kind = type(value)
    if kind is bool or value is None:
        return value
    if kind is str:
        return _text(value)
    if kind is int:
        if value in _INTEGERS:
            return value
        raise InvalidPrediction("whole numbers of more than 64 bits cannot be sent.")
    if kind is float:
        if math.isfinite(value):
            return value
        raise InvalidPrediction("NaN and infinity are not JSON; return finite numbers.")
    if kind is dict:
        return {_key(key): _plain(item) for key, item in value.items()}
    if kind is list or kind is tuple:
        return [_plain(item) for item in value]
    return _plain_object(value)


def _plain_object(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return _plain(value.model_dump())
    # numpy scalars and arrays, and the tensors of the frameworks, all offer tolist().
    if callable(to_list := getattr(value, "tolist", None)):
        converted = to_list()
        if type(converted) is not type(value):
            return _plain(converted)
    if isinstance(value, str):
        return _text(value)
    # Subclasses: an enum of numbers, an OrderedDict, a namedtuple.
    for base in _PLAIN_TYPES:
        if isinstance(value, base):
            return _plain(base(value))
    raise InvalidPrediction(f"{_kind(value)} is not JSON; return numbers, text, lists and dicts.")


def _text(value: str) -> str:
    # Of an enum's member too this is the text, where str() is the member's name.
    text = str.__str__(value)
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        raise InvalidPrediction("a text holds half of a surrogate pair, which is no character.") from exc
    return text


def _key(key: Any) -> str:
    if isinstance(key, str):
        return _text(key)
    if isinstance(key, int | float):
        return str(key)
    if callable(to_list := getattr(key, "tolist", None)):
        return str(to_list())
    raise InvalidPrediction(f"a dict key of type {_kind(key)} is not JSON; use text.")


def _kind(value: Any) -> str:
    return f"`{type(value).__name__}`"
