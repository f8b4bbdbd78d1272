"""What operators see of versions, aliases and the ledger, and do with them."""

from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from registry import aliases, entries, versions
from registry.lineage import Lineage, config_hash
from registry.models import Alias, AnnotatedTask, Artifact, ModelVersion, Project, Promotion, StoredFile
from registry.versions import Change
from tests.admin_pages import act, log_in, page
from tests.factories import SENTIMENT, a_project, a_version

pytestmark = pytest.mark.django_db

HELD = {
    "decision": "held",
    "reasons": ["sentiment (Choices): macro_f1 is 0.7, and the live version's is 0.8."],
    "tasks": 20,
    "margin": 0.02,
    "live": "0.1.0",
    "unmeasured": ["comment"],
    "candidate_measures": [
        {"control": "sentiment", "kind": "Choices", "count": 20, "macro_f1": 0.7},
        {"control": "stars", "kind": "Rating", "count": 9, "mae": 0.5},
    ],
    "live_measures": [
        {"control": "sentiment", "kind": "Choices", "count": 20, "macro_f1": 0.8},
        {"control": "stars", "kind": "Rating", "count": 9, "mae": 0.75},
    ],
}


@pytest.fixture
def project():
    """A project whose version 0.2.0 is live, after 0.1.0."""
    project = a_project(title="Reviews & <i>more</i>")
    a_version(project, "0.1.0", classes=["a"], dropped=1)
    a_version(project, "0.2.0", classes=["a", "b"], fresh="<b>new</b>")
    project.refresh_from_db()
    project.live.entries.filter(key="dropped").delete()
    return project


@pytest.fixture
def candidate(project):
    """A version that was evaluated and held."""
    lineage = Lineage(
        code_hash="c" * 64,
        label_config_hash=config_hash(SENTIMENT),
        seed=7,
        libraries={"python": "3.11.9", "torch": "2.5"},
        first_event=11,
        last_event=15,
        event_count=3,
        annotations_hash="a" * 64,
        annotation_count=40,
        metrics={"accuracy": 0.912345, "loss": None},
    )
    version = versions.create(project.live, None, Change(lineage=lineage), actor="t", reason="t", hold=True)
    version.evaluation = HELD
    version.save()
    return version


@pytest.fixture
def early(project):
    return project.versions.get(name="0.1.0")


def move(client, version, way, **fields):
    address = reverse(f"admin:registry_modelversion_{way}", args=[version.pk])
    return client.post(address, fields, follow=True).content.decode()


def change(client, row, **fields):
    address = reverse(f"admin:registry_{row._meta.model_name}_change", args=[row.pk])
    return client.post(address, fields, follow=True).content.decode()


def live_name():
    return Project.objects.get().live.name


def test_a_version_shows_what_it_learnt_from(admin_client, candidate):
    text = page(admin_client, "modelversion", candidate)
    parts = ['title="' + "c" * 64, 'title="' + "a" * 64, "as the project has it now", "python 3.11.9, torch 2.5"]
    for part in [*parts, ">3, between #11 and #15</a>", "40 · manifest", "0.9123"]:
        assert part in text
    query = f"project__id__exact={candidate.project_id}&amp;id__gte=11&amp;id__lte=15"
    assert query in text
    events = reverse("admin:registry_event_changelist")
    assert admin_client.get(f"{events}?{query.replace('&amp;', '&')}").status_code == 200


def test_a_version_shows_its_evaluation_in_words_and_measures(admin_client, candidate):
    text = page(admin_client, "modelversion", candidate)
    for part in ("Held back.", "macro_f1 is 0.7", "20 held-out tasks", "Up to 0.02 worse", "Not measured: comment"):
        assert part in text
    assert "-0.1, worse" in text
    assert "-0.25, better" in text
    assert "held back" in page(admin_client, "modelversion")


def test_an_evaluation_that_failed_quotes_no_secret_and_no_markup(admin_client, candidate, settings):
    settings.LABEL_STUDIO_API_KEY = "an-api-key"
    candidate.evaluation = {"decision": "held", "reasons": ["It could not be: <b>an-api-key</b>"]}
    candidate.save()
    text = page(admin_client, "modelversion", candidate)
    assert "It could not be: &lt;b&gt;•••&lt;/b&gt;" in text


def test_a_version_shows_what_is_new_beside_its_parent(admin_client, project, early):
    text = page(admin_client, "modelversion", project.live)
    assert "&lt;b&gt;new&lt;/b&gt;" in text
    for how in ("added", "changed", "removed"):
        assert f">{how}</td>" in text
    ModelVersion.objects.filter(pk=early.pk).update(pruned_at=timezone.now())
    assert "The state of 0.1.0 was removed for its age" in page(admin_client, "modelversion", project.live)


