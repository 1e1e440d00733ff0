"""Why somebody may not decide about what they are shown, before they try to."""

from collections.abc import Sequence

from sqlalchemy import bindparam
from sqlmodel import Session

from kern.contracts.viewer import Viewer
from kern.db.decisions.entitlement import check_person
from kern.db.engine.plain_rows import rows
from kern.db.engine.records import DecisionRecord
from kern.db.engine.typed_tables import DECISIONS, REQUIREMENTS, RUNS
from kern.db.reading.visibility import visible
from kern.errors import NotAllowed
from kern.values.principals import Principal
from kern.values.states import Verdict

_requirements, _runs, _decisions = REQUIREMENTS.table, RUNS.table, DECISIONS.table
_RUNS = _runs.select().where(_runs.c.id.in_(bindparam("ids", expanding=True)))
_DECISIONS = _decisions.select().where(
    _decisions.c.requirement_id.in_(bindparam("ids", expanding=True))
)


def hindrances(
    tx: Session, requirement_ids: Sequence[str], principal: Principal, viewer: Viewer
) -> dict[str, str]:
    """Return by id why a principal may not approve; what they may approve is left out.

    It says nothing about what the viewer may not see.
    """
    if not requirement_ids:
        return {}
    query = _requirements.select().where(
        _requirements.c.id.in_(requirement_ids), *visible(viewer, _requirements)
    )
    records = list(rows(tx, REQUIREMENTS, query))
    runs = {run.id: run for run in rows(tx, RUNS, _RUNS, ids=[row.run_id for row in records])}
    earlier: dict[str, list[DecisionRecord]] = {}
    for decision in rows(tx, DECISIONS, _DECISIONS, ids=[row.id for row in records]):
        earlier.setdefault(decision.requirement_id, []).append(decision)
    reasons: dict[str, str] = {}
    for row in records:
        decisions = earlier.get(row.id, [])
        try:
            check_person(runs[row.run_id], row, principal, Verdict.approve, earlier=decisions)
        except NotAllowed as error:
            reasons[row.id] = str(error)
    return reasons
