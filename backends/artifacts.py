"""Model files: where a backend writes them in a fit, and finds them later."""

import tempfile
from pathlib import Path, PurePosixPath
from typing import Protocol

from backends.errors import BackendError

MAX_NAME = 200


class InvalidArtifactName(BackendError):
    """A name that no artifact can have."""


class Artifacts(Protocol):
    """The files and folders of one version."""

    def path(self, name: str) -> Path:
        """Return the artifact's place on this machine; nothing is there where the version has none."""


class TemporaryArtifacts:
    """Artifacts in a folder that goes with the object: for unit tests, and for a backend used on its own."""

    def __init__(self) -> None:
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def path(self, name: str) -> Path:
        """Return the artifact's place; see the Artifacts protocol."""
        check_name(name)
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="artifacts-")
        return Path(self._folder.name, name)


def check_name(name: str) -> None:
    """Raise InvalidArtifactName for what is not one plain file name."""
    plain = PurePosixPath(name).name == name and not name.startswith(".") and name.isprintable() and "\\" not in name
    if not plain or not 0 < len(name) <= MAX_NAME:
        raise InvalidArtifactName(
            f"{name!r} cannot name an artifact: take a plain file name of 1 to {MAX_NAME} characters without a slash "
            "or a dot in front. An artifact may be a folder, which holds files of any name."
        )
