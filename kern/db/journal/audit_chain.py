"""The log of decisions, a chain: each hash covers a row and the hash of the row before.

Which columns a hash covers is part of what it covers: the row's `version`. A later version may add
columns, and the rows of the earlier ones verify as they did.

Personal text (notes, edits, values) is covered by a digest of its own, with a salt beside the text.
`erase` removes both, and the chain still verifies: without the salt, nobody finds the text by
trying. What remains says who decided what, when, and on which arguments by their digest.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import JsonValue
from sqlalchemy import bindparam
from sqlalchemy import select as sql_select
from sqlmodel import Session, col, select

from kern.db.engine.mutable_rows import MutableChainHead
from kern.db.engine.plain_rows import add_row, execute, new_row, rows
from kern.db.engine.records import DecisionRecord, RequirementRecord
from kern.db.engine.tables import ChainHeadRow, DecisionRow
from kern.db.engine.typed_tables import CHAIN_HEADS, DECISIONS, RUNS
from kern.db.engine.unit_of_work import hold
from kern.errors import AuditBroken
from kern.values.canonical import digest
from kern.values.ids import new_id
from kern.values.principals import Principal, principal_of
from kern.values.states import PrincipalKind, Verdict

_CHAIN = "decisions"
_GENESIS = "0" * 64
_heads, _decisions = (CHAIN_HEADS.table, DECISIONS.table)
_DECISIONS = (
    _decisions.select()
    .where(_decisions.c.requirement_id == bindparam("requirement_id"))
    .order_by(_decisions.c.position)
)
_LOCKED = _heads.select().where(_heads.c.name == bindparam("name")).with_for_update()
_VERSION = 1
# By version, the columns that a hash covers beside the time.
_HASHED = {
    1: (
        *("version", "seq", "id", "requirement_id", "position", "run_id", "kind", "verdict"),
        *("actor", "issuer", "subject", "principal_kind", "groups", "tenant"),
        *("tool_name", "digest", "text_digest", "previous_hash"),
    )
}
_of_session = sql_select(RUNS.table.c.id).where(RUNS.table.c.session_id == bindparam("of_session"))
_ERASE = (
    _decisions.update()
    .where(_decisions.c.run_id.in_(_of_session))
    .values(note=None, edit=None, given=None, salt=None)
)


@dataclass(frozen=True)
class NewDecision:
    """A decision that is about to be written: by whom, which verdict, on which arguments.

    Without a `principal`, the name is a local claim.
    """

    verdict: Verdict
    actor: str
    note: str | None
    digest: str
    edit: dict[str, JsonValue] | None = None
    given: JsonValue = None
    id: str = field(default_factory=new_id)
    principal: Principal | None = None
    salt: str = field(default_factory=lambda: secrets.token_hex(16))


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
    principal = decision.principal or principal_of(decision.actor)
    row = new_row(
        DECISIONS,
        seq=head.seq + 1,
        id=decision.id,
        requirement_id=requirement.id,
        position=len(earlier) + 1,
        run_id=requirement.run_id,
        kind=requirement.kind,
        verdict=decision.verdict.value,
        version=_VERSION,
        actor=decision.actor,
        issuer=principal.issuer,
        subject=principal.subject,
        principal_kind=principal.kind.value,
        groups=list(principal.groups),
        tenant=principal.tenant,
        note=decision.note,
        tool_name=requirement.tool_name,
        digest=decision.digest,
        edit=decision.edit,
        given=decision.given,
        salt=decision.salt,
        text_digest="",
        at=now,
        previous_hash=head.hash,
        hash="",
    )
    row.text_digest = _digest_of_texts(row)
    row.hash = hash_of(row)
    head.seq, head.hash = row.seq, row.hash
    add_row(tx, DECISIONS, row)


def hash_of(row: DecisionRecord) -> str:
    """Return the SHA-256 of a decision's content, as of its version, and the previous hash."""
    content: dict[str, JsonValue] = {name: getattr(row, name) for name in _HASHED[row.version]}
    return digest({**content, "at": row.at.isoformat()})


def is_intact(row: DecisionRecord) -> bool:
    """Whether a decision is as it was written, or its texts were erased and nothing else."""
    if row.version not in _HASHED or row.hash != hash_of(row):
        return False
    if row.salt is None:
        return (row.note, row.edit, row.given) == (None, None, None)
    return row.text_digest == _digest_of_texts(row)


def principal_of_row(row: DecisionRecord) -> Principal:
    """Return the principal who made a decision."""
    return Principal.model_construct(
        issuer=row.issuer,
        subject=row.subject,
        name=row.actor,
        kind=PrincipalKind(row.principal_kind),
        groups=tuple(row.groups),
        tenant=row.tenant,
    )


def erase(tx: Session, session_id: str) -> None:
    """Erase the notes, edits and values of a session's decisions; the chain still verifies."""
    execute(tx, _ERASE, of_session=session_id)


def _digest_of_texts(row: DecisionRecord) -> str:
    edit = None if row.edit is None else dict(row.edit)
    texts: dict[str, JsonValue] = {"note": row.note, "edit": edit, "given": row.given}
    return digest({**texts, "salt": row.salt})


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
    if row.version not in _HASHED:
        message = (
            f"This version of Kern cannot verify {where}: it has the version {row.version}. Verify "
            "the log with the newest version that writes to it; if that is this one, somebody "
            "changed the row."
        )
        raise AuditBroken(message)
    if not is_intact(row):
        message = f"The content of {where} was changed after it was written."
        raise AuditBroken(message)
