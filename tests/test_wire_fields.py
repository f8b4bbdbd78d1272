"""The recordings of Label Studio's requests, and the report of what has changed in them."""

import pytest

from mlserver.protocol import messages
from tests.e2e import wire

RECORDINGS = wire.load()
WEBHOOKS = sorted(name for name in RECORDINGS if name.startswith("webhook_"))
# What the server and its backends read of each request.
READ = {
    "setup": ["project", "schema", "hostname", "access_token", "extra_params"],
    "predict_batch": ["tasks[].id", "tasks[].data.text", "project", "label_config", "params.login", "params.password"],
    "predict_interactive": ["params.context.result[].value.choices[]"],
    "webhook_ANNOTATION_CREATED": ["annotation.id", "annotation.was_cancelled", "annotation.result[].from_name"],
    "webhook_ANNOTATION_UPDATED": ["annotation.id", "task.id", "task.data.text"],
    "webhook_ANNOTATIONS_CREATED": ["annotation[].id", "annotation[].result[].from_name", "task[].data.text"],
    "webhook_ANNOTATIONS_DELETED": ["annotations[].id"],
}
READ_OF_WEBHOOKS = ["action", "project.id", "project.created_at", "project.title", "project.label_config"]


def said(**body):
    return {"request": {"method": "POST", "path": "/setup", "headers": {}, "json": body}}


def changes(before, after):
    return wire.changes(said(**before), said(**after))


def test_a_field_that_came_is_named_with_its_type():
    assert changes({"project": {"id": 1}}, {"project": {"id": 1, "name": "a"}}) == [
        "request: json.project.name is new (str)"
    ]


def test_a_field_that_went_is_named():
    assert changes({"tasks": [{"id": 1, "data": 2}]}, {"tasks": [{"id": 1}]}) == ["request: json.tasks[].data is gone"]


def test_a_field_of_another_type_is_named_with_both():
    assert changes({"id": 1}, {"id": "1"}) == ["request: json.id was int, is str"]


def test_values_do_not_count():
    assert changes({"id": 1, "names": ["a"]}, {"id": 2, "names": ["b", "c"]}) == []


def test_an_empty_field_is_of_no_type():
    assert changes({"extra_params": None}, {"extra_params": "a"}) == []


def test_a_field_that_only_some_tasks_fill_is_of_the_type_of_those():
    assert changes({"tasks": [{"score": None}, {"score": 1}]}, {"tasks": [{"score": 2}]}) == []


def test_requests_that_came_or_went_are_named():
    assert wire.changes({"train": {}}, {"webhook": {}}) == ["train: is sent no more", "webhook: is new"]


def test_two_recordings_that_differ_in_times_and_ids_become_the_same():
    def recorded(number, moment, unique_id):
        project = {"id": number, "created_at": f"{moment}.1Z", "updated_at": f"{moment}.7Z"}
        return {
            "setup": {"project": f"{number}.{moment[-2:]}"},
            "webhook": {"project": project, "unique_id": unique_id},
        }

    first = recorded(3, "2024-01-01T00:00:01", "2921428d-8201-47fe-848b-8bd0cfd44fd5")
    second = recorded(8, "2025-12-31T12:34:56", "cbac2d31-0822-41e4-842f-aa826bfe95bb")
    assert wire.steady(first) == wire.steady(second)


def test_the_halves_of_a_project_key_stay_those_of_one_project():
    project = {"id": 3, "created_at": "2024-01-01T00:00:01.5Z"}
    steady = wire.steady({"setup": {"project": "3.1704067201"}, "webhook": {"project": project}})
    key = messages.Setup.read({"project": steady["setup"]["project"], "schema": "<View/>"}).project
    assert messages.Webhook.read({"action": "A", "project": steady["webhook"]["project"]}).project == key


def test_a_secret_is_not_written_down():
    steady = wire.steady({"setup": {"access_token": "abc", "project": "1.2"}, "webhook": {"token": "def"}})
    assert (steady["setup"]["access_token"], steady["webhook"]["token"]) == ("000", "000")


def test_the_recordings_hold_no_secret():
    held = [value for key, value in leaves(RECORDINGS) if key in ("token", "access_token", "task_data_password")]
    assert {value.strip("0") for value in held if value} == {""}


def test_saved_recordings_are_loaded_as_they_were(tmp_path):
    wire.save({"gone": {}}, tmp_path)
    wire.save(RECORDINGS, tmp_path)
    assert wire.load(tmp_path) == RECORDINGS


def test_the_recordings_are_all_of_one_label_studio():
    assert len({recording["label_studio"] for recording in RECORDINGS.values()}) == 1


@pytest.mark.parametrize("name", sorted({*READ, *WEBHOOKS}))
def test_every_field_that_we_read_is_sent(name):
    sent = wire.fields(RECORDINGS[name])
    read = READ.get(name, []) + (READ_OF_WEBHOOKS if name in WEBHOOKS else [])
    missing = [field for field in read if not any(path.startswith(f"json.{field}") for path in sent)]
    assert missing == [], f"Label Studio sends {sorted(sent)}"


def leaves(value, key=""):
    if isinstance(value, dict):
        return [leaf for name, item in value.items() for leaf in leaves(item, name)]
    if isinstance(value, list):
        return [leaf for item in value for leaf in leaves(item, key)]
    return [(key, value)]
