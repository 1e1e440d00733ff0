"""A pipeline's transactions: each stores the outcome of a step, and opens what follows from it.

Every function here is one transaction under the run's lock, called by an activity that may die
before or after any of them. Three things make it safe to call them again:

- **Lanes.** A *lane* is a sequence of steps that one activity serves, one step at a time. `take`
  returns what the lane needs next. While exactly one frame follows from a frame that ended, it
  stays in the lane, so one activity executes a chain of steps without the workflow. If several
  follow, each gets a lane of its own, and `announced_by` names the lane whose activity has to
  announce it. The outcome of that activity names it to the workflow, which starts an activity for
  it. `take` on the new lane clears `announced_by`; until then every outcome of the old lane
  announces it again, so a lost outcome loses no work. A lane never has two frames: if two
  activities serve it, because one was thought dead, they compete for one call, whose state machine
  lets one of them have it.
- **Phases.** A frame's `phase` says what it needs: a person, the user's code, execution, its
  children. It is stored, so an activity that died is replaced by one that asks the rows anew.
- **Versions.** `version` counts the phases of a frame. The user's code is asked outside of the
  transaction, for one version: an answer that arrives after the phase has changed is dropped.

A call that is `done` is never executed again: `take` continues with its result, also when it was a
person who decided the outcome, or when the run had ended meanwhile and is retried.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

from pydantic import JsonValue
from sqlmodel import Session

from kern.contracts.messages import PipelineOutcome, Work
from kern.db.decisions.requirements import pending_gate
from kern.db.engine.mutable_rows import MutableRun, MutableStep
from kern.db.engine.records import RunRecord
from kern.db.journal.events import record
from kern.db.reading import run_timing
from kern.db.reading.run_outputs import session_state
from kern.db.runs import lifecycle
from kern.db.runs.frames import StoredFrames, pin
from kern.db.steps import execution, questions
from kern.db.steps.advance import advance, pause_or_widen
from kern.db.steps.decision_checks import matches_decided_outcome, may_begin, refuse
from kern.db.steps.inputs import arguments_of
from kern.db.steps.tasks import (
    Evaluate,
    Execute,
    Facts,
    Finished,
    InProgress,
    NoPlace,
    Reconcile,
    StepCall,
    Task,
)
from kern.db.steps.tightening import tighten
from kern.db.turns import calls
from kern.db.turns.attempts import Claim, Execution, Settled, Storing
from kern.pipeline.frames import Phase
from kern.pipeline.machine import EVALUATION_FAILED, Machine
from kern.pipeline.nodes import Shape
from kern.pipeline.strictness import DeclaredPolicy
from kern.values.canonical import canonical_json
from kern.values.states import RunStatus, ToolCallStatus, ToolOutcome

_Begin = Callable[[Session, str], Execution | Settled]


def begin(
    tx: Session,
    run_id: str,
    shape: Shape,
    now: datetime,
    *,
    worker_policy: DeclaredPolicy | None = None,
) -> PipelineOutcome:
    """Open a run's pipeline, or return everything that is open in it; `shape` is the worker's."""
    run = lifecycle.lock(tx, run_id)
    if RunStatus(run.status).is_final:
        return PipelineOutcome(ended=True)
    run_timing.begin(run, now)
    tighten(tx, run, worker_policy, now)
    pin(tx, run, shape, now)
    frames = StoredFrames(tx, run, now)
    if frames.root() is None:
        machine = Machine(frames)
        machine.begin()
        advance(frames, machine)
    else:
        # All of it may wait for people already, before an activity has served any step.
        pause_or_widen(frames)
    return _outcome(frames, frames.in_run())


def take(
    tx: Session,
    run_id: str,
    lane: str,
    claim: Claim | None,
    now: datetime,
    *,
    declared_by: Callable[[str], DeclaredPolicy | None] = lambda _: None,
) -> Task:
    """Return what has to be done next in a lane; `claim` takes the call for it.

    Without a claim nothing is taken: it returns `NoPlace` where something would be. `declared_by`
    returns what this worker declares for a component.

    Raises:
        NotFound: there is no such run or step.
    """
    run = lifecycle.lock(tx, run_id)
    if RunStatus(run.status).is_final:
        return PipelineOutcome(ended=True)
    tighten(tx, run, declared_by(run.component_id), now)
    frames = StoredFrames(tx, run, now, lane)
    begin_call = partial(calls.begin, claim=claim, now=now)
    # Whoever asks for a lane knows it: it needs no further announcement.
    frames.get(lane).announced_by = None
    while True:
        lane_frames = frames.in_lane(lane)
        if lane_frames is None:
            return _announcement(frames)
        task = _serve(frames, lane_frames, begin_call)
        if task is not None:
            return task
        if RunStatus(run.status).is_final:
            return PipelineOutcome(ended=True)


def answer(tx: Session, question: Evaluate, answers: Sequence[JsonValue], now: datetime) -> None:
    """Store what the user's code answered, unless the phase has changed since.

    `answers` are the places or items that it chose, or a single truth value.
    """
    state = _question(tx, question, now)
    if state is None:
        return
    frames, machine, frame = state
    match question.phase:
        case Phase.until:
            machine.end_decided(frame, is_over=answers[0] is True)
        case Phase.judge:
            machine.judged(frame, needs_review=answers[0] is not False)
        case _:
            machine.on_answer(frame, answers)
    advance(frames, machine)


def broke(tx: Session, question: Evaluate, message: str, now: datetime) -> None:
    """Store that the user's code failed to answer."""
    state = _question(tx, question, now)
    if state is not None:
        frames, machine, frame = state
        machine.failed(frame, EVALUATION_FAILED, message)
        advance(frames, machine)


