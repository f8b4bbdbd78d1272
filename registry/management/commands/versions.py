import getpass
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.serializers.json import DjangoJSONEncoder

from backends.errors import BackendError
from registry import aliases, archives, comparison, descriptions, instances, lineage, versions
from registry.comparison import Comparison
from registry.descriptions import Description, Summary
from registry.errors import RegistryError
from registry.management import arguments, tables
from registry.models import Alias, ModelVersion, Project, Promotion

# What a measure is of, beside what was measured.
_CONTROL = ("control", "kind", "count")
_VERSION = "Its name, its number, an alias, or live."


class Command(BaseCommand):
    """Look at a project's versions, choose which one is live, and move them between servers."""

    help = "Lists, shows, compares, promotes, names, exports and imports the model versions of a project."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

        def action(name: str, text: str) -> CommandParser:
            made: CommandParser = actions.add_parser(name, help=text, description=text)
            arguments.add_project(made)
            return made

        listing = action("list", "List the versions, the newest first.")
        listing.add_argument("--at", metavar="TIME", help="Say what was live then: 2026-11-23, or with T09:30.")
        showing = action("show", "Say all that is known of a version.")
        showing.add_argument("version", help=_VERSION)
        comparing = action("compare", "Say what one version has that another one has not.")
        comparing.add_argument("before", help=_VERSION)
        comparing.add_argument("after", help=_VERSION)
        for reader in (listing, showing, comparing):
            reader.add_argument("--json", action="store_true", help="As JSON, for a program to read.")
        promoting = action("promote", "Make a version live.")
        promoting.add_argument("version", help=_VERSION)
        for mover in (promoting, action("rollback", "Make the version live again that was live before.")):
            mover.add_argument("--reason", required=True, help="Why; the ledger keeps it for whoever asks later.")
        naming = action("alias", "Have a name stand for a version.")
        naming.add_argument("name", help="The alias: a letter, then letters, digits, dots, dashes, underscores.")
        naming.add_argument("version", nargs="?", help=_VERSION)
        naming.add_argument("--remove", action="store_true", help="Do away with the alias.")
        naming.add_argument("--protected", action="store_true", default=None, help="Let few users move it.")
        exporting = action("export", "Write a version to a file, for another server with the same ARCHIVE_KEY.")
        exporting.add_argument("version", help=_VERSION)
        exporting.add_argument("file", type=Path, help="A new file, gzipped where its name ends with .gz.")
        importing = action("import", "Make a version from a file that was exported. It is not live.")
        importing.add_argument("file", type=Path, help="The file, gzipped or not.")
        importing.add_argument("--any-backend", action="store_true", help="Take a version of another backend, too.")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        actions: dict[str, Callable[[Project, dict[str, Any]], None]] = {
            "list": self._list,
            "show": self._show,
            "compare": self._compare,
            "promote": self._promote,
            "rollback": self._rollback,
            "alias": self._alias,
            "export": self._export,
            "import": self._import,
        }
        project = arguments.project(options["project"], options["backend"])
        try:
            actions[action](project, options)
        except RegistryError as exc:
            raise CommandError(str(exc)) from exc
        except OSError as exc:
            raise CommandError(f"{exc.filename or 'The file'}: {exc.strerror or exc}.") from exc

    def _list(self, project: Project, options: dict[str, Any]) -> None:
        then = arguments.moment(options["at"]) if options["at"] else None
        live_then = Promotion.objects.live_at(project.pk, then) if then else None
        found = descriptions.summaries(project)
        if options["json"]:
            told: dict[str, Any] = {"project": str(project), "versions": [asdict(summary) for summary in found]}
            self._tell_json(told | ({"live_at": live_then and live_then.name} if then else {}))
            return
        self._say(str(project))
        headings = ("number", "name", "made", "learnt from", "size", "", "metrics")
        self._say(*tables.rows([headings, *map(_row, found)]) if found else ["  No version yet."])
        if then:
            self._say(f"{live_then or 'Nothing'} was live on {tables.time(then)}.")

    def _show(self, project: Project, options: dict[str, Any]) -> None:
        description = descriptions.describe(aliases.find(project, options["version"]))
        if options["json"]:
            self._tell_json(asdict(description))
        else:
            self._say(*_described(description))

    def _compare(self, project: Project, options: dict[str, Any]) -> None:
        found = comparison.compare(*(aliases.find(project, options[name]) for name in ("before", "after")))
        if options["json"]:
            parts = {name: asdict(getattr(found, name)) for name in ("state", "artifacts")}
            metrics = [asdict(measured) for measured in found.metrics]
            self._tell_json({"before": found.before.name, "after": found.after.name, **parts, "metrics": metrics})
        else:
            self._say(*_compared(found))

    def _promote(self, project: Project, options: dict[str, Any]) -> None:
        version = aliases.find(project, options["version"])
        self._moved(project, versions.promote(version, by=_actor(), reason=options["reason"]))

    def _rollback(self, project: Project, options: dict[str, Any]) -> None:
        self._moved(project, versions.rollback(project.pk, by=_actor(), reason=options["reason"]))

    def _moved(self, project: Project, move: Promotion) -> None:
        self._done(f"{move.to_version} is live in {project}, from every process's next request on.")

    def _alias(self, project: Project, options: dict[str, Any]) -> None:
        name, version = options["name"], options["version"]
        if options["remove"] == bool(version):
            raise CommandError("Name the version that the alias is to stand for, or --remove the alias.")
        if version:
            alias = aliases.point(aliases.find(project, version), name, by=_actor(), protected=options["protected"])
            self._done(f"{alias} is {alias.version}.")
            return
        found = Alias.objects.filter(project=project, name=name).first()
        if found is None:
            raise CommandError(f"{project} has no alias {name!r}.")
        aliases.remove(found, by=_actor())
        self._done(f"{name} is no alias any more.")

    def _export(self, project: Project, options: dict[str, Any]) -> None:
        version, file = aliases.find(project, options["version"]), options["file"]
        with archives.writing(file) as target:
            archives.export(version, target)
        self._done(f"{version} is in {file}, {tables.size(file.stat().st_size)}.")

    def _import(self, project: Project, options: dict[str, Any]) -> None:
        with archives.reading(options["file"]) as source:
            version = archives.import_(project, source, by=_actor(), any_backend=options["any_backend"])
        self._done(f"{version} is number {version.number} of {project}. It is not live.")
        if not _of_this_code(version):
            self._say("It was made by other code than this server's: try it out before you make it live.")
        self._say(f"  ./manage.py versions promote {version.number} --project {options['project']} --reason …")

    def _say(self, *lines: str) -> None:
        for line in lines:
            self.stdout.write(line)

    def _done(self, line: str) -> None:
        self.stdout.write(self.style.SUCCESS(line))

    def _tell_json(self, told: dict[str, Any]) -> None:
        self.stdout.write(json.dumps(told, cls=DjangoJSONEncoder, ensure_ascii=False, indent=2))


