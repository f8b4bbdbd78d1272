"""Where a region lies, and how many regions of two sets lie in the same place.

The formats are Label Studio's: https://labelstud.io/guide/task_format and the tag of each control.
"""

import cmath
import math
from collections import deque
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from backends.annotations import time_of

SAME_PLACE = 0.5
"""The intersection over union from which two regions are the same one: the custom of the field."""

# Products of a few numbers up to here stay finite.
_LARGEST = 1e100


@dataclass(frozen=True)
class Span:
    """A stretch of text or time."""

    places: Mapping[Hashable, tuple[float, float]]
    """Start and end by the way of counting. Regions of hypertext and paragraphs have several of
    them: characters of the whole, characters of an element; only equal ones can be compared."""


@dataclass(frozen=True)
class Box:
    """A rectangle in percent of the image, turned clockwise by degrees about its top left corner."""

    left: float
    top: float
    right: float
    bottom: float
    rotation: float
    aspect: float | None = field(compare=False)
    """The image's width over its height, which a turned box depends on."""


def number(value: Any) -> float | None:
    """Return the value as a finite float, or None where it is no number of reasonable size."""
    if type(value) not in (int, float) or not abs(value) <= _LARGEST:
        return None
    return float(value)


def span(region: Mapping[str, Any]) -> Span | None:
    """Read where a region of text, hypertext, paragraphs, audio or a time series lies; None if malformed.

    A span that begins and ends in different elements, and has no `globalOffsets`, is only comparable
    with its equal: how far the elements are apart is not known.
    """
    value = region["value"]
    places: dict[Hashable, tuple[float, float]] = {}
    overall = value.get("globalOffsets")
    if isinstance(overall, dict):
        _add(places, ("characters",), number(overall.get("start")), number(overall.get("end")))
    start, end = value.get("start"), value.get("end")
    element, last_element = _element(start), _element(end)
    first, last = number(value.get("startOffset")), number(value.get("endOffset"))
    if first is None or last is None:
        # Channels of audio that are shown apart are labelled apart.
        channel = number(value.get("channel")) or 0.0
        _add(places, channel, _position(start), _position(end))
        _add(places, ("times",), _seconds(start), _seconds(end))
    elif element is not None and element == last_element:
        _add(places, element, first, last)
    elif element is not None and last_element is not None:
        places[element, last_element, first, last] = (0.0, 1.0)
    return Span(places) if places else None


def box(region: Mapping[str, Any]) -> Box | None:
    """Read where a rectangle lies; None if malformed."""
    value = region["value"]
    left, top, width, height = (number(value.get(key)) for key in ("x", "y", "width", "height"))
    if left is None or top is None or width is None or height is None or width < 0 or height < 0:
        return None
    across, down = number(region.get("original_width")), number(region.get("original_height"))
    aspect = across / down if across and down and across > 0 and down > 0 else None
    rotation = (number(value.get("rotation")) or 0.0) % 360.0
    return Box(left, top, left + width, top + height, rotation, aspect)


def overlap(one: Span | Box, other: Span | Box) -> float:
    """Return the intersection over union of two regions, from 0 to 1; equal ones have 1, even if empty."""
    if isinstance(one, Box) and isinstance(other, Box):
        return _overlap_of_boxes(one, other)
    if isinstance(one, Span) and isinstance(other, Span):
        for way, (start, end) in one.places.items():
            if (place := other.places.get(way)) is not None:
                if place == (start, end):
                    return 1.0
                shared = min(end, place[1]) - max(start, place[0])
                return _ratio(shared, end - start, place[1] - place[0])
    return 0.0


def count_matches(some: Sequence[Span | Box], others: Sequence[Span | Box]) -> int:
    """Return how many pairs of regions in the same place there are at most, each region in one pair only.

    The largest matching does not depend on the order of the regions, as a greedy one does.
    """
    near = [[i for i, other in enumerate(others) if overlap(one, other) >= SAME_PLACE] for one in some]
    owners: dict[int, int] = {}  # Who of `some` has whom of `others`, and the reverse of it.
    owned: dict[int, int] = {}
    hopeless: set[int] = set()
    for start in range(len(near)):
        # From what a search in vain has reached, no later one gets further.
        hopeless.update(_search(start, near, owners, owned, hopeless))
    return len(owned)


