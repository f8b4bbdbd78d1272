"""What Label Studio sends, checked at the boundary. Recorded requests are in tests/wire/."""

from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, InstanceOf

from registry import projects
from registry.errors import InvalidProjectKey
from registry.projects import ProjectKey


def _project_key(value: Any) -> ProjectKey:
    try:
        return projects.parse_key(value)
    except InvalidProjectKey as exc:
        raise ValueError(str(exc)) from exc


def _webhook_key(value: Any) -> ProjectKey:
    try:
        return projects.parse_webhook_key(value)
    except InvalidProjectKey as exc:
        raise ValueError(str(exc)) from exc


def _without_nul(value: Any) -> Any:
    if _holds_nul(value):
        raise ValueError("must not contain the NUL character; remove it.")
    return value


def _holds_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(_holds_nul(part) for item in value.items() for part in item)
    return isinstance(value, list) and any(_holds_nul(part) for part in value)


Text = Annotated[str, BeforeValidator(_without_nul)]


class Message(BaseModel):
    """Base of the messages: unknown fields are ignored, as newer versions of Label Studio add some."""

    model_config = ConfigDict(frozen=True, extra="ignore", arbitrary_types_allowed=True)

    @classmethod
    def read(cls, data: Any) -> Self:
        """Return the message; raise pydantic's ValidationError naming each wrong field."""
        return cls.model_validate(data)


class Setup(Message):
    """POST /setup."""

    project: Annotated[ProjectKey, BeforeValidator(_project_key)]
    label_config: Text = Field(alias="schema")
    hostname: Text | None = None
    access_token: Text | None = None
    extra_params: Annotated[Any, BeforeValidator(_without_nul)] = None


class PredictParams(Message):
    """`params` of POST /predict."""

    login: str | None = None
    password: str | None = Field(default=None, repr=False)
    context: dict[str, Any] | None = None


class Predict(Message):
    """POST /predict."""

    # Tasks are passed on as they came: checked to be objects, not copied.
    tasks: list[InstanceOf[dict]]  # type: ignore[type-arg]
    project: Annotated[ProjectKey, BeforeValidator(_project_key)]
    label_config: str | None = None
    params: PredictParams | None = None
    model_version: Any = None
    """Sent by versions before 1.10 or so, which know one prediction per task and no lists of them."""


class Train(Message):
    """POST /train."""

    project: Annotated[ProjectKey, BeforeValidator(_project_key)]


class JobStatus(Message):
    """POST /job_status."""

    job: Annotated[str, BeforeValidator(lambda value: str(value) if type(value) is int else value)]


class Webhook(Message):
    """POST /webhook."""

    action: str = Field(min_length=1)
    project: Annotated[ProjectKey, BeforeValidator(_webhook_key)]
