"""Settings from the environment: read as people write them, refused by name."""

import os
import subprocess
import sys

import pytest
from django.core.exceptions import ImproperlyConfigured

from mlserver.env import Rate, env_bool, env_int, env_list, env_rate, env_secret, env_str
from mlserver.logs import mask_secrets
from mlserver.secret_key import local_secret_key


@pytest.mark.parametrize(("text", "value"), [("1", True), ("Yes", True), (" on ", True), ("0", False), ("", True)])
def test_a_truth_value_is_read_as_people_write_it(monkeypatch, text, value):
    monkeypatch.setenv("X", text)
    assert env_bool("X", True) is value


@pytest.mark.parametrize(
    ("read", "text"),
    [(lambda: env_bool("X", True), "maybe"), (lambda: env_int("X", 1), "many"), (lambda: env_int("X", 1), "-1")],
)
def test_a_value_that_cannot_be_read_is_refused_by_name(monkeypatch, read, text):
    monkeypatch.setenv("X", text)
    with pytest.raises(ImproperlyConfigured, match=r"^X must be"):
        read()


@pytest.mark.parametrize(
    ("text", "rate"), [("", (600, 60)), ("5/sec", (5, 1)), ("10/hour", (10, 3600)), ("9/d", (9, 86400))]
)
def test_a_rate_is_read(monkeypatch, text, rate):
    monkeypatch.setenv("X", text)
    assert env_rate("X", "600/min") == Rate(*rate)


@pytest.mark.parametrize("text", ["600", "0/min", "many/min", "5/week", "-1/min", "²/min"])
def test_a_rate_that_cannot_be_read_is_refused_by_name(monkeypatch, text):
    monkeypatch.setenv("X", text)
    with pytest.raises(ImproperlyConfigured, match=r"^X must be a number of requests per"):
        env_rate("X", "600/min")


def test_blanks_and_empty_parts_do_not_count(monkeypatch):
    monkeypatch.setenv("X", " a, ,b ")
    assert env_list("X") == ["a", "b"]
    monkeypatch.setenv("X", "  ")
    assert env_str("X", "default") == "default"


def test_a_secret_is_read_from_a_file(monkeypatch, tmp_path):
    (tmp_path / "secret").write_text("hunter2\n")
    monkeypatch.setenv("X_FILE", str(tmp_path / "secret"))
    assert env_secret("X") == "hunter2"


@pytest.mark.parametrize("content", [None, ""])
def test_a_secret_file_that_is_missing_or_empty_is_refused_by_name(monkeypatch, tmp_path, content):
    if content is not None:
        (tmp_path / "secret").write_text(content)
    monkeypatch.setenv("X_FILE", str(tmp_path / "secret"))
    with pytest.raises(ImproperlyConfigured, match=r"^X_FILE"):
        env_secret("X")


def test_a_secret_given_twice_is_refused_without_telling_it(monkeypatch):
    monkeypatch.setenv("X", "hunter2")
    monkeypatch.setenv("X_FILE", "/nowhere")
    with pytest.raises(ImproperlyConfigured) as refusal:
        env_secret("X")
    assert "hunter2" not in str(refusal.value)


def test_the_local_key_is_made_once_and_readable_by_its_owner_only(tmp_path):
    key = local_secret_key(tmp_path / "var")
    assert (len(key) >= 50, local_secret_key(tmp_path / "var")) == (True, key)
    assert (tmp_path / "var" / "secret_key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "var").iterdir()] == ["secret_key"]


@pytest.mark.parametrize(
    ("extra", "named"),
    [
        ({"DATABASE_URL": "postgresql://u@h/d", "SECRET_KEY": ""}, "SECRET_KEY"),
        ({"DATABASE_URL": "sqlite:///x", "SECRET_KEY": "x"}, "DATABASE_URL"),
        ({"BASIC_AUTH_USER": "ann", "BASIC_AUTH_PASS": ""}, "BASIC_AUTH_PASS"),
    ],
)
def test_settings_that_cannot_work_stop_the_start_by_name(extra, named):
    done = subprocess.run(
        [sys.executable, "manage.py", "check"], env=os.environ | extra, capture_output=True, text=True, timeout=60
    )
    assert done.returncode != 0
    assert named in done.stderr


def test_a_backend_that_is_not_there_is_named_at_the_start():
    env = os.environ | {"ML_BACKEND": "nobody"}
    done = subprocess.run([sys.executable, "manage.py", "check"], env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "no backend named 'nobody'" in done.stderr
    assert "text_classifier" in done.stderr


@pytest.mark.parametrize(
    "text",
    [
        "POST /t/s3cret-token/webhook 404",
        "http://localhost:9090/t/s3cret-token/text_classifier/health",
        "postgresql://ann:s3cret-token@db/name refused",
    ],
)
def test_secrets_are_masked_in_what_is_logged(settings, text):
    settings.URL_TOKEN = ""
    assert "s3cret-token" not in mask_secrets(text)


def test_a_configured_secret_is_masked_wherever_it_stands(settings):
    settings.BASIC_AUTH_PASS = "hunter22"
    assert "hunter22" not in mask_secrets("ValueError: hunter22 is wrong")
