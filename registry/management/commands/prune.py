from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from registry import pruning


class Command(BaseCommand):
    """Remove what is too old to be asked for; workers do so once a day by themselves."""

    help = "Removes old events, runs, failures, versions' state and blobs, as the KEEP_ settings say."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Count what would be removed, and remove nothing.")

    def handle(self, *args: Any, dry_run: bool, **options: Any) -> None:
        self.stdout.write(f"{'Would remove' if dry_run else 'Removed'}: {pruning.prune(dry_run=dry_run)}.")
