"""Listing, verification and export of the log of decisions."""

from collections.abc import AsyncGenerator
from typing import Unpack

from sqlmodel import Session

from kern.contracts.queries import DecisionFilters
from kern.contracts.reports import LONGEST_PAGE, AuditReport, DecisionPage
from kern.contracts.viewer import Viewer
from kern.db.engine.records import DecisionRecord, SealRecord
from kern.db.engine.store import Store
from kern.db.journal import audit_export, verification
from kern.db.reading import decision_pages, listings, run_outputs
from kern.db.reading.decision_pages import DecisionFilter
from kern.errors import InvalidInput, NotAllowed
from kern.values.ids import optional_id
from kern.values.validation import optional_time, require_count


class Audit:
    """Lists, verifies and exports the log of decisions of one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def verify(
        self, viewer: Viewer, run_id: str | None = None, head: str | None = None
    ) -> AuditReport:
        """Verify that no decision was changed, removed, added or reordered.

        Args:
            viewer: Who asks; the log covers all users and tenants, so only the operator of the
                installation may. The operator of one tenant may verify a run of theirs.
            run_id: Verify only the decisions about this run and those of its tree, and their seals;
                the end of the id is enough.
            head: A hash that was noted earlier, that of a seal: the log has to hold it.

        Raises:
            AuditBroken: it does not verify; the message names the first decision or seal that does
                not.
            InvalidInput: both a run and a head are named.
            NotFound: there is no such run, and the log has no decision about it.
            NotAllowed: the viewer is no operator, or that of one tenant.
        """
        _require_operator(viewer, run_id)
        if run_id is None:
            return await self._store.read(lambda tx: verification.verify(tx, head))
        if head is not None:
            message = (
                f"The head {head!r} is that of the whole log, and run {run_id!r} is a part of it: "
                "verify the log without naming a run."
            )
            raise InvalidInput(message)
        return await self._store.read(
            lambda tx: verification.verify_run(tx, _root_run_id(tx, viewer, run_id))
        )

    async def decisions(
        self,
        viewer: Viewer,
        *,
        limit: int,
        cursor: str | None = None,
        **filters: Unpack[DecisionFilters],
    ) -> DecisionPage:
        """List decisions, the latest first, at a cost that does not depend on how many there are.

        Args:
            viewer: Who asks: an operator, who is shown those of their tenant, or of all.
            limit: How many at most, up to 1,000.
            cursor: `DecisionPage.next_cursor` of the page before: the id of its last decision.
            filters: `DecisionFilters` says which there are.

        Raises:
            InvalidInput: the limit or a time makes no sense.
            NotFound: there is no decision at the cursor.
            NotAllowed: the viewer is no operator.
        """
        _require_any_operator(viewer)
        require_count("limit", limit, most=LONGEST_PAGE)
        only = DecisionFilter(
            by=optional_id("by", filters.get("by")),
            tool=optional_id("tool", filters.get("tool")),
            verdict=filters.get("verdict"),
            since=optional_time("since", filters.get("since")),
            until=optional_time("until", filters.get("until")),
        )
        return await self._store.read(
            lambda tx: decision_pages.list_decisions(
                tx, viewer, limit=limit, before=cursor, only=only
            )
        )

    async def export(
        self, viewer: Viewer, run_id: str | None = None, *, with_text: bool = False
    ) -> AsyncGenerator[str]:
        """Yield the lines of the log, or of one run's part, for verifying it without Kern.

        Args:
            viewer: Who asks, as for `verify`.
            run_id: Export only what is about this run and those of its tree.
            with_text: Also write the notes, edits and values, with their salt.

        Raises:
            AuditBroken: the end of the log is missing, or a row holds what is no JSON.
            NotFound: there is no such run, and the log has no decision about it.
            NotAllowed: the viewer is no operator, or that of one tenant.
        """
        _require_operator(viewer, run_id)
        scope = await self._store.read(
            lambda tx: audit_export.scope_of(
                tx, None if run_id is None else _root_run_id(tx, viewer, run_id)
            )
        )
        yield audit_export.first_line(scope)
        count = 1
        decision: DecisionRecord | None = None
        while decisions := await self._store.read(
            lambda tx: audit_export.next_decisions(tx, scope, decision)  # noqa: B023  at once
        ):
            for decision in decisions:
                yield audit_export.line_of_decision(decision, with_text=with_text)
            count += len(decisions)
        seal: SealRecord | None = None
        while seals := await self._store.read(
            lambda tx: audit_export.next_seals(tx, scope, seal)  # noqa: B023  at once
        ):
            for seal in seals:
                yield audit_export.line_of_seal(seal)
            count += len(seals)
        yield audit_export.last_line(scope, count)


def _root_run_id(tx: Session, viewer: Viewer, run_id: str) -> str:
    run_id = listings.full_run_id(tx, viewer, run_id)
    if viewer.tenant is None:
        # Decisions stay when their run is deleted; then the whole id has to be named.
        return verification.root_run_id_of(tx, run_id)
    # Nobody learns of what another tenant has, or has deleted.
    run = run_outputs.run_row(tx, run_id)
    if run is not None:
        missing, subject = verification.no_decisions(run_id), f"Run {run_id!r}"
        run_outputs.check(tx, viewer, run, missing, subject)
        return verification.root_run_id_of(tx, run_id)
    root_run_id = verification.root_run_id_of(tx, run_id)
    if not verification.is_of_tenant(tx, root_run_id, viewer.tenant):
        raise verification.no_decisions(run_id)
    return root_run_id


def _require_any_operator(viewer: Viewer) -> None:
    if not viewer.is_operator:
        message = "Only an operator reads the log of decisions: it covers all users."
        raise NotAllowed(message)


def _require_operator(viewer: Viewer, run_id: str | None) -> None:
    _require_any_operator(viewer)
    if viewer.tenant is not None and run_id is None:
        message = (
            "Only the operator of the installation reads the whole log of decisions: it covers all "
            f"tenants, and {viewer.tenant!r} was named. Name a run of this tenant, or no tenant: "
            "pass no --tenant, and unset KERN_TENANT."
        )
        raise NotAllowed(message)
