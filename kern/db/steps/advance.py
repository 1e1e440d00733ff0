"""Stores what the step machine did: calls, questions and events, lanes, and the run's status.

The machine (`kern.pipeline.machine`) is pure: it changes frames, and lists those that need service
(`work_frames`), those that ended, and how the pipeline ended. This module has the side effects,
inside the transaction that stored the outcome of the step. Order matters: frames that were
cancelled are stopped first, so that nothing of theirs is served, and the status comes last, since
it is derived from all of the rest.
"""

from collections.abc import Sequence

from pydantic import JsonValue

from kern.db.engine.mutable_rows import MutableStep
from kern.db.journal.events import record
from kern.db.runs import lifecycle, step_waits
from kern.db.runs.frames import StoredFrames
from kern.db.steps import execution, questions
from kern.db.steps.decision_checks import may_begin
from kern.db.steps.inputs import as_text
from kern.pipeline.frames import Ending, Outcome, Phase
from kern.pipeline.machine import Machine


def advance(frames: StoredFrames, machine: Machine[MutableStep]) -> None:
    """Store what a machine did to the frames of a run."""
    for frame in frames.cancelled:
        questions.drop(frames, frame)
    for frame in machine.ended:
        frame.finished_at = frames.now
        _record_end(frames, frame)
    cancelled = {frame.id for frame in frames.cancelled}
    work_frames = [frame for frame in machine.work_frames if frame.id not in cancelled]
    _assign_lanes(frames, work_frames, is_alone=len(work_frames) == 1 and frames.lane is not None)
    if not _serve_all(frames, work_frames):
        return
    if machine.ending is not None:
        _end(frames, machine.ending)
    else:
        pause_or_widen(frames)


def pause_or_widen(frames: StoredFrames) -> None:
    """Derive the run's status; if it would pause, open branches that wait for a place first.

    A bound says how many branches of a container run at once. Branches that wait for people would
    keep their places for days, while branches that nobody has to decide about do not begin. So once
    only people are waited for, as many more as the bound allows are opened, again and again until
    one of them is active. The lane of this transaction announces them.
    """
    # Without a bound, every branch has begun already.
    while frames.shape.is_bounded and step_waits.awaits_people_only(frames.tx, frames.run.id):
        holder = frames.unfilled()
        if holder is None:
            break
        machine = Machine(frames)
        machine.widened(holder)
        _assign_lanes(frames, machine.work_frames, is_alone=False)
        if not _serve_all(frames, machine.work_frames):
            return
    lifecycle.update_status(frames.tx, frames.run, frames.now)


def _assign_lanes(
    frames: StoredFrames, work_frames: Sequence[MutableStep], *, is_alone: bool
) -> None:
    """Assign lanes: a single frame stays in the lane that opened it, several get their own.

    A lane never has two frames. So whoever serves it, even an activity that was thought dead,
    serves the same frame.
    """
    for frame in work_frames:
        frame.lane, frame.announced_by = (
            (frames.lane, None) if is_alone else (frame.id, frames.lane)
        )


def _serve_all(frames: StoredFrames, work_frames: Sequence[MutableStep]) -> bool:
    """Prepare frames for their phases; False if one is not as it was approved: the run failed."""
    for frame in work_frames:
        if Phase(frame.phase).needs_person:
            questions.ask(frames, frame)
        elif frame.phase == Phase.work.value:
            execution.open_call(frames, frame)
            if not may_begin(frames, frame):
                return False
    return True


def _end(frames: StoredFrames, ending: Ending) -> None:
    tx, run, now = frames.tx, frames.run, frames.now
    if ending.outcome is Outcome.failed:
        lifecycle.fail(tx, run, ending.code, ending.message, now)
        return
    content = None if ending.holder is None else frames.get(ending.holder).content
    run.steps_known = run.steps_done
    lifecycle.complete_with(tx, run, as_text(content), now)


def _record_end(frames: StoredFrames, frame: MutableStep) -> None:
    node = frames.shape.by_id[frame.node]
    if not node.is_leaf:
        return
    details: dict[str, JsonValue] = {"step_id": frame.id, "step": frame.name, "node": frame.node}
    if frame.error_code is not None:
        details |= {"code": frame.error_code, "message": frame.error_message}
    progress: dict[str, JsonValue] = {
        "done": frames.run.steps_done,
        "known": frames.run.steps_known,
    }
    record(frames.tx, frames.run, f"step_{frame.outcome}", frames.now, **details, **progress)
