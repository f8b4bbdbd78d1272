"""Find backends by name, import them, and say what is wrong with one that does not load."""

import importlib
import inspect
import re
import threading
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import backends
from backends.base import LabelStudioMLBase
from backends.errors import BackendBroken, BackendNotFound
from backends.functions import predict_function, update_function

NAME = re.compile(r"[a-z][a-z0-9_]*")
_loaded: dict[str, type[LabelStudioMLBase]] = {}
_loading = threading.Lock()


def available(paths: Sequence[Path] = ()) -> list[str]:
    """Return the names of the backends in this package and in those folders, sorted."""
    models = (model for folder in (*_own_folders(), *paths) for model in folder.glob("*/model.py"))
    return sorted({model.parent.name for model in models if NAME.fullmatch(model.parent.name)})


def folder_of(name: str, paths: Sequence[Path] = ()) -> Path:
    """Return the folder of the backend of that name; raise BackendNotFound, listing what there is."""
    if NAME.fullmatch(name):
        for folder in (*_own_folders(), *paths):
            if (folder / name / "model.py").is_file():
                return folder / name
    names = ", ".join(available(paths)) or "none yet"
    raise BackendNotFound(f"There is no backend named {name!r}. Backends here: {names}.")


def loaded(name: str) -> type[LabelStudioMLBase] | None:
    """Return the backend's class where this process has imported it already."""
    return _loaded.get(name)


def load(name: str, paths: Sequence[Path] = ()) -> type[LabelStudioMLBase]:
    """Import the backend's model.py once and return its class.

    Raise BackendNotFound, or BackendBroken with what to mend.
    """
    if found := _loaded.get(name):
        return found
    with _loading:
        if found := _loaded.get(name):
            return found
        folder = folder_of(name, paths)
        # Folders outside the repository become part of this package, so that a backend's own
        # modules import one another the same way wherever it lives. All of them, in their order:
        # which of two backends of one name is found must not hang on what was loaded before.
        for path in map(str, paths):
            if path not in backends.__path__:
                backends.__path__.append(path)
        importlib.invalidate_caches()
        backend = _class_in(_import(name, folder), name)
        _loaded[name] = backend
        return backend


def _import(name: str, folder: Path) -> ModuleType:
    try:
        return importlib.import_module(f"backends.{name}.model")
    except ModuleNotFoundError as exc:
        requirements = folder / "requirements.txt"
        hint = f" Install what it needs: pip install -r {requirements}" if requirements.exists() else ""
        raise BackendBroken(f"{folder}/model.py imports {exc.name!r}, which is not installed.{hint}") from exc
    except (Exception, SystemExit) as exc:
        raise BackendBroken(f"{folder}/model.py cannot be imported: {type(exc).__name__}: {exc}") from exc


def _class_in(module: ModuleType, name: str) -> type[LabelStudioMLBase]:
    # A set, as a module may call one class by two names.
    found = {
        value
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, LabelStudioMLBase) and value.__module__ == module.__name__
    }
    # A base class that the module derives further from is not the backend.
    leaves = [item for item in found if not any(other is not item and issubclass(other, item) for other in found)]
    if len(leaves) == 1:
        return leaves[0]
    if leaves:
        names = ", ".join(sorted(leaf.__name__ for leaf in leaves))
        raise BackendBroken(f"backends/{name}/model.py defines several backends ({names}); keep one per folder.")
    if predict_function(module.__name__) or update_function(module.__name__):
        return type("FunctionBackend", (LabelStudioMLBase,), {"__module__": module.__name__})
    raise BackendBroken(
        f"backends/{name}/model.py defines no backend: add a class that derives from "
        "LabelStudioMLBase, or functions decorated with @predict_fn and @update_fn."
    )


def _own_folders() -> list[Path]:
    return [Path(folder) for folder in backends.__path__]
