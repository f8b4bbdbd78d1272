"""The State protocol over Postgres: at once where a model serves, staged where it learns."""

from typing import Any

from backends.state import MODEL_VERSION
from registry import codec, entries, versions
from registry.codec import Encoded
from registry.connections import on_a_living_connection
from registry.errors import StateError
from registry.models import ModelVersion, Project, StateEntry

_MISSING = object()


class DatabaseState:
    """State of the version that was live when `begin` was called, read through a cache."""

    def __init__(self, project_id: int) -> None:
        self.project_id = project_id
        # As they stood together in one locked row, so that a move in between cannot go unseen.
        self.generation = self.revision = -1
        self._version: ModelVersion | None = None
        self._stored: dict[str, Encoded | None] = {}
        self._loaded: dict[str, Any] = {}

    @property
    def version(self) -> ModelVersion:
        """The version whose state this is."""
        if self._version is None:
            raise StateError("begin() comes first: no version is known yet.")
        return self._version

    def begin(self, initial_version: str) -> None:
        """Take the live version as the one to read; see the State protocol."""
        self._read_from(versions.ensure_initial(self.project_id, initial_version))

    def declare_version(self, name: str) -> None:
        """Record the code's own version and read from what is live then; see the State protocol."""
        self._read_from(versions.declare(self.project_id, name))

    def get(self, key: str) -> Any:
        """Return the value, or None."""
        if key == MODEL_VERSION:
            return self.version.name
        value = self._loaded.get(key, _MISSING)
        if value is not _MISSING:
            return value
        stored = self._fetch(key)
        if stored is None:
            return None
        value = codec.decode(key, stored)
        # A list or dict is decoded anew for each caller: one who changes it must not change
        # what the next one reads.
        if stored.kind != StateEntry.Kind.JSON:
            self._loaded[key] = value
        return value

    def has(self, key: str) -> bool:
        """Return whether the key has a value."""
        if key == MODEL_VERSION:
            return True
        if key in self._stored:
            return self._stored[key] is not None
        return entries.exists(self.version.pk, key)

    def read_again(self, revision: int) -> None:
        """Forget what was read before that revision: another process has written."""
        self.revision = revision
        self._stored.clear()
        self._loaded.clear()

    def _read_from(self, project: Project) -> None:
        self._version = project.live
        self.generation = project.generation
        self.read_again(project.state_revision)

    def _fetch(self, key: str) -> Encoded | None:
        if key not in self._stored:
            # A fit may have taken hours since it last asked.
            self._stored[key] = on_a_living_connection(lambda: entries.read(self.version.pk, key))
        return self._stored[key]

    def _keep(self, key: str, value: Any) -> Encoded | None:
        """Encode the value and cache it; return None where it is what is stored already."""
        encoded = codec.encode(key, value)
        entries.check(key, encoded)
        if self._fetch(key) == encoded:
            return None
        self._stored[key] = encoded
        self._loaded.pop(key, None)
        return encoded


class LiveState(DatabaseState):
    """What a serving instance sees: every write goes to the live version at once."""

    def set(self, key: str, value: Any) -> None:
        """Write the value into the live version; setting `model_version` makes a new one."""
        if key == MODEL_VERSION:
            self._new_version(str(value))
        elif encoded := self._keep(key, value):
            versions.write_live(self.project_id, {key: encoded})

    def bump_version(self) -> str:
        """Make the next version and return its name."""
        return self._new_version(versions.next_free_name(self.project_id, self.version.name))

    def _new_version(self, name: str) -> str:
        if name != self.version.name:
            change = versions.Change(name=name)
            self._version = versions.create(
                self.version, None, change, actor=versions.CODE, reason="Named by the backend outside of a fit."
            )
        return self.version.name


class VersionState(DatabaseState):
    """What one version holds, live or not, to try it out: what is written is forgotten with the object."""

    def __init__(self, version: ModelVersion) -> None:
        super().__init__(version.project_id)
        self._version = version

    def begin(self, initial_version: str) -> None:
        """Read from the version, whatever is live."""

    def declare_version(self, name: str) -> None:
        """Change nothing: the version has its name."""

    def set(self, key: str, value: Any) -> None:
        """Keep the value for as long as the object lives."""
        if key != MODEL_VERSION:
            self._keep(key, value)

    def bump_version(self) -> str:
        """Return the version's own name: no other is made."""
        return self.version.name


class StagedState(DatabaseState):
    """What a fit sees: its own writes over its parent version, until they are committed together."""

    def __init__(self, project_id: int) -> None:
        super().__init__(project_id)
        self.changes: dict[str, Encoded] = {}
        self.new_name: str | None = None
        self._staging = False
        self._on_live = True

    def stage(self) -> None:
        """Hold writes back from here on; what `setup()` wrote before is the live version's."""
        self._staging = True

    def get(self, key: str) -> Any:
        """Return the fit's own value, or the parent's."""
        if key == MODEL_VERSION and self.new_name:
            return self.new_name
        return super().get(key)

    def set(self, key: str, value: Any) -> None:
        """Stage the value."""
        if key == MODEL_VERSION:
            self.new_name = str(value) if str(value) != self.version.name else None
        elif encoded := self._keep(key, value):
            if not self._staging:
                versions.write_live(self.project_id, {key: encoded})
            if self._staging or not self._on_live:
                self.changes[key] = encoded

    def bump_version(self) -> str:
        """Stage the next name and return it."""
        self.new_name = versions.next_free_name(self.project_id, self.new_name or self.version.name)
        return self.new_name

    def _read_from(self, project: Project) -> None:
        super()._read_from(project)
        self._version = versions.base(project)
        self._on_live = self._version == project.live
