"""Verifies the log of decisions: the chain of every run, and the seals that link them.

The rows are read as a stream, in one snapshot: a log of any length takes the same memory, and
nobody who decides meanwhile waits.
"""

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import (
    Executable,
    Row,
    Select,
    String,
    and_,
    bindparam,
    exists,
    func,
    select,
    union_all,
)
from sqlmodel import Session

from kern.contracts.reports import AuditReport
from kern.db.engine.columns import as_stored
from kern.db.engine.plain_rows import execute
from kern.db.engine.records import DecisionRecord
from kern.db.engine.typed_tables import (
    CHAIN_HEADS,
    DECISIONS,
    DELETED_RUNS,
    RUNS,
    SEALS,
    UNSEALED,
)
from kern.db.journal import audit_chain, chain_checks, seals
from kern.db.journal.hash_chains import GENESIS
from kern.db.journal.resolutions import check_resolutions
from kern.errors import AuditBroken, NotFound

_AT_ONCE = 500
_decisions, _heads, _seals, _runs = (DECISIONS.table, CHAIN_HEADS.table, SEALS.table, RUNS.table)
_deleted, _pending = (DELETED_RUNS.table, UNSEALED.table)
_earlier, _later = (_seals.alias("earlier"), _seals.alias("later"))

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
_is_unsealed = ~exists().where(
    _seals.c.root_run_id == _decisions.c.root_run_id, _seals.c.chain_seq >= _decisions.c.seq
)
_UNSEALED = select(func.count().label("number"), func.min(_decisions.c.at).label("since")).where(
    _is_unsealed
)
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


# In a part of the log, the seals between its own are those of others: a seal has to stand between
# its two neighbours, and a decision without a seal has to wait for one.
_PART_SEALS = (
    _SEALS.add_columns(_later.c.previous_hash.label("next_previous_hash"))
    .outerjoin_from(_seals, _later, _later.c.seq == _seals.c.seq + 1)
    .order_by(None)
    .order_by(_seals.c.root_run_id, _seals.c.chain_seq)
)
_SEAL_LOST = (
    select(*as_stored(_decisions))
    .where(
        _is_unsealed,
        ~exists().where(
            _pending.c.root_run_id == _decisions.c.root_run_id, _pending.c.seq == _decisions.c.seq
        ),
    )
    .order_by(_decisions.c.root_run_id, _decisions.c.seq)
    .limit(1)
)


@dataclass(frozen=True)
class _Part:
    """The statements that read a part of the log: its chains, what is gone, and its seals."""

    chains: Select[Any]
    empty: Executable
    seals: Select[Any]
    unsealed: Executable
    seal_lost: Executable


_root, _tenant = (bindparam("root", type_=String), bindparam("tenant", type_=String))
_OF_RUN = _Part(
    chains=_CHAINS.where(_decisions.c.root_run_id == _root),
    empty=_EMPTY.where(_heads.c.root_run_id == _root),
    seals=_PART_SEALS.where(_seals.c.root_run_id == _root),
    unsealed=_UNSEALED.where(_decisions.c.root_run_id == _root),
    seal_lost=_SEAL_LOST.where(_decisions.c.root_run_id == _root),
)
# A chain of which nothing is left but its end, or its seals, is known by its run.
_tenant_runs = union_all(
    select(_runs.c.id).where(_runs.c.tenant == _tenant),
    select(_deleted.c.id).where(_deleted.c.tenant == _tenant),
)
_OF_TENANT = _Part(
    chains=_CHAINS.where(_decisions.c.tenant == _tenant),
    empty=union_all(
        _EMPTY.where(_heads.c.root_run_id.in_(_tenant_runs)),
        select(_seals.c.root_run_id, _seals.c.chain_seq).where(
            _seals.c.root_run_id.in_(_tenant_runs),
            ~exists().where(_decisions.c.root_run_id == _seals.c.root_run_id),
        ),
    ).limit(1),
    seals=_PART_SEALS.where(
        _seals.c.root_run_id.in_(
            select(_decisions.c.root_run_id).where(_decisions.c.tenant == _tenant)
        )
    ),
    unsealed=_UNSEALED.where(_decisions.c.tenant == _tenant),
    seal_lost=_SEAL_LOST.where(_decisions.c.tenant == _tenant),
)
_LAST_SEAL = select(_seals.c.seq, _seals.c.hash).order_by(_seals.c.seq.desc()).limit(1)


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
        count, _ = chain_checks.check_chains(decisions, empty)
    seal_count, head, is_expected = 0, GENESIS, expected_head in (None, GENESIS)
    with _streamed(tx, _SEALS) as seal_rows:
        for seal_count, row in enumerate(seal_rows, start=1):
            if row.seq != seal_count:
                raise AuditBroken(f"Seal {seal_count} is missing before seal {row.seq}.")
            chain_checks.check_seal(tx, row)
            head = row.hash
            is_expected = is_expected or head == expected_head
    chain_checks.check_seal_head(tx, seal_count, head)
    check_resolutions(tx)
    if expected_head is not None and not is_expected:
        raise _head_missing(expected_head, count, seal_count)
    return _report(execute(tx, _UNSEALED).one(), count, seal_count, head)


