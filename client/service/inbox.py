"""The inbox: what waits for people, and their decisions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlmodel import Session

from kern.client.service import acceptance
from kern.client.service.actors import actor_of
from kern.client.service.dossier import Dossier, read_dossier
from kern.client.service.inbox_pages import InboxPages
from kern.client.service.own_runs import refuse_own_decision
from kern.client.service.ports import Deliverer
from kern.contracts.decision_states import DecisionState, decision_state
from kern.contracts.reports import Decision, Receipt
from kern.contracts.triage import HistoryEntry
from kern.contracts.typed_values import value_to_type
from kern.contracts.viewer import Viewer
from kern.db.decisions import deciding
from kern.db.decisions.deciding import Accepted, Submission
from kern.db.decisions.hindrances import hindrances
from kern.db.engine.store import Store
from kern.db.reading import (
    listings,
    requirement_history,
    requirement_outputs,
    run_outputs,
)
from kern.db.reading.agent_words import agent_words
from kern.db.reading.open_requirements import open_requirements
from kern.db.reading.run_trees import runs_of_requirements
from kern.db.runs import lifecycle
from kern.errors import InvalidDecision, RunEnded
from kern.process.calling_run import calling_run
from kern.process.checkpoints import reach
from kern.requirements import Requirement, submitted_digest
from kern.values.decisions import new_draft
from kern.values.ids import new_id, require_id
from kern.values.principals import Principal
from kern.values.states import Verdict


@dataclass(frozen=True)
class AcceptedDecision:
    """A decision that is stored, and how its run stands.

    Attributes:
        receipt: What the person who decided is shown.
        run_ids: The run of the requirement and those above it, from the root on.
        is_idle: Whether that run still waits for people.
        gate_id: What the run's workflow hears of, if the decision resolved the requirement.
    """

    receipt: Receipt
    run_ids: tuple[str, ...]
    is_idle: bool
    gate_id: str | None = None


class Inbox(InboxPages):
    """Lists and reads requirements, and accepts decisions, in one store."""

    def __init__(self, store: Store, deliverer: Deliverer) -> None:
        super().__init__(store)
        self._deliverer = deliverer

    async def read(self, viewer: Viewer, requirement_id: str) -> Requirement:
        """Read a requirement, pending or not.

        Args:
            viewer: Who asks.
            requirement_id: The requirement's id, or the end of it.

        Raises:
            NotFound: there is no such requirement.
            NotAllowed: it belongs to somebody else.
            InvalidInput: several ids end so.
        """

        def read(tx: Session) -> Requirement:
            row = listings.find_requirement_by_ending(tx, viewer, requirement_id)
            return requirement_outputs.requirement_of(tx, row, viewer)

        return await self._store.read(read)

    async def state(self, viewer: Viewer, requirement_id: str) -> DecisionState:
        """Read where a requirement and its call stand. Raises as `read`."""

        def read(tx: Session) -> DecisionState:
            row = listings.find_requirement_by_ending(tx, viewer, requirement_id)
            item = requirement_outputs.requirement_of(tx, row, viewer)
            call = run_outputs.execution_of(tx, row.tool_call_id)
            return decision_state(item, call, item.delivered_at)

        return await self._store.read(read)

    async def decisions(self, viewer: Viewer, requirement_id: str) -> list[Decision]:
        """Read what was decided about a requirement, in order. Raises as `read`."""

        def read(tx: Session) -> list[Decision]:
            row = listings.find_requirement_by_ending(tx, viewer, requirement_id)
            return listings.decisions_about(tx, row.id)

        return await self._store.read(read)

    async def hindrances(self, viewer: Viewer, requirement_ids: Sequence[str]) -> dict[str, str]:
        """Say why the viewer's principal may not approve these; those that they may are left out.

        Args:
            viewer: Who asks, with a principal.
            requirement_ids: Whole ids.
        """
        principal = viewer.principal
        if principal is None:
            return {}
        return await self._store.read(lambda tx: hindrances(tx, requirement_ids, principal, viewer))

    async def dossier(self, viewer: Viewer, requirement_id: str) -> Dossier:
        """Read everything that is known of one requirement. Raises as `read`."""
        return await self._store.read(lambda tx: read_dossier(tx, viewer, requirement_id))

    async def open_in(self, viewer: Viewer, run_ids: Sequence[str]) -> dict[str, list[Requirement]]:
        """Read what some runs and their child runs wait for, by the ids of the runs."""
        return await self._store.read(lambda tx: open_requirements(tx, run_ids, viewer))

    async def agent_words(self, viewer: Viewer, requirement_ids: Sequence[str]) -> dict[str, str]:
        """Read what agents said as they asked for these; whole ids."""
        return await self._store.read(lambda tx: agent_words(tx, requirement_ids, viewer))

    async def history(self, viewer: Viewer, requirement_id: str) -> list[HistoryEntry]:
        """Read what happened to a requirement, the oldest first: its latest 1,000 events.

        Raises:
            NotFound: there is no such requirement.
            NotAllowed: it belongs to somebody else.
        """

        def read(tx: Session) -> list[HistoryEntry]:
            row = listings.find_requirement_by_ending(tx, viewer, requirement_id)
            decisions = listings.decisions_about(tx, row.id)
            return requirement_history.history_of(tx, [row.id], decisions)

        return await self._store.read(read)

    async def decide(
        self,
        viewer: Viewer,
        requirement: Requirement,
        by: str | Principal | None = None,
        *,
        digest: str | None = None,
        decision_id: str | None = None,
        confirm: str | None = None,
    ) -> Receipt:
        """Accept the decision that was filled in on a requirement.

        Returns as soon as it is stored and delivery was tried; the run continues by itself. With a
        `digest`, nothing is decided but the call of which it is the beginning. The same
        `decision_id` again decides nothing more. What the person typed to `confirm` has to be the
        requirement's `confirm_value`, in the version that would run, if it has one; whether they
        have to type, the surface says.

        Raises:
            AlreadyResolved: somebody decided first; the message says who.
            KernError: it is refused, and nothing was changed.
        """
        if confirm is not None:
            _check_typed(requirement, confirm, digest)
        submission = submission_of(viewer, requirement, by, digest, id=decision_id)
        (accepted,) = await self._accept(viewer, [submission])
        return accepted.receipt

    async def decide_all(
        self,
        viewer: Viewer,
        requirements: Sequence[Requirement],
        *,
        within: str | None = None,
    ) -> list[AcceptedDecision]:
        """Accept all decisions that were filled in, in one transaction, or none of them.

        Args:
            viewer: Who decides.
            requirements: Those without a decision are left out.
            within: The run to which, or to whose child runs, all of them have to belong.

        Raises:
            KernError: one of them is refused, and then none was stored.
        """
        submissions = [
            submission_of(viewer, item, None) for item in requirements if item.draft is not None
        ]
        return await self._accept(viewer, submissions, within) if submissions else []

    async def _accept(
        self, viewer: Viewer, submissions: Sequence[Submission], within: str | None = None
    ) -> list[AcceptedDecision]:
        now, caller = datetime.now(UTC), calling_run()

        def decide(tx: Session) -> list[Accepted]:
            for item in submissions:
                refuse_own_decision(tx, item.requirement_id, caller)
            return [deciding.resolve(tx, item, viewer, now, within=within) for item in submissions]

        requirement_ids = [item.requirement_id for item in submissions]
        with acceptance.before_deciding(requirement_ids, within):
            await self.refuse_terminated(viewer, submissions)
        reach("resolve.before_store")
        with acceptance.deciding(requirement_ids, within):
            stored = await self._store.write(decide)
        reach("resolve.after_store")
        return [await self.deliver(accepted) for accepted in stored]

    async def refuse_terminated(self, viewer: Viewer, submissions: Sequence[Submission]) -> None:
        """Refuse to decide about a run that an operator has ended in Temporal, and end its row.

        Raises:
            RunEnded: there is such a run among them; nothing was decided.
        """
        viewers = {item.requirement_id: viewer.acting_as(item.actor) for item in submissions}
        run_ids = await self._store.read(lambda tx: runs_of_requirements(tx, viewers))
        run_id = await self._deliverer.terminated_among(run_ids)
        if run_id is None:
            return
        now = datetime.now(UTC)
        await self._store.write(lambda tx: lifecycle.end_outside(tx, run_id, "terminated", now))
        message = (
            f"Run {run_id!r} was ended from outside Kern: somebody terminated its workflow in "
            "Temporal. Nothing was decided, and nothing of it runs any more. Start a new run."
        )
        raise RunEnded(message)

    async def deliver(self, accepted: Accepted) -> AcceptedDecision:
        """Notify the run of a decision that was stored, as far as that can be done now."""
        delivered, gate_id = None, None
        if accepted.delivery is not None:
            gate_id = accepted.delivery.requirement_id
            delivered = await acceptance.deliver(self._deliverer, accepted.delivery)
        receipt = Receipt(requirement=accepted.requirement, delivered=delivered)
        return AcceptedDecision(receipt, accepted.run_ids, accepted.stands_still, gate_id)


def _check_typed(requirement: Requirement, confirm: str, digest: str | None) -> None:
    draft = requirement.draft
    expected = requirement.confirm_value
    if draft is not None and draft.verdict is Verdict.approve:
        # Without a digest it is about the call as it was asked for.
        expected = value_to_type(
            requirement, draft.edit, digest or draft.digest or requirement.digest
        )
    if expected == confirm:
        return
    if expected is None:
        message = (
            f"Nothing has to be typed to confirm requirement {requirement.id!r}: leave out what "
            "was typed. Nothing was decided."
        )
        raise InvalidDecision(message)
    message = (
        f"Requirement {requirement.id!r} is confirmed by typing {expected!r}, and something else "
        "was typed. Nothing was decided."
    )
    raise InvalidDecision(message)


def submission_of(
    viewer: Viewer,
    requirement: Requirement,
    by: str | Principal | None,
    digest: str | None = None,
    *,
    id: str | None = None,
) -> Submission:
    """Return the decision that was filled in on a requirement, to be accepted.

    Raises:
        InvalidDecision: none was filled in, or the digest is none.
        InvalidInput: a name or the requirement's id can be none.
    """
    draft = requirement.draft
    if draft is None:
        message = f"No decision was filled in on requirement {requirement.id!r}."
        raise InvalidDecision(message)
    if digest is not None:
        draft = new_draft(requirement.id, {**dict(draft), "digest": digest})
    return Submission(
        requirement_id=require_id("id of the requirement", requirement.id),
        digest=submitted_digest(requirement),
        draft=draft,
        actor=actor_of(viewer, by or draft.by),
        id=id or new_id(),
    )
