"""Calls of activities, each with its timeouts and its retry policy in one place."""

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

from kern.contracts import (
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
    SummaryInput,
    ToolCallInput,
    ToolCallOutcome,
    TurnInput,
    TurnOutcome,
)

# What fails for a passing reason is tried for ever: the activity itself says when to give up.
_PATIENT = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    backoff_coefficient=2.0,
    maximum_interval=timedelta(seconds=60),
)
# What the run does without if it cannot be had.
_MODEST = RetryPolicy(
    initial_interval=timedelta(seconds=1), backoff_coefficient=2.0, maximum_attempts=4
)
_MODEL_LIMIT = timedelta(hours=2)
_TOOL_LIMIT = timedelta(days=30)
_WRITE_LIMIT = timedelta(minutes=2)
_TEXT_LIMIT = timedelta(minutes=10)


async def take_turn(run_id: str, turn: int, heartbeat: float) -> TurnOutcome:
    """Have the model answer, and its answer stored."""
    outcome: TurnOutcome = await workflow.execute_activity(
        "model_turn",
        TurnInput(run_id=run_id, turn=turn),
        result_type=TurnOutcome,
        start_to_close_timeout=_MODEL_LIMIT,
        heartbeat_timeout=timedelta(seconds=heartbeat),
        retry_policy=_PATIENT,
    )
    return outcome


async def execute_call(run_id: str, call: PlannedCall, heartbeat: float) -> ToolCallOutcome:
    """Bring a tool call to its end."""
    outcome: ToolCallOutcome = await workflow.execute_activity(
        "tool_call",
        ToolCallInput(run_id=run_id, tool_call_id=call.tool_call_id),
        result_type=ToolCallOutcome,
        start_to_close_timeout=_TOOL_LIMIT,
        heartbeat_timeout=timedelta(seconds=heartbeat),
        retry_policy=_PATIENT,
        summary=call.name,
    )
    return outcome


async def pipeline_step(
    run_id: str, lane: str | None, heartbeat: float, name: str = ""
) -> PipelineOutcome:
    """Have a pipeline's steps executed, as far as they go by themselves."""
    outcome: PipelineOutcome = await workflow.execute_activity(
        "pipeline_step",
        PipelineInput(run_id=run_id, lane=lane),
        result_type=PipelineOutcome,
        start_to_close_timeout=_TOOL_LIMIT,
        heartbeat_timeout=timedelta(seconds=heartbeat),
        retry_policy=_PATIENT,
        summary=name or None,
    )
    return outcome


async def expire(requirement_id: str, heartbeat: float) -> ExpiryOutcome:
    """Ask SQL whether a deadline that has passed closes its requirement."""
    outcome: ExpiryOutcome = await workflow.execute_activity(
        "expire",
        ExpiryInput(requirement_id=requirement_id),
        result_type=ExpiryOutcome,
        start_to_close_timeout=_WRITE_LIMIT,
        heartbeat_timeout=timedelta(seconds=heartbeat),
        retry_policy=_PATIENT,
    )
    return outcome


async def pause(run_id: str, heartbeat: float) -> bool:
    """Have a run paused that waits for nothing but people; False when its rows say otherwise."""
    outcome: PauseOutcome = await workflow.execute_activity(
        "pause_run",
        PauseInput(run_id=run_id),
        result_type=PauseOutcome,
        start_to_close_timeout=_WRITE_LIMIT,
        heartbeat_timeout=timedelta(seconds=heartbeat),
        retry_policy=_PATIENT,
    )
    return outcome.stands_still


async def summarise(run_id: str, heartbeat: float) -> None:
    """Have the session's summary tell of a run."""
    await workflow.execute_activity(
        "summarise",
        SummaryInput(run_id=run_id),
        result_type=Nothing,
        start_to_close_timeout=_TEXT_LIMIT,
        heartbeat_timeout=timedelta(seconds=heartbeat),
        retry_policy=_MODEST,
    )


async def name_session(ask: NameInput) -> None:
    """Have a session named by the model."""
    await workflow.execute_activity(
        "name_session",
        ask,
        result_type=Nothing,
        start_to_close_timeout=_TEXT_LIMIT,
        retry_policy=_MODEST,
    )


async def close(ending: CloseInput, heartbeat: float) -> None:
    """End the run's row."""
    await workflow.execute_activity(
        "close_run",
        ending,
        result_type=Nothing,
        start_to_close_timeout=_WRITE_LIMIT,
        heartbeat_timeout=timedelta(seconds=heartbeat),
        retry_policy=_PATIENT,
    )
