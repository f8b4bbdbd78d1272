"""Call a model author's method with the arguments it takes."""

import inspect
from collections.abc import Callable
from functools import lru_cache
from typing import Any


@lru_cache(maxsize=1024)
def _accepted(function: Callable[..., Any]) -> frozenset[str] | None:
    """Return the names of the keyword arguments, or None where any name is accepted."""
    parameters = inspect.signature(function).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    return frozenset(p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY))


def call_accepting(method: Callable[..., Any], *args: Any, **optional: Any) -> Any:
    """Call `method(*args)` with those of the optional arguments that its signature names.

    Authors write `predict(self, tasks)` as well as `predict(self, tasks, context=None, **kwargs)`.
    """
    names = _accepted(getattr(method, "__func__", method))
    if names is not None:
        optional = {name: value for name, value in optional.items() if name in names}
    return method(*args, **optional)