def _search(
    start: int, near: list[list[int]], owners: dict[int, int], owned: dict[int, int], hopeless: set[int]
) -> dict[int, int]:
    """Find a partner, making others change theirs; return what was reached in vain, if there is none."""
    reached_from: dict[int, int] = {}
    waiting = deque([start])
    while waiting:
        one = waiting.popleft()
        for other in near[one]:
            if other in reached_from or other in hopeless:
                continue
            reached_from[other] = one
            if other in owners:
                waiting.append(owners[other])
                continue
            given_up: int | None = other
            while given_up is not None:
                taken, one = given_up, reached_from[given_up]
                given_up = owned.get(one)
                owners[taken], owned[one] = one, taken
            return {}
    return reached_from


def _add(places: dict[Hashable, tuple[float, float]], way: Hashable, start: float | None, end: float | None) -> None:
    if start is not None and end is not None and start <= end:
        places[way] = (start, end)


def _position(value: Any) -> float | None:
    if not isinstance(value, str):
        return number(value)
    try:
        return number(float(value))
    except ValueError:
        return None


def _element(value: Any) -> str | None:
    """Return an element's XPath, or a paragraph's index, which is a number in some regions and text in others."""
    if isinstance(value, str):
        return value
    index = number(value)
    return None if index is None else f"{index:g}"


def _seconds(value: Any) -> float | None:
    """Read a time as a time series with a `timeFormat` has it, where that is ISO 8601 or nearly so."""
    time = time_of(value)
    return None if time is None else time.timestamp()


def _ratio(shared: float, one: float, other: float) -> float:
    union = one + other - shared
    return min(shared / union, 1.0) if shared > 0 and union > 0 else 0.0


def _overlap_of_boxes(one: Box, other: Box) -> float:
    if one == other:
        return 1.0
    if one.rotation or other.rotation:
        aspect = one.aspect or other.aspect or 1.0
        # No point of a box is further from what it turns about than its diagonal: most pairs end here.
        apart = math.hypot((one.left - other.left) * aspect, one.top - other.top)
        if apart >= _diagonal(one, aspect) + _diagonal(other, aspect):
            return 0.0
        corners, others = _corners(one, aspect), _corners(other, aspect)
        shared = corners
        for a, b in zip(others, others[1:] + others[:1], strict=True):
            shared = _cut(shared, a, b)
        return _ratio(_area(shared), _area(corners), _area(others))
    width = min(one.right, other.right) - max(one.left, other.left)
    height = min(one.bottom, other.bottom) - max(one.top, other.top)
    if width <= 0 or height <= 0:
        return 0.0
    return _ratio(width * height, *((b.right - b.left) * (b.bottom - b.top) for b in (one, other)))


def _diagonal(box: Box, aspect: float) -> float:
    return math.hypot((box.right - box.left) * aspect, box.bottom - box.top)


def _corners(box: Box, aspect: float) -> list[complex]:
    """Return the corners as complex numbers, clockwise on the screen, in percent of the image's height."""
    origin = complex(box.left * aspect, box.top)
    turn = cmath.rect(1.0, math.radians(box.rotation))
    width, height = (box.right - box.left) * aspect, box.bottom - box.top
    return [origin + turn * corner for corner in (0, width, complex(width, height), complex(0, height))]


def _cut(polygon: list[complex], a: complex, b: complex) -> list[complex]:
    """Return the part of a convex polygon on the inner side of the line from a to b (Sutherland-Hodgman)."""
    kept = []
    for p, q in zip(polygon[-1:] + polygon[:-1], polygon, strict=True):
        side_p, side_q = _cross(b - a, p - a), _cross(b - a, q - a)
        if (side_p < 0) != (side_q < 0):
            kept.append(p + (q - p) * (side_p / (side_p - side_q)))
        if side_q >= 0:
            kept.append(q)
    return kept


def _area(polygon: list[complex]) -> float:
    # Seen from a corner: far from the image's origin the products would lose their digits.
    corners = [corner - polygon[0] for corner in polygon]
    return sum(_cross(p, q) for p, q in pairwise(corners)) / 2


def _cross(u: complex, v: complex) -> float:
    return u.real * v.imag - u.imag * v.real
