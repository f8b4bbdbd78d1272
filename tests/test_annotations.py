"""The training set: the current annotations, in whatever order the events came."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.annotations import MemoryAnnotations
from registry import annotations
from registry.annotations import ProjectAnnotations
from registry.models import Annotation, Project
from tests.factories import a_project, annotation_created, receive, wire
from tests.histories import changed, choices, deleted, made, made_in_bulk, tasks_deleted

_BACKEND = "text_classifier"
_TASKS = st.integers(1, 3)
_CHOICES = st.sampled_from(["Positive", "Negative"])


def known_after(*events: Any, include_skipped: bool = False) -> dict[int, dict[int, str]]:
    """Return what a project's annotations chose, after it received the events."""
    for event in events:
        receive(_BACKEND, event)
    return choices(ProjectAnnotations(Project.objects.get().pk).annotated_tasks(include_skipped))


pytestmark = pytest.mark.django_db


def test_an_older_update_that_arrives_late_overwrites_nothing():
    assert known_after(made(1, 1), changed(1, 3, "Negative"), changed(1, 2, "Positive")) == {1: {1: "Negative"}}


def test_a_creation_that_arrives_after_its_update_overwrites_nothing():
    assert known_after(changed(1, 2, "Negative"), made(1, 1)) == {1: {1: "Negative"}}


def test_an_annotation_deleted_before_its_creation_arrives_stays_deleted():
    assert known_after(deleted(1), made(1, 1), made(2, 2)) == {1: {2: "Positive"}}


def test_an_update_does_not_bring_a_deleted_annotation_back():
    assert known_after(made(1, 1), deleted(1), changed(1, 2, "Negative")) == {}


def test_a_bulk_creation_counts_each_of_its_annotations():
    assert known_after(made_in_bulk(1, (1, 1), (2, 1), (3, 2))) == {
        1: {1: "Positive", 2: "Positive"},
        2: {3: "Positive"},
    }


def test_a_bulk_creation_that_names_an_annotation_twice_is_taken_in():
    assert known_after(made_in_bulk(1, (1, 1), (1, 1))) == {1: {1: "Positive"}}


def test_a_bulk_deletion_removes_each_of_its_annotations():
    assert known_after(made_in_bulk(1, (1, 1), (2, 2), (3, 3)), deleted(1, 3)) == {2: {2: "Positive"}}


def test_a_skip_is_seen_on_demand_only():
    skip = made(1, 1, skipped=True)
    assert (known_after(skip), known_after(skip, include_skipped=True)) == ({}, {1: {1: "Positive"}})


def test_a_skip_taken_back_counts():
    assert known_after(made(1, 1, skipped=True), changed(1, 2, "Negative")) == {1: {1: "Negative"}}


def test_the_annotations_of_a_deleted_task_are_gone():
    assert known_after(made(1, 1, task=1), made(2, 2, task=2), tasks_deleted(1)) == {2: {2: "Positive"}}


def test_a_task_deleted_before_its_annotation_arrives_stays_deleted():
    assert known_after(tasks_deleted(1), made(1, 1, task=1)) == {}


def test_the_latest_state_of_a_task_is_the_one_that_is_seen():
    late, early = made(1, 2), made(2, 1)
    late["task"]["data"] = {"text": "mended"}
    known_after(late, early)
    (task,) = ProjectAnnotations(Project.objects.get().pk).annotated_tasks(False)
    assert task["data"] == {"text": "mended"}


def test_without_times_the_last_to_arrive_counts():
    receive(_BACKEND, annotation_created(1, "text", "Positive"))
    assert known_after(annotation_created(1, "text", "Negative")) == {1: {1: "Negative"}}


def test_a_deletion_leaves_a_tombstone_without_the_annotation_itself():
    known_after(made(1, 1), deleted(1))
    row = Annotation.objects.get()
    assert (row.ls_id, row.deleted, row.body) == (1, True, None)


