"""Decides, cancels and accepts for an operator: one transaction, then Temporal is told."""

import asyncio
import os
from dataclasses import dataclass
from datetime import UTC, datetime

from kern.client.server.embedded import status
from kern.components.component import Component
from kern.contracts.requests import RunRequest
from kern.contracts.viewer import OPERATOR
from kern.db.decisions import deciding
from kern.db.decisions.deciding import Submission
from kern.db.engine.store import Store
from kern.db.journal.outbox import Delivery
from kern.db.runs import accepting, lifecycle
from kern.db.sessions import deletions
from kern.db.steps import retry as retrying
from kern.errors import InvalidDecision, Unavailable
from kern.media import read_all
from kern.process.settings import Settings
from kern.requirements import Requirement
from kern.values.canonical import clean_json, clean_text
from kern.values.ids import new_id


@dataclass(frozen=True)
class Decided:
    """A decision that was accepted; `delivered` is None when more people have to agree."""

    requirement: Requirement
    delivered: bool | None


def decide(settings: Settings, db: Store, requirement: Requirement, by: str) -> Decided:
    """Accept the decision that was filled in on `requirement`.

    Raises:
        KernError: it is refused, and nothing was changed.
    """
    submission = _submission(requirement, by)
    now = datetime.now(UTC)
    accepted = db.write_now(lambda tx: deciding.resolve(tx, submission, OPERATOR, now))
    delivered = None if accepted.delivery is None else deliver(settings, db, accepted.delivery)
    return Decided(accepted.requirement, delivered)


def cancel(settings: Settings, db: Store, run_id: str) -> bool:
    """Cancel a run, and return whether Temporal was told.

    Raises:
        KernError: it is refused, and nothing was changed.
    """
    now = datetime.now(UTC)
    delivery = db.write_now(lambda tx: lifecycle.cancel(tx, run_id, OPERATOR, now))
    return deliver(settings, db, delivery)


def retry(settings: Settings, db: Store, run_id: str) -> bool:
    """Have a workflow's run that failed go on, and return whether Temporal was told.

    Raises:
        KernError: it is refused, and nothing was changed.
    """
    now = datetime.now(UTC)
    delivery = db.write_now(lambda tx: retrying.retry(tx, run_id, OPERATOR, now))
    return delivery is None or deliver(settings, db, delivery)


def delete_session(settings: Settings, db: Store, session_id: str) -> list[bool]:
    """Delete a session; return for each run that it ended whether Temporal was told.

    Raises:
        KernError: it is refused, and nothing was changed.
    """
    now = datetime.now(UTC)
    deliveries = db.write_now(lambda tx: deletions.delete(tx, session_id, OPERATOR, now))
    return [deliver(settings, db, one) for one in deliveries]


def accept(settings: Settings, db: Store, component: Component, request: RunRequest) -> bool:
    """Accept a run that a worker executes, and return whether Temporal was told.

    Raises:
        KernError: it is refused, and nothing was changed.
    """
    attachments = read_all(request.media)
    now = datetime.now(UTC)
    run_id, session_id = request.run_id or new_id(), request.session_id or new_id()
    delivery = db.write_now(
        lambda tx: accepting.accept(
            tx,
            request,
            component_kind=component.kind,
            initial_state=component.initial_state,
            now=now,
            run_id=run_id,
            session_id=session_id,
            attachments=attachments,
        )
    )
    return delivery is None or deliver(settings, db, delivery)


def deliver(settings: Settings, db: Store, delivery: Delivery) -> bool:
    """Tell Temporal what was accepted; False when none answers, and the next worker tells it.

    A server that runs is joined; none is started.
    """
    server = status(settings.home)
    if not server.answers and not any(name.startswith("TEMPORAL_") for name in os.environ):
        return False
    return asyncio.run(_deliver(settings, db, delivery, server.address))


async def _deliver(settings: Settings, db: Store, delivery: Delivery, own: str | None) -> bool:
    # Slow to import, and most decisions are made where no server runs.
    from kern.client.temporal import connection
    from kern.client.temporal.courier import Courier

    address = None if connection.is_configured() else own
    if address is None and not connection.is_configured():
        return False
    try:
        client = await connection.connect(address)
    except Unavailable:
        return False
    return await Courier(db, client, settings).deliver(delivery)


def _submission(requirement: Requirement, by: str) -> Submission:
    draft = requirement.draft
    if draft is None:
        message = f"No decision was given for requirement {requirement.id!r}."
        raise InvalidDecision(message)
    cleaned = {
        "note": None if draft.note is None else clean_text(draft.note),
        "result": clean_json(draft.result),
    }
    return Submission(
        requirement_id=requirement.id,
        digest=requirement.submitted_digest,
        draft=draft.model_copy(update=cleaned),
        actor=clean_text(by),
    )
