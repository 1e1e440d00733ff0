"""Builds the outputs of runs and requirements from their rows."""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import TypeVar, cast

from pydantic import JsonValue
from sqlalchemy import bindparam
from sqlmodel import Session

from kern.contracts.viewer import Viewer
from kern.db.engine.plain_rows import rows
from kern.db.engine.records import (
    MessageRecord,
    RequirementRecord,
    RunRecord,
    SessionRecord,
    ToolCallRecord,
)
from kern.db.engine.requirement_tables import RequirementRow
from kern.db.engine.typed_tables import (
    MESSAGES,
    REQUIREMENTS,
    RUNS,
    SESSIONS,
    TOOL_CALLS,
)
from kern.db.reading import files, run_trees, step_progress
from kern.db.reading.requirement_outputs import requirements_of
from kern.db.reading.run_timing import spent
from kern.db.reading.visibility import no_requirement, no_run
from kern.errors import NotFound
from kern.process.clock import utc_now
from kern.run import (
    FileReference,
    Message,
    Metrics,
    ProviderOutage,
    RequestedCall,
    RunError,
    RunOutput,
    ToolExecution,
)
from kern.values.canonical import digest
from kern.values.states import (
    Effect,
    RunStatus,
    ToolCallStatus,
    ToolOutcome,
)

_runs, _sessions, _calls, _requirements = (
    RUNS.table,
    SESSIONS.table,
    TOOL_CALLS.table,
    REQUIREMENTS.table,
)
_RUN = _runs.select().where(_runs.c.id == bindparam("run_id"))
_SESSION = _sessions.select().where(_sessions.c.id == bindparam("session_id"))
_CALL = _calls.select().where(_calls.c.id == bindparam("call_id"))
_CALLS = (
    _calls.select()
    .where(_calls.c.run_id == bindparam("run_id"), _calls.c.step_id.is_(None))
    .order_by(_calls.c.turn, _calls.c.position)
)
_REQUIREMENTS = (
    _requirements.select()
    .where(_requirements.c.run_id == bindparam("run_id"))
    .order_by(_requirements.c.id)
)
KEY_LENGTH = 40
RunT = TypeVar("RunT", bound=RunRecord)
_messages = MESSAGES.table
_MESSAGES = (
    _messages.select()
    .where(_messages.c.run_id == bindparam("run_id"))
    .order_by(_messages.c.turn, _messages.c.position)
)


def run_output(tx: Session, run_id: str, viewer: Viewer) -> RunOutput:
    """Read a run with its messages and calls, and the requirements and usage of its whole tree.

    Raises:
        NotFound: there is no such run.
        NotAllowed: it belongs to somebody else.
    """
    run = find_run(tx, run_id, viewer)
    requirements = list(rows(tx, REQUIREMENTS, _REQUIREMENTS, run_id=run_id))
    output = summary_of(run)
    metrics = output.metrics
    if run.component_kind != "agent":
        requirements += run_trees.requirements_of_children(tx, run)
        usage = run_trees.usage_of_children(tx, run)
        metrics = metrics.model_copy(
            update={name: getattr(metrics, name) + count for name, count in usage.items()}
        )
    return output.model_copy(
        update={
            "metrics": metrics,
            "messages": messages_of(tx, message_rows(tx, run_id)),
            "tools": tool_executions(tx, run_id),
            "requirements": requirements_of(tx, requirements, viewer),
            "session_state": session_state(tx, run.session_id),
            "progress": step_progress.progress_of(tx, run),
        }
    )


def find_run(tx: Session, run_id: str, viewer: Viewer) -> RunRecord:
    """Return a run that the viewer may see, for reading.

    Raises:
        NotFound: there is no such run.
        NotAllowed: it belongs to somebody else.
    """
    return check(tx, viewer, run_row(tx, run_id), no_run(run_id), f"Run {run_id!r}")


def check(tx: Session, viewer: Viewer, run: RunT | None, missing: NotFound, subject: str) -> RunT:
    """Return a run in which a viewer may see something: the `subject`.

    A child run is reached through its own component and through that of its session.

    Raises:
        NotFound: `missing`, if there is no run, or it belongs to another tenant.
        NotAllowed: it belongs to somebody else.
        InvalidInput: it belongs to another component.
    """
    component_id = None if run is None else run.component_id
    if (
        run is not None
        and run.parent_run_id is not None
        and viewer.component_id not in (None, component_id)
    ):
        session = session_row(tx, run.session_id)
        component_id = component_id if session is None else session.component_id
    return viewer.check(run, missing, subject=subject, component_id=component_id)


def run_row(tx: Session, run_id: str) -> RunRecord | None:
    """Return a run for reading."""
    return next(rows(tx, RUNS, _RUN, run_id=run_id), None)