def test_a_version_shows_its_files_aliases_and_moves(admin_client, project):
    stored = StoredFile.objects.create(digest="d" * 64, size=2048, complete=True)
    Artifact.objects.create(version=project.live, path="model/weights.bin", file=stored)
    aliases.point(project.live, "staging", by="a test")
    text = page(admin_client, "modelversion", project.live)
    for part in ("model/weights.bin", "2.0\xa0KB", ">staging</a>", "0.1.0 → 0.2.0"):
        assert part in text
    assert "staging" in page(admin_client, "modelversion")
    assert "<td>1</td>" in page(admin_client, "storedfile").replace(' class="field-shared_by"', "")
    assert "2.0\xa0KB" in page(admin_client, "artifact")


def test_a_version_with_more_state_than_fits_links_to_all_of_it(admin_client, project):
    from registry.codec import encode

    entries.write(project.live, {f"key{number}": encode("key", number) for number in range(101)})
    text = page(admin_client, "modelversion", project.live)
    assert "See all of them" in text
    assert "and 4 more" in text  # Three keys differ from the parent's beside these, and 100 are shown.


def test_a_version_is_promoted_by_its_button_with_a_reason(admin_client, project, early):
    assert reverse("admin:registry_modelversion_make_live", args=[early.pk]) in page(
        admin_client, "modelversion", early
    )
    assert "This field is required" in move(admin_client, early, "make_live", reason="")
    assert "0.1.0 is live" in move(admin_client, early, "make_live", reason="tuned was worse")
    last = Promotion.objects.latest("id")
    assert (last.to_version, last.actor, last.reason, last.rollback) == (early, "admin", "tuned was worse", False)
    assert live_name() == "0.1.0"


def test_the_list_leads_to_the_same_page(admin_client, project, early):
    assert "Make version 0.1.0 live?" in act(admin_client, "modelversion", "make_live", [early])
    assert "Select one version" in act(admin_client, "modelversion", "make_live", project.versions.all())
    assert "live already" in act(admin_client, "modelversion", "make_live", [project.live])


def test_the_live_version_is_rolled_back_by_its_button(admin_client, project):
    address = reverse("admin:registry_modelversion_roll_back", args=[project.live_id])
    assert address in page(admin_client, "modelversion", project.live)
    assert address in page(admin_client, "project", project)
    assert "Roll back to version 0.1.0?" in admin_client.get(address).content.decode()
    assert "0.1.0 is live" in move(admin_client, project.live, "roll_back", reason="a mistake")
    assert Promotion.objects.latest("id").rollback
    assert live_name() == "0.1.0"


def test_only_what_is_live_is_rolled_back(admin_client, project, early):
    assert "0.1.0 is not live" in move(admin_client, early, "roll_back", reason="a mistake")
    assert live_name() == "0.2.0"


def test_the_first_version_has_nothing_to_be_rolled_back_to(admin_client):
    first = versions.ensure_initial(a_project().pk, "0.0.1").live
    assert "Roll back" not in page(admin_client, "modelversion", first)
    assert "no version before" in move(admin_client, first, "roll_back", reason="a mistake")


def test_a_pruned_version_says_that_it_cannot_be_live(admin_client, early):
    ModelVersion.objects.filter(pk=early.pk).update(pruned_at=timezone.now())
    text = page(admin_client, "modelversion", early)
    assert "nor made live any more" in text
    assert "Make live…" not in text
    assert "was pruned" in move(admin_client, early, "make_live", reason="again")


def test_a_move_says_what_becomes_of_the_candidate(admin_client, candidate, early):
    address = reverse("admin:registry_modelversion_make_live", args=[early.pk])
    text = admin_client.get(address).content.decode()
    assert f"The candidate, <b>{candidate.name}</b>, is a candidate no more" in text


@pytest.mark.parametrize("way", ["make_live", "roll_back"])
def test_a_user_without_the_permission_moves_nothing(client, project, early, way):
    log_in(client, "view_modelversion", "change_modelversion", "view_project")
    version = early if way == "make_live" else project.live
    address = reverse(f"admin:registry_modelversion_{way}", args=[version.pk])
    assert address not in page(client, "modelversion", version)
    assert address not in page(client, "project", project)
    assert client.get(address).status_code == 403
    assert client.post(address, {"reason": "mine"}).status_code == 403
    assert live_name() == "0.2.0"


