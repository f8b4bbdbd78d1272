"""The README says what is so."""

import re
from pathlib import Path
from typing import Any

import pytest
from django.urls import get_resolver

from backends.testing import annotation_event
from tests.factories import SENTIMENT

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
READS = re.compile(r'env_(?:str|bool|int|list|rate|secret)\(\s*"([A-Z_]+)"')


def section(title: str) -> str:
    return README.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def first_column(table: str) -> list[str]:
    return [row.split("|")[1].strip() for row in table.splitlines() if row.startswith("|")][2:]


def test_every_setting_is_in_the_table_and_none_is_invented():
    told = {name for cell in first_column(section("Settings")) for name in re.findall(r"`([A-Z_]+)`", cell)}
    read = {name for path in (ROOT / "mlserver").glob("*.py") for name in READS.findall(path.read_text())}
    assert told == read


def test_the_secrets_are_marked():
    marked = {re.findall(r"`([A-Z_]+)`", cell)[0] for cell in first_column(section("Settings")) if cell.endswith("*")}
    settings = (ROOT / "mlserver" / "settings.py").read_text()
    assert marked == set(re.findall(r'env_secret\("([A-Z_]+)"', settings))


def test_every_address_is_in_the_table():
    told = {cell.strip("`").split("/", 1)[1].rstrip("/") for cell in first_column(section("Addresses"))}
    protocol, *others = get_resolver().url_patterns[:4]
    patterns = [*protocol.url_patterns, *others]
    assert told == {str(pattern.pattern).rstrip("/") for pattern in patterns}


def test_every_make_target_exists():
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"make ([a-z][a-z0-9-]+)", README)) <= targets


def test_every_command_exists():
    from django.core.management import get_commands

    assert set(re.findall(r"\./manage\.py ([a-z_]+)", README)) <= set(get_commands())


@pytest.mark.parametrize("path", ["mlserver", "registry", "backends", "deploy", "docker-compose.yml", "LICENSE"])
def test_what_is_named_is_there(path):
    assert (ROOT / path).exists()


def test_the_example_learns_and_predicts():
    [source] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    namespace: dict[str, Any] = {"__name__": "example"}
    exec(source, namespace)
    model = namespace["MostFrequent"](label_config=SENTIMENT)
    assert model.predict([{"data": {}}])[0]["result"] == []
    region = {"from_name": "sentiment", "to_name": "text", "type": "choices", "value": {"choices": ["Negative"]}}
    model.fit(*annotation_event({"id": 1, "data": {"text": "x"}}, [region], label_config=SENTIMENT))
    [prediction] = model.predict([{"data": {}}])
    assert prediction["result"][0]["value"]["choices"] == ["Negative"]
