"""Seals link the chains of decisions of all runs into one log, whose last hash says it all.

A seal names a run, the length of its chain and the chain's last hash; its own hash covers the seal
before. So nothing that is sealed can be changed, removed or put elsewhere without changing every
hash that follows, and one hash that was noted elsewhere proves all that was decided before it.

The relay of each worker seals every second. Two rules keep that harmless:

- **Nobody who decides waits for it.** A decision inserts a row into `kern_unsealed`, and the sealer
  deletes it; it locks no row of a chain. A sealer that is frozen in its transaction delays seals.
- **One sealer at a time.** The end of the log is one row, which is skipped where another sealer
  holds it. One transaction adds the seals, moves the end, and deletes what they cover, so that it
  happens as a whole, whenever the sealer dies.
"""

from datetime import datetime

from pydantic import JsonValue
from sqlalchemy import bindparam, delete, select
from sqlmodel import Session

from kern.db.engine.mutable_rows import MutableSeal, MutableSealHead
from kern.db.engine.plain_rows import execute, new_row, rows
from kern.db.engine.records import SealRecord, UnsealedRecord
from kern.db.engine.typed_tables import SEAL_HEADS, SEALS, UNSEALED
from kern.db.engine.unit_of_work import hold
from kern.db.journal.hash_chains import GENESIS, content_of
from kern.errors import AuditBroken, InvalidInput
from kern.values.canonical import digest

# How many decisions one transaction seals at most.
BATCH = 500
_NAME = "seals"
_VERSION = 1
# By version, the columns that a hash covers beside the time.
_HASHED = {
    1: ("version", "seq", "root_run_id", "chain_seq", "chain_hash", "previous_hash"),
}
_heads, _seals, _unsealed = (SEAL_HEADS.table, SEALS.table, UNSEALED.table)
_HEAD = select(_heads.c.seq, _heads.c.hash).where(_heads.c.name == _NAME)
_LOCKED = _heads.select().where(_heads.c.name == _NAME).with_for_update(skip_locked=True)
_ANY_UNSEALED = select(_unsealed.c.seq).limit(1)
_NEXT = (
    _unsealed.select().order_by(_unsealed.c.root_run_id, _unsealed.c.seq).limit(bindparam("most"))
)
_SEALED = delete(_unsealed).where(
    _unsealed.c.root_run_id == bindparam("sealed_run_id"),
    _unsealed.c.seq <= bindparam("sealed_seq"),
)
_OF_HASH = select(_seals.c.seq).where(_seals.c.hash == bindparam("hash"))


def is_any_unsealed(tx: Session) -> bool:
    """Whether there are decisions to be sealed, without taking a lock."""
    return execute(tx, _ANY_UNSEALED).first() is not None


def seal(tx: Session, now: datetime) -> int:
    """Seal the next decisions, if no other sealer is at it; return how many they were.

    Raises:
        AuditBroken: the end of the log is missing.
    """
    end = hold(tx, SEAL_HEADS, _LOCKED)
    if end is None:
        head_of(tx)
        return 0
    unsealed = list(rows(tx, UNSEALED, _NEXT, most=BATCH))
    if not unsealed:
        return 0
    last: dict[str, UnsealedRecord] = {row.root_run_id: row for row in unsealed}
    new = [_next_seal(end, head, now) for head in last.values()]
    connection = tx.connection()
    connection.execute(SEALS.insertion, [vars(row) for row in new])
    sealed = [{"sealed_run_id": row.root_run_id, "sealed_seq": row.chain_seq} for row in new]
    connection.execute(_SEALED, sealed)
    return len(unsealed)


def _next_seal(end: MutableSealHead, head: UnsealedRecord, now: datetime) -> MutableSeal:
    """Return the seal that follows the last one, and move the end of the log to it."""
    row = new_row(
        SEALS,
        seq=end.seq + 1,
        version=_VERSION,
        root_run_id=head.root_run_id,
        chain_seq=head.seq,
        chain_hash=head.hash,
        at=now,
        previous_hash=end.hash,
        hash="",
    )
    row.hash = hash_of(row)
    end.seq, end.hash = row.seq, row.hash
    return row


def head_of(tx: Session) -> tuple[int, str]:
    """Return how many seals there are, and the last one's hash. The migration made the row.

    Raises:
        AuditBroken: it is missing.
    """
    row = execute(tx, _HEAD).first()
    if row is None:
        message = (
            "The end of the log of seals is missing from kern_seal_head: somebody removed it. "
            "Nothing is sealed until it is restored."
        )
        raise AuditBroken(message)
    return row.seq, row.hash


def hashed_content(row: SealRecord) -> dict[str, JsonValue]:
    """Return what a seal's hash covers. Raises as `content_of`."""
    return content_of(row, _HASHED, title_of)


def hash_of(row: SealRecord) -> str:
    """Return the SHA-256 of a seal's content, which holds the hash of the one before.

    Raises as `content_of`.
    """
    return digest(hashed_content(row))


def is_intact(row: SealRecord) -> bool:
    """Whether a seal is as it was written.

    Raises as `content_of`.
    """
    try:
        return row.hash == hash_of(row)
    except InvalidInput:
        # A column holds what is no JSON, and was never written.
        return False


def title_of(row: SealRecord) -> str:
    """Return how errors name a seal."""
    return f"seal {row.seq} (decision {row.chain_seq} of run {row.root_run_id!r})"


def has_head(tx: Session, expected_head: str) -> bool:
    """Whether a seal has a hash, or it is that of a log without seals."""
    return expected_head == GENESIS or execute(tx, _OF_HASH, hash=expected_head).first() is not None


def require_head(tx: Session, expected_head: str) -> None:
    """Check that the database is not older than a hash that was noted elsewhere.

    Raises:
        AuditBroken: no seal has it; nothing else of the log is verified.
    """
    if has_head(tx, expected_head):
        return
    message = (
        f"KERN_AUDIT_HEAD is {expected_head!r}, and no seal of the log of decisions has this hash: "
        "the database is older, as after restoring a backup, or its log was rewritten. Nothing was "
        "started, since calls that were executed after the backup would be executed again. Mark "
        "them as happened or cancel their runs (see docs/how-to/backup-and-restore.md), then unset "
        "KERN_AUDIT_HEAD or set it to the present head, which `kern audit verify` prints."
    )
    raise AuditBroken(message)
