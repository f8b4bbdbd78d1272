"""The server's own gunicorn settings, without the start of its engines and its backend."""

from typing import Any

from mlserver.gunicorn_conf import *  # noqa: F403


def on_starting(server: Any) -> None:  # type: ignore[no-redef]  # takes the place of the imported one
    """Import nothing: the views are all there is."""
