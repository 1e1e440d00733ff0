"""Verifies the log of decisions: the chain of every run, and the seals that link them.

The rows are read as a stream, in one snapshot: a log of any length takes the same memory, and
nobody who decides meanwhile waits.
"""

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from itertools import groupby
from operator import attrgetter
from typing import Any, cast

from sqlalchemy import Row, Select, and_, bindparam, exists, func, select
from sqlmodel import Session

from kern.contracts.reports import AuditReport
from kern.db.engine.columns import as_stored
from kern.db.engine.plain_rows import execute
from kern.db.engine.records import DecisionRecord, SealRecord
from kern.db.engine.typed_tables import CHAIN_HEADS, DECISIONS, RUNS, SEALS
from kern.db.journal import audit_chain, seals
from kern.db.journal.hash_chains import GENESIS
from kern.db.journal.resolutions import check_resolutions
from kern.errors import AuditBroken, NotFound

_AT_ONCE = 500
_decisions, _heads, _seals, _runs = (DECISIONS.table, CHAIN_HEADS.table, SEALS.table, RUNS.table)
_earlier = _seals.alias("earlier")

_CHAINS = (
    select(*as_stored(_decisions), _heads.c.seq.label("head_seq"), _heads.c.hash.label("head_hash"))
    .select_from(_decisions.outerjoin(_heads, _heads.c.root_run_id == _decisions.c.root_run_id))
    .order_by(_decisions.c.root_run_id, _decisions.c.seq)
)
_EMPTY = select(_heads.c.root_run_id, _heads.c.seq).where(
    ~exists().where(_decisions.c.root_run_id == _heads.c.root_run_id)
)
_SEALS = (
    select(
        *as_stored(_seals),
        _decisions.c.hash.label("present_hash"),
        _earlier.c.hash.label("earlier_hash"),
    )
    .select_from(
        _seals.outerjoin(
            _decisions,
            and_(
                _decisions.c.root_run_id == _seals.c.root_run_id,
                _decisions.c.seq == _seals.c.chain_seq,
            ),
        ).outerjoin(_earlier, _earlier.c.seq == _seals.c.seq - 1)
    )
    .order_by(_seals.c.seq)
)
_UNSEALED = select(func.count().label("number"), func.min(_decisions.c.at).label("since")).where(
    ~exists().where(
        _seals.c.root_run_id == _decisions.c.root_run_id, _seals.c.chain_seq >= _decisions.c.seq
    )
)
_LENGTH = select(func.count()).where(_decisions.c.root_run_id == bindparam("root"))
_ROOT = select(func.coalesce(_runs.c.root_run_id, _runs.c.id)).where(
    _runs.c.id == bindparam("run_id")
)
_OF_ANOTHER_TENANT = (
    select(_decisions.c.seq)
    .where(_decisions.c.root_run_id == bindparam("root"), _decisions.c.tenant != bindparam("of"))
    .limit(1)
)
# Decisions stay when their run is deleted.
_DECIDED_ROOT = (
    select(_decisions.c.root_run_id)
    .where(
        (_decisions.c.run_id == bindparam("run_id"))
        | (_decisions.c.root_run_id == bindparam("run_id"))
    )
    .limit(1)
)


_RUN_CHAIN = _CHAINS.where(_decisions.c.root_run_id == bindparam("root"))
_RUN_EMPTY = _EMPTY.where(_heads.c.root_run_id == bindparam("root"))
_RUN_SEALS = _SEALS.where(_seals.c.root_run_id == bindparam("root"))
_RUN_UNSEALED = _UNSEALED.where(_decisions.c.root_run_id == bindparam("root"))


def verify(tx: Session, expected_head: str | None = None) -> AuditReport:
    """Walk every chain and all seals, and compare what requirements say with them.

    Args:
        expected_head: The hash of a seal that was noted elsewhere earlier: it must still be there.

    Raises:
        AuditBroken: a decision or a seal was changed, removed, added or reordered, or a requirement
            says something else of how it was decided; the message names the first one.
    """
    empty = execute(tx, _EMPTY).first()
    with _streamed(tx, _CHAINS) as decisions:
        count, _ = _check_chains(decisions, empty)
    seal_count, head, is_expected = 0, GENESIS, expected_head in (None, GENESIS)
    with _streamed(tx, _SEALS) as seal_rows:
        for seal_count, row in enumerate(seal_rows, start=1):
            if row.seq != seal_count:
                raise AuditBroken(f"Seal {seal_count} is missing before seal {row.seq}.")
            _check_seal(tx, row)
            head = row.hash
            is_expected = is_expected or head == expected_head
    _check_seal_head(tx, seal_count, head)
    check_resolutions(tx)
    if not is_expected:
        message = (
            f"The hash {expected_head!r} is not part of the log, whose {count} decisions and "
            f"{seal_count} seals fit together: the database is older than that hash, as after "
            "restoring a backup, or the log was rewritten since it was noted."
        )
        raise AuditBroken(message)
    return _report(execute(tx, _UNSEALED).one(), count, seal_count, head)


def verify_run(tx: Session, root_run_id: str) -> AuditReport:
    """Walk the chain of one root run and the seals of it; `head` is the chain's last hash.

    Raises as `verify`.
    """
    root = {"root": root_run_id}
    empty = execute(tx, _RUN_EMPTY, **root).first()
    with _streamed(tx, _RUN_CHAIN, **root) as decisions:
        count, head = _check_chains(decisions, empty)
    seal_count = 0
    with _streamed(tx, _RUN_SEALS, **root) as seal_rows:
        for row in seal_rows:
            _check_seal(tx, row)
            seal_count += 1
    check_resolutions(tx, root_run_id)
    unsealed = execute(tx, _RUN_UNSEALED, **root).one()
    return _report(unsealed, count, seal_count, head, root_run_id)


