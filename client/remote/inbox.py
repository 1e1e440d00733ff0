"""The inbox over HTTP: what waits for people, and their decisions, each made once."""

from typing import Unpack

from pydantic import JsonValue

from kern.client.api.pages import Page
from kern.client.api.resources import AcceptedDecision, DecisionResource, RequirementResource
from kern.client.api.run_resources import RunResource
from kern.client.remote.connection import Connection
from kern.client.remote.identity import Identity
from kern.client.remote.pages import collect
from kern.contracts.queries import PendingFilters
from kern.contracts.reports import Decision, InboxCounts, Receipt, RequirementPage
from kern.contracts.viewer import Viewer
from kern.errors import InvalidDecision, InvalidInput, NotAllowed, NotFound
from kern.process.calling_run import calling_run
from kern.requirements import DecisionDraft, Requirement, submitted_digest
from kern.values.ids import new_id, require_id
from kern.values.principals import Principal
from kern.values.states import Verdict

# What lets a call run, or says what it did, names what was shown.
_ABOUT_THE_CALL = frozenset({Verdict.approve, Verdict.answer, Verdict.run_again, Verdict.happened})
# How the API calls what the service calls otherwise.
_PARAMETERS = {"user_id": "user", "run_id": "run", "session_id": "session"}


class RemoteInbox:
    """Lists, reads and decides requirements. Each method raises as that of `Inbox`."""

    def __init__(self, connection: Connection, identity: Identity) -> None:
        self._connection = connection
        self._identity = identity

    async def pending(
        self,
        viewer: Viewer,
        *,
        limit: int,
        cursor: str | None = None,
        **filters: Unpack[PendingFilters],
    ) -> RequirementPage:
        """List pending requirements; `for_principal` can only be whoever the token belongs to."""
        await self._identity.check_tenant(viewer)
        for_principal = filters.get("for_principal")
        if for_principal is not None and not await self._identity.is_owner(_typed(for_principal)):
            message = (
                f"What waits for {for_principal.name!r} is asked for with the token of somebody "
                "else: over HTTP it can be asked for oneself."
            )
            raise InvalidInput(message)
        query = {
            _PARAMETERS.get(name, name): value
            for name, value in filters.items()
            if name != "for_principal"
        }
        if for_principal is not None:
            query["for"] = "me"

        async def read(count: int, after: str | None) -> Page[RequirementResource]:
            parameters = {**query, "limit": count, "after": after}
            return await self._connection.get(
                Page[RequirementResource], "requirements", parameters=parameters
            )

        page = await collect(read, limit, cursor)
        items = [item.requirement() for item in page.items]
        return RequirementPage(requirements=items, next_cursor=page.next)

    async def counts(self, viewer: Viewer, principal: Principal) -> InboxCounts:
        """Count what waits for whoever the token belongs to, and in all."""
        await self._identity.check_tenant(viewer)
        await self._identity.check_person(_typed(principal))
        return await self._connection.get(InboxCounts, "requirements", "counts")

    async def read(self, viewer: Viewer, requirement_id: str) -> Requirement:
        """Read a requirement, pending or not."""
        await self._identity.check_tenant(viewer)
        path = ("requirements", require_id("requirement_id", requirement_id))
        return (await self._connection.get(RequirementResource, *path)).requirement()

    async def decisions(self, viewer: Viewer, requirement_id: str) -> list[Decision]:
        """Read what was decided about a requirement, in order."""
        await self._identity.check_tenant(viewer)
        path = ("requirements", require_id("requirement_id", requirement_id), "decisions")
        page = await self._connection.get(Page[DecisionResource], *path)
        return [item.decision() for item in page.items]

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

        Whoever the token belongs to decides. The request carries a key of its own: where the answer
        is lost, it is sent again, and is decided once.

        Raises:
            NotAllowed: somebody else is named, or this is code of the run that waits.
            Unavailable: nothing answers, and it is not known whether the decision was accepted.
            KernError: it is refused, and nothing was changed.
        """
        draft = requirement.draft
        if draft is None:
            message = f"No decision was filled in on requirement {requirement.id!r}."
            raise InvalidDecision(message)
        await self._identity.check_tenant(viewer)
        await self._identity.check_person(by or draft.by)
        await self._refuse_own(requirement)
        accepted = await self._connection.post(
            AcceptedDecision,
            *("requirements", require_id("id of the requirement", requirement.id), "decisions"),
            body=_body(requirement, draft, digest, confirm),
            key=decision_id or new_id(),
        )
        return Receipt(requirement=accepted.requirement.requirement(), delivered=accepted.delivered)

    async def _refuse_own(self, requirement: Requirement) -> None:
        """Refuse a decision of code about what its own run waits for, as the database does."""
        caller = calling_run()
        if caller is None:
            return
        own_root = await self._root_of(caller)
        if own_root is None or own_root != await self._root_of(requirement.run_id):
            return
        message = (
            f"Code of run {caller!r} decides about requirement {requirement.id!r} of the same run: "
            "no run approves its own calls. Nothing was decided. Have a person decide."
        )
        raise NotAllowed(message)

    async def _root_of(self, run_id: str) -> str | None:
        """Return the run at the root; None for one that this installation does not have."""
        following: str | None = run_id
        while following is not None:
            run_id = following
            try:
                following = (await self._connection.get(RunResource, "runs", run_id)).parent
            except NotFound:
                return None
        return run_id


def _typed(principal: Principal) -> str | Principal:
    """Return the name of a principal that somebody typed: it is compared with the token's owner."""
    return principal.name if principal.is_local else principal


def _body(
    requirement: Requirement, draft: DecisionDraft, digest: str | None, confirm: str | None
) -> dict[str, JsonValue]:
    named_digest = digest or draft.digest
    if named_digest is None and draft.verdict in _ABOUT_THE_CALL:
        # Without another one, that of the call as the object has it.
        named_digest = submitted_digest(requirement)
    values: dict[str, JsonValue] = {
        "verdict": draft.verdict.value,
        "digest": named_digest,
        "confirm": confirm,
        "note": draft.note,
        "edit": draft.edit,
        "values": draft.values,
        "choices": None if draft.choices is None else list(draft.choices),
        "result": draft.result,
        "even_if_running": draft.even_if_running or None,
    }
    return {name: value for name, value in values.items() if value is not None}
