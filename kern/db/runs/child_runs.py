"""Child runs: a member's run in a team's, a step's run in a pipeline's.

A transaction that writes to several runs of a tree locks descendants before their ancestors. The
numbers of child runs fall with time, so in their order every run comes before its ancestors.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import bindparam, select
from sqlmodel import Session

from kern.contracts.answers import NewChild
from kern.contracts.messages import Child
from kern.db.engine.mutable_rows import MutableRun
from kern.db.engine.plain_rows import add, add_row, execute, new_row
from kern.db.engine.records import RunRecord, ToolCallRecord
from kern.db.engine.typed_tables import MESSAGES, RUNS
from kern.db.engine.unit_of_work import hold_all
from kern.db.journal.events import append
from kern.db.reading.run_trees import has_ended, path_of, root_of
from kern.db.reading.visibility import no_run
from kern.db.runs import policies, session_queue
from kern.values.ids import new_id
from kern.values.states import RunStatus

_runs, _messages = (RUNS.table, MESSAGES.table)
_OPEN_IN_TREE = (
    _runs.select()
    .where(_runs.c.root_run_id == bindparam("root"), ~has_ended(_runs.c.status))
    .order_by(_runs.c.number)
    .with_for_update()
)
_COMPLETED_CHILDREN = (
    select(_runs.c.path, _runs.c.input, _runs.c.content)
    .where(
        _runs.c.parent_run_id == bindparam("run_id"), _runs.c.status == RunStatus.completed.value
    )
    .order_by(_runs.c.number.desc())
)
_KINDS = select(_runs.c.id, _runs.c.component_kind.label("kind")).where(
    _runs.c.id.in_(bindparam("ids", expanding=True))
)
_FILES = select(_messages.c.files).where(
    _messages.c.run_id == bindparam("run_id"), _messages.c.turn == 0
)


def accept_child(tx: Session, parent: RunRecord, child: NewChild, now: datetime) -> str:
    """Insert a child of a run that this transaction holds and that has not ended; return its id.

    It has the session, the tenant, the owner, the requester, the dependencies and the policy of its
    parent, whose workflow starts it.
    """
    session = session_queue.lock_session(tx, parent.session_id)
    if session is None:
        raise no_run(parent.id)
    session.parts += 1
    pinned = policies.component_policy(tx, parent.policy, child.component_id)
    run = new_row(
        RUNS,
        id=new_id(),
        session_id=parent.session_id,
        parent_run_id=parent.id,
        root_run_id=root_of(parent),
        ancestors=[*parent.ancestors, parent.id],
        path=[*path_of(parent), *child.where, child.label],
        tenant=parent.tenant,
        user_id=parent.user_id,
        requester=parent.requester,
        component_id=child.component_id,
        component_kind=child.component_kind,
        number=-session.parts,
        last_event=1,
        is_streamed=parent.is_streamed,
        policy=parent.policy,
        shape=None if pinned is None else pinned.shape,
        input=child.input,
        idempotency_key=child.idempotency_key,
        dependencies=parent.dependencies,
        run_metadata=parent.run_metadata,
        created_at=now,
        updated_at=now,
    )
    add_row(tx, RUNS, run)
    siblings = _answers_of_siblings(tx, parent) if child.sees_siblings else ""
    add(
        tx,
        MESSAGES,
        run_id=run.id,
        turn=0,
        position=0,
        role="user",
        content="\n\n".join(filter(None, [child.context, siblings, child.input])),
        files=_files_of(tx, parent) if child.takes_files else None,
        created_at=now,
    )
    append(tx, run, "run_accepted", now, number=run.number, parent=parent.id, path=[*run.path])
    return run.id


def children_of(tx: Session, calls: Sequence[ToolCallRecord]) -> dict[str, Child]:
    """Return the child runs that execute calls, by the ids of the calls.

    Raises:
        NotFound: one of them is missing.
    """
    run_ids = {call.child_run_id: call.id for call in calls if call.child_run_id is not None}
    if not run_ids:
        return {}
    kinds: dict[str, str] = {row.id: row.kind for row in execute(tx, _KINDS, ids=[*run_ids])}
    for run_id in run_ids.keys() - kinds.keys():
        raise no_run(run_id)
    return {
        call_id: Child(run_id=run_id, component_kind=kinds[run_id])
        for run_id, call_id in run_ids.items()
    }


def _answers_of_siblings(tx: Session, parent: RunRecord) -> str:
    """Return the answers of a run's earlier children, as another child reads them."""
    done = [
        f"{row.path[-1]} was asked: {row.input}\n{row.path[-1]} answered: {row.content or ''}"
        for row in execute(tx, _COMPLETED_CHILDREN, run_id=parent.id)
    ]
    return "\n\n".join(["What members have done so far:", *done]) if done else ""


def _files_of(tx: Session, parent: RunRecord) -> list[str] | None:
    files: list[str] | None = execute(tx, _FILES, run_id=parent.id).scalars().first()
    return files


def hold_open_descendants(tx: Session, run: RunRecord) -> list[MutableRun]:
    """Lock the descendants of a run that have not ended, the lowest first."""
    runs = hold_all(tx, RUNS, _OPEN_IN_TREE, root=root_of(run))
    return [descendant for descendant in runs if run.id in descendant.ancestors]
