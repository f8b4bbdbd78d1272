"""What operators do with versions on the command line."""

import getpass
import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from registry import aliases, artifacts, files, versions
from registry.models import Alias, ModelVersion, Promotion
from registry.state import VersionState
from tests.factories import a_project, a_version

pytestmark = pytest.mark.django_db(transaction=True)

ANN = f"command line ({getpass.getuser()})"


@pytest.fixture(autouse=True)
def _folders(tmp_path, settings):
    storage = {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": str(tmp_path / "kept")},
    }
    settings.STORAGES = settings.STORAGES | {"artifacts": storage}
    settings.ARTIFACT_CACHE = tmp_path / "cache"


@pytest.fixture
def project(tmp_path):
    """Three versions: 0.0.1, first and second, which is live."""
    project = a_project(title="Reviews")
    a_version(project, "first", words=["a"], gone="x")
    second = a_version(project, "second", words=["a", "b"], model={1, 2}, large="x" * 5000)
    ModelVersion.objects.filter(name="first").update(metrics={"accuracy": 0.5})
    (tmp_path / "weights").write_bytes(b"x" * 3000)
    artifacts.write(second, {"weights": {"weights": files.store(tmp_path / "weights")}})
    second.metrics, second.event_count, second.first_event, second.last_event = {"accuracy": 0.75}, 3, 5, 9
    second.annotation_count, second.seed, second.note, second.tags = 2, 42, "A good one.", ["release"]
    second.evaluation = {
        "decision": "promoted",
        "reasons": ["Not worse than first on 4 held-out tasks."],
        "candidate_measures": [{"control": "sentiment", "kind": "choices", "count": 4, "f1": 0.8}],
    }
    second.save()
    project.refresh_from_db()
    return project


def run(action, *arguments, project="52"):
    output = StringIO()
    call_command("versions", action, *map(str, arguments), "--project", project, stdout=output)
    return output.getvalue()


def live(project):
    project.refresh_from_db()
    return project.live.name


def test_the_versions_are_listed_the_newest_first(project):
    aliases.point(project.versions.get(name="first"), "stable", by="ann")
    heading, columns, *rows = run("list").splitlines()
    assert heading == str(project)
    assert columns.split() == ["number", "name", "made", "learnt", "from", "size", "metrics"]
    assert [row.split()[:2] for row in rows] == [["3", "second"], ["2", "first"], ["1", "0.0.1"]]
    assert "3 events, 2 annotations" in rows[0]
    assert rows[0].endswith("live     accuracy 0.75")
    assert rows[1].endswith("stable   accuracy 0.5")


def test_a_list_says_what_was_live_then(project):
    now = timezone.now()
    for age, move in enumerate(Promotion.objects.order_by("-id")):
        Promotion.objects.filter(pk=move.pk).update(created_at=now - timedelta(days=2 * age))
    then = (now - timedelta(days=1)).isoformat()
    assert "first was live on" in run("list", "--at", then)
    assert json.loads(run("list", "--at", then, "--json"))["live_at"] == "first"
    assert "Nothing was live on 2020-01-01 00:00." in run("list", "--at", "2020-01-01")


def test_a_project_without_versions_says_so():
    a_project()
    assert "No version yet." in run("list")
    assert "Nothing was live" in run("list", "--at", "2020-01-01")


def test_a_version_is_shown_with_all_that_is_known_of_it(project):
    text = run("show", "second")
    for words in (
        "second, number 3 of Reviews #52 (text_classifier)",
        "learnt from   3 events (5 to 9), 2 annotations",
        "seed          42",
        "metrics       accuracy 0.75",
        "evaluation    promoted. Not worse than first on 4 held-out tasks.",
        "this one on sentiment choices 4: f1 0.8",
        "note          A good one.",
        "tags          release",
        "follows       first",
        "large   text     4.9 KB",
        "weights   2.9 KB",
        "first → second   a test   a test",
    ):
        assert words in text


@pytest.mark.parametrize("name", ["second", "3", "live", "best"])
def test_a_version_is_called_by_name_number_or_alias(project, name):
    aliases.point(project.live, "best", by="ann")
    assert run("show", name).startswith("second, number 3")


def test_what_is_shown_can_be_read_by_a_program(project):
    told = json.loads(run("show", "second", "--json"))
    assert told["summary"]["name"] == "second"
    assert told["lineage"]["seed"] == 42
    assert {"name": "weights", "kind": "file", "size": 3000} in told["artifacts"]
    assert [version["live"] for version in json.loads(run("list", "--json"))["versions"]] == [True, False, False]


