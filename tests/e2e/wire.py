"""The recorded requests in tests/wire/: how they are written, and in which fields two sets of them differ.

Everything that differs from one recording of the same Label Studio to the next is replaced, so that a
diff of the files shows what Label Studio changed and nothing else.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[1] / "wire"

# The project of the recordings: its number, and the second in which it was created.
PROJECT_ID = 52
CREATED = datetime(2026, 11, 23, 7, 32, 5, tzinfo=UTC)

_HEADERS = ("User-Agent", "Accept", "Content-Type")
_HOSTNAME = "http://127.0.0.1:18080"
_SECRETS = ("access_token", "token", "task_data_password", "password")
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_UNIQUE_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PROJECT_KEY = re.compile(r"(\d+)\.\d+")

Recording = dict[str, Any]
Recordings = dict[str, Recording]


@dataclass(frozen=True)
class Request:
    """One request as Label Studio sent it."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any = None

    def recorded(self, version: str) -> Recording:
        """Return it in the form of the files."""
        headers = {name: self.headers[name] for name in _HEADERS if name in self.headers}
        recording = {"label_studio": version, "method": self.method, "path": self.path, "headers": headers}
        return recording if self.method == "GET" else recording | {"json": self.body}


def load(folder: Path = FOLDER) -> Recordings:
    """Return the recordings of a folder by their names."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}


def save(recordings: Recordings, folder: Path = FOLDER) -> None:
    """Write the recordings, and remove those of requests that are sent no more."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.json"):
        if path.stem not in recordings:
            path.unlink()
    for name, recording in recordings.items():
        text = json.dumps(recording, indent=1, ensure_ascii=False)
        (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def steady(recordings: Recordings) -> Recordings:
    """Return the recordings without secrets, and with steady times, ids and addresses."""
    return _Steadying(recordings).recordings


def changes(before: Recordings, after: Recordings) -> list[str]:
    """Say which requests and fields came, went, or hold another type; values do not count."""
    found = [f"{name}: is sent no more" for name in before if name not in after]
    found += [f"{name}: is new" for name in after if name not in before]
    for name in sorted(set(before) & set(after)):
        old, new = fields(before[name]), fields(after[name])
        found += [f"{name}: {field} is gone" for field in old if field not in new]
        found += [f"{name}: {field} is new ({new[field]})" for field in new if field not in old]
        both = (field for field in old if field in new)
        found += [f"{name}: {field} was {old[field]}, is {new[field]}" for field in both if _differ(old, new, field)]
    return found


def fields(recording: Recording) -> dict[str, str]:
    """Return the type of every field: {"json.project.id": "int"}; the items of a list count as one."""
    types: dict[str, set[str]] = {}
    said = {key: value for key, value in recording.items() if key != "label_studio"}
    for path, kind in _walk("", said):
        types.setdefault(path, set()).add(kind)
    # A field that is empty in one task and full in the next is full.
    return {path: " or ".join(sorted(kinds - {"null"}) or ["null"]) for path, kinds in types.items()}


def _differ(old: dict[str, str], new: dict[str, str], field: str) -> bool:
    # Whether a field happens to be empty says nothing of its type.
    return old[field] != new[field] and "null" not in (old[field], new[field])


def _walk(path: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _walk(f"{path}.{key}" if path else key, item)
    elif isinstance(value, list):
        yield path, "list"
        for item in value:
            yield from _walk(f"{path}[]", item)
    else:
        yield path, "null" if value is None else type(value).__name__


class _Steadying:
    """Replace, over one whole set of recordings, what is not the same in every set."""

    def __init__(self, recordings: Recordings) -> None:
        text = json.dumps(recordings)
        moments = sorted({found[0] for found in _TIMESTAMP.finditer(text)})
        # In order and all within the second of the project's creation, which is half of its key.
        self._moments = {moment: CREATED + timedelta(microseconds=n) for n, moment in enumerate(moments, 1)}
        self._unique_ids: dict[str, str] = {}
        numbers = {int(found[1]) for found in re.finditer(r'"project": "(\d+)\.\d+"', text)}
        self._project_ids = {number: PROJECT_ID + n for n, number in enumerate(sorted(numbers))}
        self.recordings: Recordings = self._replace("", recordings)

    def _replace(self, key: str, value: Any) -> Any:
        if isinstance(value, dict):
            replaced = {name: self._replace(name, item) for name, item in value.items()}
            if key == "project":
                replaced["id"] = self._project_ids.get(replaced["id"], replaced["id"])
            return replaced
        if isinstance(value, list):
            return [self._replace(key, item) for item in value]
        if isinstance(value, str):
            return self._replace_text(key, value)
        if key == "project":
            return self._project_ids.get(value, value)
        return value

    def _replace_text(self, key: str, value: str) -> str:
        if key in _SECRETS:
            return "0" * len(value)
        if key == "hostname":
            return _HOSTNAME
        if _TIMESTAMP.fullmatch(value):
            return self._moments[value].isoformat(timespec="microseconds").replace("+00:00", "Z")
        if _UNIQUE_ID.fullmatch(value):
            return self._unique_ids.setdefault(value, f"00000000-0000-4000-8000-{len(self._unique_ids) + 1:012}")
        if key == "project" and (found := _PROJECT_KEY.fullmatch(value)):
            return f"{self._project_ids[int(found[1])]}.{int(CREATED.timestamp())}"
        return value
