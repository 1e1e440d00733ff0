"""Retries a failed run: of a pipeline, reopens the frames that failed, and those that were stopped.

The run of an agent or a team needs no more than to be open again: its workflow begins with the last
turn that is stored, brings what is left of its calls to their ends, and takes the next one.
"""

from datetime import datetime

from sqlalchemy import bindparam, select
from sqlmodel import Session

from kern.contracts.viewer import Viewer
from kern.db.decisions.requirements import last_requirement
from kern.db.engine.columns import UtcDateTime
from kern.db.engine.mutable_rows import MutableRun, MutableStep, MutableToolCall
from kern.db.engine.plain_rows import execute
from kern.db.engine.records import RunRecord, ToolCallRecord
from kern.db.engine.typed_tables import EVENTS, STEPS
from kern.db.engine.unit_of_work import hold_all
from kern.db.journal import outbox
from kern.db.journal.events import record
from kern.db.journal.outbox import Delivery, DeliveryKind
from kern.db.reading.run_outputs import check, run_row
from kern.db.reading.visibility import no_run
from kern.db.runs import lifecycle, session_queue
from kern.db.runs.frames import StoredFrames
from kern.db.steps import execution
from kern.db.steps.advance import advance
from kern.db.steps.decision_checks import has_passed_gate
from kern.db.steps.questions import effects_of
from kern.errors import Conflict
from kern.pipeline.frames import Outcome, Phase
from kern.pipeline.machine import EVALUATION_FAILED, REJECTED, Machine
from kern.values.reasons import NO_REASON, Reason
from kern.values.states import (
    Effect,
    OnBusy,
    RequirementKind,
    RequirementStatus,
    RunStatus,
    ToolCallStatus,
    ToolOutcome,
    Verdict,
)

_steps, _events = STEPS.table, EVENTS.table
_UNDONE = _steps.select().where(
    _steps.c.parent_id == bindparam("parent_id"),
    _steps.c.parent_round == bindparam("round"),
    _steps.c.phase != Phase.pending.value,
    (_steps.c.phase != Phase.done.value)
    | _steps.c.outcome.in_([Outcome.failed.value, Outcome.cancelled.value]),
)
_STOPPED = (
    select(_steps.c.id)
    .where(
        _steps.c.parent_id == bindparam("parent_id"),
        _steps.c.parent_round == bindparam("round"),
        _steps.c.is_stopped.is_(True),
    )
    .limit(1)
)
_EVENT = "run_retried"
_RETRIED = (
    select(_events.c.seq)
    .where(
        _events.c.run_id == bindparam("run_id"),
        _events.c.kind == _EVENT,
        _events.c.created_at == bindparam("now", type_=UtcDateTime),
    )
    .limit(1)
)
_SILENCE = (RequirementKind.output_review.value, RequirementStatus.expired.value)
_REFUSED = {ToolOutcome.error.value, ToolOutcome.rejected.value, ToolOutcome.cancelled.value}
_REFUSING = {Verdict.reject.value, Verdict.fail.value}
_ENDED_BADLY = {RunStatus.error.value, RunStatus.cancelled.value}


def retry(
    tx: Session,
    run_id: str,
    viewer: Viewer,
    now: datetime,
    *,
    caller: str | None = None,
    reason: Reason = NO_REASON,
) -> Delivery | None:
    """Continue a failed run where it failed; steps that have ended are not executed again.

    None if another run of the session is active, behind which it is queued; that is never `caller`,
    the run whose code asks.

    Raises:
        NotFound: there is no such run.
        NotAllowed: it belongs to somebody else.
        Conflict: it has not failed, or is a part of another run.
    """
    run = check(tx, viewer, lifecycle.lock(tx, run_id), no_run(run_id), f"Run {run_id!r}")
    if run.retries and execute(tx, _RETRIED, run_id=run_id, now=now).first() is not None:
        # The acknowledgement of the commit was lost, so this is a repetition.
        return outbox.find_of_run(tx, run_id, DeliveryKind.reopen)
    _check_failed(tx, run)
    session_queue.lock_session(tx, run.session_id)
    callers = [*(run.callers or ()), *session_queue.callers_of(tx, caller)]
    waits = session_queue.has_to_wait(tx, run.session_id, run.id, OnBusy.queue, callers)
    _reopen_run(tx, run, now, reason)
    run.is_queued, run.callers = waits, callers or None
    return None if waits else outbox.enqueue(tx, run, DeliveryKind.reopen, now)