def verify_run(tx: Session, root_run_id: str) -> AuditReport:
    """Walk the chain of one root run and the seals of it; `head` is the chain's last hash.

    Raises as `verify`.
    """
    count, seal_count, head = _check_part(tx, _OF_RUN, root=root_run_id)
    check_resolutions(tx, root_run_id)
    unsealed = execute(tx, _OF_RUN.unsealed, root=root_run_id).one()
    return _report(unsealed, count, seal_count, head, root_run_id=root_run_id)


def verify_tenant(tx: Session, tenant: str, expected_head: str | None = None) -> AuditReport:
    """Walk the chains whose decisions are of one tenant, and their seals.

    Of the others, nothing is read but the hashes beside these seals, and the last one: `head` is
    that of the whole log, and `expected_head` may be any seal's.

    Raises as `verify`.
    """
    count, seal_count, _ = _check_part(tx, _OF_TENANT, tenant=tenant)
    check_resolutions(tx, tenant=tenant)
    if expected_head is not None and not seals.has_head(tx, expected_head):
        raise _head_missing(expected_head, count, seal_count)
    unsealed = execute(tx, _OF_TENANT.unsealed, tenant=tenant).one()
    return _report(unsealed, count, seal_count, seals.head_of(tx)[1], tenant=tenant)


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


def _check_part(tx: Session, part: _Part, **values: str) -> tuple[int, int, str]:
    """Return how many decisions and seals a part has, and the last hash of its last chain."""
    empty = execute(tx, part.empty, **values).first()
    with _streamed(tx, part.chains, **values) as decisions:
        count, head = chain_checks.check_chains(decisions, empty)
    last = execute(tx, _LAST_SEAL).first()
    end = chain_checks.check_last_seal(tx, None if last is None else (last.seq, last.hash))
    seal_count = 0
    with _streamed(tx, part.seals, **values) as seal_rows:
        for row in seal_rows:
            chain_checks.check_seal(tx, row)
            chain_checks.check_next_seal(row, end)
            seal_count += 1
    lost = execute(tx, part.seal_lost, **values).first()
    if lost is not None:
        where = audit_chain.title_of(cast("DecisionRecord", lost))
        message = f"The seal of {where} is missing: it was sealed, and the seal was removed."
        raise AuditBroken(message)
    return count, seal_count, head


def _head_missing(expected_head: str, count: int, seal_count: int) -> AuditBroken:
    message = (
        f"The hash {expected_head!r} is not part of the log, whose {count} decisions and "
        f"{seal_count} seals fit together: the database is older than that hash, as after "
        "restoring a backup, or the log was rewritten since it was noted."
    )
    return AuditBroken(message)


def _report(
    unsealed: Row[Any],
    count: int,
    seal_count: int,
    head: str,
    *,
    root_run_id: str | None = None,
    tenant: str | None = None,
) -> AuditReport:
    return AuditReport(
        root_run_id=root_run_id,
        tenant=tenant,
        decisions=count,
        seals=seal_count,
        head=head,
        unsealed=unsealed.number,
        unsealed_since=unsealed.since,
    )
