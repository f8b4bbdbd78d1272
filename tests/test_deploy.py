"""What the deployment files name is there: modules, commands, addresses, variables, users."""

import ast
import configparser
import importlib.util
import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import dj_database_url
import pytest
import yaml
from django.core.management import get_commands
from django.urls import resolve

PROJECT = Path(__file__).resolve().parent.parent
COMPOSE = yaml.safe_load((PROJECT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
DOCKERFILE = re.sub(r"\\\n\s*", " ", (PROJECT / "Dockerfile").read_text())
KUBERNETES = list(yaml.safe_load_all((PROJECT / "deploy" / "kubernetes.yaml").read_text()))
SUPERVISORD = configparser.RawConfigParser(inline_comment_prefixes=(";",))
SUPERVISORD.read(PROJECT / "deploy" / "supervisord.conf")
HEALTH_CHECK, COMMAND = (json.loads(found) for found in re.findall(r"^.*CMD (\[.*\])$", DOCKERFILE, re.MULTILINE))


def pods() -> list[dict[str, Any]]:
    return [part["spec"]["template"]["spec"] for part in KUBERNETES if "template" in part["spec"]]


def containers() -> Iterator[dict[str, Any]]:
    for pod in pods():
        yield from pod.get("initContainers", [])
        yield from pod["containers"]


def commands() -> Iterator[list[str]]:
    """Yield every command that runs in this project's image, or in its folder."""
    yield COMMAND
    yield HEALTH_CHECK
    for part in chain(OURS.values(), containers()):
        if "command" in part:
            yield part["command"]
    for section in SUPERVISORD.sections():
        if SUPERVISORD.has_option(section, "command"):
            program, *arguments = shlex.split(SUPERVISORD.get(section, "command"))
            yield [Path(program).name, *arguments]


def variables() -> set[str]:
    """Return every name that a deployment file gives the server."""
    image = re.findall(r"^ENV (.+)$", DOCKERFILE, re.MULTILINE)
    names = {pair.partition("=")[0] for line in image for pair in line.split()}
    names |= {name for service in OURS.values() for name in service["environment"]}
    manual = (PROJECT / "deploy" / "README.md").read_text()
    names |= set(re.findall(r"\b([A-Z][A-Z_]{3,})=", manual)) - {"BACKEND"}
    return {name for name in names if not name.startswith(("PIP_", "PYTHON"))}


def variables_read() -> set[str]:
    """Return every name that the server reads through env.py."""
    names = set()
    for path in (PROJECT / "mlserver").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Name(id="env_secret"), args=[ast.Constant(value=str(name)), *_]):
                    names |= {name, f"{name}_FILE"}
                case ast.Call(func=ast.Name(id=function), args=[ast.Constant(value=str(name)), *_]):
                    names |= {name} if function.startswith("env_") else set()
    return names


@pytest.mark.parametrize("command", list(commands()), ids=" ".join)
def test_a_command_names_what_exists(command):
    in_a_shell = command[:2] == ["sh", "-c"]
    for program, *arguments in map(shlex.split, command[2].split("&&")) if in_a_shell else [command]:
        if program == "gunicorn":
            option, config, application = arguments
            assert option == "-c"
            assert importlib.util.find_spec(config.removeprefix("python:"))
            assert importlib.util.find_spec(application)
        elif arguments[0] == "-c":
            compile(arguments[1], "health check", "exec")
        else:
            assert (program, arguments[0]) == ("python", "manage.py")
            assert arguments[1] in get_commands()


def test_health_checks_ask_for_what_is_served():
    paths = re.findall(r"'(/\w+)'", HEALTH_CHECK[-1])
    for container in containers():
        paths += [container[probe]["httpGet"]["path"] for probe in container if probe.endswith("Probe")]

    assert len(paths) == 3
    assert {resolve(path).url_name for path in paths} == {"health"}


def test_every_variable_is_one_that_the_server_reads():
    assert variables() <= variables_read()


def test_everything_listens_on_port_9090():
    [service] = [part for part in KUBERNETES if part["kind"] == "Service"]

    assert re.findall(r"^EXPOSE (.+)$", DOCKERFILE, re.MULTILINE) == ["9090"]
    assert SERVICES["web"]["ports"] == ["${PORT:-9090}:9090"]
    assert service["spec"]["ports"] == [{"port": 9090, "targetPort": 9090}]


def test_nothing_runs_as_root_or_holds_a_secret():
    assert re.findall(r"^USER (.+)$", DOCKERFILE, re.MULTILINE) == ["10001"]
    assert all(pod["securityContext"]["runAsNonRoot"] for pod in pods())
    for service in SERVICES.values():
        given = {name for name, value in service.get("environment", {}).items() if value is not None}
        assert not {name for name in given if re.search("SECRET|PASS|TOKEN|DATABASE_URL", name)} - {
            "DATABASE_URL_FILE",
            "SECRET_KEY_FILE",
            "POSTGRES_PASSWORD_FILE",
        }


def test_web_and_worker_start_when_what_they_need_is_there():
    for name in ("web", "worker"):
        needs = {needed: how["condition"] for needed, how in SERVICES[name]["depends_on"].items()}
        assert needs == {"init": "service_completed_successfully", "redis": "service_healthy"}
    for part in SERVICES.values():
        for needed, how in part.get("depends_on", {}).items():
            assert how["condition"] != "service_healthy" or "test" in SERVICES[needed]["healthcheck"]


def test_the_volumes_that_are_mounted_are_declared():
    mounted = {volume.partition(":")[0] for part in SERVICES.values() for volume in part.get("volumes", [])}

    assert mounted == set(COMPOSE["volumes"])


def test_the_secrets_are_made_once_and_fit_together(tmp_path):
    [script] = SERVICES["secrets"]["command"]
    # Compose reads `$$` as `$`.
    script = script.replace("$$", "$").replace("/run/mlserver", str(tmp_path))
    found = []
    for _ in range(2):
        subprocess.run([*SERVICES["secrets"]["entrypoint"], script], check=True)
        found.append({path.name: path.read_text() for path in tmp_path.iterdir()})

    assert found[0] == found[1]
    assert len(found[0]["secret_key"]) == len(found[0]["postgres_password"]) == 64
    url = dj_database_url.parse(found[0]["database_url"])
    environment = SERVICES["postgres"]["environment"]
    assert (url["USER"], url["NAME"]) == (environment["POSTGRES_USER"], environment["POSTGRES_DB"])
    assert (url["HOST"], url["PASSWORD"]) == ("postgres", found[0]["postgres_password"])


def test_the_image_holds_what_runs_and_nothing_else():
    first, *kept = re.findall(r"^(\S+)$", (PROJECT / ".dockerignore").read_text(), re.MULTILINE)

    assert first == "*"
    assert {"!mlserver", "!registry", "!backends", "!manage.py", "!requirements.txt"} <= set(kept)
    assert not {"!tests", "!bench", "!.env", "!var"} & set(kept)
