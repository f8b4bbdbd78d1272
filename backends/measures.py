"""How well predictions agree with annotations, control by control, in the measures the field uses.

What each kind of control is measured by:

- Choices and Taxonomy: `accuracy`, the share of tasks whose whole set of choices is right, and
  `macro_f1`, the mean F1 of the labels that were chosen or predicted.
- Labels over text, hypertext, paragraphs, audio and time series, and RectangleLabels: `precision`,
  `recall` and `f1` of the regions of all tasks; a region is found where one with equal labels has an
  intersection over union of at least a half with it. Turned rectangles are measured as turned.
- Number and Rating: `mae`, the mean absolute error where there is a prediction, and `answered`, the
  share of tasks where there is one.
- TextArea: `edit_distance`, the mean Levenshtein distance over the longer text's length: 0 is equal.

Answers about single regions or items of a task (`perRegion`, `perItem`) are not measured.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Protocol

from defusedxml.ElementTree import fromstring
from rapidfuzz.distance import Levenshtein

from backends.label_config import LabelConfig
from backends.overlaps import Box, Span, box, count_matches, number, span

Region = dict[str, Any]
"""An item of `result`, as Label Studio has it."""

_SPANS_OVER = frozenset({"text", "hypertext", "paragraphs", "audio", "audioplus", "timeseries"})
_SPANS = frozenset({"labels", "hypertextlabels", "paragraphlabels", "timeserieslabels"})
_BOXES = frozenset({"rectanglelabels"})
_ABOUT_A_PART = ("perRegion", "perItem", "labeling")

_HIGHER_IS_BETTER = ("macro_f1", "f1", "answered")
_LOWER_IS_BETTER = ("edit_distance",)
_RELATIVE = ("mae",)
_NOISE = 1e-9


@dataclass(frozen=True)
class ControlMeasures:
    """How well the predictions for one control agree with its annotations."""

    control: str
    """The name of the control tag: `from_name` of its regions."""
    kind: str
    """Its tag, `Choices`."""
    count: int
    """The tasks it was measured on."""
    values: dict[str, float]
    """Finite numbers by the measure's name; empty where there was nothing to measure on."""


def measure(config: LabelConfig, pairs: Iterable[tuple[Sequence[Region], Sequence[Region]]]) -> list[ControlMeasures]:
    """Compare, per task, what was annotated with what was predicted; one item per control, in the config's order.

    A task without an annotation for a control does not count for it, save that spans and boxes
    predicted there are wrong. What is malformed counts as no answer, on either side.
    """
    kinds = _measured(config)
    gauges = {name: _gauge(kind.lower()) for name, kind in kinds.items()}
    for pair in pairs:
        annotated, predicted = (_by_control(regions) for regions in pair)
        for name, gauge in gauges.items():
            gauge.add(annotated[name], predicted[name])
    return [ControlMeasures(name, kinds[name], gauge.count, gauge.values()) for name, gauge in gauges.items()]


def unmeasured(config: LabelConfig) -> list[str]:
    """Return the names of the controls that `measure` leaves out, in the config's order."""
    measured = _measured(config)
    return [name for name in config.parsed if name not in measured]


def worse(candidate: Sequence[ControlMeasures], live: Sequence[ControlMeasures], margin: float) -> list[str]:
    """Say, a sentence each, in what the candidate is worse than the live version by more than the margin.

    Both are to be measured on the same tasks. The margin is absolute, 0.02 of an F1 or of an edit
    distance, but relative to the live version's for `mae`, which has no scale of its own. An empty
    list means that the candidate may be promoted.
    """
    before = {measures.control: measures.values for measures in live}
    sentences = []
    for measures in candidate:
        known = before.get(measures.control, {})
        for name, value in measures.values.items():
            if name in known and _is_worse(name, value, known[name], margin):
                sentences.append(
                    f"{measures.control} ({measures.kind}): {name} is {value:.4g}, "
                    f"and the live version's is {known[name]:.4g}."
                )
    return sentences


def lower_is_better(name: str) -> bool:
    """Return whether the smaller of two values of the measure is the better one."""
    return name in _LOWER_IS_BETTER + _RELATIVE


def _is_worse(name: str, value: float, known: float, margin: float) -> bool:
    if name in _HIGHER_IS_BETTER:
        return value < known - margin - _NOISE
    if name in _LOWER_IS_BETTER:
        return value > known + margin + _NOISE
    return name in _RELATIVE and value > known * (1 + margin) + _NOISE


class _Gauge(Protocol):
    """Adds up one control's measures, task by task."""

    count: int

    def add(self, annotated: Sequence[Region], predicted: Sequence[Region]) -> None: ...

    def values(self) -> dict[str, float]: ...


def _measured(config: LabelConfig) -> dict[str, str]:
    """Return the tags of the controls that can be measured, by name."""
    about_a_part = _about_a_part(config)
    measured = {}
    for name, tag in config.parsed.items():
        kind = tag["type"].lower()
        spans_and_boxes = kind in _BOXES or (kind in _SPANS and _over_spans(tag))
        # The regions of a control within a Repeater have names of their own.
        if (spans_and_boxes or (kind in _ANSWERS and name not in about_a_part)) and "{{" not in name:
            measured[name] = tag["type"]
    return measured


def _over_spans(tag: Mapping[str, Any]) -> bool:
    # Labels go with anything that can be drawn: over images the regions are shapes of any kind.
    return bool(tag["inputs"]) and all(shown["type"].lower() in _SPANS_OVER for shown in tag["inputs"])


def _about_a_part(config: LabelConfig) -> set[str]:
    if not config.parsed:
        return set()
    tags = fromstring(config.xml, forbid_dtd=True).iter()
    return {tag.get("name", "") for tag in tags if any(tag.get(key, "").lower() == "true" for key in _ABOUT_A_PART)}