def _check_failed(tx: Session, run: RunRecord) -> None:
    problem = None
    root = None if run.parent_run_id is None else run_row(tx, run.root_run_id or "")
    if root is not None and root.component_kind == "workflow":
        problem = f"is a part of run {root.id!r}: retry that one"
    elif root is not None:
        problem = (
            f"is a part of run {root.id!r}, which received its failure and has continued: start "
            f"{run.component_id!r} anew"
        )
    elif run.status != RunStatus.error.value:
        problem = f"has the status {run.status!r}: only one that failed can be retried"
    if problem is not None:
        message = f"Run {run.id!r} {problem}."
        raise Conflict(message)


def _reopen_run(tx: Session, run: MutableRun, now: datetime, reason: Reason) -> None:
    run.status, run.retries = RunStatus.pending.value, run.retries + 1
    run.error_code = run.error_message = run.finished_at = None
    run.counted_at = run.updated_at = now
    # A cancellation that came with its parent's must not reach it any more.
    outbox.forget(tx, run.id)
    record(tx, run, _EVENT, now, **reason.facts)
    if run.shape is None:
        # It failed before any step was opened.
        return
    frames = StoredFrames(tx, run, now)
    root, machine = frames.root(), Machine(frames)
    if root is not None:
        _Reopening(frames, machine).reopen(root)
        advance(frames, machine)
    # It is running once its workflow has begun again.
    run.status = RunStatus.pending.value


def _was_unknown(tx: Session, call: ToolCallRecord) -> bool:
    """Whether a call that must happen only once was ended without anybody saying what became of it.

    Refusing to execute it again says nothing of the first execution.
    """
    if call.child_run_id is not None or call.effect != Effect.once.value:
        return False
    last = last_requirement(tx, call.id)
    return (
        call.outcome in _REFUSED
        and last is not None
        and last.kind == RequirementKind.unknown_outcome.value
        and last.verdict in _REFUSING
    )


