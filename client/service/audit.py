"""Listing, verification and export of the log of decisions."""

import re
from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Unpack

from sqlmodel import Session

from kern.contracts.queries import DecisionFilters
from kern.contracts.reports import LONGEST_PAGE, AuditReport, DecisionPage
from kern.contracts.viewer import Viewer, system_user
from kern.db.engine.records import DecisionRecord, SealRecord
from kern.db.engine.store import Store
from kern.db.journal import audit_export, verification
from kern.db.journal.audit_export import ChainPage, Scope
from kern.db.journal.hash_chains import GENESIS
from kern.db.reading import decision_pages, listings, run_outputs
from kern.db.reading.decision_pages import DecisionFilter
from kern.errors import InvalidInput, NotAllowed
from kern.process.logs import get_logger
from kern.values.ids import optional_id
from kern.values.validation import described, optional_time, require_count

_log = get_logger("kern.audit")

_HEAD = re.compile(r"[0-9a-f]{64}")


class Audit:
    """Lists, verifies and exports the log of decisions of one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def verify(
        self, viewer: Viewer, run_id: str | None = None, head: str | None = None
    ) -> AuditReport:
        """Verify that no decision was changed, removed, added or reordered.

        Args:
            viewer: Who asks: an operator, for the chains of their tenant; the operator of the
                installation, for the whole log.
            run_id: Verify only the decisions about this run and those of its tree, and their seals;
                the end of the id is enough.
            head: A hash that was noted earlier, that of a seal: the log has to hold it.

        Raises:
            AuditBroken: it does not verify; the message names the first decision or seal that does
                not.
            InvalidInput: both a run and a head are named, or the head can be no hash.
            NotFound: there is no such run, and the log has no decision about it.
            NotAllowed: the viewer is no operator.
        """
        _require_operator(viewer)
        if head is not None and not _HEAD.fullmatch(head):
            message = (
                f"head is {described(head)}: give the whole hash of a seal, 64 hexadecimal digits, "
                "as `kern audit verify` prints it."
            )
            raise InvalidInput(message)
        if run_id is None:
            tenant = viewer.tenant
            if tenant is None:
                return await self._store.read(lambda tx: verification.verify(tx, head))
            return await self._store.read(lambda tx: verification.verify_tenant(tx, tenant, head))
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
        _require_operator(viewer)
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
        self,
        viewer: Viewer,
        run_id: str | None = None,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        with_text: bool = False,
    ) -> AsyncGenerator[str]:
        """Yield the lines of the log, or of a part of it, for verifying it without Kern.

        Args:
            viewer: Who asks, as for `verify`.
            run_id: Export only what is about this run and those of its tree.
            since: Export only the chains with a decision at this moment or later.
            until: Export only the chains with a decision before this moment; with `since`, those
                with one in between.
            with_text: Also write the notes, edits and values, with their salt.

        Raises:
            AuditBroken: the end of the log is missing, or a row holds what is no JSON.
            InvalidInput: a time has no zone, the first is not before the second, or a run is named
                with them.
            NotFound: there is no such run, and the log has no decision about it.
            NotAllowed: the viewer is no operator.
        """
        _require_operator(viewer)
        _require_span(run_id, since, until)
        scope = await self._store.read(lambda tx: _scope(tx, viewer, run_id, since, until))
        _log_export(viewer, scope, with_text=with_text)
        yield audit_export.first_line(scope)
        count, last_seal = 1, GENESIS
        async for line, seal_hash in self._lines(scope, with_text=with_text):
            count, last_seal = count + 1, seal_hash or last_seal
            yield line
        yield audit_export.last_line(count, scope.head if scope.is_whole else last_seal)

    async def _lines(
        self, scope: Scope, *, with_text: bool
    ) -> AsyncGenerator[tuple[str, str | None]]:
        """Yield the lines of decisions and seals; with that of a seal, its hash."""
        async for chains in self._chains(scope):
            decision: DecisionRecord | None = None
            while decisions := await self._store.read(
                lambda tx: audit_export.next_decisions(tx, chains, decision)  # noqa: B023  at once
            ):
                for decision in decisions:
                    if scope.tenant not in (None, decision.tenant):
                        # Somebody wrote into the table: the file does not verify, and says no more.
                        continue
                    yield audit_export.line_of_decision(decision, with_text=with_text), None
            seal: SealRecord | None = None
            while seals := await self._store.read(
                lambda tx: audit_export.next_seals(tx, scope, chains, seal)  # noqa: B023  at once
            ):
                for seal in seals:
                    yield audit_export.line_of_seal(seal), seal.hash

    async def _chains(self, scope: Scope) -> AsyncGenerator[ChainPage | None]:
        """Yield the chains of a part, some at a time; of the whole log, None for all of them."""
        if scope.is_whole:
            yield None
            return
        chains: ChainPage | None = None
        while chains := await self._store.read(
            lambda tx: audit_export.next_chains(tx, scope, chains)
        ):
            yield chains


def _scope(
    tx: Session,
    viewer: Viewer,
    run_id: str | None,
    since: datetime | None,
    until: datetime | None,
) -> Scope:
    if run_id is not None:
        scope = Scope(root_run_id=_root_run_id(tx, viewer, run_id))
    else:
        scope = Scope(tenant=viewer.tenant, since=since, until=until)
    return audit_export.bounded(tx, scope)


def _log_export(viewer: Viewer, scope: Scope, *, with_text: bool) -> None:
    _log.info(
        "log_exported",
        subject=system_user() if viewer.principal is None else viewer.principal.subject,
        tenant=viewer.tenant,
        run_id=scope.root_run_id,
        since=None if scope.since is None else scope.since.isoformat(),
        until=None if scope.until is None else scope.until.isoformat(),
        with_text=with_text,
    )


def _require_span(run_id: str | None, since: datetime | None, until: datetime | None) -> None:
    optional_time("since", since)
    optional_time("until", until)
    if since is not None and until is not None and since >= until:
        message = (
            f"The export begins at {since.isoformat()} and ends at {until.isoformat()}: name an "
            "end that is later than the beginning."
        )
        raise InvalidInput(message)
    if run_id is not None and (since, until) != (None, None):
        message = (
            f"The part of run {run_id!r} is exported as a whole: leave out the times, or the run."
        )
        raise InvalidInput(message)


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


def _require_operator(viewer: Viewer) -> None:
    if not viewer.is_operator:
        message = "Only an operator reads the log of decisions: it covers all users."
        raise NotAllowed(message)
