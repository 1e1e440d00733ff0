"""The log of decisions, a chain: each hash covers a row and the hash of the row before."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import JsonValue
from sqlalchemy import bindparam
from sqlmodel import Session, col, select

from kern.db.engine.mutable_rows import MutableChainHead
from kern.db.engine.plain_rows import add_row, new_row, rows
from kern.db.engine.records import DecisionRecord, RequirementRecord
from kern.db.engine.tables import ChainHeadRow, DecisionRow
from kern.db.engine.typed_tables import CHAIN_HEADS, DECISIONS
from kern.db.engine.unit_of_work import hold
from kern.errors import AuditBroken
from kern.values.canonical import digest
from kern.values.ids import new_id
from kern.values.states import Verdict

# The actor of a decision that a deadline or a late result makes.
KERN = "kern"
_CHAIN = "decisions"
_GENESIS = "0" * 64
_heads, _decisions = (CHAIN_HEADS.table, DECISIONS.table)
_DECISIONS = (
    _decisions.select()
    .where(_decisions.c.requirement_id == bindparam("requirement_id"))
    .order_by(_decisions.c.position)
)
_LOCKED = _heads.select().where(_heads.c.name == bindparam("name")).with_for_update()
_HASHED = (
    *("seq", "id", "requirement_id", "position", "run_id", "kind", "verdict", "actor", "note"),
    *("tool_name", "digest", "edit", "given", "previous_hash"),
)


@dataclass(frozen=True)
class NewDecision:
    """A decision that is about to be written: by whom, which verdict, on which arguments."""

    verdict: Verdict
    actor: str
    note: str | None
    digest: str
    edit: dict[str, JsonValue] | None = None
    given: JsonValue = None
    id: str = field(default_factory=new_id)


@dataclass(frozen=True)
class ChainReport:
    """A chain that verifies: how many decisions it holds, and its last hash."""

    decisions: int
    head: str


def lock_chain(tx: Session) -> MutableChainHead:
    """Lock the chain's end for this transaction, as its last lock. The migration made its row."""
    head = hold(tx, CHAIN_HEADS, _LOCKED, name=_CHAIN)
    if head is None:
        message = (
            "The end of the log of decisions is missing from kern_chain_heads: somebody removed it."
        )
        raise AuditBroken(message)
    return head


def decisions_of(tx: Session, requirement_id: str) -> list[DecisionRecord]:
    """Return the decisions about a requirement, in order."""
    return list(rows(tx, DECISIONS, _DECISIONS, requirement_id=requirement_id))


def append(
    tx: Session,
    requirement: RequirementRecord,
    decision: NewDecision,
    earlier: Sequence[DecisionRecord],
    now: datetime,
) -> None:
    """Write a decision at the end of the chain; `earlier` are those about its requirement."""
    head = lock_chain(tx)
    row = new_row(
        DECISIONS,
        seq=head.seq + 1,
        id=decision.id,
        requirement_id=requirement.id,
        position=len(earlier) + 1,
        run_id=requirement.run_id,
        kind=requirement.kind,
        verdict=decision.verdict.value,
        actor=decision.actor,
        note=decision.note,
        tool_name=requirement.tool_name,
        digest=decision.digest,
        edit=decision.edit,
        given=decision.given,
        at=now,
        previous_hash=head.hash,
        hash="",
    )
    row.hash = hash_of(row)
    head.seq, head.hash = row.seq, row.hash
    add_row(tx, DECISIONS, row)


def hash_of(row: DecisionRecord) -> str:
    """Return the SHA-256 of a decision's content and the previous hash."""
    content: dict[str, JsonValue] = {name: getattr(row, name) for name in _HASHED}
    return digest({**content, "at": row.at.isoformat()})


def verify(tx: Session, expected_head: str | None = None) -> ChainReport:
    """Walk the whole chain.

    Args:
        expected_head: A hash that was noted elsewhere earlier: it must still be part of the chain.

    Raises:
        AuditBroken: a decision was changed, removed, added or reordered; the message names the
        first one.
    """
    previous, count, has_expected_head = _GENESIS, 0, expected_head in (None, _GENESIS)
    query = select(DecisionRow).order_by(col(DecisionRow.seq)).execution_options(yield_per=500)
    with tx.exec(query) as decisions:
        for row in decisions:
            count += 1
            _check_row(row, count, previous)
            previous = row.hash
            has_expected_head = has_expected_head or previous == expected_head
    head = tx.exec(select(ChainHeadRow).where(ChainHeadRow.name == _CHAIN)).one()
    if (head.seq, head.hash) != (count, previous):
        message = (
            f"The log of decisions should end at decision {head.seq} with the hash "
            f"{head.hash[:12]}…, but ends at {count} with {previous[:12]}…: "
            "decisions are missing at its end, or were added by hand."
        )
        raise AuditBroken(message)
    if not has_expected_head:
        message = (
            f"The hash {expected_head!r} is not part of the log, whose {count} decisions fit "
            "together: the database is older than that hash, as after restoring a backup, or the "
            "log was rewritten since it was noted."
        )
        raise AuditBroken(message)
    return ChainReport(decisions=count, head=previous)


def require_head(tx: Session, expected_head: str) -> None:
    """Check that the database is not older than a hash that was noted elsewhere.

    Raises:
        AuditBroken: the log does not hold it; nothing else of the log is verified.
    """
    query = select(DecisionRow.seq).where(DecisionRow.hash == expected_head)
    if expected_head == _GENESIS or tx.exec(query).first() is not None:
        return
    message = (
        f"KERN_AUDIT_HEAD is {expected_head!r}, and the log of decisions does not hold this hash: "
        "the database is older, as after restoring a backup, or its log was rewritten. Nothing was "
        "started, since calls that were executed after the backup would be executed again. Mark "
        "them as happened or cancel their runs (see docs/how-to/backup-and-restore.md), then unset "
        "KERN_AUDIT_HEAD or set it to the present head, which `kern audit verify` prints."
    )
    raise AuditBroken(message)


def _check_row(row: DecisionRecord, expected_seq: int, previous: str) -> None:
    where = f"decision {row.seq} ({row.id!r}, requirement {row.requirement_id!r}, by {row.actor!r})"
    if row.seq != expected_seq:
        message = f"Decision {expected_seq} is missing before {where}."
        raise AuditBroken(message)
    if row.previous_hash != previous:
        message = (
            f"The log of decisions is broken before {where}: it does not follow from the decision "
            "before it."
        )
        raise AuditBroken(message)
    if row.hash != hash_of(row):
        message = f"The content of {where} was changed after it was written."
        raise AuditBroken(message)
