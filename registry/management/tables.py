"""Times, sizes and rows as a person reads them on a terminal."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from django.template.defaultfilters import filesizeformat
from django.utils import timezone


def time(moment: datetime) -> str:
    """Return the time to the minute, where the server is."""
    return f"{timezone.localtime(moment):%Y-%m-%d %H:%M}"


def size(count: int) -> str:
    """Return a number of bytes in the unit that fits."""
    # Its space is one that does not break, which nobody can search for.
    return filesizeformat(count).replace("\xa0", " ")


def number(value: object) -> str:
    """Return a measure with the digits that matter."""
    return "–" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def rows(table: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table, each column as wide as its widest cell, indented by two."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        yield f"  {'   '.join(cells)}".rstrip()
