import os
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from backends import loading, scaffolding
from backends.scaffolding import ScaffoldError

OWN_FOLDER = scaffolding.SCAFFOLD.parent
# A backend is served at /<its name>/, so it cannot be called what the server or the protocol calls an address.
ADDRESSES = frozenset(
    {"admin", "api", "health", "is_training", "job_status", "metrics", "predict"}
    | {"queues", "setup", "static", "t", "train", "versions", "webhook"}
)


class Command(BaseCommand):
    """Make a folder with a backend that works untouched, to be changed into one's own."""

    help = "Makes a new backend: a model that works, its tests, and what it takes to serve it."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="Lower-case letters, digits and underscores, as in my_model.")
        parser.add_argument("--directory", type=Path, help="Make it in this folder and not in backends/.")

    def handle(self, *args: Any, name: str, directory: Path | None, **options: Any) -> None:
        if name in ADDRESSES:
            raise CommandError(f"{name!r} is an address of the server. Choose another name, such as {name}_model.")
        parent = directory.expanduser().resolve() if directory else OWN_FOLDER
        try:
            folder = scaffolding.create(name, parent, loading.available(settings.BACKENDS_PATH))
        except ScaffoldError as exc:
            raise CommandError(str(exc)) from exc
        self.stdout.write(self.style.SUCCESS(f"Made {_shown(folder)}, a backend that works. Make it yours:"))
        if parent != OWN_FOLDER and parent not in settings.BACKENDS_PATH:
            self.stdout.write(f"  Make it known  export BACKENDS_PATH={parent}")
        self.stdout.write(
            f"  Change         {_shown(folder / 'model.py')}\n"
            f"  Test           python -m pytest {_shown(folder)}\n"
            f"  Serve          ./manage.py runserver 9090 --backend {name}   or   make serve BACKEND={name}\n"
            "  Label Studio   Settings, Model, Connect Model: paste http://localhost:9090"
        )


def _shown(path: Path) -> str:
    """Return the path as one would type it here."""
    here = Path.cwd()
    return os.fspath(path.relative_to(here) if path.is_relative_to(here) else path)
