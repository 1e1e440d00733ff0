"""The log of decisions: a chain for each root run, in which each hash covers the one before.

The decisions about a run and its child runs are one chain, which grows under a lock of its own:
decisions about different runs never wait for each other. `seals` links the chains into one log.

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
from typing import cast

from pydantic import JsonValue
from sqlalchemy import bindparam
from sqlalchemy import select as sql_select
from sqlmodel import Session

from kern.db.engine.mutable_rows import MutableChainHead
from kern.db.engine.plain_rows import add_later, add_row, execute, new_row, rows
from kern.db.engine.records import DecisionRecord, RequirementRecord
from kern.db.engine.typed_tables import CHAIN_HEADS, DECISIONS, RUNS, UNSEALED
from kern.db.engine.unit_of_work import hold, hold_new, save
from kern.db.journal.hash_chains import GENESIS, content_of
from kern.errors import AuditBroken, InvalidInput
from kern.values.canonical import digest
from kern.values.ids import new_id
from kern.values.principals import Principal, principal_of
from kern.values.states import PrincipalKind, Verdict

_heads, _decisions = (CHAIN_HEADS.table, DECISIONS.table)
_DECISIONS = (
    _decisions.select()
    .where(_decisions.c.requirement_id == bindparam("requirement_id"))
    .order_by(_decisions.c.position)
)
_LOCKED = _heads.select().where(_heads.c.root_run_id == bindparam("root_run_id")).with_for_update()
_ANY_DECISION = (
    sql_select(_decisions.c.seq)
    .where(_decisions.c.root_run_id == bindparam("root_run_id"))
    .limit(1)
)
_VERSION = 1
# By version, the columns that a hash covers beside the time.
_HASHED = {
    1: (
        *(
            "version",
            "root_run_id",
            "seq",
            "id",
            "requirement_id",
            "position",
            "run_id",
            "kind",
            "verdict",
        ),
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


def lock_chain(tx: Session, root_run_id: str) -> MutableChainHead:
    """Lock the end of a root run's chain, as this transaction's last lock in the tree of the run.

    The first decision makes the row. Of two that make it at once, the second waits for the first,
    violates the key and is executed again.

    Raises:
        AuditBroken: the run has decisions, and the end of their chain is missing.
    """
    head = hold(tx, CHAIN_HEADS, _LOCKED, root_run_id=root_run_id)
    if head is not None:
        return head
    if execute(tx, _ANY_DECISION, root_run_id=root_run_id).first() is not None:
        # The first decision may have been committed, with the row, since that was looked for.
        head = hold(tx, CHAIN_HEADS, _LOCKED, root_run_id=root_run_id)
        if head is not None:
            return head
        message = (
            f"The end of the chain of decisions of run {root_run_id!r} is missing from "
            "kern_chain_heads: somebody removed it. Nothing was decided. Find out who wrote to the "
            "database, and restore the row or the backup."
        )
        raise AuditBroken(message)
    new = new_row(CHAIN_HEADS, root_run_id=root_run_id, seq=0, hash=GENESIS)
    head = hold_new(tx, CHAIN_HEADS, new)
    save(tx)
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
) -> DecisionRecord:
    """Write a decision at the end of its chain; `earlier` are those about its requirement."""
    root_run_id = requirement.root_run_id or requirement.run_id
    head = lock_chain(tx, root_run_id)
    principal = decision.principal or principal_of(decision.actor)
    row = new_row(
        DECISIONS,
        root_run_id=root_run_id,
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
    row.text_digest = digest(texts_of(row))
    row.hash = hash_of(row)
    head.seq, head.hash = row.seq, row.hash
    add_row(tx, DECISIONS, row)
    add_later(tx, UNSEALED, root_run_id=root_run_id, seq=row.seq, hash=row.hash)
    return row


def hashed_content(row: DecisionRecord) -> dict[str, JsonValue]:
    """Return what a decision's hash covers. Raises as `content_of`."""
    return content_of(row, _HASHED, title_of)


def hash_of(row: DecisionRecord) -> str:
    """Return the SHA-256 of a decision's content, which holds the hash of the one before.

    Raises as `content_of`.
    """
    return digest(hashed_content(row))


def title_of(row: DecisionRecord) -> str:
    """Return how errors name a decision."""
    return (
        f"decision {row.seq} of run {row.root_run_id!r} ({row.id!r}, requirement "
        f"{row.requirement_id!r}, by {row.actor!r})"
    )


def is_intact(row: DecisionRecord) -> bool:
    """Whether a decision is as it was written, or its texts were erased and nothing else."""
    try:
        if row.version not in _HASHED or row.hash != hash_of(row):
            return False
        return are_erased(row) or row.text_digest == digest(texts_of(row))
    except InvalidInput:
        # A column holds what is no JSON, and was never written.
        return False


def texts_of(row: DecisionRecord) -> dict[str, JsonValue]:
    """Return the texts of a decision that can be erased, and their salt."""
    # As they are, since a list of pairs is another text than the object with these pairs.
    edit = cast("JsonValue", row.edit)
    return {"note": row.note, "edit": edit, "given": row.given, "salt": row.salt}


def are_erased(row: DecisionRecord) -> bool:
    """Whether the texts of a decision were erased."""
    return (row.note, row.edit, row.given, row.salt) == (None, None, None, None)


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
    """Erase the notes, edits and values of a session's decisions; the chains still verify."""
    execute(tx, _ERASE, of_session=session_id)
