"""Where a backend keeps what it has learnt: the protocol, and the memory a unit test uses."""

from typing import Any, Protocol

from backends.version_names import next_name

MODEL_VERSION = "model_version"


class State(Protocol):
    """Key-value state of one project, and the name of the version it belongs to."""

    def get(self, key: str) -> Any:
        """Return the value, or None where the key was never set."""

    def set(self, key: str, value: Any) -> None:
        """Keep the value. Setting `model_version` names the version."""

    def has(self, key: str) -> bool:
        """Return whether the key was ever set."""

    def begin(self, initial_version: str) -> None:
        """Make sure that there is a version; a new project's first one gets this name."""

    def declare_version(self, name: str) -> None:
        """Take the code's own version name, as `setup()` states it at every start.

        It names the initial version. Later only a changed declaration makes a new version, so a
        restart never undoes what was trained.
        """

    def bump_version(self) -> str:
        """Name the next version and return its name."""


class MemoryState:
    """State that lives as long as the object: for unit tests, and for a backend used on its own."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}
        self._declared: str | None = None

    def get(self, key: str) -> Any:
        return self._values.get(key)

    def set(self, key: str, value: Any) -> None:
        self._values[key] = value

    def has(self, key: str) -> bool:
        return key in self._values

    def begin(self, initial_version: str) -> None:
        self._values.setdefault(MODEL_VERSION, initial_version)

    def declare_version(self, name: str) -> None:
        if name != self._declared:
            self._declared = name
            self._values[MODEL_VERSION] = name

    def bump_version(self) -> str:
        name = next_name(self._values[MODEL_VERSION])
        self._values[MODEL_VERSION] = name
        return name
