"""The decorator style: a model.py that defines two functions instead of a class."""

from collections.abc import Callable
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])

# By the module that defines them, so that backends in one server do not see each other's.
_predict_functions: dict[str, Callable[..., Any]] = {}
_update_functions: dict[str, Callable[..., Any]] = {}


def predict_fn(function: Function) -> Function:
    """Register `function(tasks, context, helper, **kwargs)` as the module's predict."""
    _predict_functions[function.__module__] = function
    return function


def update_fn(function: Function) -> Function:
    """Register `function(event, data, helper, **kwargs)` as the module's fit."""
    _update_functions[function.__module__] = function
    return function


def predict_function(module: str) -> Callable[..., Any] | None:
    """Return what `predict_fn` registered in that module."""
    return _predict_functions.get(module)


def update_function(module: str) -> Callable[..., Any] | None:
    """Return what `update_fn` registered in that module."""
    return _update_functions.get(module)