def _actor() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        # In a container, the user may have no name.
        user = f"user {os.getuid()}"
    return f"command line ({user})"


def _of_this_code(version: ModelVersion) -> bool:
    try:
        folder = instances.folder_of(version.project.backend)
    except BackendError:
        return False
    return version.code_hash in ("", lineage.code_hash(folder))


def _row(summary: Summary) -> tuple[str, ...]:
    return (
        str(summary.number),
        summary.name,
        tables.time(summary.created_at),
        f"{summary.event_count} events, {summary.annotation_count} annotations",
        "pruned" if summary.pruned_at else tables.size(summary.size),
        _called(summary),
        _measures(summary.metrics),
    )


def _called(summary: Summary) -> str:
    return ", ".join([*(["live"] if summary.live else []), *summary.aliases])


def _measures(measures: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {tables.number(value)}" for name, value in measures.items())


def _described(description: Description) -> list[str]:
    summary = description.summary
    parts: dict[str, Sequence[Sequence[str]]] = {
        "State": [(part.name, part.kind, tables.size(part.size)) for part in description.state],
        "Model files": [(part.name, tables.size(part.size)) for part in description.artifacts],
        "Ledger": [
            (tables.time(move.at), f"{move.before or 'nothing'} → {move.after}", move.actor, move.reason)
            for move in description.moves
        ],
    }
    lines = [f"{summary.name}, number {summary.number} of {description.project}", *tables.rows(_facts(description))]
    for title, table in parts.items():
        if table:
            lines += [title, *tables.rows(table)]
    return lines


def _facts(description: Description) -> list[tuple[str, str]]:
    summary, learnt = description.summary, description.lineage
    events = f" ({learnt.first_event} to {learnt.last_event})" if learnt.first_event is not None else ""
    made = f", by training run {summary.run}" if summary.run else ""
    facts = {
        "called": _called(summary),
        "made": f"{tables.time(summary.created_at)}{made}",
        "follows": summary.parent or "nothing",
        "size": tables.size(summary.size),
        "pruned": tables.time(summary.pruned_at) if summary.pruned_at else "",
        "learnt from": f"{learnt.event_count} events{events}, {learnt.annotation_count} annotations",
        "annotations": learnt.annotations_hash,
        "config": learnt.label_config_hash,
        "code": learnt.code_hash,
        "seed": "" if learnt.seed is None else str(learnt.seed),
        "libraries": _measures(learnt.libraries),
        "metrics": _measures(learnt.metrics),
        "tags": ", ".join(map(str, summary.tags)),
    }
    told = [(name, text) for name, text in facts.items() if text]
    told += [("evaluation", line) for line in _evaluated(description.evaluation or {})]
    return told + [("note", line) for line in description.note.splitlines() if line.strip()]


def _evaluated(evaluation: Mapping[str, Any]) -> list[str]:
    lines = [f"{evaluation['decision']}. {' '.join(evaluation['reasons'])}"] if evaluation else []
    for whose, called in (("candidate", "this one"), ("live", "live then")):
        for measured in evaluation.get(f"{whose}_measures", []):
            values = {name: value for name, value in measured.items() if name not in _CONTROL}
            lines.append(f"{called} on {' '.join(str(measured[name]) for name in _CONTROL)}: {_measures(values)}")
    return lines


def _compared(found: Comparison) -> list[str]:
    lines = [f"{found.before} → {found.after}"]
    for title, differences in (("state", found.state), ("model files", found.artifacts)):
        for how, names in asdict(differences).items():
            lines += [f"  {title:<14}{how:<10}{name}" for name in names]
        if not differences:
            lines.append(f"  {title:<14}the same")
    for measured in found.metrics:
        both = f"{tables.number(measured.before)} → {tables.number(measured.after)}"
        lines.append(f"  {'metrics':<14}{measured.name:<10}{both}")
    return lines