def test_two_versions_are_compared(project):
    lines = [line.split() for line in run("compare", "first", "second").splitlines()]
    assert lines == [
        ["first", "→", "second"],
        ["state", "added", "large"],
        ["state", "added", "model"],
        ["state", "changed", "words"],
        ["model", "files", "added", "weights"],
        ["metrics", "accuracy", "0.5", "→", "0.75"],
    ]
    told = json.loads(run("compare", "first", "second", "--json"))
    assert told["state"] == {"added": ["large", "model"], "changed": ["words"], "removed": []}
    assert told["metrics"] == [{"name": "accuracy", "before": 0.5, "after": 0.75}]


def test_a_version_is_the_same_as_itself(project):
    assert "state         the same" in run("compare", "first", "2")


def test_a_promotion_and_a_rollback_are_in_the_ledger_with_who_and_why(project):
    assert "0.0.1 is live in Reviews #52" in run("promote", "1", "--reason", "It was better.")
    move = Promotion.objects.latest("id")
    assert (live(project), move.actor, move.reason, move.rollback) == ("0.0.1", ANN, "It was better.", False)
    assert "second is live" in run("rollback", "--reason", "It was not.")
    assert Promotion.objects.latest("id").rollback


def test_an_alias_is_set_moved_and_removed(project):
    assert "stable is first." in run("alias", "stable", "first")
    assert "stable is second." in run("alias", "stable", "live", "--protected")
    assert Alias.objects.get(name="stable").protected
    assert "no alias any more" in run("alias", "stable", "--remove")
    assert not Alias.objects.filter(name="stable").exists()


@pytest.mark.parametrize("name", ["second.tar", "second.tar.gz"])
def test_a_version_is_exported_and_imported(project, tmp_path, name):
    file = tmp_path / name
    assert f"second is in {file}" in run("export", "live", file)
    other = a_project(ls_id=77)
    text = run("import", file, project="77")
    assert "second is number 1 of Project #77" in text
    assert "./manage.py versions promote 1 --project 77" in text
    copy = other.versions.get()
    assert (copy.project.live, VersionState(copy).get("model")) == (None, {1, 2})
    assert f"by {ANN}: version second, number 3, of Reviews #52" in copy.note


def test_an_import_says_where_the_code_is_another(project, tmp_path):
    ModelVersion.objects.filter(name="second").update(code_hash="0" * 64)
    run("export", "second", tmp_path / "a.tar")
    assert "other code than this server's" in run("import", tmp_path / "a.tar")


def test_a_version_of_another_backend_is_taken_when_told(project, tmp_path, make_backend):
    run("export", "second", tmp_path / "a.tar")
    a_project(make_backend("class Other(LabelStudioMLBase): ..."), ls_id=77)
    with pytest.raises(CommandError, match="--any-backend|any backend"):
        run("import", tmp_path / "a.tar", project="77")
    assert "is number 1" in run("import", tmp_path / "a.tar", "--any-backend", project="77")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["show", "nobody"], "has no version 'nobody'"),
        (["compare", "first", "nobody"], "has no version 'nobody'"),
        (["list", "--at", "yesterday"], "is no time; write 2026-11-23"),
        (["promote", "second", "--reason", "why"], "live already"),
        (["promote", "first"], "--reason"),
        (["promote", "first", "--reason", " "], "Give a reason"),
        (["alias", "live", "first"], "“live” is moved by promoting"),
        (["alias", "stable"], "Name the version"),
        (["alias", "stable", "first", "--remove"], "Name the version"),
        (["alias", "stable", "--remove"], "has no alias 'stable'"),
        (["export", "first", "/nowhere/a.tar"], "/nowhere/a.tar.part: No such file"),
        (["export", "first", "README.md"], "is there already"),
        (["import", "/nowhere/a.tar"], "/nowhere/a.tar: No such file"),
        (["import", "/"], "Is a directory"),
        (["import", "README.md"], "no archive of a model version"),
        (["dance"], "invalid choice"),
    ],
)
def test_what_cannot_be_done_is_said(project, arguments, reason):
    with pytest.raises(CommandError) as caught:
        run(*arguments)
    assert reason in str(caught.value)


def test_there_may_be_nothing_to_roll_back_to():
    versions.ensure_initial(a_project().pk, "0.0.1")
    with pytest.raises(CommandError, match="no version before"):
        run("rollback", "--reason", "why")


def test_a_project_that_is_not_there_is_asked_about(project):
    with pytest.raises(CommandError, match="There is no project 53. There are:\n  --project 52."):
        run("list", project="53")


def test_a_user_without_a_name_is_one_all_the_same(project, monkeypatch):
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)
    run("promote", "first", "--reason", "why")
    assert Promotion.objects.latest("id").actor.startswith("command line (user ")
