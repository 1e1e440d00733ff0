"""What is told of a session: its owner, state and name, what its runs used, and pages of them."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field, JsonValue


class Session(BaseModel):
    """A conversation as it stood when it was read. All times are UTC.

    Attributes:
        component_id: The agent, team or workflow whose conversation it is.
        run_count: How many runs were begun in it, however they ended.
        summary: What was said so far, in short, if the component makes summaries.
        forked_from: The session of which this one began as a copy.
        updated_at: When a run was last begun, or the state or the name changed.
    """

    model_config = ConfigDict(frozen=True)

    session_id: str
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


class SessionMetrics(BaseModel):
    """What the runs of a session used together. What a fork copied is not counted again.

    Attributes:
        working_seconds: Time in which runs were not waiting for people.
        waiting_seconds: Time in which runs did nothing but wait for people.
    """

    model_config = ConfigDict(frozen=True)

    run_count: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    model_calls: int = 0
    tool_calls: int = 0
    working_seconds: float = 0.0
    waiting_seconds: float = 0.0

    @property
    def total_tokens(self) -> int:
        """Input and output tokens together."""
        return self.input_tokens + self.output_tokens