def _gauge(kind: str) -> _Gauge:
    if kind in _ANSWERS:
        return _ANSWERS[kind](kind)
    return _Regions(kind, box if kind in _BOXES else span)


def _by_control(regions: Any) -> defaultdict[str, list[Region]]:
    """Sort what can be read as regions by the control that made them."""
    sorted_: defaultdict[str, list[Region]] = defaultdict(list)
    for region in regions if isinstance(regions, list | tuple) else []:
        if isinstance(region, dict) and isinstance(region.get("value"), dict):
            name = region.get("from_name")
            if isinstance(name, str):
                sorted_[name].append(region)
    return sorted_


class _Choices:
    def __init__(self, key: str) -> None:
        self.count = 0
        self._key = key
        self._right = 0
        self._hits: Counter[Hashable] = Counter()
        self._misses: Counter[Hashable] = Counter()  # Chosen or predicted, but not both.

    def add(self, annotated: Sequence[Region], predicted: Sequence[Region]) -> None:
        truth, answer = (frozenset(self._chosen(regions)) for regions in (annotated, predicted))
        if truth:
            self.count += 1
            self._right += truth == answer
            self._hits.update(truth & answer)
            self._misses.update(truth ^ answer)

    def values(self) -> dict[str, float]:
        if not self.count:
            return {}
        labels = self._hits.keys() | self._misses.keys()
        macro_f1 = fmean(_f1(self._hits[label], self._misses[label]) for label in labels)
        return {"accuracy": self._right / self.count, "macro_f1": macro_f1}

    def _chosen(self, regions: Sequence[Region]) -> Iterator[tuple[str, ...]]:
        """Yield each choice as its path, which in a Taxonomy and in nested Choices has several steps."""
        for region in regions:
            choices = region["value"].get(self._key)
            items = choices if isinstance(choices, list) else []
            paths = [[item] if isinstance(item, str) else item for item in items]
            if all(_is_texts(path) for path in paths):
                yield from map(tuple, paths)


class _Regions:
    def __init__(self, key: str, place: Callable[[Region], Span | Box | None]) -> None:
        self.count = 0
        self._key = key
        self._place = place
        self._hits = self._annotated = self._predicted = 0

    def add(self, annotated: Sequence[Region], predicted: Sequence[Region]) -> None:
        truth, answer = (self._by_class(regions) for regions in (annotated, predicted))
        self.count += bool(truth or answer)
        self._annotated += sum(map(len, truth.values()))
        self._predicted += sum(map(len, answer.values()))
        self._hits += sum(count_matches(places, answer[key]) for key, places in truth.items() if key in answer)

    def values(self) -> dict[str, float]:
        if not self.count:
            return {}
        return {
            "precision": self._hits / self._predicted if self._predicted else 0.0,
            "recall": self._hits / self._annotated if self._annotated else 0.0,
            "f1": _f1(self._hits, self._annotated + self._predicted - 2 * self._hits),
        }

    def _by_class(self, regions: Sequence[Region]) -> dict[Hashable, list[Span | Box]]:
        """Return the places by what must be equal: the labels, the object and its page."""
        places: defaultdict[Hashable, list[Span | Box]] = defaultdict(list)
        for region in regions:
            labels, to_name = region["value"].get(self._key), region.get("to_name")
            place = self._place(region)
            if _is_texts(labels) and isinstance(to_name, str) and place is not None:
                page = number(region.get("item_index")) or 0.0
                places[frozenset(labels), to_name, page].append(place)
        return dict(places)


class _Numbers:
    def __init__(self, key: str) -> None:
        self.count = 0
        self._key = key
        self._errors: list[float] = []

    def add(self, annotated: Sequence[Region], predicted: Sequence[Region]) -> None:
        truth, answer = (self._number(regions) for regions in (annotated, predicted))
        if truth is not None:
            self.count += 1
            if answer is not None:
                self._errors.append(abs(truth - answer))

    def values(self) -> dict[str, float]:
        if not self.count:
            return {}
        # A missing prediction has no error; without its share, silence on the hard tasks would pay.
        answered = {"answered": len(self._errors) / self.count}
        return {"mae": fmean(self._errors)} | answered if self._errors else answered

    def _number(self, regions: Sequence[Region]) -> float | None:
        values = [value for region in regions if (value := number(region["value"].get(self._key))) is not None]
        return fmean(values) if values else None


class _Texts:
    def __init__(self, key: str) -> None:
        self.count = 0
        self._distances: list[float] = []

    def add(self, annotated: Sequence[Region], predicted: Sequence[Region]) -> None:
        truth, answer = (_text(regions) for regions in (annotated, predicted))
        if truth:
            self.count += 1
            self._distances.append(Levenshtein.normalized_distance(truth, answer))

    def values(self) -> dict[str, float]:
        return {"edit_distance": fmean(self._distances)} if self.count else {}


_ANSWERS: dict[str, Callable[[str], _Gauge]] = {
    "choices": _Choices,
    "taxonomy": _Choices,
    "number": _Numbers,
    "rating": _Numbers,
    "textarea": _Texts,
}


def _text(regions: Sequence[Region]) -> str:
    """Return all that was written, a line per text; several regions have no order of their own."""
    texts = (region["value"].get("text") for region in regions)
    lines = ([text] if isinstance(text, str) else text for text in texts)
    return "\n".join(sorted("\n".join(part) for part in lines if _is_texts(part)))


def _f1(hits: int, misses: int) -> float:
    return 2 * hits / (2 * hits + misses)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, str) for item in value)
