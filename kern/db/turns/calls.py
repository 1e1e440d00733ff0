"""The state machine of a tool call: which attempt may execute it, and what its outcome is.

It executes a call whose effect is `once` *at most once*, unless a person has it executed again.

Every function here is one transaction under the run's lock, so a status is compared and set without
anybody between:

                  begin           may_begin      finish
    waiting ───────────────▶ running ──▶ (begun) ──────────▶ done
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

**Taken and begun.** `begin` only takes a call. Right before its code is called, `may_begin` marks
it as begun (`begun_at`), if the row still names the attempt and the run has not ended. So a call
that was taken and has not begun is in no doubt: `release` gives it back, any other attempt takes
it over, and the one that had it never begins.

**Unknown outcomes.** When an attempt begins a call that another one has begun, that one may
have died before, during or after the effect. If the effect may be repeated, the new attempt takes
the call over. If it must happen only once, nobody can know: the call becomes `unknown`, and a
person is asked whether it happened. Two facts can spare them that. `is_alive` knows of attempts
that are still executing in this process, whatever Temporal believes; those are waited for
(`active_token`). And an attempt that was thought dead may still report: `finish` then answers the
open question with the result, and `release` with "it was never begun", each as a decision of
Kern's in the log.

Nothing is executed unless `is_as_approved` finds the arguments that were frozen and approved.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from pydantic import JsonValue
from sqlalchemy import bindparam, select
from sqlmodel import Session

from kern.contracts.messages import Gate
from kern.db.decisions.approval_checks import approvals_of, is_as_approved
from kern.db.decisions.reminders import gate_of
from kern.db.decisions.requirements import (
    announce_last,
    last_requirement,
    pending_gate,
    requirements_of_call,
)
from kern.db.engine.mutable_rows import MutableRun, MutableToolCall
from kern.db.engine.records import RequirementRecord, ToolCallRecord
from kern.db.engine.typed_tables import RUNS, TOOL_CALLS
from kern.db.engine.unit_of_work import hold
from kern.db.journal.events import record
from kern.db.runs import lifecycle, step_waits, unexecuted
from kern.db.runs.session_state import change_state
from kern.db.turns import child_results, external_calls, late_results, unknown_outcomes
from kern.db.turns.attempts import Claim, Execution, LeftOpen, Settled, Storing
from kern.db.turns.child_results import ChildResult
from kern.db.turns.executions import execution_of
from kern.db.turns.external_reports import is_external
from kern.errors import NotFound
from kern.session_state import StateChange
from kern.values.attempts import DEFAULT_LEASE, UnknownReason
from kern.values.feed import FeedKind
from kern.values.states import (
    Effect,
    RequirementStatus,
    RunStatus,
    ToolCallStatus,
    ToolOutcome,
    Verdict,
)

_calls = TOOL_CALLS.table
_RUN_OF = lifecycle.locking(
    select(_calls.c.run_id).where(_calls.c.id == bindparam("tool_call_id")).scalar_subquery()
)
_FINISHED_AFTER_ALL = "The attempt that was thought dead ended the call and reported its result."
_NOT_BEGUN = "The attempt that was thought dead reported that it had not begun the call."
# An unknown outcome may be without a question: that was cancelled when the run failed, and the run
# is retried now. It is asked again.
_STARTED = frozenset({ToolCallStatus.running.value, ToolCallStatus.unknown.value})


def begin(
    tx: Session, tool_call_id: str, claim: Claim | None, now: datetime
) -> Execution | Settled:
    """Take a call for execution, or return why it must not be executed.

    Without a claim nothing is taken, and only what else there is to be done is done.

    Raises:
        NotFound: there is no such call.
    """
    run, call = _lock(tx, tool_call_id)
    requirements: list[RequirementRecord] = []
    precondition = _before_taking(tx, run, call, requirements, now)
    if precondition is not None:
        return precondition
    if claim is None:
        return Settled(needs_place=True)
    if call.token != claim.token and claim.is_older(call.scheduled_at, now):
        return Settled(is_superseded=True)
    if call.token != claim.token and call.status in _STARTED:
        is_once = Effect.once in (Effect(call.effect), claim.effect_of(run.component_id, call.name))
        if is_once and (_has_begun(call) or claim.is_alive(call.token or "")):
            return _left_open(tx, run, call, claim, now)
        _take_over(tx, run, call, now)
    if not is_as_approved(tx, call, requirements):
        return _refuse_changed(tx, run, call, now)
    return _start(tx, run, call, requirements, claim=claim, now=now)


def _has_begun(call: ToolCallRecord) -> bool:
    """Whether the code of a call may have been called by the attempt that has it."""
    return call.status == ToolCallStatus.unknown.value or call.begun_at is not None


def _take_over(tx: Session, run: MutableRun, call: MutableToolCall, now: datetime) -> None:
    """Take a call away from an attempt that was lost, or is not heard of any more.

    One that has not begun never will, since its row names another attempt. It does not count.
    """
    if _has_begun(call):
        call.may_have_happened = True
        _record(tx, run, call, "repeated", now)
    else:
        lifecycle.untake(call)


def _before_taking(
    tx: Session,
    run: MutableRun,
    call: MutableToolCall,
    requirements: list[RequirementRecord],
    now: datetime,
) -> Settled | None:
    """Return why a call must not be taken by anybody; else fill in its `requirements`."""
    if RunStatus(run.status).is_final or call.status == ToolCallStatus.done.value:
        return Settled(run_ended=RunStatus(run.status).is_final)
    if call.child_run_id is not None:
        return _end_of_child(tx, run, call, now)
    requirements += requirements_of_call(tx, call.id)
    pending = [row for row in requirements if row.status == RequirementStatus.pending.value]
    if pending:
        return Settled(gate=gate_of(pending[0]))
    if is_external(call):
        return _settle_external(tx, run, call, requirements, now)
    return None


def _end_of_child(tx: Session, run: MutableRun, call: MutableToolCall, now: datetime) -> Settled:
    result = child_results.finish(tx, run, call, now)
    return Settled(
        run_ended=result is ChildResult.answered, child_is_active=result is ChildResult.active
    )


def _left_open(
    tx: Session, run: MutableRun, call: MutableToolCall, claim: Claim, now: datetime
) -> Settled:
    """Settle a call that another attempt has begun, and that must happen only once."""
    if call.token and claim.is_alive(call.token):
        return Settled(active_token=call.token)
    if call.has_reconciler:
        execution = execution_of(tx, run, call)
        return Settled(left_open=LeftOpen(execution, call.token, call.leased_until))
    return Settled(gate=unknown_outcomes.ask(tx, run, call, UnknownReason.worker_lost, now))


def _settle_external(
    tx: Session,
    run: MutableRun,
    call: MutableToolCall,
    requirements: Sequence[RequirementRecord],
    now: datetime,
) -> Settled:
    """Settle a call that Kern never executes, and that waits for nobody."""
    following = external_calls.following(tx, run, call, requirements, now)
    if following is None:
        return _refuse_changed(tx, run, call, now)
    if isinstance(following, Gate):
        return Settled(gate=following)
    return Settled(left_open=LeftOpen(execution_of(tx, run, call), following))


def _refuse_changed(tx: Session, run: MutableRun, call: ToolCallRecord, now: datetime) -> Settled:
    message = (
        f"The arguments of {call.name!r} (tool call {call.id!r}) are not those that were "
        "frozen and approved: somebody changed the rows. Nothing was executed."
    )
    lifecycle.fail(tx, run, "arguments_changed", message, now)
    return Settled(run_ended=True)


def may_begin(
    tx: Session, tool_call_id: str, token: str, now: datetime, lease: timedelta = DEFAULT_LEASE
) -> bool:
    """Mark a call as begun, right before its code is called, if an attempt still has it.

    Without this nothing begins. May be repeated, before the code is called.
    """
    run, call = _lock(tx, tool_call_id)
    if not _is_held(call, token) or RunStatus(run.status).is_final:
        return False
    call.begun_at = call.beat_at = now
    call.started_at = call.started_at or now
    call.leased_until = now + lease
    return True


def finish(
    tx: Session,
    tool_call_id: str,
    token: str,
    *,
    outcome: ToolOutcome,
    result: str,
    changes: list[StateChange],
    now: datetime,
    is_begun: bool = True,
) -> Storing:
    """Store the result of an attempt, once however often it is reported.

    If another attempt holds the call by now, or a person has decided on another outcome, the result
    is fenced off, and an event records it. If not `is_begun`, the code was never executed.
    """
    run, call = _lock(tx, tool_call_id)
    is_done, is_mine = call.status == ToolCallStatus.done.value, call.token == token
    if is_done and is_mine and not late_results.is_denied(tx, call, outcome, result):
        return Storing.stored
    if is_done or not is_mine:
        late_results.refuse(tx, run, call, token, outcome=outcome, result=result, now=now)
        return Storing.fenced
    question = unknown_outcomes.open_question(tx, call)
    if is_begun and (call.gate is not None or call.attempt > 1):
        # Somebody may have been asked about it: whoever was, sees that it is done.
        last = last_requirement(tx, call.id)
        announce_last(tx, run, last, FeedKind.done, now, outcome=outcome.value)
    if not is_begun:
        unexecuted.note(tx, run, call, now, reason="arguments_refused", why=result)
    lifecycle.finish_call(tx, call, outcome, result, now)
    run.tool_calls += call.step_id is None
    change_state(tx, run, changes, now)
    # For a step, the caller stores what follows in the same transaction.
    if call.step_id is None:
        _record(tx, run, call, "completed", now, outcome=outcome.value)
        lifecycle.update_status(tx, run, now)
    if question is not None:
        happened, note = Verdict.happened, _FINISHED_AFTER_ALL
        unknown_outcomes.answer(tx, run, question, now, verdict=happened, note=note, result=result)
    return Storing.stored


def release(
    tx: Session,
    tool_call_id: str,
    token: str,
    reason: str,
    now: datetime,
    *,
    begun: bool = True,
    is_open: bool = False,
) -> bool:
    """Give a call back so that it is tried again; without `begun`, the attempt does not count.

    `is_open`: it does not tell whether it had its effect.
    False if another attempt holds it, or if the run has ended, and the call with it.
    """
    run, call = _lock(tx, tool_call_id)
    # Another attempt took this one for dead and asked for the outcome: the answer is known now.
    is_asked = call.token == token and not begun
    question = unknown_outcomes.open_question(tx, call) if is_asked else None
    is_held = _is_held(call, token) or external_calls.is_reported(call, token)
    if question is None and not is_held:
        return False
    if RunStatus(run.status).is_final:
        _stop(tx, run, call, now)
        return False
    call.status, call.token = ToolCallStatus.waiting.value, None
    call.may_have_happened = call.may_have_happened or is_open
    if not begun:
        lifecycle.untake(call)
    _record(tx, run, call, "failed", now, reason=reason[:500])
    if question is not None:
        step_waits.resume_step(tx, call)
        lifecycle.update_status(tx, run, now, paused=False)
        again = Verdict.run_again
        unknown_outcomes.answer(tx, run, question, now, verdict=again, note=_NOT_BEGUN)
    return True


def abandon(tx: Session, tool_call_id: str, token: str, now: datetime) -> None:
    """End a call whose attempt was stopped, if its run has ended; else another attempt follows."""
    run, call = _lock(tx, tool_call_id)
    if _is_held(call, token) and RunStatus(run.status).is_final:
        _stop(tx, run, call, now)


def ask_outcome(
    tx: Session,
    tool_call_id: str,
    token: str | None,
    reason: UnknownReason,
    now: datetime,
    *,
    error: str | None = None,
    evidence: Sequence[str] = (),
) -> Settled:
    """Ask a person for the outcome of a call of an attempt that does not know it, or is lost.

    `token` is that attempt's. If the call is no longer its own, nobody is asked.
    """
    run, call = _lock(tx, tool_call_id)
    if RunStatus(run.status).is_final:
        return Settled(run_ended=True)
    gate = pending_gate(tx, call.id)
    if call.token != token or call.status not in _STARTED or gate is not None:
        return Settled(gate=gate)
    gate = unknown_outcomes.ask(tx, run, call, reason, now, error=error, evidence=evidence)
    return Settled(gate=gate)


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
    claim: Claim,
    now: datetime,
) -> Execution:
    if call.token != claim.token:
        call.attempt += 1
        if call.step_id is None:
            _record(tx, run, call, "started", now, attempt=call.attempt)
        last = requirements[-1] if requirements else None
        announce_last(tx, run, last, FeedKind.executing, now)
    call.status, call.token = ToolCallStatus.running.value, claim.token
    call.worker, call.scheduled_at = claim.worker, claim.scheduled_at or call.scheduled_at
    call.begun_at, call.beat_at = None, now
    call.leased_until = now + claim.lease
    # This call waits for no person, so its run is active.
    lifecycle.update_status(tx, run, now, paused=False)
    execution = execution_of(tx, run, call)
    return replace(execution, approvals=tuple(approvals_of(tx, call, requirements)))