def missed(tx: Session, question: Evaluate, reason: str, now: datetime) -> None:
    """Record that this worker does not have the code that has to answer."""
    run = lifecycle.lock(tx, question.facts.run_id)
    details: dict[str, JsonValue] = {
        "step_id": question.step_id,
        "step": question.name,
        "reason": reason,
    }
    record(tx, run, "step_attempt_failed", now, **details)


def finish(tx: Session, step: StepCall, token: str, finished: Finished, now: datetime) -> Storing:
    """Store how an execution ended and open what follows, unless the result is fenced off."""
    call_id = step.tool_call_id
    result = canonical_json({"content": finished.content, "stop": finished.stop})
    storing = calls.finish(
        tx,
        call_id,
        token,
        outcome=finished.outcome,
        result=finished.error if finished.outcome is ToolOutcome.error else result,
        changes=finished.changes,
        now=now,
    )
    run = lifecycle.lock(tx, step.run_id)
    if storing is Storing.fenced or RunStatus(run.status).is_final:
        return storing
    frames = StoredFrames(tx, run, now)
    frame = frames.get(step.step_id)
    if frame.call_id != call_id or frame.phase != Phase.work.value:
        lifecycle.update_status(tx, run, now)
        return storing
    frames.lane = frame.lane
    frame.is_waiting = False
    machine = Machine(frames)
    if finished.outcome is ToolOutcome.result:
        machine.worked(frame, finished.content, stop=finished.stop)
    else:
        machine.failed(frame, finished.code, finished.error)
    advance(frames, machine)
    return storing


def _question(
    tx: Session, question: Evaluate, now: datetime
) -> tuple[StoredFrames, Machine[MutableStep], MutableStep] | None:
    run = lifecycle.lock(tx, question.facts.run_id)
    if RunStatus(run.status).is_final:
        return None
    frames = StoredFrames(tx, run, now)
    frame = frames.get(question.step_id)
    if (frame.phase, frame.version) != (question.phase.value, question.version):
        return None
    frames.lane = frame.lane
    return frames, Machine(frames), frame


def _serve(frames: StoredFrames, frame: MutableStep, begin_call: _Begin) -> Task | None:
    """Do what a frame needs inside this transaction; None if the lane has to be looked at again."""
    machine = Machine(frames)
    phase = Phase(frame.phase)
    if phase.needs_person:
        if not questions.apply_decision(frames, machine, frame):
            pause_or_widen(frames)
            return _announcement(frames, frame)
    elif phase is not Phase.work:
        # None if the frame is not as it was approved; the run has failed then.
        return _evaluation(frames, frame, phase) if may_begin(frames, frame) else None
    else:
        task = _work(frames, machine, frame, begin_call)
        if task is not None:
            return task
    if _is_open(frames.run):
        advance(frames, machine)
    return None