def test_of_a_version_only_note_and_tags_are_changed(admin_client, early):
    change(admin_client, early, note="For May.", tags='["release", "release", "ok"]', name="mine", seed="3")
    early.refresh_from_db()
    assert (early.note, early.tags, early.name, early.seed) == ("For May.", ["release", "ok"], "0.1.0", None)
    change(admin_client, early, note="", tags="")
    early.refresh_from_db()
    assert (early.note, early.tags) == ("", [])


@pytest.mark.parametrize("tags", ['{"a": 1}', '"release"', "[1]", '["two words"]', '[""]', f'["{"x" * 51}"]', "{"])
def test_tags_that_are_no_list_of_words_are_refused(admin_client, early, tags):
    assert "errorlist" in change(admin_client, early, note="", tags=tags)
    early.refresh_from_db()
    assert early.tags == []


def test_a_user_who_may_only_look_writes_no_note(client, early):
    log_in(client, "view_modelversion")
    assert 'name="note"' not in page(client, "modelversion", early)
    assert client.post(reverse("admin:registry_modelversion_change", args=[early.pk]), {}).status_code == 403


def test_a_version_is_neither_added_nor_deleted(admin_client, early):
    assert admin_client.get(reverse("admin:registry_modelversion_add")).status_code == 403
    assert admin_client.post(reverse("admin:registry_modelversion_delete", args=[early.pk]), {}).status_code == 403


def test_versions_are_found_by_tag_and_alias(admin_client, project, early):
    ModelVersion.objects.filter(pk=early.pk).update(tags=["release"])
    aliases.point(early, "best", by="a test")
    for word in ("release", "best"):
        text = admin_client.get(reverse("admin:registry_modelversion_changelist"), {"q": word}).content.decode()
        assert "1 model version" in text


def test_two_versions_are_shown_beside_one_another(admin_client, project, early):
    text = act(admin_client, "modelversion", "compare", [project.live, early])
    assert "0.1.0 and 0.2.0" in text
    for part in ("classes", "dropped", "fresh", "removed", "[&#x27;a&#x27;, &#x27;b&#x27;]"):
        assert part in text
    assert "Select two versions" in act(admin_client, "modelversion", "compare", [early])


def test_a_user_who_may_not_look_compares_nothing(client, project, early):
    log_in(client, "view_project")
    address = reverse("admin:registry_modelversion_compare", args=[early.pk, project.live_id])
    assert client.get(address).status_code == 403


def add_alias(client, version, name, **fields):
    data = {"name": name, "version": version.pk, **fields}
    return client.post(reverse("admin:registry_alias_add"), data, follow=True).content.decode()


def test_an_alias_is_given_moved_and_removed(admin_client, project, early):
    add_alias(admin_client, early, "staging")
    alias = Alias.objects.get()
    assert (alias.name, alias.version, alias.project, alias.protected) == ("staging", early, project, False)
    change(admin_client, alias, version=project.live_id, protected="on")
    alias.refresh_from_db()
    assert (alias.version, alias.protected) == (project.live, True)
    admin_client.post(reverse("admin:registry_alias_delete", args=[alias.pk]), {"post": "yes"})
    assert not Alias.objects.exists()


@pytest.mark.parametrize("name", ["live", "two words", "1st"])
def test_a_name_that_no_alias_can_have_is_refused_by_its_field(admin_client, early, name):
    assert "An alias is a letter and then" in add_alias(admin_client, early, name)
    assert not Alias.objects.exists()


def test_an_alias_that_is_there_is_not_moved_by_adding_it(admin_client, project, early):
    aliases.point(early, "staging", by="a test")
    assert "staging is the name of 0.1.0 already" in add_alias(admin_client, project.live, "staging")
    assert Alias.objects.get().version == early


def test_an_alias_stays_within_its_project(admin_client, early):
    alias = aliases.point(early, "staging", by="a test")
    other = a_version(a_project(ls_id=7))
    assert "errorlist" in change(admin_client, alias, version=other.pk)
    assert [(kept.project, kept.version) for kept in Alias.objects.all()] == [(early.project, early)]


def test_a_protected_alias_is_moved_only_with_the_permission(client, project, early):
    alias = aliases.point(early, "production", by="a test", protected=True)
    log_in(client, "view_alias", "change_alias")
    assert 'name="version"' not in page(client, "alias", alias)
    address = reverse("admin:registry_alias_change", args=[alias.pk])
    assert client.post(address, {"version": project.live_id}).status_code == 403
    assert client.post(reverse("admin:registry_alias_delete", args=[alias.pk]), {"post": "yes"}).status_code == 403
    act(client, "alias", "delete_selected", [alias], post="yes")
    assert Alias.objects.get().version == early


