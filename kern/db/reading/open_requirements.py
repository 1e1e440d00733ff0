"""What open runs wait for, for a list of runs."""

from collections.abc import Sequence

from sqlmodel import Session

from kern.contracts.viewer import Viewer
from kern.db.engine.plain_rows import rows
from kern.db.engine.typed_tables import REQUIREMENTS
from kern.db.reading.requirement_outputs import requirements_of
from kern.db.reading.visibility import visible
from kern.requirements import Requirement
from kern.values.states import RequirementStatus

_requirements = REQUIREMENTS.table
# So many are read for a whole list: each row names a few.
_MOST = 200


def open_requirements(
    tx: Session, run_ids: Sequence[str], viewer: Viewer
) -> dict[str, list[Requirement]]:
    """Return the pending requirements of some runs and of their child runs, by the runs' ids."""
    if not run_ids:
        return {}
    root = _requirements.c.root_run_id
    query = (
        _requirements.select()
        .where(
            root.in_(run_ids) | _requirements.c.run_id.in_(run_ids),
            _requirements.c.status == RequirementStatus.pending.value,
            *visible(viewer, _requirements),
        )
        .order_by(_requirements.c.id)
        .limit(_MOST)
    )
    records = list(rows(tx, REQUIREMENTS, query))
    by_run: dict[str, list[Requirement]] = {}
    for record, item in zip(records, requirements_of(tx, records, viewer), strict=True):
        run_id = record.run_id if record.run_id in run_ids else record.root_run_id
        by_run.setdefault(run_id or record.run_id, []).append(item)
    return by_run
