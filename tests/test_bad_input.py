"""Every kind of bad input is answered with a code and words that say what to change."""

import json

import pytest

from registry.models import Event, Project
from tests.factories import predict_json, project_json, setup_json

pytestmark = pytest.mark.django_db(transaction=True)

BOMB = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]><View>&b;</View>'
EXTERNAL = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><View>&a;</View>'
DEEP = "<View>" * 3000 + "</View>" * 3000
EMPTY_MODEL = """
    class Empty(LabelStudioMLBase):
        def predict(self, tasks, **kwargs):
            return None
"""


@pytest.fixture(autouse=True)
def _backend(chosen):
    chosen(EMPTY_MODEL)


def post(client, path, body, content_type="application/json"):
    body = body if isinstance(body, bytes) else json.dumps(body)
    return client.generic("POST", path, body, content_type=content_type)


def refused(response, status, code):
    assert (response.status_code, response.json()["code"]) == (status, code), response.content
    assert set(response.json()) == {"code", "detail"}
    assert b"Traceback" not in response.content
    return response.json()["detail"]


@pytest.mark.parametrize("path", ["/setup", "/predict", "/webhook"])
@pytest.mark.parametrize(
    "body",
    [b"{", b"tasks=1", b'{"a": NaN}', b"\xff\xfe{}", b'{"a": "\xe9"}', b"[" * 100_000, b'{"a":' * 100_000],
    ids=["cut off", "a form", "NaN", "UTF-16", "Latin-1", "deep list", "deep object"],
)
def test_what_is_not_json_is_refused(client, path, body):
    assert "JSON" in refused(post(client, path, body), 400, "invalid_json")


@pytest.mark.parametrize("path", ["/setup", "/predict", "/webhook"])
@pytest.mark.parametrize("body", [[], "text", 7, None, True], ids=repr)
def test_json_that_is_no_object_is_refused(client, path, body):
    refused(post(client, path, body), 400, "invalid_request")


@pytest.mark.parametrize("path", ["/setup", "/predict", "/webhook"])
def test_an_empty_body_is_refused(client, path):
    response = post(client, path, b"")
    assert response.status_code == 400
    assert response.json()["detail"]


@pytest.mark.parametrize(
    "content_type", ["text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded"]
)
def test_a_body_that_is_not_declared_as_json_is_refused(client, content_type):
    refused(post(client, "/predict", predict_json("a"), content_type), 415, "unsupported_media_type")


@pytest.mark.parametrize("field", ["project", "schema"])
def test_setup_names_the_field_that_is_missing(client, field):
    body = setup_json()
    del body[field]
    assert refused(post(client, "/setup", body), 400, "invalid_request").startswith(f"{field}: ")


@pytest.mark.parametrize("field", ["project", "tasks"])
def test_predict_names_the_field_that_is_missing(client, field):
    body = predict_json("a")
    del body[field]
    assert refused(post(client, "/predict", body), 400, "invalid_request").startswith(f"{field}: ")


@pytest.mark.parametrize("field", ["project", "action"])
def test_webhook_names_the_field_that_is_missing(client, field):
    body = {"action": "START_TRAINING", "project": project_json()}
    del body[field]
    assert refused(post(client, "/webhook", body), 400, "invalid_request").startswith(f"{field}: ")
    assert not Event.objects.exists()


@pytest.mark.parametrize("project", [None, "", "abc", "52.x", "-1", "1" * 30, 1.5, True, [], {}, "٥٢"], ids=repr)
@pytest.mark.parametrize(("path", "make"), [("/setup", setup_json), ("/predict", predict_json)])
def test_a_project_that_label_studio_would_not_send_is_refused(client, path, make, project):
    detail = refused(post(client, path, make(project=project)), 400, "invalid_request")
    assert detail.startswith("project: ")
    assert not Project.objects.exists()


@pytest.mark.parametrize("project", [None, "abc", [], {}, {"id": None}, {"id": "x"}, {"id": {}}], ids=repr)
def test_a_webhook_whose_project_cannot_be_told_is_refused(client, project):
    response = post(client, "/webhook", {"action": "START_TRAINING", "project": project})
    assert refused(response, 400, "invalid_request").startswith("project: ")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tasks", None),
        ("tasks", {}),
        ("tasks", [1]),
        ("tasks", [None]),
        ("label_config", 7),
        ("params", []),
        ("params", {"context": "x"}),
        ("params", {"context": []}),
    ],
)
def test_predict_names_the_field_that_has_the_wrong_type(client, field, value):
    detail = refused(post(client, "/predict", predict_json("a", **{field: value})), 400, "invalid_request")
    assert detail.startswith(field)


