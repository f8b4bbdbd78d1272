"""What several commands are told in the same words: which project, and when."""

from datetime import datetime, timedelta

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from registry import projects
from registry.errors import InvalidProjectKey
from registry.models import Project


def add_project(parser: CommandParser) -> None:
    """Have the command take --project and --backend."""
    parser.add_argument("--project", required=True, metavar="ID", help="The project's number in Label Studio.")
    parser.add_argument("--backend", metavar="NAME", help="Of which backend, where several know the project.")


def project(named: str, backend: str | None) -> Project:
    """Return the one project that is meant; raise CommandError, listing those that could be."""
    try:
        key = projects.parse_key(named)
    except InvalidProjectKey as exc:
        raise CommandError(str(exc)) from exc
    known = Project.objects.select_related("live").order_by("backend", "ls_id", "ls_created")
    if backend:
        known = known.filter(backend=backend)
    found = known.filter(ls_id=key.ls_id)
    if key.created is not None:
        found = found.filter(ls_created=key.created)
    if len(found) == 1:
        return found[0]
    candidates = found or known[:20]
    lines = [f"  --project {row.ls_id}.{row.ls_created} --backend {row.backend}   {row.title}" for row in candidates]
    what = f"Several projects are numbered {named}; say which:" if found else f"There is no project {named}. There are:"
    raise CommandError("\n".join([what, *(lines or ["  none yet"])]))


def moment(text: str, *, end: bool = False) -> datetime:
    """Read a day, its beginning or its `end`, or a time; raise CommandError."""
    try:
        if date := parse_date(text):
            told = datetime(date.year, date.month, date.day)
            told += timedelta(days=1, microseconds=-1) if end else timedelta()
        else:
            found = parse_datetime(text)
            if found is None:
                raise ValueError("it is of another form")
            told = found
    except ValueError as exc:
        raise CommandError(f"{text!r} is no time; write 2026-11-23 or 2026-11-23T09:30 ({exc}).") from exc
    return told if timezone.is_aware(told) else timezone.make_aware(told)
