"""Batches: decisions about look-alikes in one transaction, each its own and each as it deserves.

All of them are decided or answered together with the row that keeps the answers, or nothing is. So
whoever sends a batch again under its key is answered by that row, and nothing is decided twice or
later than it was meant to be.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

from pydantic import JsonValue
from sqlalchemy import bindparam
from sqlmodel import Session

from kern.contracts.short_path import obstacle_of
from kern.contracts.viewer import Viewer
from kern.db.decisions import deciding
from kern.db.decisions.deciding import Accepted, Submission
from kern.db.decisions.locking import lock_requirement
from kern.db.engine.columns import UtcDateTime
from kern.db.engine.plain_rows import add, execute
from kern.db.engine.typed_tables import BATCHES
from kern.db.reading.requirement_outputs import requirement_of
from kern.errors import Conflict, InvalidInput, KeyReused, NotAllowed, NotFound
from kern.values.states import RequirementStatus, Verdict

# So long a key is remembered.
_REMEMBERED = timedelta(days=30)
_REFUSALS = (InvalidInput, NotFound, NotAllowed, Conflict)
_batches = BATCHES.table
_BATCH = _batches.select().where(_batches.c.id == bindparam("batch_id"))
_FORGET = _batches.delete().where(_batches.c.at < bindparam("before", type_=UtcDateTime))


@dataclass(frozen=True)
class Refusal:
    """Why a requirement of a batch was left as it was."""

    code: str
    detail: str


@dataclass(frozen=True)
class Key:
    """Under what the answers to a batch are kept, and the digest of what was sent with it."""

    id: str
    body_digest: str
    tenant: str


@dataclass(frozen=True)
class Outcome:
    """What became of a requirement of a batch.

    Attributes:
        decision_id: The id of its decision; None if it was refused.
        accepted: What was stored, if this transaction has stored it.
    """

    requirement_id: str
    decision_id: str | None = None
    refusal: Refusal | None = None
    accepted: Accepted | None = None


def find(tx: Session, key: Key) -> list[Outcome] | None:
    """Return what became of a batch that was sent under this key before; None if none was.

    Raises:
        KeyReused: something else was sent under the key.
    """
    row = execute(tx, _BATCH, batch_id=key.id).first()
    if row is None:
        return None
    if row.body_digest != key.body_digest:
        message = (
            "The key belongs to another batch, which stands. Nothing was changed. Use a new key "
            "for a new batch."
        )
        raise KeyReused(message)
    return [_outcome(cast("dict[str, JsonValue]", item)) for item in row.answers]


def decide(
    tx: Session,
    items: Sequence[Submission | Outcome],
    viewer: Viewer,
    now: datetime,
    key: Key | None,
) -> list[Outcome]:
    """Decide about each of the requirements; return what became of them, in order.

    Those that are outcomes already are left as they are. Locks are taken in the order of the ids,
    so that two batches never wait for each other.

    Raises:
        KeyReused: something else was sent under the key.
    """
    present = None if key is None else find(tx, key)
    if present is not None:
        return present
    ordered = sorted(
        (item for item in items if isinstance(item, Submission)),
        key=lambda item: item.requirement_id,
    )
    decided = {item.requirement_id: _decide_one(tx, item, viewer, now) for item in ordered}
    outcomes = [decided.get(item.requirement_id, item) for item in items]
    results = [item for item in outcomes if isinstance(item, Outcome)]
    if key is not None:
        execute(tx, _FORGET, before=now - _REMEMBERED)
        answers: list[JsonValue] = [_answer(item) for item in results]
        add(
            tx,
            BATCHES,
            id=key.id,
            tenant=key.tenant,
            body_digest=key.body_digest,
            answers=answers,
            at=now,
        )
    return results


def _decide_one(tx: Session, submission: Submission, viewer: Viewer, now: datetime) -> Outcome:
    """Decide, or return why not: what is refused is refused before anything was changed.

    Any other error, such as a log that was tampered with, may come after that, and ends the batch.
    """
    requirement_id = submission.requirement_id
    try:
        refusal = _short_path_refusal(tx, submission, viewer)
        if refusal is not None:
            return Outcome(requirement_id, refusal=refusal)
        accepted = deciding.resolve(tx, submission, viewer, now)
    except _REFUSALS as error:
        return Outcome(requirement_id, refusal=Refusal(error.code, str(error)))
    return Outcome(requirement_id, decision_id=submission.id, accepted=accepted)


def _short_path_refusal(tx: Session, submission: Submission, viewer: Viewer) -> Refusal | None:
    if submission.draft.verdict is not Verdict.approve:
        return None
    _, row = lock_requirement(tx, submission.requirement_id, viewer.acting_as(submission.actor))
    if row.status != RequirementStatus.pending.value:
        # Deciding says by whom.
        return None
    obstacle = obstacle_of(requirement_of(tx, row))
    if obstacle is None:
        return None
    detail = (
        f"{obstacle.sentence}, so requirement {row.id!r} is not approved with others. Nothing was "
        "changed. Open it, and decide it by itself."
    )
    return Refusal(obstacle.value, detail)


def _answer(item: Outcome) -> dict[str, JsonValue]:
    refusal = item.refusal
    return {
        "requirement_id": item.requirement_id,
        "decision_id": item.decision_id,
        "code": None if refusal is None else refusal.code,
        "detail": None if refusal is None else refusal.detail,
    }


def _outcome(item: dict[str, JsonValue]) -> Outcome:
    code, decision_id = item.get("code"), item.get("decision_id")
    return Outcome(
        str(item["requirement_id"]),
        decision_id=None if decision_id is None else str(decision_id),
        refusal=None if code is None else Refusal(str(code), str(item.get("detail"))),
    )
