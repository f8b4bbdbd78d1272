"""Postgres from the wheel's programs: made, started, watched and stopped."""

import shlex
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil

from mlserver.embedded.accounts import Account, account_for
from mlserver.embedded.layout import (
    DATABASE,
    POSTGRES,
    POSTGRES_SOCKET,
    POSTGRES_USER,
    Address,
    EngineError,
    answers,
    private_folder,
    remove_folder_if_empty,
    socket_folder,
)
from mlserver.embedded.placement import data_folder, programs_folder
from mlserver.embedded.processes import alive, await_end, end, find_process, roll_over, tail

_START_SECONDS = 50
_POSTMASTER_PID = "postmaster.pid"


class Postgres:
    """Run one Postgres on the data of one var folder."""

    def __init__(self, var_dir: Path, package: Path | None = None) -> None:
        self._account: Account = account_for(var_dir / POSTGRES)
        self._programs = programs_folder(self._account, package)
        self._data = data_folder(var_dir, self._account)
        self._log = self._data / "server.log"
        self._sockets = socket_folder(self._data, POSTGRES_SOCKET, self._account.uid)
        self._postmaster: psutil.Process | None = None

    @property
    def address(self) -> Address:
        """Tell where it listens."""
        return Address(self._sockets / POSTGRES_SOCKET, self._data, self._programs)

    def start(self) -> None:
        """Start it, or take over one that runs on this data already; return once it answers."""
        self._make_data()
        if self._sockets != self._data:
            private_folder(self._sockets, self._account.uid, self._account.gid)
        if not answers(self.address.socket):
            self._clear_remains()
            self._launch()
        self._await_database()
        self._postmaster = self._find_postmaster()

    def running(self) -> bool:
        """Say whether it runs."""
        if self._postmaster is not None and alive(self._postmaster):
            return True
        return answers(self.address.socket)

    def stop(self) -> None:
        """Stop it: sessions are cut off, what they committed is on disk."""
        if postmaster := self._postmaster or self._find_postmaster():
            # What Postgres calls fast, and then immediate, which the next start recovers from.
            end(postmaster, (signal.SIGINT, 20.0), (signal.SIGQUIT, 5.0))
        self._postmaster = None
        remove_folder_if_empty(self._sockets)

    def _make_data(self) -> None:
        if (self._data / "PG_VERSION").exists():
            return
        # Made beside and then renamed: nobody is left with half a database.
        draft = self._data.with_name(f"{self._data.name}.new")
        shutil.rmtree(draft, ignore_errors=True)
        private_folder(draft, self._account.uid, self._account.gid)
        # One collation on every machine, rather than that of the caller's language.
        locale = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        done = self._run("initdb", "-D", draft, "-U", POSTGRES_USER, "--auth=trust", "--no-instructions", *locale)
        if done.returncode:
            raise EngineError(f"The embedded Postgres cannot make its data folder:\n{done.stdout}")
        with suppress(FileNotFoundError):
            self._data.rmdir()
        draft.rename(self._data)

    def _clear_remains(self) -> None:
        # After a kill -9 its children may live a moment longer. The process id it left behind may
        # since be another program's, or stay taken while nobody waits for the dead process: either
        # would keep Postgres from starting.
        remains = [process for process in psutil.process_iter() if self._works_here(process)]
        await_end(remains, 2.0)
        for process in remains:
            end(process, (signal.SIGINT, 20.0))
        for lock in (self._data / _POSTMASTER_PID, self._sockets / f"{POSTGRES_SOCKET}.lock"):
            lock.unlink(missing_ok=True)

    def _works_here(self, process: psutil.Process) -> bool:
        with suppress(psutil.Error):
            return process.name().startswith("postgres") and Path(process.cwd()) == self._data
        return False

    def _launch(self) -> None:
        roll_over(self._log)
        options = ["-w", "-t", str(_START_SECONDS), "-o", shlex.join(self._options())]
        try:
            done = self._run("pg_ctl", "start", "-D", self._data, "-l", self._log, *options)
        except subprocess.TimeoutExpired as exc:
            raise self._failed() from exc
        if done.returncode:
            raise self._failed()

    def _options(self) -> list[str]:
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self._sockets),
            "unix_socket_permissions": "0700",
            "max_connections": "200",
            # Containers have too little shared memory for the workers of one query.
            "max_parallel_workers_per_gather": "0",
        }
        return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]

    def _await_database(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while (done := self._sql("SELECT datname FROM pg_database")).returncode:
            # One taken over may be recovering from a crash.
            if time.monotonic() > deadline:
                raise self._failed()
            time.sleep(0.1)
        if DATABASE not in done.stdout.split() and self._sql(f"CREATE DATABASE {DATABASE}").returncode:
            raise self._failed()

    def _sql(self, statement: str) -> subprocess.CompletedProcess[str]:
        return self._run("psql", "-X", "-h", self._sockets, "-U", POSTGRES_USER, "-d", "postgres", "-tAqc", statement)

    def _run(self, program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return self._account.run([self._programs / program, *arguments], seconds=_START_SECONDS + 5)

    def _find_postmaster(self) -> psutil.Process | None:
        try:
            first_line = (self._data / _POSTMASTER_PID).read_text(encoding="utf-8").split("\n")[0]
            process = find_process(int(first_line))
        except (OSError, ValueError):
            return None
        return process if process is not None and self._works_here(process) else None

    def _failed(self) -> EngineError:
        return EngineError(f"The embedded Postgres did not start. The end of {self._log}:\n{tail(self._log)}")