def test_what_cannot_be_read_is_left_out_and_no_event_refused():
    strange = [
        made(1, 1) | {"annotation": None},
        made(1, 1) | {"task": "none"},
        made(1, 1) | {"annotation": [{"id": "one"}, {"id": -1}, {}]},
        deleted() | {"annotations": [{"id": None}, 7]},
        tasks_deleted() | {"tasks": "all"},
    ]
    assert known_after(*strange) == {}


def test_more_tasks_than_are_read_at_once_all_come_in_the_order_of_their_ids():
    numbers = list(range(1, 502))
    found = known_after(made_in_bulk(1, *((number, number) for number in reversed(numbers))))
    assert list(found) == numbers


def test_projects_keep_their_annotations_apart():
    mine, other = a_project(ls_id=1), a_project(ls_id=2)
    annotations.apply(other.pk, "ANNOTATION_CREATED", made(1, 1))
    assert list(ProjectAnnotations(mine.pk).annotated_tasks(True)) == []


def test_label_studios_own_bulk_event_is_understood():
    recorded = wire("webhook_ANNOTATIONS_CREATED")["json"]
    assert {task: set(found) for task, found in known_after(recorded).items()} == {4: {273, 274}, 5: {275, 276}}


def test_label_studios_own_single_events_are_understood():
    recorded = [wire(f"webhook_{name}")["json"] for name in ("ANNOTATION_CREATED", "ANNOTATIONS_DELETED")]
    assert [set(known_after(event)) for event in recorded] == [{3}, set()]


@st.composite
def histories(draw: st.DrawFn) -> list[Any]:
    """Draw what may happen to a project, in the order in which it happens, one event a second."""
    tasks: dict[int, int] = {}
    events = []
    for second in range(1, draw(st.integers(1, 8)) + 1):
        kinds = ["make", "bulk", "delete tasks", *(["change", "delete"] if tasks else [])]
        kind, task = draw(st.sampled_from(kinds)), draw(_TASKS)
        new = 100 * second
        skipped = draw(st.booleans())
        if kind == "make":
            tasks[new] = task
            events.append(made(new, second, draw(_CHOICES), task=task, skipped=skipped))
        elif kind == "bulk":
            pairs = [(new + offset, draw(_TASKS)) for offset in range(2)]
            tasks.update(pairs)
            events.append(made_in_bulk(second, *pairs))
        elif kind == "delete tasks":
            events.append(tasks_deleted(task))
        else:
            number = draw(st.sampled_from(sorted(tasks)))
            change = changed(number, second, draw(_CHOICES), task=tasks[number], skipped=skipped)
            events.append(change if kind == "change" else deleted(number))
    return events


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[list[Any], list[Any]]:
    """Draw a history, and the same events in any order, some of them more than once."""
    history = draw(histories())
    again = draw(st.lists(st.sampled_from(history), max_size=4))
    return history, draw(st.permutations(history + again))


def remembered(events: list[Any]) -> list[Any]:
    """Return the training set of a model on its own that was told of the events."""
    memory = MemoryAnnotations()
    for event in events:
        memory.apply(event["action"], event)
    return list(memory.annotated_tasks(True))


def stored(events: list[Any]) -> list[Any]:
    """Return the training set of a project that was told of the events."""
    project = a_project(ls_id=Project.objects.count() + 1)
    for event in events:
        annotations.apply(project.pk, event["action"], event)
    return list(ProjectAnnotations(project.pk).annotated_tasks(True))


@given(deliveries())
@settings(max_examples=200, deadline=None)
def test_in_memory_any_order_and_any_redelivery_end_in_the_same_training_set(delivered):
    history, arrived = delivered
    assert remembered(arrived) == remembered(history)


@given(deliveries())
@settings(max_examples=100, deadline=None)
def test_in_the_database_any_order_and_any_redelivery_end_in_the_same_training_set(delivered):
    history, arrived = delivered
    assert stored(arrived) == stored(history)


@given(histories())
@settings(max_examples=100, deadline=None)
def test_a_model_on_its_own_has_the_training_set_that_the_server_gives_it(history):
    assert remembered(history) == stored(history)
