"""Versions, and the ledger of which one was live when."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.exceptions import PermissionDenied
from django.db import connection

from registry import versions
from registry.errors import ParentMoved, VersionError
from registry.models import ModelVersion, Promotion
from registry.versions import Change, declare, ensure_initial, promote
from tests.factories import a_project, a_version

pytestmark = pytest.mark.django_db


def live_name(project):
    project.refresh_from_db()
    return project.live.name


def names(project):
    return list(project.versions.order_by("number").values_list("name", flat=True))


def test_a_projects_first_version_is_made_once():
    project = a_project()
    assert ensure_initial(project.pk, "0.0.1").live == ensure_initial(project.pk, "1.0.0").live
    assert (live_name(project), names(project)) == ("0.0.1", ["0.0.1"])


def test_versions_are_numbered_and_named_on():
    project = a_project()
    for _ in range(3):
        a_version(project)
    assert names(project) == ["0.0.1", "0.1.0", "0.2.0", "0.3.0"]
    assert [version.parent.name for version in project.versions.filter(number__gt=1).order_by("number")] == [
        "0.0.1",
        "0.1.0",
        "0.2.0",
    ]


def test_a_fit_after_a_rollback_has_the_older_version_as_parent_and_a_new_name():
    project = a_project()
    a_version(project)
    second = a_version(project)
    a_version(project)
    promote(second, by="ann", reason="better")
    newest = a_version(project)
    assert (newest.parent, newest.name) == (second, "0.4.0")


def test_a_name_that_is_taken_gets_a_number():
    project = a_project()
    for _ in range(3):
        a_version(project, "mine")
    assert names(project) == ["0.0.1", "mine", "mine-2", "mine-3"]


@pytest.mark.parametrize("name", [" ", "x" * 256, "a\0b"])
def test_a_name_that_cannot_be_stored_is_refused(name):
    with pytest.raises(VersionError, match="name"):
        a_version(a_project(), name)


def test_the_codes_declaration_names_the_first_version():
    project = a_project()
    ensure_initial(project.pk, "0.0.1")
    declare(project.pk, "bert")
    assert names(project) == ["bert"]


def test_the_same_declaration_again_leaves_what_was_trained():
    project = a_project()
    declare(project.pk, "bert")
    trained = a_version(project)
    declare(project.pk, "bert")
    assert live_name(project) == trained.name


def test_a_changed_declaration_makes_a_version_with_the_state_there_is():
    project = a_project()
    declare(project.pk, "bert")
    trained = a_version(project, key="value")
    declare(project.pk, "roberta")
    project.refresh_from_db()
    assert (project.live.name, project.live.parent) == ("roberta", trained)
    assert project.live.entries.get().key == "key"


def test_learning_on_a_version_that_is_live_no_more_is_refused():
    project = a_project()
    parent = a_version(project)
    a_version(project)
    with pytest.raises(ParentMoved):
        versions.create(parent, None, Change(), actor="a test", reason="a test")


def test_every_move_is_a_row_of_the_ledger():
    project = a_project()
    first = a_version(project, "first")
    second = a_version(project, "second")
    user = User.objects.create_superuser("ann")
    promote(first, by=user, reason=" it was better ")
    moves = Promotion.objects.order_by("id").values_list("from_version__name", "to_version__name", "actor", "reason")
    assert moves[3] == (second.name, first.name, "ann", "it was better")
    assert [move[1] for move in moves] == ["0.0.1", "first", "second", "first"]


def test_the_ledger_is_append_only():
    a_version(a_project())
    move = Promotion.objects.first()
    assert move is not None
    move.reason = "another"
    with pytest.raises(TypeError):
        move.save()
    with pytest.raises(TypeError):
        move.delete()


@pytest.mark.parametrize("reason", ["", "  \n"])
def test_a_move_needs_a_reason(reason):
    project = a_project()
    first = a_version(project)
    a_version(project)
    with pytest.raises(VersionError, match="reason"):
        promote(first, by="ann", reason=reason)


def test_the_live_version_cannot_be_made_live_again():
    version = a_version(a_project())
    with pytest.raises(VersionError, match="live already"):
        promote(version, by="ann", reason="why not")


def test_a_user_needs_the_permission_to_move():
    project = a_project()
    first = a_version(project)
    a_version(project)
    bob = User.objects.create_user("bob")
    with pytest.raises(PermissionDenied):
        promote(first, by=bob, reason="I like it")
    bob.user_permissions.add(Permission.objects.get(codename="promote_modelversion"))
    promote(first, by=User.objects.get(pk=bob.pk), reason="I like it")
    assert live_name(project) == first.name


def test_names_are_listed_once_over_all_projects():
    a_version(a_project(ls_id=1), "shared")
    a_version(a_project(ls_id=2), "shared")
    a_version(a_project("another", ls_id=3), "foreign")
    assert versions.names("text_classifier") == ["shared", "0.0.1"]
    assert ModelVersion.objects.filter(name="shared").count() == 2


def test_a_thousand_versions_hold_a_large_value_that_did_not_change_once():
    project = a_project()
    keys: Any = {f"key {number}": number for number in range(20)}
    a_version(project, model=bytes(10_000_000), **keys)
    for number in range(999):
        version = a_version(project, **keys | {"key 0": -number})
    assert (version.entries.count(), version.size > 10_000_000) == (21, True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*), sum(size), pg_total_relation_size('registry_blob') FROM registry_blob")
        blobs, size, on_disk = cursor.fetchone()
    assert (blobs, size) == (1, 10_000_000)
    assert on_disk < 20_000_000
