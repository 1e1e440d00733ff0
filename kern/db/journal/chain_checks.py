"""What has to hold of every decision and seal of the log, in the order in which they are read."""

from collections.abc import Iterable
from itertools import groupby
from operator import attrgetter
from typing import Any, cast

from sqlalchemy import Row, bindparam, func, select
from sqlmodel import Session

from kern.db.engine.plain_rows import execute
from kern.db.engine.records import DecisionRecord, SealRecord
from kern.db.engine.typed_tables import DECISIONS
from kern.db.journal import audit_chain, seals
from kern.db.journal.hash_chains import GENESIS
from kern.errors import AuditBroken

_decisions = DECISIONS.table
_LENGTH = select(func.count()).where(_decisions.c.root_run_id == bindparam("root"))


def check_chains(decisions: Iterable[Row[Any]], empty: Row[Any] | None) -> tuple[int, str]:
    """Return how many decisions the chains have, and the last hash of the last one.

    Args:
        empty: The end of a chain that has no decisions.

    Raises:
        AuditBroken: a decision was changed, removed, added or reordered.
    """
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


def check_seal(tx: Session, row: Row[Any]) -> None:
    """Compare a seal with its content, the seal before it, and the decision that it covers.

    Raises:
        AuditBroken: one of them was changed or removed.
    """
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


def check_seal_head(tx: Session, count: int, head: str) -> None:
    """Compare all seals with the end of their log.

    Raises:
        AuditBroken: it is another one.
    """
    end = seals.head_of(tx)
    if end == (count, head):
        return
    message = (
        f"The log of seals should end at seal {end[0]} with the hash {end[1][:12]}…, but ends at "
        f"{count} with {head[:12]}…: seals are missing at its end, or were added by hand."
    )
    raise AuditBroken(message)


def check_last_seal(tx: Session, last: tuple[int, str] | None) -> tuple[int, str]:
    """Compare the last seal with the end of the log, and return it.

    Raises:
        AuditBroken: they differ. How many seals other tenants have, the message does not say.
    """
    end = seals.head_of(tx)
    if end == (last or (0, GENESIS)):
        return end
    message = (
        "The log of seals does not end where kern_seal_head says: seals are missing at its end, or "
        "were added by hand."
    )
    raise AuditBroken(message)


def check_next_seal(row: Row[Any], end: tuple[int, str]) -> None:
    """Check that the seal after one follows from it; or, of the last one, that the log ends there.

    Raises:
        AuditBroken: it does not.
    """
    if row.hash == (end[1] if row.seq == end[0] else row.next_previous_hash):
        return
    message = (
        f"The log of seals is broken behind {seals.title_of(cast('SealRecord', row))}: the seal "
        "after it does not follow from it, since one of them was changed or removed."
    )
    raise AuditBroken(message)
