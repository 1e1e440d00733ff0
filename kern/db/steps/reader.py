"""What the code of a step may read of its run and session."""

from collections.abc import Sequence

from pydantic import JsonValue
from sqlalchemy import bindparam
from sqlmodel import Session

from kern.context.chat_history import PastRun
from kern.db.engine.plain_rows import rows
from kern.db.engine.step_records import StepRecord
from kern.db.engine.store import Store
from kern.db.engine.typed_tables import STEPS
from kern.db.reading.run_outputs import run_row
from kern.db.reading.workflow_history import completed_before
from kern.db.runs.frames import shape_of, step_row
from kern.pipeline.frames import Outcome
from kern.pipeline.nodes import NodeKind, Shape

_steps = STEPS.table
_FRAMES_OF_NAME = (
    _steps.select()
    .where(
        _steps.c.run_id == bindparam("run_id"),
        _steps.c.name == bindparam("name"),
        _steps.c.outcome == Outcome.completed.value,
    )
    .order_by(_steps.c.number.desc())
)


class StoredReader:
    """Reads for one run. Its methods block: they are for steps."""

    def __init__(self, db: Store, run_id: str) -> None:
        self._db = db
        self._run_id = run_id

    def step_content(self, step_id: str, name: str) -> JsonValue:
        """Return the content of the latest step of a name, as visible to the step that asks."""
        return self._db.read_now(lambda tx: _step_content(tx, self._run_id, step_id, name))

    def workflow_history(self, runs: int) -> Sequence[PastRun]:
        """Return the session's completed runs before this one, in order."""
        return self._db.read_now(lambda tx: completed_before(tx, self._run_id, runs))


def _step_content(tx: Session, run_id: str, step_id: str, name: str) -> JsonValue:
    run, reader = run_row(tx, run_id), step_row(tx, step_id)
    if run is None or reader is None:
        return None
    shape = shape_of(tx, run)
    upward_frames = {frame.id: frame for frame in _upwards(tx, reader)}
    for candidate in rows(tx, STEPS, _FRAMES_OF_NAME, run_id=run_id, name=name):
        if _is_seen(tx, shape, candidate, upward_frames):
            holder = candidate if candidate.last_id is None else step_row(tx, candidate.last_id)
            return None if holder is None else holder.content
    return None


def _is_seen(
    tx: Session, shape: Shape, candidate: StepRecord, upward_frames: dict[str, StepRecord]
) -> bool:
    """Whether a step is visible: it is in no branch that runs beside that of the reader."""
    for frame in _upwards(tx, candidate):
        above = upward_frames.get(frame.parent_id or "")
        if above is not None:
            is_concurrent = shape.by_id[above.node].kind in {NodeKind.parallel, NodeKind.each}
            return frame.id in upward_frames or not is_concurrent
    return False


def _upwards(tx: Session, step: StepRecord | None) -> list[StepRecord]:
    chain: list[StepRecord] = []
    while step is not None:
        chain.append(step)
        step = None if step.parent_id is None else step_row(tx, step.parent_id)
    return chain
