"""Whom a requirement concerns, as rows: written with it, and kept in step with its status."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from sqlalchemy import bindparam
from sqlmodel import Session

from kern.db.engine.plain_rows import execute
from kern.db.engine.records import RequirementRecord, RunRecord
from kern.db.engine.requirement_tables import NEVER
from kern.db.engine.typed_tables import PEOPLE
from kern.values.deciders import REQUESTER, group_of, is_group
from kern.values.ids import new_id
from kern.values.names import name_key
from kern.values.states import PersonKind, PersonRole, RequirementStatus

_people = PEOPLE.table
_STATUS = (
    _people.update()
    .where(_people.c.requirement_id == bindparam("of_requirement"))
    .values(status=bindparam("present"))
)
_TAKE_BACK = _people.delete().where(
    _people.c.requirement_id == bindparam("of_requirement"),
    _people.c.role == PersonRole.handed_over.value,
    _people.c.key.in_(bindparam("keys", expanding=True)),
)


def add(tx: Session, run: RunRecord, row: RequirementRecord, now: datetime) -> None:
    """Write whom a requirement that was just opened concerns."""
    entries = [*_entries(row.candidates, run, PersonRole.candidate)]
    if not row.candidates:
        entries = [(PersonKind.anybody, "", "", PersonRole.candidate)]
    entries += _entries(row.excluded, run, PersonRole.excluded)
    _insert(tx, row, entries, now)


def escalate(
    tx: Session, run: RunRecord, row: RequirementRecord, to: Iterable[str], now: datetime
) -> None:
    """Write who may decide besides from now on."""
    _insert(tx, row, list(_entries(to, run, PersonRole.escalated)), now)


def hand_over(
    tx: Session,
    run: RunRecord,
    row: RequirementRecord,
    now: datetime,
    *,
    subject: str,
    to: str,
    back_to: Iterable[str],
) -> None:
    """Write to whom somebody has handed a requirement: it waits for those, and not for them.

    `back_to` are the subjects of those among them who had handed it on: they have it again.
    """
    keys = [name_key(name) for name in (subject, *back_to)]
    execute(tx, _TAKE_BACK, of_requirement=row.id, keys=keys)
    entries = list(_entries([to], run, PersonRole.delegated))
    entries.append((PersonKind.person, subject, name_key(subject), PersonRole.handed_over))
    _insert(tx, row, entries, now)


def set_status(tx: Session, requirement_id: str, status: RequirementStatus) -> None:
    """Have the rows of a requirement follow its status."""
    execute(tx, _STATUS, of_requirement=requirement_id, present=status.value)


def names_of_requester(run: RunRecord) -> list[str]:
    """Return the names of whoever asked for a run: of its owner, and of who was authenticated."""
    requester = run.requester or {}
    names = (run.user_id, requester.get("name"), requester.get("subject"))
    return [str(name) for name in names if name is not None]


_Entry = tuple[PersonKind, str, str, PersonRole]


def _entries(names: Iterable[str], run: RunRecord, role: PersonRole) -> Iterator[_Entry]:
    for name in names:
        if name_key(name) == REQUESTER:
            # Where nobody knows who asked, nobody's key is empty.
            keys = {name_key(item) for item in names_of_requester(run)} or {""}
            for key in sorted(keys):
                yield PersonKind.requester, name, key, role
        elif is_group(name):
            yield PersonKind.group, name, name_key(group_of(name)), role
        else:
            yield PersonKind.person, name, name_key(name), role


def _insert(tx: Session, row: RequirementRecord, entries: Iterable[_Entry], now: datetime) -> None:
    new = [
        {
            "id": new_id(),
            "requirement_id": row.id,
            "run_id": row.run_id,
            "tenant": row.tenant,
            "kind": kind.value,
            "name": name,
            "key": key,
            "role": role.value,
            "from_at": now,
            "status": RequirementStatus.pending.value,
            "due_at": row.due_at or NEVER,
            "risk_rank": row.risk_rank,
        }
        for kind, name, key, role in entries
    ]
    if new:
        tx.connection().execute(PEOPLE.insertion, new)