class _Reopening:
    """Reopens frames of one run."""

    def __init__(self, frames: StoredFrames, machine: Machine[MutableStep]) -> None:
        self._frames = frames
        self._machine = machine

    def reopen(self, frame: MutableStep) -> None:
        """Reopen a frame that failed, was stopped, or was open when its run ended."""
        node = self._frames.shape.by_id[frame.node]
        phase = Phase(frame.phase)
        undone = [] if node.is_leaf else self._undone(frame)
        if phase not in {Phase.open, Phase.done}:
            # `take` finds what it needs, and opens a cancelled requirement anew.
            frame.lane, frame.announced_by, frame.is_waiting = frame.id, None, False
            self._mend(lifecycle.hold_call(self._frames.tx, frame.call_id))
            return
        code = frame.error_code
        if code == REJECTED and not undone:
            # All its revisions are available again.
            frame.revisions = 0
        frame.outcome = frame.error_code = frame.error_message = frame.finished_at = None
        if not node.is_leaf:
            # The step that stopped it has ended, and stays ended.
            frame.is_stopped = self._has_stopped(frame)
        if undone:
            self._machine.resumed(frame, Phase.open)
            frame.open_children = len(undone)
            for child in undone:
                self.reopen(child)
        else:
            self._begin(frame, code)

    def _begin(self, frame: MutableStep, code: str | None) -> None:
        """Continue a frame that failed or was stopped itself, not in one of its children."""
        node = self._frames.shape.by_id[frame.node]
        if not has_passed_gate(self._frames, frame):
            self._serve(frame, Phase.gate)
        elif code == REJECTED and (self._review_expired(frame) or self._would_repeat(frame)):
            # A person is asked about the output anew: only their words have it done again.
            self._serve(frame, Phase.review)
        elif node.is_leaf:
            self._serve_leaf(frame, code)
        elif code == EVALUATION_FAILED:
            self._serve(frame, Phase.until if frame.cursor else Phase.ask)
        elif code is None and frame.cursor:
            # It was stopped while a person or the user's code was asked about it.
            self._machine.regained(frame)
        else:
            self._machine.again(frame)

    def _review_expired(self, frame: MutableStep) -> bool:
        """Whether a frame failed because the review of its output expired."""
        last = last_requirement(self._frames.tx, frame.gate_id) if frame.gate_id else None
        return last is not None and (last.kind, last.status) == _SILENCE

    def _would_repeat(self, frame: MutableStep) -> bool:
        """Whether executing a rejected frame again would repeat what must happen only once."""
        return bool(effects_of(self._frames, frame, is_reviewed=True))

    def _has_stopped(self, frame: MutableStep) -> bool:
        query = {"parent_id": frame.id, "round": frame.round}
        return execute(self._frames.tx, _STOPPED, **query).first() is not None

    def _serve_leaf(self, frame: MutableStep, code: str | None) -> None:
        call = lifecycle.hold_call(self._frames.tx, frame.call_id)
        node, failed = self._frames.shape.by_id[frame.node], code is not None
        if code == execution.STATE_NOT_KEPT and node.effect is Effect.once:
            execution.ask_before_repeat(self._machine, frame, execution.HAS_ENDED)
            return
        if call is not None and _was_unknown(self._frames.tx, call):
            # It may have happened: it is looked up, or people are asked, before it is repeated.
            call.status, call.outcome = ToolCallStatus.unknown.value, None
            call.result = call.finished_at = None
            self._serve(frame, Phase.work)
            return
        # A step that was stopped may have failed later, when its branch was cancelled already.
        failed = failed or (call is not None and call.outcome == ToolOutcome.error.value)
        if not self._mend(call) and failed:
            if execution.is_doubtful(self._frames.tx, call):
                execution.ask_before_repeat(self._machine, frame)
                return
            frame.call_id, frame.tries, frame.started_at = None, 0, None
        self._serve(frame, Phase.work)

    def _mend(self, call: MutableToolCall | None) -> bool:
        """Reopen the run of a nested workflow, which keeps its completed steps.

        Any run that completed while its step was stopped is used as it is.
        """
        if call is None or call.child_run_id is None:
            return False
        child = lifecycle.lock(self._frames.tx, call.child_run_id)
        was_stopped = call.outcome == ToolOutcome.cancelled.value
        if was_stopped and child.status == RunStatus.completed.value:
            self._wait_again(call)
            return True
        if child.component_kind != "workflow" or child.status not in _ENDED_BADLY:
            return False
        _reopen_run(self._frames.tx, child, self._frames.now, NO_REASON)
        self._wait_again(call)
        return True

    @staticmethod
    def _wait_again(call: MutableToolCall) -> None:
        call.status, call.outcome, call.result = ToolCallStatus.waiting.value, None, None
        call.finished_at = None

    def _serve(self, frame: MutableStep, phase: Phase) -> None:
        """Have a frame served in a lane of its own, where its call is opened."""
        self._machine.resumed(frame, phase)
        frame.lane, frame.announced_by = frame.id, None
        if phase.needs_person:
            frame.gate_id = None

    def _undone(self, frame: MutableStep) -> list[MutableStep]:
        where = {"parent_id": frame.id, "round": frame.round}
        return hold_all(self._frames.tx, STEPS, _UNDONE, **where)
