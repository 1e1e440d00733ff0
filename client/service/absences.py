"""Absences: people say until when they are away, and see who is."""

from datetime import UTC, datetime, timedelta

from sqlmodel import Session

from kern.client.service.actors import actor_of
from kern.contracts.reports import LONGEST_PAGE
from kern.contracts.triage import Absence, AbsencePage
from kern.contracts.viewer import Viewer
from kern.db.decisions import absences
from kern.db.engine.store import Store
from kern.errors import InvalidInput
from kern.process.clock import utc_now
from kern.values.decisions import comment_text
from kern.values.ids import require_text
from kern.values.principals import Principal, principal_of
from kern.values.validation import require_count, require_time

_LONGEST = timedelta(days=366)


class Absences:
    """Who is away, in one store.

    It decides nothing, keeps nobody from deciding, and changes nobody who is asked. Each person
    speaks for themselves: whoever was authenticated, or `by` where nobody was.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    async def begin(
        self,
        viewer: Viewer,
        until: datetime,
        by: str | Principal | None = None,
        *,
        since: datetime | None = None,
        note: str | None = None,
    ) -> Absence:
        """Say that one is away until then. It replaces what was said before, and ends by itself.

        Args:
            viewer: Who asks.
            until: A time with its zone, in the future, within 366 days.
            by: Who is away.
            since: From when on, with its zone; default: now, or as it was said before if it has
                begun.
            note: Something that people who look read; models do not.

        Raises:
            NotAllowed: it is no person.
            InvalidInput: a time has no zone or makes no sense, or the note is empty or too long.
        """
        now = utc_now()
        end = _checked_until(until, now)
        start = _checked_since(since, end, now)
        text = None if note is None else comment_text("note", require_text("note", note))
        principal = _person_of(viewer, by)

        def write(tx: Session) -> Absence:
            return absences.begin(tx, principal, until=end, since=start, note=text, now=now)

        return await self._store.write(write)

    async def end(self, viewer: Viewer, by: str | Principal | None = None) -> bool:
        """Say that one is back, and return whether one was away; otherwise nothing is changed.

        Raises:
            NotAllowed: it is no person.
        """
        now, principal = utc_now(), _person_of(viewer, by)
        was_away = False

        def write(tx: Session) -> bool:
            nonlocal was_away
            # Executed again, if nobody heard of its commit, it finds nothing.
            was_away = absences.end(tx, principal, now) or was_away
            return was_away

        return await self._store.write(write)

    async def own(self, viewer: Viewer, by: str | Principal | None = None) -> Absence | None:
        """Read one's own absence, also one that is still to begin; None if it is over."""
        now, principal = utc_now(), _person_of(viewer, by)
        return await self._store.read(lambda tx: absences.absence_of(tx, principal, now))

    async def page(self, viewer: Viewer, *, limit: int, cursor: str | None = None) -> AbsencePage:
        """List who is away now in the viewer's tenant, whoever is back first to begin with.

        Raises:
            InvalidInput: an argument makes no sense.
        """
        require_count("limit", limit, most=LONGEST_PAGE)
        now, tenant = utc_now(), viewer.tenant
        return await self._store.read(
            lambda tx: absences.page(tx, tenant, limit=limit, cursor=cursor, now=now)
        )


def _person_of(viewer: Viewer, by: str | Principal | None) -> Principal:
    """Return who is away; a name is a claim in the tenant that the viewer acts for."""
    actor = actor_of(viewer, by)
    return principal_of(actor, viewer.acting_as(actor).accepting_tenant)


def _checked_until(until: object, now: datetime) -> datetime:
    moment = require_time("until", until)
    if now < moment <= now + _LONGEST:
        return moment.astimezone(UTC)
    message = (
        f"until is {moment:%Y-%m-%d %H:%M:%S%z}: give a time in the future, within "
        f"{_LONGEST.days} days. Nothing was changed."
    )
    raise InvalidInput(message)


def _checked_since(since: object, until: datetime, now: datetime) -> datetime | None:
    if since is None:
        return None
    moment = require_time("since", since)
    if now - _LONGEST <= moment < until:
        return moment.astimezone(UTC)
    message = (
        f"since is {moment:%Y-%m-%d %H:%M:%S%z}: give a time before until, at most "
        f"{_LONGEST.days} days ago. Nothing was changed."
    )
    raise InvalidInput(message)