def test_whoever_may_not_protect_aliases_gives_plain_ones(client, early):
    log_in(client, "view_alias", "change_alias", "view_modelversion")
    add_alias(client, early, "staging", protected="on")
    assert not Alias.objects.get().protected


def test_aliases_are_removed_together(admin_client, project, early):
    chosen = [aliases.point(early, name, by="a test") for name in ("one", "two")]
    act(admin_client, "alias", "delete_selected", chosen, post="yes")
    assert not Alias.objects.exists()


def test_a_user_who_may_only_look_gives_no_alias(client, early):
    log_in(client, "view_alias", "view_modelversion")
    assert client.get(reverse("admin:registry_alias_add")).status_code == 403
    assert "Give it an alias" not in page(client, "modelversion", early)


def test_the_ledger_says_from_when_until_when_and_how(admin_client, project):
    versions.rollback(project.pk, by="ann", reason="<b>slow</b>")
    text = page(admin_client, "promotion")
    for part in ("↩ rollback", "now", "&lt;b&gt;slow&lt;/b&gt;", "what was live when"):
        assert part in text
    moves: list[Any] = list(Promotion.objects.with_end().order_by("-id"))
    assert [move.ended_at for move in moves[:2]] == [None, moves[0].created_at]


def test_a_project_links_to_what_was_live_when(admin_client, project):
    address = f"{reverse('admin:registry_promotion_changelist')}?project__id__exact={project.pk}"
    assert f'<a href="{address}">what was live when</a>' in page(admin_client, "project", project)
    text = admin_client.get(address).content.decode()
    assert "column-project_page" not in text
    assert "3 promotions" in text


def test_a_project_shows_its_candidate_and_that_it_needs_training(admin_client, project, candidate):
    Project.objects.update(retraining_reason="The config has <b>changed</b>.")
    text = page(admin_client, "project", project)
    assert "Needs training: The config has &lt;b&gt;changed&lt;/b&gt;." in text
    assert "held back: sentiment (Choices): macro_f1 is 0.7" in text
    assert "⚠ needs training" in page(admin_client, "project")


def test_a_candidate_that_was_not_evaluated_waits(admin_client, project, candidate):
    ModelVersion.objects.filter(pk=candidate.pk).update(evaluation=None)
    assert "which waits until somebody makes it live" in page(admin_client, "project", project)
    assert "It was not evaluated" in page(admin_client, "modelversion", candidate)


def test_a_version_evaluated_without_the_live_ones_measures_shows_its_own(admin_client, candidate):
    told = {key: value for key, value in HELD.items() if key not in ("live_measures", "margin")}
    ModelVersion.objects.filter(pk=candidate.pk).update(evaluation=told)
    text = page(admin_client, "modelversion", candidate)
    assert "macro_f1" in text
    assert "worse is allowed" not in text


def test_a_projects_promotion_policy_is_set_and_checked(admin_client, project):
    assert "margin: Input should be" in change(admin_client, project, promotion_policy='{"margin": 2}')
    change(admin_client, project, promotion_policy='{"mode": "hold"}')
    project.refresh_from_db()
    assert (project.promotion_policy, project.training_policy) == ({"mode": "hold"}, None)


def test_tasks_are_filtered_by_what_they_are_kept_for(admin_client, project):
    for number, split in enumerate(AnnotatedTask.Split.values, 1):
        AnnotatedTask.objects.create(project=project, ls_id=number, body=b"{}", split=split, stratum="s" * 64)
    address = reverse("admin:registry_annotatedtask_changelist")
    text = admin_client.get(address, {"split__exact": "held_out"}).content.decode()
    assert "1 annotated task" in text
    assert 'title="' + "s" * 64 in text


@pytest.mark.parametrize("model", ["project", "modelversion", "promotion", "alias", "artifact", "storedfile"])
def test_a_list_asks_the_database_as_often_however_long_it_is(
    admin_client, project, candidate, model, django_assert_max_num_queries
):
    stored = StoredFile.objects.create(digest="d" * 64, size=2048, complete=True)
    for number in range(5):
        version = a_version(a_project(ls_id=number), name=f"v{number}")
        Artifact.objects.create(version=version, path="weights.bin", file=stored)
        aliases.point(version, f"alias{number}", by="a test")
    with django_assert_max_num_queries(12):
        page(admin_client, model)
