"""What the process that tests and the processes that it kills say to each other."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, SecretStr

from kern.process.settings import Settings

# On a machine that is busy with other tests, a worker that lives may be silent for a second.
HEARTBEAT_SECONDS = 2.0
ANY_POINT = "*"


class Kill(BaseModel):
    """Die at the `occurrence`-th time that `point` is reached; `*` counts every point."""

    model_config = ConfigDict(frozen=True)

    point: str
    occurrence: int = 1


class Place(BaseModel):
    """Where a component's runs are kept, executed and counted.

    Attributes:
        home: The folder of the embedded server, which is joined where no `address` is given.
        address: Where Temporal answers.
        ledger: The file to which every execution of a tool adds a line.
        summarises: Whether the component has sessions summed up.
        led: Whether the component is a team, whose only member is the agent.
        piped: Whether it is a workflow, one step of which is the agent.
    """

    model_config = ConfigDict(frozen=True)

    component: str
    database_url: str
    home: str
    address: str | None
    model_url: str
    ledger: str
    summarises: bool = False
    led: bool = False
    piped: bool = False


class Spec(BaseModel):
    """One process: a worker, or a client that accepts, resolves or cancels one thing and ends."""

    model_config = ConfigDict(frozen=True)

    role: Literal["worker", "accept", "resolve", "cancel"]
    place: Place
    log: str
    kill: Kill | None = None
    run_id: str = ""
    text: str = ""
    requirement_id: str = ""
    verdict: Literal["approve", "reject"] = "approve"
    by: str = ""


class Line(BaseModel):
    """One execution of a tool, as the tool itself wrote it down."""

    model_config = ConfigDict(frozen=True)

    tool: str
    tool_call_id: str
    key: str
    attempt: int
    order_id: str


# Read once: pytest changes the environment while other threads would read it.
_SETTINGS = Settings(heartbeat_seconds=HEARTBEAT_SECONDS, relay_seconds=0.2)


def settings_of(place: Place) -> Settings:
    """Return settings under which a death is noticed soon."""
    own = {"home": Path(place.home), "database_url": SecretStr(place.database_url)}
    return _SETTINGS.model_copy(update=own)
