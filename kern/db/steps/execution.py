"""Executing a step: the call or the child run that does it, and its outcome."""

from typing import cast

from pydantic import JsonValue
from sqlmodel import Session

from kern.contracts.answers import NewChild
from kern.contracts.messages import Child
from kern.db.decisions.requirements import last_requirement
from kern.db.engine.mutable_rows import MutableStep, MutableToolCall
from kern.db.engine.plain_rows import add_row
from kern.db.engine.records import RunRecord, ToolCallRecord
from kern.db.engine.typed_tables import TOOL_CALLS
from kern.db.journal.events import record
from kern.db.reading import workflow_history
from kern.db.reading.run_outputs import run_row
from kern.db.runs import child_runs, lifecycle
from kern.db.runs.frames import StoredFrames, path_within, root_row
from kern.db.steps.inputs import arguments_of, question_for_run
from kern.db.steps.questions import new_call
from kern.db.turns import child_results
from kern.db.turns.side_effects import has_side_effects
from kern.pipeline.frames import RUN, origin
from kern.pipeline.machine import Machine
from kern.values.canonical import parse_json
from kern.values.states import RunStatus, ToolOutcome, Verdict

# The error code of a step whose function ended, but whose state changes were refused.
STATE_NOT_KEPT = "state_not_kept"
_LONGEST_BACKOFF = 3600.0
# 2.0 ** 1024 overflows.
_MOST_DOUBLINGS = 60
_REPEATS = (
    "The run of the step {!r} did not finish, but has executed calls that must not happen twice. "
    "Another run would begin from the start."
)
HAS_ENDED = (
    "The step {!r} finished, and only its changes to the session's state could not be kept. "
    "Executing it again would repeat what must not happen twice."
)


def open_call(frames: StoredFrames, frame: MutableStep) -> None:
    """Open the call that executes a frame, with the arguments frozen in it."""
    node, arguments = frames.shape.by_id[frame.node], arguments_of(frames, frame)
    frame.version += 1
    call = new_call(frames, frame, arguments)
    if node.component_id is not None:
        child = NewChild(
            component_id=node.component_id,
            component_kind=node.component_kind or "agent",
            label=node.name,
            where=path_within(frames, frame)[:-1],
            input=question_for_run(arguments, _answered_before(frames.tx, frame)),
            context=_history(frames),
            # The files of the run's input accompany that input.
            takes_files=origin(frame.source) == RUN,
            idempotency_key=call.idempotency_key,
        )
        call.child_run_id = child_runs.accept_child(frames.tx, frames.run, child, frames.now)
    add_row(frames.tx, TOOL_CALLS, call)
    frame.call_id = call.id
    frame.started_at = frame.started_at or frames.now
    record(
        frames.tx,
        frames.run,
        "step_started",
        frames.now,
        step_id=frame.id,
        step=frame.name,
        node=frame.node,
        child_run_id=call.child_run_id,
    )


def child_of(tx: Session, frame: MutableStep) -> Child | None:
    """Return the run that executes a frame, unless it has ended."""
    call = lifecycle.hold_call(tx, frame.call_id)
    child = None if call is None else run_row(tx, call.child_run_id or "")
    if child is None or RunStatus(child.status).is_final:
        return None
    return Child(run_id=child.id, component_kind=child.component_kind, retries=child.retries)


def backoff_of(frames: StoredFrames, frame: MutableStep) -> float:
    """Return how long to wait before another run tries again."""
    if frame.tries == 0:
        return 0.0
    return backoff(frames.shape.by_id[frame.node].backoff, frame.tries)


def backoff(first: float, tries: int) -> float:
    """Return the seconds to wait after so many tries that failed."""
    return min(first * 2.0 ** min(tries - 1, _MOST_DOUBLINGS), _LONGEST_BACKOFF)


def settle_child(
    frames: StoredFrames, machine: Machine[MutableStep], frame: MutableStep, call: MutableToolCall
) -> bool:
    """Continue a frame with the outcome of its child run; False while that is active."""
    child = run_row(frames.tx, call.child_run_id or "")
    if child is not None and not RunStatus(child.status).is_final:
        return False
    outcome, result = child_results.outcome_of(frames.tx, child)
    lifecycle.finish_call(frames.tx, call, outcome, result, frames.now)
    node = frames.shape.by_id[frame.node]
    if child is not None and outcome is ToolOutcome.result:
        machine.worked(frame, _content(frames, child, structured=node.structured))
    elif outcome is ToolOutcome.error and _may_try_again(frames, frame, call, node.retries):
        frame.tries += 1
        open_call(frames, frame)
    else:
        machine.failed(frame, "step_failed", result)
    return True


def is_doubtful(tx: Session, call: ToolCallRecord | None) -> bool:
    """Whether a call was executed by a run that failed, but has had side effects before."""
    if call is None or call.child_run_id is None or call.outcome == ToolOutcome.result.value:
        return False
    return has_side_effects(tx, call.child_run_id)


def ask_before_repeat(
    machine: Machine[MutableStep], frame: MutableStep, reason: str = _REPEATS
) -> None:
    """Ask a person whether a step that has had side effects is executed again."""
    machine.doubted(frame, "repeats_effects", reason.format(frame.name))


def settle_done(
    frames: StoredFrames, machine: Machine[MutableStep], frame: MutableStep, call: ToolCallRecord
) -> None:
    """Continue a frame whose call was ended by a person, or after the run had ended."""
    match ToolOutcome(call.outcome or ToolOutcome.cancelled.value):
        case ToolOutcome.result if call.child_run_id is None:
            result = cast("dict[str, JsonValue]", parse_json(call.result or "{}"))
            machine.worked(frame, result.get("content"), stop=result.get("stop") is True)
        case ToolOutcome.result:
            machine.worked(frame, call.result)
        case ToolOutcome.error | ToolOutcome.rejected:
            is_final = _was_failed_for_good(frames, call)
            machine.failed(frame, "step_failed", call.result or "", final=is_final)
        case ToolOutcome.cancelled if is_doubtful(frames.tx, call):
            ask_before_repeat(machine, frame)
        case ToolOutcome.cancelled:
            # The run had ended before the call was executed, and is active again.
            open_call(frames, frame)


def _was_failed_for_good(frames: StoredFrames, call: ToolCallRecord) -> bool:
    last = last_requirement(frames.tx, call.id)
    return last is not None and last.verdict == Verdict.fail.value


def _may_try_again(
    frames: StoredFrames, frame: MutableStep, call: ToolCallRecord, retries: int
) -> bool:
    return frame.tries < retries and not is_doubtful(frames.tx, call)


def _history(frames: StoredFrames) -> str:
    limit = frames.shape.history_runs
    return workflow_history.as_prompt(
        workflow_history.completed_before(frames.tx, frames.run.id, limit) if limit else []
    )


def _answered_before(tx: Session, frame: MutableStep) -> JsonValue:
    call = lifecycle.hold_call(tx, frame.call_id)
    child = None if call is None else run_row(tx, call.child_run_id or "")
    return None if child is None else child.content


def _content(frames: StoredFrames, child: RunRecord, *, structured: bool) -> JsonValue:
    """Return the content of a child run; that of a workflow is in its steps."""
    if child.component_kind == "workflow":
        root = root_row(frames.tx, child.id)
        if root is None or root.last_id is None:
            return None if root is None else root.content
        return frames.get(root.last_id).content
    if structured:
        try:
            return parse_json(child.content or "null")
        except ValueError:
            return child.content
    return child.content
