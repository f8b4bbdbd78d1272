"""What becomes of a version that a fit made: live at once, held, or measured first. And the way back."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.exceptions import PermissionDenied
from django.utils import timezone

from registry import aliases, training, versions
from registry.errors import VersionError
from registry.models import Alias, AnnotatedTask, Event, ModelVersion, Project, Promotion
from registry.state import LiveState, VersionState
from tests.factories import a_project, a_version, receive
from tests.histories import changed, made, made_in_bulk

pytestmark = pytest.mark.django_db(transaction=True)

SEEN = """
    from backends import PromotionPolicy
    class Seen(LabelStudioMLBase):
        promotion_policy = PromotionPolicy({policy})
        def fit(self, event, data, **kwargs):
            tasks = data["task"] if isinstance(data["task"], list) else [data["task"]]
            self.set("seen", [*(self.get("seen") or []), *(task["id"] for task in tasks)])
            self.set("annotated", [task["id"] for task in self.annotations()])
        def predict(self, tasks, **kwargs):
            return [[] for _ in tasks] if {predicts} else 1 / 0
"""


def the_project() -> Any:
    return Project.objects.select_related("live").get()


def train(*events: Any, backend: str) -> Any:
    for event in events:
        receive(backend, event)
    training.drain(the_project().pk)
    return the_project()


def known(version: ModelVersion, key: str = "seen") -> Any:
    return VersionState(version).get(key)


def candidate() -> Any:
    alias = Alias.objects.filter(name="candidate").first()
    return alias.version if alias else None


@pytest.fixture
def held(make_backend, queue) -> str:
    name: str = make_backend(SEEN.format(policy='mode="hold"', predicts=True))
    return name


# --- Held ----------------------------------------------------------------------------------------


def test_a_held_version_waits_as_the_candidate_and_the_live_one_serves(held):
    project = train(made(1, 1), backend=held)
    assert (project.live.name, candidate().name) == ("0.0.1", "0.1.0")
    assert (known(project.live), known(candidate())) == (None, [1])


def test_the_next_fit_goes_on_from_the_candidate_so_that_no_annotation_is_lost(held):
    train(made(1, 1, task=1), made(2, 2, task=2), backend=held)
    assert known(candidate()) == [1, 2]


def test_a_candidate_that_is_promoted_is_live_and_is_the_candidate_no_more(held):
    train(made(1, 1), backend=held)
    version = candidate()
    versions.promote(version, by="ann", reason="good enough")
    assert (the_project().live, candidate()) == (version, None)


def test_after_a_rollback_training_goes_on_from_what_is_live(held):
    train(made(1, 1, task=1), backend=held)
    versions.promote(candidate(), by="ann", reason="good")
    train(made(2, 2, task=2), backend=held)
    versions.rollback(the_project().pk, by="ann", reason="bad")
    train(made(3, 3, task=3), backend=held)
    assert known(candidate()) == [3]


def test_an_operators_policy_comes_before_the_backends(held):
    train(made(1, 1), backend=held)
    Project.objects.update(promotion_policy={"mode": "at_once"})
    project = train(made(2, 2), backend=held)
    assert (project.live.name, candidate()) == ("0.2.0", None)


# --- Evaluated -----------------------------------------------------------------------------------

GOOD = ["wonderful", "great fun", "lovely", "a delight", "excellent", "superb", "charming", "brilliant"]
BAD = ["awful", "a bore", "terrible", "dreadful", "a waste", "horrible", "tedious", "dire"]


def reviews(choose: Any, *, second: float, only: Any = None) -> list[Any]:
    """Return an event for each of forty reviews, annotated as `choose` says of whether it is good."""
    events = []
    for number in range(1, 41):
        good = number % 2 == 0
        if only is not None and number not in only:
            continue
        event = changed(number, second + number, choose(good), task=number)
        words = (GOOD if good else BAD)[number // 2 % 8]
        event["task"]["data"]["text"] = f"{words} indeed, {words}"
        events.append(event)
    return events


def truth(good: bool) -> str:
    return "Positive" if good else "Negative"


def lie(good: bool) -> str:
    return "Negative" if good else "Positive"


@pytest.fixture
def evaluated(queue) -> str:
    a_project(promotion_policy={"mode": "evaluate", "margin": 0.05})
    return "text_classifier"


def held_out() -> set[int]:
    return set(AnnotatedTask.objects.filter(split="held_out").values_list("ls_id", flat=True))


def test_a_better_candidate_of_a_real_classifier_goes_live(evaluated):
    project = train(*reviews(truth, second=0), backend=evaluated)
    evaluation = project.live.evaluation
    assert evaluation["decision"] == "promoted"
    assert evaluation["tasks"] == len(held_out()) == 8
    (measures,) = evaluation["candidate_measures"]
    assert (measures["control"], measures["macro_f1"]) == ("sentiment", 1.0)
    move = Promotion.objects.latest("id")
    assert (move.actor, move.reason) == ("evaluation", "Not worse than 0.0.1 on 8 held-out tasks.")


def test_a_worse_candidate_of_a_real_classifier_is_held_and_a_better_one_promoted_again(evaluated):
    good = train(*reviews(truth, second=0), backend=evaluated).live
    trained_on = set(range(1, 41)) - held_out()
    project = train(*reviews(lie, second=100, only=trained_on), backend=evaluated)
    assert project.live == good
    worse = candidate()
    assert worse.evaluation["decision"] == "held"
    assert "sentiment" in worse.evaluation["reasons"][0]
    project = train(*reviews(truth, second=200, only=trained_on), backend=evaluated)
    assert project.live.evaluation["decision"] == "promoted"
    assert project.live.parent == worse


def test_no_fit_is_shown_a_held_out_task_by_an_event_or_among_the_annotations(make_backend, queue):
    name = make_backend(SEEN.format(policy='mode="evaluate"', predicts=True))
    train(*(made(number, number, task=number) for number in range(1, 21)), backend=name)
    train(made_in_bulk(30, *((100 + number, 100 + number) for number in range(20))), backend=name)
    project = train(*(changed(number, 50 + number, "Negative", task=number) for number in range(1, 21)), backend=name)
    held = held_out()
    assert len(held) == 8
    newest = candidate() or project.live
    assert held.isdisjoint(known(newest))
    assert held.isdisjoint(known(newest, "annotated"))
    assert held | set(known(newest)) == {*range(1, 21), *range(100, 120)}
    assert set(Event.objects.filter(status="held_out").values_list("action", flat=True)) == {
        "ANNOTATION_CREATED",
        "ANNOTATION_UPDATED",
    }


def test_what_is_held_out_stays_so_and_is_the_same_share_of_each_kind_up_to_a_bound(evaluated):
    Project.objects.update(promotion_policy={"mode": "evaluate", "max_held_out": 10})
    train(*reviews(truth, second=0), backend=evaluated)
    before = held_out()
    assert {number % 2 for number in before} == {0, 1}
    assert sum(number % 2 for number in before) == len(before) / 2
    train(*(made(number, number, task=number) for number in range(100, 150)), backend=evaluated)
    assert before <= held_out()
    assert len(held_out()) == 10


def test_a_candidate_that_nobody_has_judged_is_judged_before_the_next_fit(make_backend, queue):
    name = make_backend(SEEN.format(policy='mode="hold"', predicts=True))
    train(made(1, 1), backend=name)
    waiting = candidate()
    Project.objects.update(promotion_policy={"mode": "evaluate"})
    project = train(made(2, 2), backend=name)
    waiting.refresh_from_db()
    assert waiting.evaluation["decision"] == "promoted"
    assert project.live.parent == waiting


def test_a_candidate_that_cannot_predict_is_held_with_the_reason(make_backend, queue):
    name = make_backend(SEEN.format(policy='mode="evaluate"', predicts=False))
    train(*(made(number, number, task=number) for number in range(1, 6)), backend=name)
    assert candidate().evaluation["decision"] == "held"
    assert "ZeroDivisionError" in candidate().evaluation["reasons"][0]


def test_without_held_out_tasks_a_version_goes_live_and_says_so(make_backend, queue):
    name = make_backend(SEEN.format(policy='mode="evaluate"', predicts=True))
    project = train(made(1, 1), backend=name)
    assert project.live.evaluation["reasons"] == ["No annotated task is held out yet: there is nothing to measure on."]


# --- The way back --------------------------------------------------------------------------------


def test_rolling_back_again_goes_one_further_back(queue):
    project = a_project()
    first, second, _ = (a_version(project, name) for name in ("first", "second", "third"))
    versions.rollback(project.pk, by="ann", reason="worse")
    assert the_project().live == second
    versions.rollback(project.pk, by="ann", reason="worse still")
    assert the_project().live == first
    assert list(Promotion.objects.filter(rollback=True).values_list("reason", flat=True)) == ["worse", "worse still"]


def test_there_is_nothing_before_the_first_version(queue):
    project = a_project()
    versions.ensure_initial(project.pk, "0.0.1")
    with pytest.raises(VersionError, match="no version before"):
        versions.rollback(project.pk, by="ann", reason="worse")


def test_a_user_without_the_permission_cannot_roll_back(queue):
    project = a_project()
    a_version(project)
    with pytest.raises(PermissionDenied):
        versions.rollback(project.pk, by=User.objects.create_user("ben"), reason="worse")


def test_what_was_live_at_a_time_is_one_query(django_assert_num_queries):
    project = a_project()
    assert Promotion.objects.live_at(project.pk, timezone.now()) is None
    first = a_version(project, "first")
    between = timezone.now()
    second = a_version(project, "second")
    with django_assert_num_queries(1):
        assert Promotion.objects.live_at(project.pk, between) == first
    assert Promotion.objects.live_at(project.pk, timezone.now()) == second


def test_versions_hold_a_large_value_that_did_not_change_once():
    project = a_project()
    version = a_version(project, large="x" * 100_000)
    for number in range(5):
        version = a_version(project, changing=number)
    state = LiveState(project.pk)
    state.begin("")
    assert state.get("large") == "x" * 100_000
    assert version.size > 100_000
    assert ModelVersion.objects.filter(entries__blob__isnull=False).distinct().count() == 6
    assert version.entries.get(key="large").blob.entries.count() == 6


# --- Aliases -------------------------------------------------------------------------------------


def test_a_version_is_found_by_its_name_its_number_an_alias_and_as_the_live_one():
    project = a_project()
    first, second = a_version(project, "first"), a_version(project, "second")
    aliases.point(first, "baseline", by="ann")
    found = [aliases.find(the_project(), said) for said in ("first", "2", "baseline", "live", "3")]
    assert found == [first, first, first, second, second]
    with pytest.raises(VersionError, match="no version 'nonesuch'"):
        aliases.find(project, "nonesuch")


def test_an_alias_is_moved_and_removed():
    project = a_project()
    first, second = a_version(project, "first"), a_version(project, "second")
    aliases.point(first, "baseline", by="ann")
    alias = aliases.point(second, "baseline", by="ann")
    assert list(Alias.objects.values_list("name", "version__name")) == [("baseline", "second")]
    aliases.remove(alias, by="ann")
    assert not Alias.objects.exists()


def test_a_protected_alias_needs_the_permission():
    version = a_version(a_project())
    alias = aliases.point(version, "release", by="ann", protected=True)
    user = User.objects.create_user("ben")
    user.user_permissions.add(Permission.objects.get(codename="change_alias"))
    with pytest.raises(PermissionDenied, match="protected"):
        aliases.point(version, "release", by=user)
    with pytest.raises(PermissionDenied, match="protected"):
        aliases.remove(alias, by=user)
    aliases.point(version, "mine", by=user)
    user.user_permissions.add(Permission.objects.get(codename="change_protected_alias"))
    aliases.remove(alias, by=User.objects.get(pk=user.pk))


@pytest.mark.parametrize("name", ["live", "", "7", "with blank", "a/b", "x" * 101, "ünï"])
def test_a_name_that_cannot_be_an_alias_is_refused(name):
    with pytest.raises(VersionError, match="alias"):
        aliases.point(a_version(a_project()), name, by="ann")