def _work(
    frames: StoredFrames, machine: Machine[MutableStep], frame: MutableStep, begin_call: _Begin
) -> Task | None:
    call = lifecycle.hold_call(frames.tx, frame.call_id)
    if call is None:
        execution.open_call(frames, frame)
    elif call.status == ToolCallStatus.done.value:
        if matches_decided_outcome(frames, call):
            execution.settle_done(frames, machine, frame, call)
        else:
            refuse(frames, f"The result of step {frame.name!r} (call {call.id!r}) differs from")
    elif call.child_run_id is not None:
        if not execution.settle_child(frames, machine, frame, call):
            return _announcement(frames, frame)
    else:
        return _execution(frames, frame, begin_call)
    return None


def _execution(frames: StoredFrames, frame: MutableStep, begin_call: _Begin) -> Task | None:
    if not may_begin(frames, frame):
        return None
    call = begin_call(frames.tx, frame.call_id or "")
    if isinstance(call, Settled):
        return _precondition(frames, frame, call)
    frame.is_waiting = False
    return Execute(frame.id, frame.node, call, _facts(frames))


def _precondition(frames: StoredFrames, frame: MutableStep, call: Settled) -> Task | None:
    """Return what comes before a step's function is executed; None if the frame has to be asked."""
    if call.active_token is not None or call.is_superseded:
        return InProgress(call.active_token)
    if call.left_open is not None:
        return Reconcile(frame.id, frame.node, call.left_open)
    if call.needs_place:
        return NoPlace()
    if call.gate is None:
        return None
    frame.is_waiting = True
    pause_or_widen(frames)
    return _announcement(frames, frame)


def _evaluation(frames: StoredFrames, frame: MutableStep, phase: Phase) -> Evaluate:
    arguments, review = arguments_of(frames, frame), frames.shape.by_id[frame.node].review
    if phase is Phase.until:
        has_content = frame.last_id is not None
        arguments["input"] = frames.content(frame) if has_content else frames.input_of(frame)
        arguments["iteration"] = frame.cursor - 1
    return Evaluate(
        step_id=frame.id,
        node=frame.node,
        name=frame.name,
        phase=phase,
        version=frame.version,
        arguments=arguments,
        content=frames.content(frame) if phase is Phase.judge else None,
        facts=_facts(frames),
        predicate=None if review is None else review.predicate,
    )


def _facts(frames: StoredFrames) -> Facts:
    run = frames.run
    return Facts(
        component_id=run.component_id,
        run_id=run.id,
        session_id=run.session_id,
        tenant=run.tenant,
        user_id=run.user_id,
        input=run.input,
        state=session_state(frames.tx, run.session_id),
        dependencies=run.dependencies,
        metadata=run.run_metadata,
        history_runs=frames.shape.history_runs,
    )


def pause(tx: Session, run: MutableRun, now: datetime, *, is_active: bool) -> PipelineOutcome:
    """Pause a run unless it `is_active`; return the work that has begun instead.

    An earlier outcome that announced work may have been lost: work is announced until it is taken.
    """
    frames = StoredFrames(tx, run, now, run.id)
    if not is_active:
        pause_or_widen(frames)
    return _announcement(frames)


def _announcement(frames: StoredFrames, waiting: MutableStep | None = None) -> PipelineOutcome:
    """Return what the frame of a lane waits for, and the frames that this lane has to announce."""
    if not _is_open(frames.run):
        return PipelineOutcome(ended=True)
    siblings = frames.announced_by(frames.lane or "")
    return _outcome(frames, siblings if waiting is None else [waiting, *siblings])


def _outcome(frames: StoredFrames, lane_frames: Sequence[MutableStep]) -> PipelineOutcome:
    return PipelineOutcome(work=tuple(_work_of(frames, frame) for frame in lane_frames))


def _work_of(frames: StoredFrames, frame: MutableStep) -> Work:
    """Return what a frame waits for, as the workflow knows it."""
    work = Work(lane=frame.lane or frame.id, name=frame.name)
    if frame.is_waiting:
        call_id = frame.gate_id if Phase(frame.phase).needs_person else frame.call_id
        return work.model_copy(update={"gate": pending_gate(frames.tx, call_id or "")})
    if frame.phase != Phase.work.value:
        return work
    child = execution.child_of(frames.tx, frame)
    if child is None:
        return work
    delay = execution.backoff_of(frames, frame)
    return work.model_copy(update={"child": child, "delay": delay} if delay else {"child": child})


def _is_open(run: RunRecord) -> bool:
    return not RunStatus(run.status).is_final