@pytest.mark.parametrize(("field", "value"), [("schema", None), ("schema", 7), ("hostname", 7), ("access_token", [])])
def test_setup_names_the_field_that_has_the_wrong_type(client, field, value):
    detail = refused(post(client, "/setup", setup_json(**{field: value})), 400, "invalid_request")
    assert detail.startswith(field)


@pytest.mark.parametrize("value", ["a\0b", {"a": "\0"}, {"\0": 1}, [["\0"]]])
def test_extra_params_that_cannot_be_stored_are_refused(client, value):
    assert "NUL" in refused(post(client, "/setup", setup_json(extra_params=value)), 400, "invalid_request")


@pytest.mark.parametrize("action", [None, "", 7, [], {}])
def test_a_webhook_without_a_proper_action_is_refused(client, action):
    response = post(client, "/webhook", {"action": action, "project": project_json()})
    assert refused(response, 400, "invalid_request").startswith("action: ")


@pytest.mark.parametrize("config", ["<View", "no xml", BOMB, EXTERNAL, DEEP, "<a/><b/>"], ids=lambda text: text[:12])
@pytest.mark.parametrize(("path", "field"), [("/setup", "schema"), ("/predict", "label_config")])
def test_a_broken_or_hostile_config_is_refused(client, path, field, config):
    body = setup_json() if path == "/setup" else predict_json("a")
    detail = refused(post(client, path, body | {field: config}), 400, "invalid_label_config")
    assert "root:" not in detail


def test_a_body_that_is_too_large_is_refused(client, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    for path in ("/setup", "/predict", "/webhook"):
        refused(post(client, path, predict_json("a" * 2000)), 413, "body_too_large")


@pytest.mark.parametrize("path", ["/nobody/health", "/nobody/predict", "/nobody", "/..%2fx/health"])
def test_an_unknown_backend_is_named(client, path):
    response = client.get(path)
    assert response.status_code == 404
    assert response.json()["code"] in ("unknown_backend", "not_found")


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/predict"), ("PUT", "/setup"), ("POST", "/health"), ("DELETE", "/webhook")]
)
def test_a_wrong_method_is_refused(client, method, path):
    refused(client.generic(method, path), 405, "method_not_allowed")


def test_an_unknown_address_is_not_redirected(client):
    response = client.post("/predict/", predict_json("a"), content_type="application/json")
    assert response.status_code == 404


@pytest.mark.parametrize(
    ("returned", "code"),
    [
        ("[{'result': []}]", "invalid_prediction"),
        ("[{'result': [], 'score': float('nan')}] * 2", "invalid_prediction"),
        ("[{'result': [], 'score': 'high'}] * 2", "invalid_prediction"),
        ("[{'result': [{'value': object()}]}] * 2", "invalid_prediction"),
        ("[{'result': 'text'}] * 2", "invalid_prediction"),
        ("7", "invalid_prediction"),
        ("1 / 0", "backend_failed"),
        ("(_ for _ in ()).throw(KeyError('hunter2'))", "backend_failed"),
        ("__import__('sys').exit('hunter2')", "backend_failed"),
    ],
)
def test_a_model_that_fails_is_answered_without_its_traceback(client, chosen, returned, code):
    chosen(f"""
        class Fails(LabelStudioMLBase):
            def predict(self, tasks, **kwargs):
                return {returned}
    """)
    response = post(client, "/predict", predict_json("a", "b"))
    refused(response, 500, code)
    assert b"hunter2" not in response.content


def test_a_model_that_cannot_be_built_is_reported_by_setup(client, chosen):
    chosen("""
        class Fails(LabelStudioMLBase):
            def setup(self):
                raise RuntimeError("hunter2")
    """)
    response = post(client, "/setup", setup_json())
    refused(response, 500, "backend_failed")
    assert b"hunter2" not in response.content


def test_a_model_that_cannot_be_imported_is_reported(client, chosen):
    chosen("import a_library_that_is_not_there")
    refused(post(client, "/predict", predict_json("a")), 500, "backend_broken")


def test_a_config_that_the_model_cannot_work_with_is_the_users_to_mend(client, chosen):
    chosen("""
        class Boxes(LabelStudioMLBase):
            def predict(self, tasks, **kwargs):
                self.get_first_tag_occurence("RectangleLabels", "Image")
    """)
    detail = refused(post(client, "/predict", predict_json("a")), 400, "invalid_label_config")
    assert "RectangleLabels" in detail
