"""The state machine of a tool call: which attempt may execute it, and what its outcome is.

It executes a call whose effect is `once` *at most once*, unless a person has it executed again.

Every function here is one transaction under the run's lock, so a status is compared and set without
anybody between:

                  begin                       finish
    waiting ───────────────────▶ running ──────────────────▶ done
     ▲   ▲                        │   │                       ▲
     │   └──── release ───────────┘   │ another attempt       │ a person decides (happened, reject,
     │         (not executed, or      │ begins, or the        │ fail), or the first attempt finishes
     │          to be tried again)    │ attempt gives up:     │ after all
     │                                │ ask_outcome           │
     │                                ▼                       │
     └────── a person: run again ── unknown ──────────────────┘

**Attempts and tokens.** An attempt is one execution by one worker. It brings its own token, which
`begin` writes into the call: from then on only this token may write the end. A worker that was
frozen, and wakes up after another attempt took over, brings a stale token; its result is *fenced*:
an event records it (`late_results`), and the call stays as it is. The same token may begin again,
which is no further attempt: it is the same activity, whose answer from the database was lost.

**Unknown outcomes.** When an attempt begins a call that another one left `running`, that one may
have died before, during or after the effect. If the effect may be repeated, the new attempt takes
the call over. If it must happen only once, nobody can know: the call becomes `unknown`, and a
person is asked whether it happened. Two facts can spare them that. `is_alive` knows of attempts
that are still executing in this process, whatever Temporal believes; those are waited for
(`active_token`). And an attempt that was thought dead may still report: `finish` then answers the
open question with the result, and `release` with "it was never begun", each as a decision of
Kern's in the log.

Nothing is executed unless `is_as_approved` finds the arguments that were frozen and approved.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import JsonValue
from sqlalchemy import bindparam, select
from sqlmodel import Session

from kern.contracts.messages import Gate
from kern.db.decisions.approval_checks import approvals_of, is_as_approved
from kern.db.decisions.reminders import gate_id_of, gate_of
from kern.db.decisions.requirements import close, pending_gate, requirements_of_call
from kern.db.engine.mutable_rows import MutableRequirement, MutableRun, MutableToolCall
from kern.db.engine.records import RequirementRecord, ToolCallRecord
from kern.db.engine.typed_tables import REQUIREMENTS, RUNS, TOOL_CALLS
from kern.db.engine.unit_of_work import hold
from kern.db.journal import audit_chain, outbox
from kern.db.journal.audit_chain import NewDecision
from kern.db.journal.events import record
from kern.db.journal.outbox import DeliveryKind
from kern.db.reading.run_outputs import effective_arguments, session_state
from kern.db.runs import lifecycle, step_waits
from kern.db.runs.session_state import change_state
from kern.db.turns import child_results, late_results
from kern.db.turns.child_results import ChildResult
from kern.db.turns.model_turns import open_requirement
from kern.db.turns.outcome_questions import outcome_question
from kern.errors import NotFound
from kern.requirements import Vote
from kern.session_state import StateChange
from kern.values.principals import KERN
from kern.values.states import (
    Effect,
    RequirementKind,
    RequirementStatus,
    RunStatus,
    ToolCallStatus,
    ToolOutcome,
    Verdict,
)

_calls, _requirements = (TOOL_CALLS.table, REQUIREMENTS.table)
_RUN_OF = lifecycle.locking(
    select(_calls.c.run_id).where(_calls.c.id == bindparam("tool_call_id")).scalar_subquery()
)
_FINISHED_AFTER_ALL = "The attempt that was thought dead ended the call and reported its result."
_NOT_BEGUN = "The attempt that was thought dead reported that it had not begun the call."
_OPEN_QUESTION = _requirements.select().where(
    _requirements.c.tool_call_id == bindparam("tool_call_id"),
    _requirements.c.kind == RequirementKind.unknown_outcome.value,
    _requirements.c.status == RequirementStatus.pending.value,
)


@dataclass(frozen=True)
class Execution:
    """A call that this attempt holds and has to execute."""

    component_id: str
    name: str
    arguments: dict[str, JsonValue]
    run_id: str
    session_id: str
    user_id: str | None
    tool_call_id: str
    attempt: int
    timeout: float | None
    retries: int
    effect: Effect
    state: dict[str, JsonValue] = field(default_factory=dict)
    dependencies: dict[str, JsonValue] = field(default_factory=dict)
    metadata: dict[str, JsonValue] = field(default_factory=dict)
    approvals: tuple[Vote, ...] = ()


@dataclass(frozen=True)
class Settled:
    """There is nothing to execute, because the call is done or something else comes first.

    Attributes:
        gate: The requirement that the call waits for.
        run_ended: The run has ended, and the call with it.
        child_is_active: The run that executes the call has not ended.
        active_token: The token of another attempt, which is alive and executing.
    """

    gate: Gate | None = None
    run_ended: bool = False
    child_is_active: bool = False
    active_token: str | None = None


class Storing(StrEnum):
    """Whether a result was stored.

    It is fenced off when another attempt holds the call, or a person has decided its outcome.
    """

    stored = "stored"
    fenced = "fenced"


def none_alive(token: str) -> bool:  # noqa: ARG001  the signature of `is_alive`
    """Know of no attempt that is alive."""
    return False


def begin(
    tx: Session,
    tool_call_id: str,
    token: str,
    now: datetime,
    *,
    is_alive: Callable[[str], bool] = none_alive,
) -> Execution | Settled:
    """Take a call for execution, or return why it must not be executed.

    `is_alive` tells by its token whether an attempt is executing at this moment.

    Raises:
        NotFound: there is no such call.
    """
    run, call = _lock(tx, tool_call_id)
    if RunStatus(run.status).is_final or call.status == ToolCallStatus.done.value:
        return Settled(run_ended=RunStatus(run.status).is_final)
    if call.child_run_id is not None:
        result = child_results.finish(tx, run, call, now)
        return Settled(
            run_ended=result is ChildResult.answered, child_is_active=result is ChildResult.active
        )
    requirements = requirements_of_call(tx, call.id)
    for row in requirements:
        if row.status == RequirementStatus.pending.value:
            return Settled(gate=gate_of(row))
    # An unknown outcome may be without a question: that was cancelled when the run failed, and the
    # run is retried now. It is asked again.
    started = {ToolCallStatus.running.value, ToolCallStatus.unknown.value}
    if call.status in started and call.token != token:
        if Effect(call.effect) is Effect.once:
            active = call.token if call.token and is_alive(call.token) else None
            gate = None if active else _ask_outcome(tx, run, call, now)
            return Settled(gate=gate, active_token=active)
        _record(tx, run, call, "repeated", now)
    if not is_as_approved(tx, call, requirements):
        message = (
            f"The arguments of {call.name!r} (tool call {call.id!r}) are not those that were "
            "frozen and approved: somebody changed the rows. Nothing was executed."
        )
        lifecycle.fail(tx, run, "arguments_changed", message, now)
        return Settled(run_ended=True)
    return _start(tx, run, call, requirements, token=token, now=now)


def finish(
    tx: Session,
    tool_call_id: str,
    token: str,
    *,
    outcome: ToolOutcome,
    result: str,
    changes: list[StateChange],
    now: datetime,
) -> Storing:
    """Store the result of an attempt, once however often it is reported.

    If another attempt holds the call by now, or a person has decided on another outcome, the result
    is fenced off, and an event records it.
    """
    run, call = _lock(tx, tool_call_id)
    is_done, is_mine = call.status == ToolCallStatus.done.value, call.token == token
    if is_done and is_mine and not late_results.is_denied(tx, call, outcome, result):
        return Storing.stored
    if is_done or not is_mine:
        late_results.refuse(tx, run, call, token, outcome=outcome, result=result, now=now)
        return Storing.fenced
    question = _open_question(tx, call)
    if question is not None:
        _resolve(
            tx,
            run,
            question,
            now,
            verdict=Verdict.happened,
            note=_FINISHED_AFTER_ALL,
            result=result,
        )
    lifecycle.finish_call(tx, call, outcome, result, now)
    run.tool_calls += call.step_id is None
    change_state(tx, run, changes, now)
    # For a step, the caller stores what follows in the same transaction.
    if call.step_id is None:
        _record(tx, run, call, "completed", now, outcome=outcome.value)
        lifecycle.update_status(tx, run, now)
    return Storing.stored


def release(
    tx: Session, tool_call_id: str, token: str, reason: str, now: datetime, *, begun: bool = True
) -> bool:
    """Give a call back so that it is tried again; without `begun`, the attempt does not count.

    False if another attempt holds it, or if the run has ended, and the call with it.
    """
    run, call = _lock(tx, tool_call_id)
    # Another attempt took this one for dead and asked for the outcome: the answer is known now.
    question = _open_question(tx, call) if call.token == token and not begun else None
    if question is None and not _is_held(call, token):
        return False
    if RunStatus(run.status).is_final:
        _stop(tx, run, call, now)
        return False
    call.status, call.token = ToolCallStatus.waiting.value, None
    if not begun:
        call.attempt -= 1
        call.started_at = call.started_at if call.attempt else None
    _record(tx, run, call, "failed", now, reason=reason[:500])
    if question is not None:
        _resolve(tx, run, question, now, verdict=Verdict.run_again, note=_NOT_BEGUN)
        step_waits.resume_step(tx, call)
        lifecycle.update_status(tx, run, now, paused=False)
    return True


def abandon(tx: Session, tool_call_id: str, token: str, now: datetime) -> None:
    """End a call whose attempt was stopped, if its run has ended; else another attempt follows."""
    run, call = _lock(tx, tool_call_id)
    if _is_held(call, token) and RunStatus(run.status).is_final:
        _stop(tx, run, call, now)


def ask_outcome(tx: Session, tool_call_id: str, token: str, now: datetime) -> Settled:
    """Ask a person for the outcome of a call that this attempt had to abandon while executing."""
    run, call = _lock(tx, tool_call_id)
    if RunStatus(run.status).is_final:
        return Settled(run_ended=True)
    if not _is_held(call, token):
        return Settled(gate=pending_gate(tx, call.id))
    return Settled(gate=_ask_outcome(tx, run, call, now))


def _is_held(call: ToolCallRecord, token: str) -> bool:
    return call.token == token and call.status == ToolCallStatus.running.value


def _stop(tx: Session, run: MutableRun, call: MutableToolCall, now: datetime) -> None:
    lifecycle.finish_call(tx, call, ToolOutcome.cancelled, "The run ended during this call.", now)
    _record(tx, run, call, "stopped", now)


def _record(
    tx: Session, run: MutableRun, call: ToolCallRecord, event: str, now: datetime, **data: JsonValue
) -> None:
    """Record an event of a call; that of a step is an attempt at the step."""
    if call.step_id is None:
        details: dict[str, JsonValue] = {"tool_call_id": call.id, "tool": call.name, **data}
        record(tx, run, f"tool_call_{event}", now, **details)
    else:
        details = {"step_id": call.step_id, "step": call.name, **data}
        record(tx, run, f"step_attempt_{event}", now, **details)


def _lock(tx: Session, tool_call_id: str) -> tuple[MutableRun, MutableToolCall]:
    run = hold(tx, RUNS, _RUN_OF, tool_call_id=tool_call_id)
    call = lifecycle.hold_call(tx, tool_call_id)
    if run is None or call is None:
        message = f"There is no tool call with the id {tool_call_id!r}."
        raise NotFound(message)
    return run, call


def _start(
    tx: Session,
    run: MutableRun,
    call: MutableToolCall,
    requirements: Sequence[RequirementRecord],
    *,
    token: str,
    now: datetime,
) -> Execution:
    if call.token != token:
        call.attempt += 1
        if call.step_id is None:
            _record(tx, run, call, "started", now, attempt=call.attempt)
    call.status, call.token = ToolCallStatus.running.value, token
    call.started_at = call.started_at or now
    # This call waits for no person, so its run is active.
    lifecycle.update_status(tx, run, now, paused=False)
    return Execution(
        component_id=run.component_id,
        name=call.name,
        arguments=effective_arguments(call),
        run_id=run.id,
        session_id=run.session_id,
        user_id=run.user_id,
        tool_call_id=call.id,
        attempt=call.attempt,
        timeout=call.timeout,
        retries=call.retries,
        effect=Effect(call.effect),
        state=session_state(tx, run.session_id),
        dependencies=run.dependencies,
        metadata=run.run_metadata,
        approvals=tuple(approvals_of(tx, call, requirements)),
    )


def _ask_outcome(tx: Session, run: MutableRun, call: MutableToolCall, now: datetime) -> Gate:
    call.status = ToolCallStatus.unknown.value
    row = open_requirement(tx, run, call, outcome_question(tx, run, call, now), now)
    lifecycle.update_status(tx, run, now)
    return gate_of(row)


def _open_question(tx: Session, call: ToolCallRecord) -> MutableRequirement | None:
    if call.status != ToolCallStatus.unknown.value:
        return None
    return hold(tx, REQUIREMENTS, _OPEN_QUESTION, tool_call_id=call.id)


def _resolve(
    tx: Session,
    run: MutableRun,
    question: MutableRequirement,
    now: datetime,
    *,
    verdict: Verdict,
    note: str,
    result: str | None = None,
) -> None:
    """Answer the question for a call's outcome by its own attempt, which is alive after all."""
    decision = NewDecision(
        verdict=verdict, actor=KERN, note=note, digest=question.digest, given=result
    )
    audit_chain.append(tx, question, decision, audit_chain.decisions_of(tx, question.id), now)
    close(question, RequirementStatus.resolved, decision, now)
    details: dict[str, JsonValue] = {"verdict": verdict.value, "by": KERN}
    record(tx, run, "requirement_resolved", now, requirement_id=question.id, **details)
    if not RunStatus(run.status).is_final:
        gate_id = gate_id_of(question)
        outbox.enqueue(
            tx, run, DeliveryKind.resolved, now, requirement_id=gate_id, grace=timedelta(0)
        )
