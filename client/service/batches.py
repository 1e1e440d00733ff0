"""Batches: one verdict about look-alikes, each with a decision and a digest of its own."""

import uuid
from collections.abc import Sequence
from contextlib import suppress

from pydantic import JsonValue
from sqlmodel import Session

from kern.client.service import acceptance
from kern.client.service.inbox import Inbox, submission_of
from kern.client.service.own_runs import refuse_own_decision
from kern.contracts.batches import Batch, BatchAnswer
from kern.contracts.reports import Decision
from kern.contracts.viewer import Viewer
from kern.db.decisions import batches
from kern.db.decisions.batches import Key, Outcome, Refusal
from kern.db.decisions.deciding import Submission
from kern.db.engine.store import Store
from kern.db.reading import listings
from kern.errors import (
    DatabaseFailure,
    HighRisk,
    InvalidInput,
    KernError,
    MixedShapes,
    RunEnded,
    Unavailable,
)
from kern.process.calling_run import calling_run
from kern.process.clock import utc_now
from kern.requirements import Requirement
from kern.values.canonical import digest
from kern.values.ids import new_id
from kern.values.principals import Principal
from kern.values.states import Risk

MOST_ITEMS = 25
# Ids of batches are derived from keys in a space of their own.
_KEYS = uuid.UUID("b2f5c1de-0d0b-5a2e-8a53-4f7f3c1b9a60")


class Batches:
    """Decides look-alikes together, in one store."""

    def __init__(self, store: Store, inbox: Inbox) -> None:
        self._store = store
        self._inbox = inbox

    async def is_kept(self, viewer: Viewer, batch: Batch, key: str) -> bool:
        """Whether a batch was sent under this key before.

        Raises:
            KeyReused: something else was sent under the key.
        """
        kept = _key(viewer, batch, key)
        return await self._store.read(lambda tx: batches.find(tx, kept)) is not None

    async def decide(
        self,
        viewer: Viewer,
        batch: Batch,
        by: str | Principal | None = None,
        *,
        key: str | None = None,
    ) -> list[BatchAnswer]:
        """Decide about some requirements that look alike, in one transaction.

        Each is its own decision. What cannot be decided is left as it is, and the answer in its
        place says why: somebody was first, it is not what was shown, or a glance is not enough
        (`kern.contracts.short_path`).

        Args:
            viewer: Who asks.
            batch: The verdict, and up to 25 requirements, each once.
            by: Who decides, where nobody was authenticated.
            key: The same key again decides nothing more, and has the same answers.

        Raises:
            MixedShapes: they do not look alike; nothing was decided.
            HighRisk: one of them is of high risk; nothing was decided.
            KeyReused: another batch was sent under the key.
            InvalidInput: there are none or too many of them, or one is there twice.
            Unavailable: the database does not answer. Send it again, with the same key.
            DatabaseFailure: it answers with an error. Nothing is kept under the key.
        """
        _check_number(batch)
        kept = None if key is None else _key(viewer, batch, key)
        if kept is not None:
            present = await self._store.read(lambda tx: batches.find(tx, kept))
            if present is not None:
                return await self._answers(present)
        items = await self._items(viewer, batch, by, kept)
        submissions = [item for item in items if isinstance(item, Submission)]
        await self._end_terminated(viewer, submissions)
        now, caller = utc_now(), calling_run()

        def decide(tx: Session) -> list[Outcome]:
            for item in submissions:
                refuse_own_decision(tx, item.requirement_id, caller)
            return batches.decide(tx, items, viewer, now, kept)

        with acceptance.deciding([item.requirement_id for item in items]):
            outcomes = await self._store.write(decide)
        for outcome in outcomes:
            if outcome.accepted is not None:
                await self._inbox.deliver(outcome.accepted)
        return await self._answers(outcomes)

    async def _items(
        self, viewer: Viewer, batch: Batch, by: str | Principal | None, key: Key | None
    ) -> list[Submission | Outcome]:
        """Fill in the decisions; what there is none about is answered already."""
        requirements: list[Requirement] = []
        items: list[Submission | Outcome] = []
        for item in batch.items:
            try:
                requirement = await self._inbox.read(viewer, item.requirement_id)
                requirements.append(requirement)
                if batch.verdict == "approve":
                    requirement.approve(batch.note, digest=item.digest)
                else:
                    requirement.reject(batch.note)
                items.append(
                    submission_of(viewer, requirement, by, id=_decision_id(key, requirement.id))
                )
            except (Unavailable, DatabaseFailure):
                # It says nothing of the requirement, so it must not be kept as the answer.
                raise
            except KernError as error:
                refusal = Refusal(error.code, str(error))
                items.append(Outcome(item.requirement_id, refusal=refusal))
        _check_alike(requirements)
        return items

    async def _end_terminated(self, viewer: Viewer, submissions: Sequence[Submission]) -> None:
        """End the rows of runs that were terminated in Temporal: deciding refuses those then."""
        for _ in submissions:
            with suppress(RunEnded):
                await self._inbox.refuse_terminated(viewer, submissions)
                return

    async def _answers(self, outcomes: Sequence[Outcome]) -> list[BatchAnswer]:
        def read(tx: Session) -> dict[str, Decision]:
            return {
                decision.id: decision
                for item in outcomes
                if item.decision_id is not None
                for decision in listings.decisions_about(tx, item.requirement_id)
            }

        decisions = await self._store.read(read)
        return [
            BatchAnswer(
                requirement_id=item.requirement_id,
                decision=decisions.get(item.decision_id or ""),
                code=None if item.refusal is None else item.refusal.code,
                detail=None if item.refusal is None else item.refusal.detail,
            )
            for item in outcomes
        ]


def _check_number(batch: Batch) -> None:
    number = len(batch.items)
    if not 1 <= number <= MOST_ITEMS:
        message = f"A batch has {number} items: send 1 to {MOST_ITEMS}. Nothing was decided."
        raise InvalidInput(message)


def _check_alike(requirements: Sequence[Requirement]) -> None:
    ids = [item.id for item in requirements]
    double = next((item for item in ids if ids.count(item) > 1), None)
    if double is not None:
        message = f"Requirement {double!r} is there twice. Nothing was decided. Send each once."
        raise InvalidInput(message)
    if len({item.shape for item in requirements}) > 1:
        message = (
            "These requirements do not look alike: their `shape` differs. Nothing was decided. "
            "Send those of one shape together."
        )
        raise MixedShapes(message)
    risky = next((item for item in requirements if item.risk is Risk.high), None)
    if risky is not None:
        message = (
            f"Requirement {risky.id!r} is of high risk, which is decided by itself. Nothing was "
            "decided. Open each of them."
        )
        raise HighRisk(message)


def _key(viewer: Viewer, batch: Batch, key: str) -> Key:
    principal = viewer.principal
    issuer, subject = (
        ("", viewer.user_id or "")
        if principal is None
        else (
            principal.issuer,
            principal.subject,
        )
    )
    body: JsonValue = batch.model_dump(mode="json")
    # None of them has a line break.
    batch_id = str(uuid.uuid5(_KEYS, f"{viewer.accepting_tenant}\n{issuer}\n{subject}\n{key}"))
    return Key(batch_id, digest(body), viewer.accepting_tenant)


def _decision_id(key: Key | None, requirement_id: str) -> str:
    """Return the id of the decision of an item; with a key, the same again."""
    return new_id() if key is None else str(uuid.uuid5(_KEYS, f"{key.id}\n{requirement_id}"))