def session_state(tx: Session, session_id: str) -> dict[str, JsonValue]:
    """Return the present state of a session."""
    session = session_row(tx, session_id)
    return {} if session is None else dict(session.state)


def session_row(tx: Session, session_id: str) -> SessionRecord | None:
    """Return a session for reading."""
    return next(rows(tx, SESSIONS, _SESSION, session_id=session_id), None)


def summary_of(run: RunRecord) -> RunOutput:
    """Build a run's output from its own row alone."""
    error = None
    if run.error_code is not None:
        error = RunError(code=run.error_code, message=run.error_message or "")
    working, waiting = spent(run, utc_now())
    return RunOutput(
        run_id=run.id,
        session_id=run.session_id,
        tenant=run.tenant,
        user_id=run.user_id,
        parent_run_id=run.parent_run_id,
        component_id=run.component_id,
        number=run.number,
        status=RunStatus(run.status),
        is_queued=run.is_queued,
        input=run.input,
        content=run.content,
        metrics=Metrics(
            input_tokens=run.input_tokens,
            output_tokens=run.output_tokens,
            cached_tokens=run.cached_tokens,
            reasoning_tokens=run.reasoning_tokens,
            model_calls=run.model_calls,
            tool_calls=run.tool_calls,
            first_token_seconds=run.first_token_seconds,
            working_seconds=working,
            waiting_seconds=waiting,
        ),
        metadata=dict(run.run_metadata),
        created_at=run.created_at,
        finished_at=run.finished_at,
        error=error,
        policy_digest=run.policy,
        provider_outage=None if run.outage is None else ProviderOutage.model_validate(run.outage),
    )


def message_rows(tx: Session, run_id: str) -> Iterator[MessageRecord]:
    """Return a run's messages in order, for reading."""
    return rows(tx, MESSAGES, _MESSAGES, run_id=run_id)


def messages_of(tx: Session, records: Iterable[MessageRecord]) -> list[Message]:
    """Build messages, with references to their files and no bytes of them."""
    messages = list(records)
    files_by_id = files.references(tx, (file_id for row in messages for file_id in row.files or ()))
    return [message_of(row, files_by_id) for row in messages]


def message_of(
    row: MessageRecord, files_by_id: Mapping[str, FileReference] = MappingProxyType({})
) -> Message:
    """Build a message, with those of its files that are in `files_by_id`."""
    return Message(
        role=row.role,
        content=row.content,
        tool_calls=[RequestedCall.model_validate(call) for call in row.requested or []],
        tool_call_id=row.provider_call_id,
        tool_name=row.tool_name,
        provider=row.provider,
        items=cast("list[dict[str, JsonValue]]", row.items or []),
        files=[files_by_id[file_id] for file_id in row.files or () if file_id in files_by_id],
        created_at=row.created_at,
    )


def tool_executions(tx: Session, run_id: str) -> list[ToolExecution]:
    """Return a run's tool calls in their order."""
    return [tool_execution(row) for row in rows(tx, TOOL_CALLS, _CALLS, run_id=run_id)]


def execution_of(tx: Session, tool_call_id: str | None) -> ToolExecution | None:
    """Return one tool call; None if there is none."""
    if tool_call_id is None:
        return None
    return next(map(tool_execution, rows(tx, TOOL_CALLS, _CALL, call_id=tool_call_id)), None)


def tool_execution(row: ToolCallRecord) -> ToolExecution:
    """Build a tool call."""
    return ToolExecution(
        id=row.id,
        tool_name=row.name,
        turn=row.turn,
        child_run_id=row.child_run_id,
        arguments=effective_arguments(row),
        status=ToolCallStatus(row.status),
        outcome=ToolOutcome(row.outcome) if row.outcome else None,
        result=row.result,
        effect=Effect(row.effect),
        idempotency_key=effective_key(row),
        attempts=row.attempt,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )


def find_requirement(tx: Session, requirement_id: str, viewer: Viewer) -> RequirementRecord:
    """Return a requirement that the viewer may see.

    Raises:
        NotFound: there is no such requirement.
        NotAllowed: it belongs to somebody else's run.
    """
    row = tx.get(RequirementRow, requirement_id)
    missing, subject = no_requirement(requirement_id), f"Requirement {requirement_id!r}"
    return viewer.check(row, missing, subject=subject)


def effective_arguments(call: ToolCallRecord) -> dict[str, JsonValue]:
    """Return the arguments that a call is executed with: its own, or the approved edit."""
    return dict(call.arguments if call.approved_arguments is None else call.approved_arguments)


def effective_key(call: ToolCallRecord) -> str:
    """Return the key that a call is executed with: what was edited is another intention."""
    if call.approved_arguments is None:
        return call.idempotency_key
    return digest([call.idempotency_key, call.approved_digest])[:KEY_LENGTH]
