"""What crosses Temporal in the bare workflow: models as small as Kern's own."""

from pydantic import BaseModel, ConfigDict


class Message(BaseModel):
    """A message of the bare workflow."""

    model_config = ConfigDict(frozen=True)


class Job(Message):
    """What to do: so many activities, or three with a wait for a signal after the first."""

    job_id: str
    gated: bool = False
    steps: int = 1


class Step(Message):
    """What an activity is asked."""

    job_id: str
    number: int


class Done(Message):
    """What an activity says."""

    calls: tuple[str, ...] = ()


class Decided(Message):
    """The signal."""

    gate_id: str


class StopQuery(Message):
    """Wait until the workflow stands still."""


class Stop(Message):
    """The workflow stands still."""
