"""What a model asks of Label Studio: the files that its tasks point at."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_FILE_URL = re.compile(r"(https?|s3|gs|azure-blob)://\S+|/data/\S+|/storage-data/\S+")


@dataclass(frozen=True)
class LabelStudio:
    """Address of the Label Studio server that a project is on, and a token for it; "" is unknown."""

    url: str = ""
    token: str = field(default="", repr=False)

    def get_local_path(self, url: str, *, task_id: int | None = None, **options: Any) -> str:
        """Download a file once and return its local path. The source decides how, by the form of the URL."""
        from label_studio_sdk._extensions.label_studio_tools.core.utils.io import get_local_path

        return str(
            get_local_path(url, hostname=self.url or None, access_token=self.token or None, task_id=task_id, **options)
        )


def preload(value: Any, local_path: Callable[[str], str], read_file: bool) -> Any:
    """Return a copy of task data with every file URL replaced by the file's text or its path."""
    if isinstance(value, dict):
        return {key: preload(item, local_path, read_file) for key, item in value.items()}
    if isinstance(value, list):
        return [preload(item, local_path, read_file) for item in value]
    if isinstance(value, str) and _FILE_URL.fullmatch(value):
        path = local_path(value)
        return Path(path).read_text(encoding="utf-8") if read_file else path
    return value
