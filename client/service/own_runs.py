"""Code of a run that would wait for this very run, or decide what the run waits for."""

from sqlmodel import Session

from kern.db.engine.store import Store
from kern.db.reading.run_outputs import run_row
from kern.db.reading.run_trees import root_of_requirement
from kern.db.runs import session_queue
from kern.errors import Conflict, NotAllowed
from kern.process.calling_run import calling_run
from kern.values.states import RunStatus


async def refuse_own(db: Store, run_id: str) -> None:
    """Refuse to wait for the run whose code this is, or for one that waits for that run.

    Raises:
        Conflict: it is such a run, and active.
    """
    caller = calling_run()
    if caller is None or not await db.read(lambda tx: _would_wait_for(tx, run_id, caller)):
        return
    message = (
        f"Run {run_id!r} waits for the code that asks for its next stop: neither would end. "
        "Nothing was changed. Let the tool or step return first."
    )
    raise Conflict(message)


def refuse_own_decision(tx: Session, requirement_id: str, caller: str | None) -> None:
    """Refuse a decision of code about what its own run waits for: a run never approves itself.

    `caller` is the run whose code decides; None if it is no run's.

    Raises:
        NotAllowed: the requirement belongs to the run's own tree.
    """
    run = None if caller is None else run_row(tx, caller)
    if run is None:
        return
    if root_of_requirement(tx, requirement_id) != (run.root_run_id or run.id):
        return
    message = (
        f"Code of run {caller!r} decides about requirement {requirement_id!r} of the same run: "
        "no run approves its own calls. Nothing was decided. Have a person decide, in another "
        "process or in the console."
    )
    raise NotAllowed(message)


def _would_wait_for(tx: Session, run_id: str, caller: str) -> bool:
    if run_id not in session_queue.runs_executing(tx, caller):
        return False
    run = run_row(tx, run_id)
    return run is not None and not RunStatus(run.status).is_idle
