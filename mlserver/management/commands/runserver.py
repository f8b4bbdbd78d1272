import errno
import os
import socket
import sys
from pathlib import Path
from typing import Any, NoReturn

from django.conf import settings
from django.contrib.staticfiles.management.commands import runserver
from django.core.management import call_command
from django.core.management.base import CommandError, CommandParser
from django.db import DEFAULT_DB_ALIAS, Error, connections
from django.db.migrations.executor import MigrationExecutor
from django.utils import autoreload

from backends import loading
from backends.errors import BackendNotFound
from mlserver import embedded
from mlserver.management.children import WorkerProcess, leave_at_once, when_parent_is_gone


class Command(runserver.Command):
    """Serve the backends on this machine, with the engines and the worker they need."""

    help = "Starts the ML server, the engines it needs, and a worker that trains."
    default_port = "9090"

    # Set by `handle` of the class above.
    addr: str
    port: str
    use_ipv6: bool
    _raw_ipv6: bool

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--backend", metavar="NAME", help="Serve this backend at /, in place of ML_BACKEND.")
        parser.add_argument("--no-worker", action="store_true", help="Start no worker: events wait to be trained on.")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["backend"]:
            settings.ML_BACKEND = options["backend"]
        try:
            loading.folder_of(settings.ML_BACKEND, settings.BACKENDS_PATH)
        except BackendNotFound as exc:
            raise CommandError(str(exc)) from exc
        super().handle(*args, **options)

    def run(self, **options: Any) -> None:
        if os.environ.get(autoreload.DJANGO_AUTORELOAD_ENV) == "true":
            # The reloader's kill -9 would otherwise leave this process with the port.
            when_parent_is_gone(os.getppid(), leave_at_once)
        else:
            self._check_that_the_port_is_free()
            # Here too, in the reloader, so that they stay up while the serving process is replaced.
            self._start_engines()
        super().run(**options)

    def inner_run(self, *args: Any, **options: Any) -> None:
        autoreload.raise_last_exception()
        try:
            self._start_engines()
            self._prepare_database()
        except (CommandError, Error) as exc:
            self._give_up(str(exc))
        if not options["no_worker"]:
            worker_environment = os.environ | {"ML_BACKEND": settings.ML_BACKEND}
            worker_environment.pop(autoreload.DJANGO_AUTORELOAD_ENV, None)
            WorkerProcess(settings.BASE_DIR / "manage.py", worker_environment).start()
        self._has_worker = not options["no_worker"]
        super().inner_run(*args, **options)

    def check_migrations(self) -> None:
        """Leave it to `_prepare_database`, which has been there."""

    def on_bind(self, server_port: int) -> None:
        """Say where the server is and what to do next."""
        url = f"{self.protocol}://{self._host_name()}:{server_port}"
        lines = {
            "Label Studio": f"{url}/t/<URL_TOKEN>" if settings.URL_TOKEN else url,
            "Admin": f"{url}/admin/",
            "Backend": settings.ML_BACKEND,
            "Training": "by a worker beside this server" if self._has_worker else "waits (--no-worker)",
            "Data": self._data_place(),
            "To stop": "Ctrl-C",
        }
        width = max(map(len, lines)) + 3
        block = "\n".join(f"  {name:<{width}}{value}" for name, value in lines.items())
        self.stdout.write(f"\nThe ML server is ready. Paste the first address into Label Studio.\n\n{block}\n")
        self.stdout.flush()

    def _check_that_the_port_is_free(self) -> None:
        family = socket.AF_INET6 if self.use_ipv6 else socket.AF_INET
        try:
            socket.create_server((self.addr, int(self.port)), family=family).close()
        except OSError as exc:
            other = int(self.port) + 1
            taken = "is in use by another program" if exc.errno == errno.EADDRINUSE else f"cannot be used ({exc})"
            raise CommandError(
                f"Port {self.port} on {self.addr} {taken}. Stop that program, or choose another port: "
                f"make serve PORT={other} (or ./manage.py runserver {other})."
            ) from exc

    def _start_engines(self) -> None:
        var_dir = Path(settings.VAR_DIR)
        try:
            if settings.EMBEDDED_POSTGRES and settings.EMBEDDED_REDIS:
                embedded.ensure(var_dir)
            elif settings.EMBEDDED_POSTGRES:
                embedded.ensure_postgres(var_dir)
            elif settings.EMBEDDED_REDIS:
                embedded.ensure_redis(var_dir)
        except embedded.EngineError as exc:
            raise CommandError(str(exc)) from exc

    def _prepare_database(self) -> None:
        executor = MigrationExecutor(connections[DEFAULT_DB_ALIAS])
        missing = len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
        if not settings.EMBEDDED_POSTGRES:
            if missing:
                self.stdout.write(
                    self.style.NOTICE(f"{missing} migrations are not applied to the database: run ./manage.py migrate")
                )
            return
        if missing:
            self.stdout.write(f"Preparing the database ({missing} migrations) …")
            self.stdout.flush()
            call_command("migrate", interactive=False, verbosity=0)
        call_command("ensureadmin", stdout=self.stdout)

    def _data_place(self) -> str:
        if not settings.EMBEDDED_POSTGRES:
            return "the database of DATABASE_URL"
        database = embedded.ensure_postgres(Path(settings.VAR_DIR)).data_dir
        if database.is_relative_to(settings.VAR_DIR):
            return str(settings.VAR_DIR)
        return f"{settings.VAR_DIR}, with the database in {database}"

    def _host_name(self) -> str:
        if self._raw_ipv6 and self.addr != "::1":
            return f"[{self.addr}]"
        return "localhost" if self.addr in ("127.0.0.1", "::1", "0", "0.0.0.0", "::") else self.addr  # noqa: S104

    def _give_up(self, reason: str) -> NoReturn:
        self.stderr.write(self.style.ERROR(reason))
        self.stderr.flush()
        sys.stdout.flush()
        # In the reloader's thread, an exception would leave a process that waits for a file to change.
        os._exit(1)
