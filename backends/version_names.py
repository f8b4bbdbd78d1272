"""Names of model versions."""

import re

_SEMANTIC = re.compile(r"(\d+)\.(\d+)\.(\d+)")
_NUMBERED = re.compile(r"(.*?)(\d+)", re.DOTALL)


def next_name(name: str) -> str:
    """Return the name that follows: 0.1.0 → 0.2.0, run7 → run8, baseline → baseline-2."""
    if match := _SEMANTIC.fullmatch(name):
        return f"{match[1]}.{int(match[2]) + 1}.0"
    if match := _NUMBERED.fullmatch(name):
        return f"{match[1]}{int(match[2]) + 1}"
    return f"{name}-2"
