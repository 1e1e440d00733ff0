"""Locks a requirement: its run first, under whose lock everything in it changes."""

from sqlalchemy import bindparam, select
from sqlmodel import Session

from kern.contracts.viewer import Viewer
from kern.db.engine.mutable_rows import MutableRequirement, MutableRun
from kern.db.engine.typed_tables import REQUIREMENTS, RUNS
from kern.db.engine.unit_of_work import hold
from kern.db.reading.run_outputs import check
from kern.db.reading.visibility import no_requirement
from kern.db.runs import lifecycle

_requirements = REQUIREMENTS.table
_REQUIREMENT = _requirements.select().where(_requirements.c.id == bindparam("requirement_id"))
_RUN_OF = lifecycle.locking(
    select(_requirements.c.run_id)
    .where(_requirements.c.id == bindparam("requirement_id"))
    .scalar_subquery()
)


def lock_requirement(
    tx: Session, requirement_id: str, viewer: Viewer
) -> tuple[MutableRun, MutableRequirement]:
    """Lock the run of a requirement, and return both.

    Raises:
        NotFound: there is no such requirement in the tenant of the viewer.
        NotAllowed: it belongs to somebody else.
    """
    run = hold(tx, RUNS, _RUN_OF, requirement_id=requirement_id)
    row = hold(tx, REQUIREMENTS, _REQUIREMENT, requirement_id=requirement_id)
    missing = no_requirement(requirement_id)
    run = check(tx, viewer, run, missing, f"Requirement {requirement_id!r}")
    if row is None:
        raise missing
    return run, row
