"""Warm instances, in one process and over several."""

import subprocess
import sys
import threading

import pytest
from django.db import connections

from backends import LabelStudioMLBase
from registry import projects, serving
from registry.errors import Busy
from registry.models import Project
from registry.state import LiveState
from registry.versions import promote
from tests.factories import SENTIMENT, a_project, a_version

pytestmark = pytest.mark.django_db(transaction=True)

READS = """
    class Reads(LabelStudioMLBase):
        builds = 0
        def setup(self):
            type(self).builds += 1
        def predict(self, tasks, **kwargs):
            return [{"result": [], "read": self.get("key"), "builds": self.builds} for _ in tasks]
"""
WRITER = """
import sys, django
django.setup()
from registry.models import Project
from registry.state import LiveState
state = LiveState(Project.objects.get().pk)
state.begin("")
exec(sys.argv[1])
"""


def ask(project: Project, config: str = SENTIMENT):
    found = projects.standing(project.backend, projects.ProjectKey(project.ls_id, project.ls_created))
    return serving.predict(found, [{"id": 1}], label_config=config, context=None)[0]


def in_another_process(env, statement):
    env = env | {"DJANGO_SETTINGS_MODULE": "mlserver.settings"}
    subprocess.run([sys.executable, "-c", WRITER, statement], env=env, check=True, timeout=60)


def test_a_value_written_by_another_process_is_seen_at_the_next_request(make_backend, process_env):
    project = a_project(make_backend(READS))
    assert ask(project)["read"] is None
    in_another_process(process_env, "state.set('key', 'theirs')")
    answer = ask(project)
    assert (answer["read"], answer["builds"]) == ("theirs", 1)


def test_a_version_made_by_another_process_is_served_at_the_next_request(make_backend, process_env):
    project = a_project(make_backend(READS))
    assert ask(project)["model_version"] == "0.0.1"
    in_another_process(process_env, "state.set('key', 'theirs'); state.set('model_version', 'v2')")
    answer = ask(project)
    assert (answer["model_version"], answer["read"], answer["builds"]) == ("v2", "theirs", 2)


def test_a_rollback_is_served_at_the_next_request(make_backend):
    project = a_project(make_backend(READS))
    first = a_version(project, "first", key="one")
    a_version(project, "second", key="two")
    assert ask(project)["read"] == "two"
    promote(first, by="ann", reason="two was wrong")
    assert (ask(project)["read"], ask(project)["model_version"]) == ("one", "first")


def test_a_predict_asks_the_database_once(make_backend, django_assert_num_queries):
    project = a_project(make_backend(READS))
    ask(project)
    ask(project)
    with django_assert_num_queries(1):
        ask(project)


def test_the_least_recently_used_instance_is_dropped(make_backend, settings):
    settings.MAX_WARM_INSTANCES = 1
    name = make_backend(READS)
    one, two = a_project(name, ls_id=1), a_project(name, ls_id=2)
    assert [ask(project)["builds"] for project in (one, one, two, one)] == [1, 1, 2, 3]


def test_a_model_that_allows_one_prediction_at_a_time_gets_one(make_backend):
    project = a_project(
        make_backend("""
            import time
            class Counts(LabelStudioMLBase):
                inside = most = 0
                def predict(self, tasks, **kwargs):
                    self.inside += 1
                    self.most = max(self.most, self.inside)
                    time.sleep(0.01)
                    self.inside -= 1
                    return [{"result": [], "score": self.most} for _ in tasks]
        """)
    )
    ask(project)
    answers = []

    def work():
        answers.append(ask(project)["score"])
        connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [1.0] * 5


def test_a_request_that_waits_too_long_for_its_turn_is_told_so(make_backend, settings):
    settings.PREDICT_QUEUE_SECONDS = 0.01
    project = a_project(make_backend(READS))
    ask(project)
    [instance] = serving.pool._instances.values()
    with instance.slot(), pytest.raises(Busy, match="busy"):
        ask(project)


def test_a_model_works_without_any_server():
    class Model(LabelStudioMLBase):
        def predict(self, tasks, context=None, **kwargs):
            return [{"result": [], "score": len(task["data"]["text"])} for task in tasks]

    assert Model(label_config=SENTIMENT).predict([{"data": {"text": "abc"}}]) == [{"result": [], "score": 3}]


def test_a_connection_lost_between_requests_is_made_anew(make_backend):
    project = a_project(make_backend(READS))
    ask(project)
    connections["default"].connection.close()
    assert ask(project)["builds"] == 1


def test_a_value_set_while_predicting_is_kept(make_backend):
    project = a_project(
        make_backend("""
            class Counts(LabelStudioMLBase):
                def predict(self, tasks, **kwargs):
                    self.set("count", (self.get("count") or 0) + 1)
                    return [{"result": [], "score": self.get("count")} for _ in tasks]
        """)
    )
    assert [ask(project)["score"] for _ in range(3)] == [1.0, 2.0, 3.0]
    state = LiveState(project.pk)
    state.begin("")
    assert state.get("count") == 3
