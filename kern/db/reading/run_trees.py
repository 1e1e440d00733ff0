"""Reads trees of runs: a run and its descendants."""

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import ColumnElement, bindparam, func, select
from sqlmodel import Session

from kern.contracts.viewer import Viewer
from kern.db.engine.plain_rows import execute, rows
from kern.db.engine.records import RequirementRecord, RunRecord
from kern.db.engine.typed_tables import REQUIREMENTS, RUNS
from kern.db.reading.visibility import no_requirement
from kern.values.states import FINAL_RUN_STATUSES

_runs, _requirements = (RUNS.table, REQUIREMENTS.table)
_FINAL = tuple(sorted(status.value for status in FINAL_RUN_STATUSES))
_USAGE = (
    _runs.c.input_tokens,
    _runs.c.output_tokens,
    _runs.c.cached_tokens,
    _runs.c.reasoning_tokens,
    _runs.c.model_calls,
    _runs.c.tool_calls,
)
# The numbers of child runs fall with time.
_DESCENDANTS = (
    select(_runs.c.ancestors, *_USAGE)
    .where(_runs.c.root_run_id == bindparam("root"))
    .order_by(_runs.c.number.desc())
)
_REQUIREMENTS_OF_TREE = (
    _requirements.select()
    .where(_requirements.c.root_run_id == bindparam("root"))
    .order_by(_requirements.c.id)
)
_RUNS_OF = (
    select(
        _requirements.c.id.label("requirement_id"),
        _requirements.c.tenant,
        _requirements.c.user_id,
        _runs.c.id,
        _runs.c.ancestors,
    )
    .join_from(_requirements, _runs, _runs.c.id == _requirements.c.run_id)
    .where(_requirements.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(_requirements.c.id)
)
_ROOT_OF_REQUIREMENT = select(
    func.coalesce(_requirements.c.root_run_id, _requirements.c.run_id)
).where(_requirements.c.id == bindparam("requirement_id"))
_ANCESTORS = select(_runs.c.id, _runs.c.ancestors).where(_runs.c.root_run_id == bindparam("root"))


def has_ended(status: ColumnElement[str]) -> ColumnElement[bool]:
    """Return the condition that a run of this status, a column, has ended."""
    return status.in_(_FINAL)


def root_of_requirement(tx: Session, requirement_id: str) -> str | None:
    """Return the id of the run at the root of a requirement's tree; None if there is none."""
    query = execute(tx, _ROOT_OF_REQUIREMENT, requirement_id=requirement_id)
    root_run_id: str | None = query.scalar()
    return root_run_id


def root_of(run: RunRecord) -> str:
    """Return the id of the run at the root of a run's tree."""
    return run.root_run_id or run.id


def path_of(run: RunRecord) -> list[str]:
    """Return the names from the root's to a run's own."""
    return list(run.path) or [run.component_id]


def is_within(run: RunRecord, tree: str) -> bool:
    """Whether a run is the one with this id, or a descendant of it."""
    return run.id == tree or tree in run.ancestors


def runs_of_requirements(tx: Session, viewers: Mapping[str, Viewer]) -> list[str]:
    """Return the ids of the runs that have requirements, each behind its ancestors.

    Args:
        tx: The transaction.
        viewers: Who asks, by the id of the requirement.

    Raises:
        NotFound: one of them belongs to another tenant.
        NotAllowed: one of them belongs to somebody else.
    """
    ids: dict[str, None] = {}
    requirements: Any = execute(tx, _RUNS_OF, ids=list(viewers))
    for row in requirements:
        missing, subject = no_requirement(row.requirement_id), f"Requirement {row.requirement_id!r}"
        viewers[row.requirement_id].check(row, missing, subject=subject)
        ids.update(dict.fromkeys([*row.ancestors, row.id]))
    return list(ids)


def usage_of_children(tx: Session, run: RunRecord) -> dict[str, int]:
    """Return the usage of a run's descendants, by the names of the columns."""
    names = [column.name for column in _USAGE]
    descendants: Any = execute(tx, _DESCENDANTS, root=root_of(run)).mappings()
    counted = [row for row in descendants if run.id in row["ancestors"]]
    return {name: sum(row[name] for row in counted) for name in names}


def requirements_of_children(tx: Session, run: RunRecord) -> Iterator[RequirementRecord]:
    """Return the requirements of a run's descendants, in the order in which they were opened."""
    requirements = rows(tx, REQUIREMENTS, _REQUIREMENTS_OF_TREE, root=root_of(run))
    if run.parent_run_id is None:
        return (row for row in requirements if row.run_id != run.id)
    tree: Any = execute(tx, _ANCESTORS, root=root_of(run)).all()
    descendants = {row.id for row in tree if run.id in row.ancestors}
    return (row for row in requirements if row.run_id in descendants)
