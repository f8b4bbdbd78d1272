"""Look into the server's own database, read only."""

import json
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.extras

Row = dict[str, Any]


class Database:
    """The embedded Postgres of one data folder, asked on a new connection each time."""

    def __init__(self, var_dir: Path) -> None:
        self._ready_file = var_dir / "engines" / "postgres.ready.json"

    def rows(self, statement: str, *values: object) -> list[Row]:
        """Return the rows of a SELECT."""
        socket = Path(json.loads(self._ready_file.read_text(encoding="utf-8"))["socket"])
        connection = psycopg2.connect(host=str(socket.parent), user="postgres", dbname="mlserver")
        try:
            connection.set_session(readonly=True)
            with connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
                cursor.execute(statement, values)
                return [dict(row) for row in cursor.fetchall()]
        finally:
            connection.close()


class Memory:
    """What the server remembers of one project, the oldest rows first."""

    def __init__(self, database: Database, backend: str, ls_id: int, ls_created: int) -> None:
        self._database = database
        self._key = (backend, ls_id, ls_created)

    def project(self) -> Row:
        """Return the project's own row."""
        rows = self._database.rows(
            "SELECT * FROM registry_project WHERE backend = %s AND ls_id = %s AND ls_created = %s", *self._key
        )
        assert rows, "The server has never heard of the project."
        return rows[0]

    def live(self) -> str:
        """Return the name of the version that serves."""
        live_id = self.project()["live_id"]
        return str(next(row["name"] for row in self.versions() if row["id"] == live_id))

    def versions(self) -> list[Row]:
        """Return the model versions."""
        return self._of_project("registry_modelversion")

    def runs(self) -> list[Row]:
        """Return the training runs."""
        return self._of_project("registry_trainingrun")

    def events(self, action: str = "") -> list[Row]:
        """Return the webhooks received, or those of one action; `payload` is the body."""
        events = [row | {"payload": _parsed(row.pop("body"))} for row in self._of_project("registry_event")]
        return [event for event in events if event["action"] == action or not action]

    def annotations(self) -> dict[int, Row]:
        """Return the latest state of each annotation by its id in Label Studio; `payload` is None of a deleted one."""
        rows = self._of_project("registry_annotation")
        return {row["ls_id"]: row | {"payload": _parsed(row.pop("body"))} for row in rows}

    def deleted_tasks(self) -> list[int]:
        """Return the ids in Label Studio of the annotated tasks that are deleted there."""
        return [row["ls_id"] for row in self._of_project("registry_annotatedtask") if row["deleted"]]

    def failures(self) -> list[Row]:
        """Return the kinds of failures, each with its count."""
        return self._of_project("registry_failure")

    def state(self, key: str) -> Any:
        """Return a JSON or text value of the version that serves; None where it has none."""
        rows = self._database.rows(
            "SELECT coalesce(entry.data, blob.data) AS data, entry.kind FROM registry_stateentry entry "
            "LEFT JOIN registry_blob blob ON blob.digest = entry.blob_id WHERE version_id = %s AND key = %s",
            self.project()["live_id"],
            key,
        )
        if not rows:
            return None
        data = bytes(rows[0]["data"])
        return json.loads(data) if rows[0]["kind"] == "json" else data.decode()

    def _of_project(self, table: str) -> list[Row]:
        return self._database.rows(f"SELECT * FROM {table} WHERE project_id = %s ORDER BY id", self.project()["id"])


def _parsed(body: memoryview | None) -> Any:
    return None if body is None else json.loads(bytes(body))
