import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Count, Max, Min
from django.utils import timezone
from tqdm import tqdm

from registry import events
from registry.errors import EventError
from registry.management import arguments, tables
from registry.models import Event, Project, TrainingRun
from registry.models.event import EventQuerySet

_POLL_SECONDS = 0.5


class Command(BaseCommand):
    """Have stored events trained on again: after a change of the model, or from nothing."""

    help = "Has stored events of a project trained on again, in the order they happened."

    def add_arguments(self, parser: CommandParser) -> None:
        arguments.add_project(parser)
        parser.add_argument(
            "--since", metavar="TIME", help="Only those received from then on: 2026-11-23, or with T09:30."
        )
        parser.add_argument(
            "--until", metavar="TIME", help="Only those received until then; a day is meant to its end."
        )
        parser.add_argument("--event", metavar="ID", type=int, nargs="+", help="Only these events.")
        parser.add_argument("--action", metavar="NAME", help="Only events of this name, such as ANNOTATION_CREATED.")
        parser.add_argument("--fresh", action="store_true", help="Learn on a new version that has learnt nothing.")
        parser.add_argument("--dry-run", action="store_true", help="Say what would be trained on, and do nothing.")
        parser.add_argument("--no-wait", action="store_true", help="Return at once, and let the workers train.")
        parser.add_argument(
            "--patience", metavar="SECONDS", type=float, default=60, help="How long to wait for a worker to begin."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        project = arguments.project(options["project"], options["backend"])
        chosen = _chosen(project, options)
        self._describe(project, chosen, options["fresh"])
        if options["dry_run"] or not chosen.replayable().exists():
            return
        count = events.replay(chosen, fresh=options["fresh"], by="./manage.py replay")
        if options["no_wait"]:
            self.stdout.write(f"{count} events wait to be trained on.")
            return
        self._follow(project, options["patience"])
        self._conclude(project, chosen)

    def _describe(self, project: Project, chosen: EventQuerySet, fresh: bool) -> None:
        self.stdout.write(str(project))
        actions = chosen.replayable().order_by("action").values_list("action")
        for action, count, first, last in actions.annotate(Count("pk"), Min("received_at"), Max("received_at")):
            self.stdout.write(f"  {action:<24}{count:>8}   received {tables.time(first)} to {tables.time(last)}")
        if not chosen.replayable().exists():
            self.stdout.write("  No event to train on.")
        for status, count in _by_status(chosen.exclude(pk__in=chosen.replayable())):
            self.stdout.write(f"  left out{count:>24}   {Event.Status(status).label}")
        live = f"{project.live}, which is live" if project.live else "the backend's first version"
        self.stdout.write(f"  learnt on   {'a new version that has learnt nothing' if fresh else live}")

    def _follow(self, project: Project, patience: float) -> None:
        """Show how many events still wait, until none does; raise CommandError where nothing happens."""
        # What comes from now on is not waited for.
        waiting = Event.objects.pending().filter(project=project, received_at__lte=timezone.now())
        running = TrainingRun.objects.running().filter(project=project)
        left = waiting.count()
        moved_at = time.monotonic()
        with tqdm(total=left, unit="event", disable=None) as bar:
            while left:
                time.sleep(_POLL_SECONDS)
                before, left = left, waiting.count()
                bar.update(before - left)
                if left != before or running.exists():
                    moved_at = time.monotonic()
                elif time.monotonic() - moved_at > patience:
                    raise CommandError(
                        f"{left} events wait, and nothing was trained for {patience:g} s. They are trained on when a "
                        "worker runs (./manage.py rqworker) and the project's training policy says so."
                    )

    def _conclude(self, project: Project, chosen: EventQuerySet) -> None:
        for status, count in _by_status(chosen.replayable()):
            self.stdout.write(f"  {count} {Event.Status(status).label}")
        project.refresh_from_db(fields=["live"])
        self.stdout.write(self.style.SUCCESS(f"{project.live} is live."))


def _chosen(project: Project, options: dict[str, Any]) -> EventQuerySet:
    try:
        return events.select(
            project.pk,
            ids=options["event"] or (),
            since=arguments.moment(options["since"]) if options["since"] else None,
            until=arguments.moment(options["until"], end=True) if options["until"] else None,
            action=options["action"] or "",
        )
    except EventError as exc:
        raise CommandError(str(exc)) from exc


def _by_status(chosen: EventQuerySet) -> list[tuple[str, int]]:
    return list(chosen.order_by("status").values_list("status").annotate(Count("pk")))
