"""What a version learnt from, and by what code: kept with it for whoever asks years later."""

import hashlib
import json
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement

from backends import label_config as label_configs
from backends.errors import LabelConfigError

_SERVER = ("label-studio-sdk",)
_COMMENT = re.compile(r"(^|\s)#.*")


@dataclass(frozen=True)
class Lineage:
    """The fields of a version that say where it comes from, by their names there."""

    code_hash: str = ""
    label_config_hash: str = ""
    seed: int | None = None
    libraries: Mapping[str, str] = field(default_factory=dict)
    first_event: int | None = None
    last_event: int | None = None
    event_count: int = 0
    annotations_hash: str = ""
    annotation_count: int = 0
    metrics: Mapping[str, Any] = field(default_factory=dict)


def of(version: object) -> Lineage:
    """Return what stands on a version."""
    return Lineage(**{name: getattr(version, name) for name in vars(Lineage())})


class Manifest:
    """Counts and hashes the annotations that a fit reads, as it reads them."""

    def __init__(self) -> None:
        self.count = 0
        self._hasher = hashlib.sha256()

    def add(self, annotation: Mapping[str, Any]) -> None:
        """Take in one annotation: which it is, and in which of its states."""
        self.count += 1
        self._hasher.update(f"{annotation.get('id')} {annotation.get('updated_at')}\n".encode("utf-8", "replace"))

    @property
    def hash(self) -> str:
        """SHA-256 of what was added, hexadecimal; empty where nothing was."""
        return self._hasher.hexdigest() if self.count else ""


def config_hash(label_config: str) -> str:
    """Return the SHA-256 of what can be answered by a labelling config; empty where there is none.

    How it looks does not count: colours, hints, blanks, and the order of labels.
    """
    if not label_config.strip():
        return ""
    try:
        controls = label_configs.parse(label_config).parsed
    except LabelConfigError:
        told: Any = label_config.strip()
    else:
        told = {
            name: [control["type"], control["to_name"], sorted(control["labels"])] for name, control in controls.items()
        }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


@lru_cache(maxsize=64)
def code_hash(folder: Path) -> str:
    """Return the SHA-256 over the backend's Python files, as they were when this process first asked."""
    hasher = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        hasher.update(f"{path.relative_to(folder).as_posix()}\n".encode("utf-8", "replace"))
        hasher.update(path.read_bytes())
    return hasher.hexdigest()


@lru_cache(maxsize=64)
def libraries(folder: Path) -> dict[str, str]:
    """Return the versions installed of Python and of what the backend's requirements.txt names."""
    found = {"python": platform.python_version()}
    for name in (*_SERVER, *_required(folder / "requirements.txt")):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _required(requirements: Path) -> list[str]:
    if not requirements.exists():
        return []
    names = []
    for line in requirements.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            names.append(Requirement(_COMMENT.sub("", line).strip()).name)
        except InvalidRequirement:
            # An option of pip, an address, or a blank line.
            continue
    return names
