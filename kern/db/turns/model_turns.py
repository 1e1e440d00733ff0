"""Turns of the model: loading what it sees, and storing its answer in one transaction."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from pydantic import JsonValue
from sqlalchemy import bindparam
from sqlmodel import Session

from kern.context.history_window import Window
from kern.context.instructions import Context
from kern.contracts.answers import Answer, NewCall
from kern.contracts.messages import Child, Gate, PlannedCall, TurnOutcome
from kern.contracts.policy import Policy
from kern.db.decisions.opening import open_requirement
from kern.db.decisions.reminders import gate_of
from kern.db.decisions.requirements import pending_gates
from kern.db.engine.mutable_rows import MutableRun
from kern.db.engine.plain_rows import add, add_row, new_row, rows
from kern.db.engine.records import RunRecord, ToolCallRecord
from kern.db.engine.typed_tables import MESSAGES, TOOL_CALLS
from kern.db.journal.events import record
from kern.db.reading import files, history_window, run_timing
from kern.db.reading.run_outputs import (
    message_rows,
    messages_of,
    run_row,
    session_row,
    tool_executions,
)
from kern.db.reading.run_trees import root_of
from kern.db.reading.visibility import no_run
from kern.db.runs import child_runs, lifecycle, policies
from kern.db.runs.idempotency import new_key
from kern.models.base import ModelResponse
from kern.pipeline.strictness import DeclaredPolicy
from kern.run import Message, ToolExecution
from kern.values.canonical import arguments_digest
from kern.values.ids import new_id
from kern.values.states import RunStatus, ToolCallStatus, ToolOutcome

_calls = TOOL_CALLS.table
_UNFINISHED = (
    _calls.select()
    .where(
        _calls.c.run_id == bindparam("run_id"),
        _calls.c.turn == bindparam("turn"),
        _calls.c.status != ToolCallStatus.done.value,
    )
    .order_by(_calls.c.position)
)


@dataclass(frozen=True)
class Conversation:
    """What a turn starts from; `outcome` is set if this turn was stored before.

    `model_calls` says how often the run has asked its model. `input` is the run's input, and
    `calls` are its calls so far, if the component reads them. `policy` is what was pinned on the
    run.
    """

    component_id: str
    session_id: str
    messages: list[Message]
    calls_so_far: int
    corrections: int
    model_calls: int = 0
    outcome: TurnOutcome | None = None
    state: dict[str, JsonValue] = field(default_factory=dict)
    summary: str | None = None
    is_streamed: bool = False
    input: str = ""
    calls: Sequence[ToolExecution] = ()
    is_child: bool = False
    policy: Policy | None = None


def load(tx: Session, run_id: str, turn: int, context_of: Callable[[str], Context]) -> Conversation:
    """Read what the model sees in a turn: a window of the session's earlier runs, and this run.

    The messages have the bytes of their files. `context_of` returns, for a component's id, what its
    model sees of the session.

    Raises:
        NotFound: there is no such run.
    """
    run = run_row(tx, run_id)
    if run is None:
        raise no_run(run_id)
    if turn <= run.turn or RunStatus(run.status).is_final:
        return Conversation(
            run.component_id,
            run.session_id,
            [],
            0,
            0,
            outcome=outcome_of(tx, run, turn),
            is_child=run.parent_run_id is not None,
        )
    run_messages = list(message_rows(tx, run_id))
    context = context_of(run.component_id)
    window, before = context.window, run.number
    if run.parent_run_id is not None:
        window, before = _window_of_child(tx, run, context_of)
    earlier = history_window.earlier(tx, run.session_id, before, window) if window else []
    session = session_row(tx, run.session_id) if context.reads_session else None
    calls_so_far = sum(len(row.requested or []) for row in run_messages)
    corrections = sum(1 for row in run_messages if row.turn > 0 and row.role == "user")
    return Conversation(
        run.component_id,
        run.session_id,
        files.with_contents(tx, [*earlier, *messages_of(tx, run_messages)]),
        calls_so_far,
        corrections,
        run.model_calls,
        state=dict(session.state) if session else {},
        summary=session.summary if session else None,
        is_streamed=run.is_streamed,
        input=run.input,
        calls=tool_executions(tx, run_id) if context.shows_calls else (),
        is_child=run.parent_run_id is not None,
        policy=policies.read(tx, run.policy),
    )


def _window_of_child(
    tx: Session, run: RunRecord, context_of: Callable[[str], Context]
) -> tuple[Window | None, int]:
    """Return the history window of a child run, which ends before the run at the root."""
    parent, root = run_row(tx, run.parent_run_id or ""), run_row(tx, root_of(run))
    if parent is None or root is None:
        raise no_run(run.id)
    return context_of(parent.component_id).members_window or context_of(
        run.component_id
    ).window, root.number


def outcome_of(tx: Session, run: RunRecord, turn: int) -> TurnOutcome:
    """Return what remains to be done of a turn that was stored."""
    if RunStatus(run.status).is_final:
        return TurnOutcome(ended=True)
    calls = list(rows(tx, TOOL_CALLS, _UNFINISHED, run_id=run.id, turn=turn))
    gates, children = pending_gates(tx, run.id), child_runs.children_of(tx, calls)
    return TurnOutcome(
        calls=tuple(_planned(call, gates.get(call.id), children.get(call.id)) for call in calls)
    )


def store(
    tx: Session,
    run_id: str,
    turn: int,
    answer: Answer,
    now: datetime,
    *,
    worker_policy: DeclaredPolicy | None = None,
) -> TurnOutcome:
    """Store an answer with its calls and requirements, or return the outcome stored before.

    `worker_policy` is the policy of the worker.
    """
    run = lifecycle.lock(tx, run_id)
    if turn <= run.turn:
        return outcome_of(tx, run, turn)
    policies.note_executing(tx, run, worker_policy, now)
    unfinished = _unfinished(tx, run)
    if unfinished is not None:
        return unfinished
    # Even if the run has ended meanwhile: the answer was paid for, and is counted once.
    run.turn = turn
    if not answer.is_own:
        lifecycle.count(run, answer.response.usage)
    if run.first_token_seconds is None:
        run.first_token_seconds = answer.first_token_seconds
    if RunStatus(run.status).is_final:
        return TurnOutcome(ended=True)
    run_timing.begin(run, answer.began or now)
    _note_answer(tx, run, turn, now)
    _add_assistant(tx, run_id, turn, answer.response, now)
    record(tx, run, "turn_completed", now, turn=turn, calls=len(answer.calls))
    keys: set[str] = set()
    planned = [
        _add_call(tx, run, position, call, now, keys=keys)
        for position, call in enumerate(answer.calls, start=1)
    ]
    if answer.failure is not None:
        lifecycle.fail(tx, run, *answer.failure, now)
        return TurnOutcome(ended=True)
    if answer.correction is not None:
        add(
            tx,
            MESSAGES,
            run_id=run_id,
            turn=turn,
            position=len(planned) + 1,
            role="user",
            content=answer.correction,
            created_at=now,
        )
    elif not answer.calls:
        lifecycle.complete(tx, run, answer.response.content, now)
        return TurnOutcome(ended=True)
    waiting = [call for call in planned if call is not None]
    # A turn begins when all calls of earlier turns are done, so these are all open calls.
    paused = bool(waiting) and all(call.gate is not None for call in waiting)
    lifecycle.update_status(tx, run, now, paused=paused)
    return TurnOutcome(calls=tuple(waiting))


def _note_answer(tx: Session, run: MutableRun, turn: int, now: datetime) -> None:
    """Note that the provider answers again."""
    if run.outage is not None:
        run.outage = None
        record(tx, run, "provider_back", now, turn=turn)


def _unfinished(tx: Session, run: RunRecord) -> TurnOutcome | None:
    """Return the calls of the turn before, if any is open: the model was asked too early.

    No run goes on, and none ends, with a call that has not ended.
    """
    if run.turn == 0 or RunStatus(run.status).is_final:
        return None
    outcome = outcome_of(tx, run, run.turn)
    return outcome if outcome.calls else None


def _planned(call: ToolCallRecord, gate: Gate | None, child: Child | None) -> PlannedCall:
    return PlannedCall(
        tool_call_id=call.id, name=call.name, gate=gate, timeout=call.timeout, child=child
    )


def _add_assistant(
    tx: Session, run_id: str, turn: int, response: ModelResponse, now: datetime
) -> None:
    add(
        tx,
        MESSAGES,
        run_id=run_id,
        turn=turn,
        position=0,
        role="assistant",
        content=response.content,
        provider=response.provider,
        requested=[call.model_dump(mode="json") for call in response.tool_calls],
        items=response.items,
        usage=response.usage.model_dump(mode="json"),
        created_at=now,
    )


def _add_call(
    tx: Session, run: MutableRun, position: int, new: NewCall, now: datetime, *, keys: set[str]
) -> PlannedCall | None:
    """Store a call, and add its idempotency key to those of its turn."""
    frozen = arguments_digest(new.name, new.arguments)
    key = new_key(tx, run, [], frozen, beside=keys, is_first=run.turn == 1)
    keys.add(key)
    call = new_row(
        TOOL_CALLS,
        id=new_id(),
        run_id=run.id,
        turn=run.turn,
        position=position,
        provider_call_id=new.provider_call_id,
        name=new.name,
        arguments=new.arguments,
        digest=frozen,
        idempotency_key=key,
        gate=None if new.question is None else new.question.kind.value,
        effect=new.effect,
        retries=new.retries,
        timeout=new.timeout,
        has_reconciler=new.has_reconciler,
        is_answer=new.is_answer,
        created_at=now,
    )
    child: Child | None = None
    if new.child is not None:
        call.child_run_id = child_runs.accept_child(
            tx, run, replace(new.child, idempotency_key=key), now
        )
        child = Child(run_id=call.child_run_id, component_kind=new.child.component_kind)
        record(
            tx,
            run,
            "tool_call_started",
            now,
            tool_call_id=call.id,
            tool=call.name,
            attempt=1,
            child_run_id=call.child_run_id,
        )
    if new.error is not None:
        lifecycle.finish_call(tx, call, ToolOutcome.error, new.error, now)
    add_row(tx, TOOL_CALLS, call)
    if new.error is not None:
        record(tx, run, "tool_call_refused", now, tool_call_id=call.id, tool=call.name)
        return None
    if new.question is None:
        return _planned(call, None, child)
    row = open_requirement(tx, run, call, new.question, now)
    return _planned(call, gate_of(row), child)
