"""The messages of the bare workflow: models as small as Kern's own."""

from pydantic import BaseModel, ConfigDict


class Message(BaseModel):
    """A message of the bare workflow."""

    model_config = ConfigDict(frozen=True)


class Job(Message):
    """The input: `steps` activities; when gated, a wait for a signal and two more."""

    job_id: str
    gated: bool = False
    steps: int = 1


class Step(Message):
    """An activity's input."""

    job_id: str
    number: int


class Done(Message):
    """An activity's result."""

    calls: tuple[str, ...] = ()


class Decided(Message):
    """The signal."""

    gate_id: str


class StopQuery(Message):
    """The update: wait until the workflow is parked."""


class Stop(Message):
    """The update's answer: the workflow is parked."""
