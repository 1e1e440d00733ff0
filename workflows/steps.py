"""The calls of activities, each with its timeouts and its retry policy."""

from datetime import timedelta
from typing import TypeVar

from temporalio import workflow
from temporalio.common import RetryPolicy

from kern.contracts.messages import (
    CloseInput,
    ExpiryInput,
    ExpiryOutcome,
    NameInput,
    Nothing,
    PauseInput,
    PauseOutcome,
    PipelineInput,
    PipelineOutcome,
    PlannedCall,
    RunCursor,
    SummaryInput,
    ToolCallInput,
    ToolCallOutcome,
    TurnInput,
    TurnOutcome,
)

Answer = TypeVar("Answer")

# Without a limit: the activity itself says when to give up, by an error that is not retryable.
_UNLIMITED = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    backoff_coefficient=2.0,
    maximum_interval=timedelta(seconds=60),
)
# For what the run can do without.
_LIMITED = RetryPolicy(
    initial_interval=timedelta(seconds=1), backoff_coefficient=2.0, maximum_attempts=4
)
_MODEL_LIMIT = timedelta(hours=2)
_TOOL_LIMIT = timedelta(days=30)
_WRITE_LIMIT = timedelta(minutes=2)
_TEXT_LIMIT = timedelta(minutes=10)


async def take_turn(run_id: str, turn: int, heartbeat: float) -> TurnOutcome:
    """Have the model answer, and store the answer."""
    ask = TurnInput(run_id=run_id, turn=turn)
    return await _execute("model_turn", ask, TurnOutcome, _MODEL_LIMIT, heartbeat)


async def execute_call(run_id: str, call: PlannedCall, heartbeat: float) -> ToolCallOutcome:
    """Bring a tool call to its end."""
    ask = ToolCallInput(run_id=run_id, tool_call_id=call.tool_call_id)
    return await _execute(
        "tool_call", ask, ToolCallOutcome, _TOOL_LIMIT, heartbeat, summary=call.name
    )


async def pipeline_step(
    run_id: str, lane: str | None, heartbeat: float, name: str = ""
) -> PipelineOutcome:
    """Execute the steps of a lane until it waits, ends or becomes several."""
    ask = PipelineInput(run_id=run_id, lane=lane)
    return await _execute(
        "pipeline_step", ask, PipelineOutcome, _TOOL_LIMIT, heartbeat, summary=name or None
    )


async def expire(requirement_id: str, cursor: RunCursor) -> ExpiryOutcome:
    """Expire a requirement, unless its row says otherwise."""
    ask = ExpiryInput(requirement_id=requirement_id)
    return await _keep_books("expire", ask, ExpiryOutcome, cursor)


async def pause(cursor: RunCursor) -> PauseOutcome:
    """Set a run to `paused`, unless its rows say otherwise."""
    ask = PauseInput(run_id=cursor.run_id)
    return await _keep_books("pause_run", ask, PauseOutcome, cursor)


async def summarise(run_id: str, heartbeat: float) -> None:
    """Add a run to the session's summary."""
    ask = SummaryInput(run_id=run_id)
    await _execute("summarise", ask, Nothing, _TEXT_LIMIT, heartbeat, policy=_LIMITED)


async def name_session(ask: NameInput) -> None:
    """Have a session named by the model."""
    await _execute("name_session", ask, Nothing, _TEXT_LIMIT, policy=_LIMITED)


async def close(ending: CloseInput, cursor: RunCursor) -> None:
    """End the run's row."""
    await _keep_books("close_run", ending, Nothing, cursor)


async def _keep_books(name: str, ask: object, kind: type[Answer], cursor: RunCursor) -> Answer:
    """Execute an activity that needs no component's code: it never waits behind tools."""
    return await _execute(
        name, ask, kind, _WRITE_LIMIT, cursor.heartbeat, queue=cursor.bookkeeping_queue
    )


async def _execute(
    name: str,
    ask: object,
    kind: type[Answer],
    limit: timedelta,
    heartbeat: float | None = None,
    *,
    policy: RetryPolicy = _UNLIMITED,
    summary: str | None = None,
    queue: str | None = None,
) -> Answer:
    """Execute an activity; `heartbeat` is its timeout in seconds, None for no heartbeats."""
    answer: Answer = await workflow.execute_activity(
        name,
        ask,
        result_type=kind,
        start_to_close_timeout=limit,
        heartbeat_timeout=None if heartbeat is None else timedelta(seconds=heartbeat),
        retry_policy=policy,
        summary=summary,
        task_queue=queue,
    )
    return answer
