"""The OpenAPI document says what the API does."""

import re

import pytest
import schemathesis
from django.test import Client
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema
from hypothesis import HealthCheck, Phase, given, seed, settings
from rest_framework.authtoken.models import Token
from schemathesis.specs.openapi.checks import positive_data_acceptance

from mlserver.env import Rate
from mlserver.wsgi import application
from registry import aliases, failures, training
from registry.models import Project
from tests.factories import a_version, annotation_created, receive

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("_uncounted")]

EXAMPLES = 12
MODEL = """
    class Model(LabelStudioMLBase):
        def fit(self, event, data, **kwargs):
            self.set("key", event)
            if event == "START_TRAINING":
                raise RuntimeError("no")
"""


@pytest.fixture
def document():
    return Client().get("/api/schema/").json()


def test_the_document_is_valid_and_nothing_in_it_is_guessed():
    with GENERATOR_STATS.silence():
        GENERATOR_STATS.reset()
        schema = SchemaGenerator().get_schema(request=None, public=True)
        validate_schema(schema)
        assert not GENERATOR_STATS


def test_anybody_may_read_the_document_and_finds_the_api_alone_in_it(document):
    assert document["openapi"].startswith("3.")
    assert {path.split("/")[1] for path in document["paths"]} == {"api"}
    assert {"tokenAuth", "cookieAuth"} == set(document["components"]["securitySchemes"])


def test_every_operation_says_how_it_is_refused(document):
    for operations in document["paths"].values():
        for operation in operations.values():
            assert {"401", "403", "429"} <= set(operation["responses"])
            assert operation["summary"]


def test_the_page_loads_nothing_from_elsewhere(client):
    page = client.get("/api/docs/").content.decode()
    addresses = re.findall(r"""(?:src|href)=["']([^"']+)""", page)
    assert addresses
    assert [address for address in addresses if not address.startswith("/static/")] == []
    assert "/api/schema" in page


@pytest.mark.parametrize("path", ["docs", "schema"])
def test_even_the_page_is_refused_to_a_wrong_token(client, path):
    assert client.get(f"/api/{path}/", headers={"authorization": "Token wrong"}).status_code == 401


def test_the_page_is_served_whatever_its_address_says(client):
    assert client.get("/api/docs", {"lang": "x\r\ny", "version": "a\r\nb\0"}).status_code == 200
    assert client.get("/api/schema", {"lang": "x\r\ny", "version": "a\r\nb\0"}).status_code == 200


@pytest.fixture
def filled(make_backend, queue):
    name = make_backend(MODEL)
    for number in (1, 2):
        receive(name, annotation_created(number, "a text", "Positive"))
    receive(name, {"action": "START_TRAINING", "project": annotation_created(1, "", "")["project"]})
    project = Project.objects.get()
    training.drain(project.pk)
    receive(name, annotation_created(3, "a text", "Positive"))
    aliases.point(a_version(project, "tuned"), "baseline", by="a test")
    failures.record(failures.Problem(name, "predict", "POST /predict", 500, "busy", "no", project="52"))


def test_no_request_breaks_the_api_and_every_answer_is_as_described(filled, admin_user, settings_of_rate):
    token = Token.objects.create(user=admin_user).key
    schema = schemathesis.openapi.from_wsgi("/api/schema/", application)
    for operation in schema.get_all_operations():
        _explore(operation.ok(), {"Authorization": f"Token {token}"})


@pytest.fixture
def settings_of_rate(settings):
    settings.API_THROTTLE = Rate(1_000_000, 60)


def _explore(operation, headers):
    for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):

        @seed(1)
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def check(case):
            # A cursor that was made up is a text, and refused all the same.
            case.call_and_validate(headers=headers, excluded_checks=[positive_data_acceptance])

        check()
