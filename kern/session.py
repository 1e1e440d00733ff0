"""Session data: owner, state, name, usage, and pages of sessions."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from kern.run import Used


class Session(BaseModel):
    """A conversation as it stood when it was read. All times are UTC.

    Attributes:
        tenant: The tenant that it belongs to; the default one is empty.
        component_id: The agent, team or workflow whose conversation it is.
        run_count: How many runs were begun in it, however they ended.
        summary: What was said so far, in short, if the component makes summaries.
        forked_from: The session of which this one began as a copy.
        updated_at: When a run was last begun, or the state or the name changed.
    """

    model_config = ConfigDict(frozen=True)

    session_id: str
    tenant: str = ""
    user_id: str | None = None
    component_id: str
    name: str | None = None
    session_state: dict[str, JsonValue] = Field(default_factory=dict)
    summary: str | None = None
    run_count: int = 0
    forked_from: str | None = None
    created_at: datetime
    updated_at: datetime


class SessionPage(BaseModel):
    """A part of a listing, the latest first.

    Attributes:
        next_cursor: Give it to the same call to have the next part; None at the end.
    """

    model_config = ConfigDict(frozen=True)

    sessions: list[Session] = Field(default_factory=list)
    next_cursor: str | None = None


class SessionMetrics(Used):
    """What the runs of a session used together. What a fork copied is not counted again."""

    run_count: int = 0
