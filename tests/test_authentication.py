"""Who may talk to the models."""

import base64

import pytest
import requests

from registry.models import Event
from tests.factories import predict_json, project_json, setup_json

pytestmark = pytest.mark.django_db(transaction=True)

MODEL = """
    class Model(LabelStudioMLBase):
        def predict(self, tasks, **kwargs):
            return None
"""
START = {"action": "START_TRAINING", "project": project_json()}


@pytest.fixture(autouse=True)
def _backend(chosen):
    chosen(MODEL)


@pytest.fixture
def password(settings):
    settings.BASIC_AUTH_USER, settings.BASIC_AUTH_PASS = "Jürgen", "pässwort"
    return settings.BASIC_AUTH_USER, settings.BASIC_AUTH_PASS


@pytest.fixture
def token(settings):
    settings.URL_TOKEN = "s3cret-token"
    return settings.URL_TOKEN


def basic(credentials, encoding="utf-8"):
    return {"authorization": "Basic " + base64.b64encode(":".join(credentials).encode(encoding)).decode()}


def post(client, path, body, headers=None):
    return client.post(path, body, content_type="application/json", headers=headers)


def test_without_credentials_configured_anybody_may_ask(client):
    assert post(client, "/predict", predict_json("a")).status_code == 200


@pytest.mark.parametrize(
    ("path", "body"), [("/setup", setup_json()), ("/predict", predict_json("a")), ("/webhook", START)]
)
def test_with_a_password_nobody_else_may_ask(client, password, path, body):
    response = post(client, path, body)
    assert (response.status_code, response.json()["code"]) == (401, "authentication_failed")
    assert response.headers["WWW-Authenticate"].startswith("Basic")
    assert not Event.objects.exists()


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_a_password_with_umlauts_is_understood_in_both_encodings(client, password, encoding):
    assert post(client, "/predict", predict_json("a"), basic(password, encoding)).status_code == 200


@pytest.mark.parametrize(
    "header",
    ["Basic", "Basic !!!", "Basic " + "A" * 7, "Bearer x", "Basic " + base64.b64encode(b"nocolon").decode()],
)
def test_a_malformed_header_is_refused(client, password, header):
    assert post(client, "/predict", predict_json("a"), {"authorization": header}).status_code == 401


def test_a_wrong_password_is_refused(client, password):
    assert post(client, "/predict", predict_json("a"), basic(("Jürgen", "passwort"))).status_code == 401


def test_the_token_in_the_path_lets_a_webhook_without_credentials_in(client, password, token):
    assert post(client, f"/t/{token}/webhook", START).status_code == 201
    assert Event.objects.count() == 1


def test_the_token_goes_with_the_name_of_a_backend(client, token, make_backend):
    name = make_backend(MODEL)
    assert post(client, f"/t/{token}/{name}/predict", predict_json("a")).status_code == 200
    assert client.get(f"/t/{token}/{name}/health").json()["backend"] == name


@pytest.mark.parametrize("wrong", ["wrong", "s3cret-toke", "s3cret-token2", "ünïcode"])
def test_a_wrong_token_is_refused_even_with_the_right_password(client, password, token, wrong):
    assert post(client, f"/t/{wrong}/predict", predict_json("a"), basic(password)).status_code == 401


def test_a_token_where_none_is_configured_is_refused(client):
    assert post(client, "/t/anything/predict", predict_json("a")).status_code == 401


def test_with_a_token_configured_the_bare_address_is_closed(client, token):
    response = post(client, "/webhook", START)
    assert response.status_code == 401
    assert "/t/<token>" in response.json()["detail"]


def test_health_is_open_and_versions_are_not(client, password):
    assert client.get("/health").status_code == 200
    assert client.get("/versions").status_code == 401
    assert client.get("/metrics").status_code == 401


def test_the_token_reaches_no_log(live_server, token, caplog, capfd):
    from mlserver.logs import mask_secrets

    requests.post(f"{live_server.url}/t/{token}/nowhere", json={}, timeout=10)
    requests.post(f"{live_server.url}/t/{token}/predict", json={}, timeout=10)
    written = capfd.readouterr()
    assert token not in mask_secrets(caplog.text)
    assert token not in written.out + written.err