def root_run_id_of(tx: Session, run_id: str) -> str:
    """Return the root of the tree of a run, which may have been deleted.

    Raises:
        NotFound: there is no such run, and nothing was ever decided in one of this id.
    """
    for query in (_ROOT, _DECIDED_ROOT):
        root: str | None = execute(tx, query, run_id=run_id).scalar()
        if root is not None:
            return root
    raise no_decisions(run_id)


def no_decisions(run_id: str) -> NotFound:
    """Return the error for a run that is not there, and of which the log knows nothing."""
    message = (
        f"There is no run {run_id!r}, and the log has no decision about one of this id. Of a run "
        "that was deleted, write the whole id."
    )
    return NotFound(message)


def is_of_tenant(tx: Session, root_run_id: str, tenant: str) -> bool:
    """Whether every decision in the tree of a run is of this tenant."""
    return execute(tx, _OF_ANOTHER_TENANT, root=root_run_id, of=tenant).first() is None


@contextmanager
def _streamed(tx: Session, query: Select[Any], **values: object) -> Generator[Iterable[Row[Any]]]:
    """Read rows a few hundred at a time; the cursor is closed when the block ends."""
    with execute(tx, query.execution_options(yield_per=_AT_ONCE), **values) as result:
        yield result


def _report(
    unsealed: Row[Any], count: int, seal_count: int, head: str, root_run_id: str | None = None
) -> AuditReport:
    return AuditReport(
        root_run_id=root_run_id,
        decisions=count,
        seals=seal_count,
        head=head,
        unsealed=unsealed.number,
        unsealed_since=unsealed.since,
    )


def _check_chains(decisions: Iterable[Row[Any]], empty: Row[Any] | None) -> tuple[int, str]:
    """Return how many decisions the chains have, and the last hash of the last one."""
    count, head = 0, GENESIS
    for root, chain in groupby(decisions, key=attrgetter("root_run_id")):
        length, head = _check_chain(root, chain)
        count += length
    if empty is not None:
        message = (
            f"The chain of run {empty.root_run_id!r} should have {empty.seq} decisions, and has "
            "none: it was removed."
        )
        raise AuditBroken(message)
    return count, head


def _check_chain(root: str, chain: Iterable[Row[Any]]) -> tuple[int, str]:
    count, previous, end = 0, GENESIS, None
    for row in chain:
        count += 1
        _check_decision(cast("DecisionRecord", row), count, previous)
        previous, end = row.hash, (row.head_seq, row.head_hash)
    if end == (count, previous):
        return count, previous
    if end is None or end[0] is None:
        message = (
            f"The end of the chain of run {root!r} is missing from kern_chain_heads: somebody "
            "removed it."
        )
        raise AuditBroken(message)
    message = (
        f"The chain of run {root!r} should end at decision {end[0]} with the hash {end[1][:12]}…, "
        f"but ends at {count} with {previous[:12]}…: decisions are missing at its end, or were "
        "added by hand."
    )
    raise AuditBroken(message)


def _check_decision(row: DecisionRecord, expected_seq: int, previous: str) -> None:
    where = audit_chain.title_of(row)
    if row.seq != expected_seq:
        raise AuditBroken(f"Decision {expected_seq} is missing before {where}.")
    if row.previous_hash != previous:
        message = (
            f"The log of decisions is broken before {where}: it does not follow from the decision "
            "before it."
        )
        raise AuditBroken(message)
    if not audit_chain.is_intact(row):
        # Of a version that this code does not know, it says so.
        audit_chain.hashed_content(row)
        raise AuditBroken(f"The content of {where} was changed after it was written.")


def _check_seal(tx: Session, row: Row[Any]) -> None:
    # A row with the fields of a seal, and those of what it refers to.
    seal = cast("SealRecord", row)
    where = seals.title_of(seal)
    if row.previous_hash != (GENESIS if row.seq == 1 else row.earlier_hash):
        message = (
            f"The log of seals is broken before {where}: it does not follow from the seal before "
            "it, which was changed or removed."
        )
        raise AuditBroken(message)
    if not seals.is_intact(seal):
        raise AuditBroken(f"The content of {where} was changed after it was written.")
    if row.present_hash == row.chain_hash:
        return
    if row.present_hash is None:
        length = execute(tx, _LENGTH, root=row.root_run_id).scalar_one()
        message = (
            f"The chain of run {row.root_run_id!r} has {length} decisions, and had {row.chain_seq} "
            f"when {where} was written at {row.at.isoformat()}: decisions were removed."
        )
        raise AuditBroken(message)
    message = (
        f"The chain of run {row.root_run_id!r} is not the one of {where}, written at "
        f"{row.at.isoformat()}: its first {row.chain_seq} decisions were rewritten."
    )
    raise AuditBroken(message)


def _check_seal_head(tx: Session, count: int, head: str) -> None:
    end = seals.head_of(tx)
    if end == (count, head):
        return
    message = (
        f"The log of seals should end at seal {end[0]} with the hash {end[1][:12]}…, but ends at "
        f"{count} with {head[:12]}…: seals are missing at its end, or were added by hand."
    )
    raise AuditBroken(message)
