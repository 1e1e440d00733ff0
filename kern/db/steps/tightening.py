"""Makes a run's pinned shape as strict as the worker that executes it.

A gate, review, effect or limit that a worker adds stays on the run: a worker that lacks it keeps to
it from then on. Steps that had not begun go back to their new gate; what had begun continues.
"""

from datetime import datetime

from sqlalchemy import bindparam
from sqlmodel import Session

from kern.db.engine.mutable_rows import MutableRun, MutableStep
from kern.db.engine.typed_tables import STEPS
from kern.db.engine.unit_of_work import hold_all
from kern.db.journal.events import record
from kern.db.runs import lifecycle, policies
from kern.db.runs.frames import StoredFrames, pin, shape_of, store_shape
from kern.pipeline.frames import Phase
from kern.pipeline.machine import Machine
from kern.pipeline.nodes import Node, Shape
from kern.pipeline.strictness import DeclaredPolicy, stricter_shape
from kern.values.states import ToolCallStatus, ToolOutcome

_steps = STEPS.table
_ACTIVE_FRAMES = _steps.select().where(
    _steps.c.run_id == bindparam("run_id"),
    _steps.c.node.in_(bindparam("nodes", expanding=True)),
    _steps.c.phase.not_in([Phase.pending.value, Phase.gate.value, Phase.done.value]),
)
_ASKS_FIRST = "A worker whose code is stricter asks people before this step begins."


def tighten(
    tx: Session, run: MutableRun, worker_policy: DeclaredPolicy | None, now: datetime
) -> None:
    """Have a run keep to what this worker declares, where that is stricter than what is pinned."""
    policies.note_executing(tx, run, worker_policy, now)
    present = None if worker_policy is None else worker_policy.shape_of(run.component_id)
    if present is None:
        return
    pin(tx, run, present, now)
    pinned = shape_of(tx, run)
    shape = stricter_shape(pinned, present)
    if shape.digest == pinned.digest:
        return
    run.shape = shape.digest
    store_shape(tx, shape, now)
    record(tx, run, "policy_tightened", now, shape=shape.digest)
    changed = [node.id for node in shape.nodes if node != pinned.by_id[node.id]]
    frames = StoredFrames(tx, run, now)
    for frame in hold_all(tx, STEPS, _ACTIVE_FRAMES, run_id=run.id, nodes=changed):
        _tighten_frame(frames, frame, pinned)


def _tighten_frame(frames: StoredFrames, frame: MutableStep, pinned: Shape) -> None:
    before, after = pinned.by_id[frame.node], frames.shape.by_id[frame.node]
    call = lifecycle.hold_call(frames.tx, frame.call_id)
    is_open = call is not None and call.status != ToolCallStatus.done.value
    if before.gate is None and after.gate is not None:
        is_waiting = call is None or (
            call.status == ToolCallStatus.waiting.value and call.child_run_id is None
        )
        if _has_not_begun(frame, after) and is_waiting:
            if call is not None:
                cancelled = ToolOutcome.cancelled
                lifecycle.finish_call(frames.tx, call, cancelled, _ASKS_FIRST, frames.now)
            frame.call_id = frame.gate_id = None
            Machine(frames).resumed(frame, Phase.gate)
            return
        frame.is_ungated = True
    if call is not None and is_open and after.component_id is None:
        call.effect, call.retries, call.timeout = after.effect.value, after.retries, after.timeout


def _has_not_begun(frame: MutableStep, node: Node) -> bool:
    return frame.phase == Phase.ask.value or (node.is_leaf and frame.phase == Phase.work.value)
