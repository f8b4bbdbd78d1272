"""Run a Label Studio server on a fresh data folder, and talk to it as its owner."""

import os
import shutil
import socket
import subprocess
import sys
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
from label_studio_sdk import LabelStudio

from tests.e2e.processes import Server, free_port

EMAIL = "owner@example.com"
PASSWORD = "only-for-this-run"

_START_SECONDS = 180
# Of the caller's variables these only: HOST, USERNAME or a proxy would change what Label Studio does.
_INHERITED = ("PATH", "HOME", "LANG", "TMPDIR")
_ENVIRONMENT = {
    "COLLECT_ANALYTICS": "false",
    "SENTRY_DSN": "",
    "FRONTEND_SENTRY_DSN": "",
    "LATEST_VERSION_CHECK": "false",
    # Label Studio refuses backends and webhooks on loopback addresses otherwise.
    "ML_BLOCK_LOCAL_IP": "false",
    "SSRF_PROTECTION_ENABLED": "false",
    "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true",
    # label_config_hash in its webhooks is a Python hash: the same in every recording this way.
    "PYTHONHASHSEED": "0",
    "PYTHONUNBUFFERED": "1",
}


class LabelStudioServer(Server):
    """One Label Studio server with its own database, port and owner."""

    def __init__(self, folder: Path, program: Path | None = None, legacy_token: str = "") -> None:
        super().__init__(folder.with_suffix(".log"))
        self.program = program or Path(sys.executable).with_name("label-studio")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._folder = folder
        self._legacy_token = legacy_token

    def start(self) -> None:
        """Start it on a copy of an empty database, and return once it answers on the port it was given."""
        shutil.copytree(empty_data(self.program), self._folder)
        command: list[str | Path] = [self.program, "start", "--no-browser", "--data-dir", self._folder]
        command += ["--internal-host", "127.0.0.1", "--port", str(self.port), "--host", self.url]
        command += ["--username", EMAIL, "--password", PASSWORD]
        if self._legacy_token:
            assert not _listens(6379), "Label Studio 1.9 would leave its webhooks to the Redis on port 6379."
            command += ["--user-token", self._legacy_token]
        self.spawn(command, _environment(self._folder), self._folder)
        self.await_ready(self._is_up, f"Label Studio answers on port {self.port}", _START_SECONDS)

    def version(self) -> str:
        """Return the release it says it is."""
        return str(httpx.get(f"{self.url}/api/version").json()["release"])

    @cached_property
    def session(self) -> httpx.Client:
        """An HTTP client that is logged in the way a browser is."""
        client = httpx.Client(base_url=self.url, timeout=120, follow_redirects=True)
        client.get("/user/login/")
        form = {"email": EMAIL, "password": PASSWORD, "csrfmiddlewaretoken": client.cookies["csrftoken"]}
        answer = client.post("/user/login/", data=form, headers={"Referer": self.url})
        assert "sessionid" in client.cookies, f"Label Studio refused the login: {answer.status_code}"
        # Every POST wants the token that the page holds; the login has changed it.
        client.headers["X-CSRFToken"] = client.cookies["csrftoken"]
        client.headers["Referer"] = self.url
        return client

    @cached_property
    def sdk(self) -> Any:
        """The official SDK's client."""
        token = self._legacy_token or self._personal_token()
        return LabelStudio(base_url=self.url, api_key=token, timeout=120)  # type: ignore[no-untyped-call]

    def _personal_token(self) -> str:
        # A new organisation takes no legacy tokens.
        answer = self.session.post("/api/token/")
        answer.raise_for_status()
        return str(answer.json()["token"])

    def _is_up(self) -> bool:
        # Label Studio moves to the next free port without an error where its own is taken, and another
        # program would answer on the one that was asked for. What it logs is where it really listens.
        log = self.log_tail(200)
        assert "Trying to start at" not in log, f"Port {self.port} was taken; Label Studio went elsewhere."
        return f"Starting development server at {self.url}/" in log and _answers(f"{self.url}/health")


def empty_data(program: Path) -> Path:
    """Return a data folder with a migrated database and nobody in it, made at the first use.

    The migrations take most of the time that a first start takes, and their outcome depends on the
    release alone; so it is kept beside the program.
    """
    kept = program.parent.parent / "empty-label-studio"
    if not kept.exists():
        draft = kept.with_suffix(".draft")
        shutil.rmtree(draft, ignore_errors=True)
        command: list[str | Path] = [program, "init", "--quiet", "--no-browser", "--data-dir", draft]
        done = subprocess.run(command, env=_environment(draft), capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        # The key that signs sessions is each server's own.
        (draft / ".env").unlink(missing_ok=True)
        draft.rename(kept)
    return kept


def _environment(folder: Path) -> dict[str, str]:
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    # The option --data-dir alone would leave a folder in the user's home as well.
    return inherited | _ENVIRONMENT | {"LABEL_STUDIO_BASE_DATA_DIR": str(folder)}


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


def old_label_studio() -> dict[str, Any]:
    """Return how to run the Label Studio that E2E_OLD_LABEL_STUDIO names, if it names one."""
    program = os.environ.get("E2E_OLD_LABEL_STUDIO")
    return {"program": Path(program), "legacy_token": "0" * 40} if program else {}
