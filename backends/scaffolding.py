"""Make the folder of a new backend from the files in scaffold/."""

import keyword
from collections.abc import Collection
from pathlib import Path
from string import Template

import backends
from backends.errors import BackendError
from backends.loading import NAME

SCAFFOLD = Path(__file__).parent / "scaffold"
# The files carry it so that no tool takes them for a backend, for a test or for code.
_SUFFIX = "-tpl"
_MAX_NAME = 100
_IMPORTED_BY_THE_MODEL = {"Any", "Counter", "LabelStudioMLBase", "ModelResponse"}


class ScaffoldError(BackendError):
    """A backend of that name cannot be made; the text says what to choose instead."""


class _Template(Template):
    """Fills in `%{name}`; the dollars of shell and compose files stay what they are."""

    delimiter = "%"


def create(name: str, parent: Path, taken: Collection[str] = ()) -> Path:
    """Make `parent/name` with every file of a working backend and return it.

    `taken` are the names of the backends that the server has already. Raise ScaffoldError where
    the name will not do or the folder exists: nothing is ever overwritten.
    """
    _check_name(name, taken)
    words = {"name": name, "class_name": class_name(name)}
    files = {path.name.removesuffix(_SUFFIX): _fill_in(path, words) for path in SCAFFOLD.glob(f"*{_SUFFIX}")}
    folder = parent / name
    try:
        parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir()
        for file_name, text in files.items():
            (folder / file_name).write_text(text, encoding="utf-8")
    except FileExistsError as exc:
        raise ScaffoldError(f"{exc.filename} exists already; nothing was changed. Choose another name.") from exc
    except OSError as exc:
        raise ScaffoldError(f"{exc.filename} cannot be written: {exc.strerror}. Choose another --directory.") from exc
    return folder


def class_name(name: str) -> str:
    """Return the name of the backend's class: my_model → MyModel."""
    words = "".join(part.capitalize() for part in name.split("_"))
    return f"{words}Backend" if words in _IMPORTED_BY_THE_MODEL or keyword.iskeyword(words) else words


def _check_name(name: str, taken: Collection[str]) -> None:
    if not NAME.fullmatch(name) or len(name) > _MAX_NAME:
        raise ScaffoldError(
            f"{name!r} will not do as a name: it becomes a Python package and an address. "
            f"Choose up to {_MAX_NAME} lower-case letters, digits and underscores, a letter first, as in my_model."
        )
    if keyword.iskeyword(name):
        raise ScaffoldError(f"{name!r} is a word of Python itself. Choose another name, such as {name}_model.")
    if name in taken:
        raise ScaffoldError(f"There is a backend named {name!r} already. Choose another name, such as {name}_2.")
    if hasattr(backends, name) or _is_part_of_the_package(name):
        raise ScaffoldError(
            f"{name!r} is a part of the package `backends` itself. Choose another name, such as {name}_model."
        )


def _is_part_of_the_package(name: str) -> bool:
    own = Path(__file__).parent
    return (own / name).exists() or (own / f"{name}.py").exists()


def _fill_in(path: Path, words: dict[str, str]) -> str:
    return _Template(path.read_text(encoding="utf-8")).substitute(words)
