"""Triage: people claim what waits, hand it on, put it off, and comment on it."""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

from sqlmodel import Session

from kern.client.service.actors import actor_of
from kern.client.service.own_runs import refuse_own_decision
from kern.contracts.reports import LONGEST_PAGE
from kern.contracts.triage import Comment, CommentPage, Snooze
from kern.contracts.viewer import Viewer
from kern.db.decisions import triage
from kern.db.decisions.locking import lock_requirement
from kern.db.engine.mutable_rows import MutableRequirement, MutableRun
from kern.db.engine.store import Store
from kern.db.engine.unit_of_work import save
from kern.db.reading import listings, requirement_history, requirement_outputs
from kern.errors import InvalidInput
from kern.process.calling_run import calling_run
from kern.process.clock import utc_now
from kern.requirements import Requirement
from kern.values.decisions import comment_text
from kern.values.ids import new_id, optional_id, require_id
from kern.values.principals import Principal, principal_of
from kern.values.validation import optional_time, require_count

CLAIM_MINUTES = 30
_MOST_MINUTES = 480
_LONGEST_SNOOZE = timedelta(days=30)
Result = TypeVar("Result")

_Act = Callable[[Session, MutableRun, MutableRequirement, Principal], Result]


class Triage:
    """Claims, delegations, snoozes and comments in one store.

    Each takes a requirement's id or the end of it, and who acts: whoever was authenticated, or `by`
    where nobody was. Doing the same twice changes nothing more.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    async def claim(
        self,
        viewer: Viewer,
        requirement_id: str,
        by: str | Principal | None = None,
        *,
        minutes: int = CLAIM_MINUTES,
    ) -> Requirement:
        """Take care of a requirement for some minutes, so that others see it.

        Nobody is kept from deciding. Claiming again extends it.

        Args:
            viewer: Who asks.
            requirement_id: Which; it has to be pending.
            by: Who claims it; they have to be allowed to decide it.
            minutes: For how long, up to 480.

        Raises:
            Claimed: somebody else takes care of it; the message says who, and until when.
            AlreadyResolved: it is closed.
            NotAllowed: this person may not decide it.
            NotFound: there is no such requirement.
            InvalidInput: an argument makes no sense.
        """
        require_count("minutes", minutes, least=1, most=_MOST_MINUTES)
        now = utc_now()
        until = now + timedelta(minutes=minutes)

        return await self._change(
            viewer,
            requirement_id,
            by,
            lambda tx, run, row, principal: triage.claim(
                tx, run, row, principal, until=until, now=now
            ),
        )

    async def release(
        self, viewer: Viewer, requirement_id: str, by: str | Principal | None = None
    ) -> Requirement:
        """End one's own claim; without one, nothing is changed.

        Raises:
            Claimed: it is somebody else's.
            NotFound: there is no such requirement.
        """
        now = utc_now()

        act = partial(triage.give_back, now=now)
        return await self._change(viewer, requirement_id, by, act)

    async def delegate(
        self,
        viewer: Viewer,
        requirement_id: str,
        to: str,
        by: str | Principal | None = None,
        *,
        note: str | None = None,
        comment_id: str | None = None,
    ) -> Requirement:
        """Hand a decision to another person or group, who may decide it from now on.

        It waits for whoever hands it on no longer, though they may still decide. With those who
        take it over they have one voice: a quorum is as many people of the rule as before. Whoever
        the rule excludes stays excluded. Where the rule names nobody, everybody may still decide.

        Args:
            viewer: Who asks.
            requirement_id: Which; it has to be pending.
            to: A person's name or id, or `group:` and a group's name.
            by: Who hands it on; they have to be allowed to decide it.
            note: Why, kept as a comment.
            comment_id: The id of that comment; the same again keeps no second one.

        Raises:
            AlreadyResolved: it is closed.
            NotAllowed: this person may not decide it, or the other one is excluded.
            NotFound: there is no such requirement.
            InvalidInput: an argument makes no sense.
        """
        now, text = utc_now(), None if note is None else comment_text("note", note)
        note_id = optional_id("comment_id", comment_id) or new_id()

        def delegate(
            tx: Session, run: MutableRun, row: MutableRequirement, principal: Principal
        ) -> None:
            written = None if text is None else _comment(note_id, row, principal, text, now)
            triage.delegate(tx, run, row, principal, to=to, note=written, now=now)

        return await self._change(viewer, requirement_id, by, delegate)

    async def snooze(
        self,
        viewer: Viewer,
        requirement_id: str,
        until: datetime,
        by: str | Principal | None = None,
    ) -> Snooze:
        """Put a requirement off: until then it is not among what waits for this person.

        It is back an hour before it is due at the latest, which the answer says.

        Args:
            viewer: Who asks.
            requirement_id: Which; it has to be pending.
            until: A time with its zone, within 30 days.
            by: Who puts it off; nothing is hidden from anybody else.

        Raises:
            AlreadyResolved: it is closed.
            NotAllowed: it is no person.
            NotFound: there is no such requirement.
            InvalidInput: the time has no zone, is over or too far, or it is due within the hour.
        """
        now = utc_now()
        until = _checked_time(until, now)

        def act(
            tx: Session, run: MutableRun, row: MutableRequirement, principal: Principal
        ) -> Snooze:
            back = triage.snooze(tx, run, row, principal, until=until, now=now)
            return Snooze(requirement_id=row.id, until=back)

        return await self._act(viewer, requirement_id, by, act)

    async def wake(
        self, viewer: Viewer, requirement_id: str, by: str | Principal | None = None
    ) -> Requirement:
        """Have a requirement back that was put off; otherwise nothing is changed.

        Raises:
            NotFound: there is no such requirement.
        """
        now = utc_now()

        act = partial(triage.wake, now=now)
        return await self._change(viewer, requirement_id, by, act)

    async def comment(
        self,
        viewer: Viewer,
        requirement_id: str,
        text: str,
        by: str | Principal | None = None,
        *,
        comment_id: str | None = None,
    ) -> Comment:
        """Write something about a requirement, open or closed: people and services may.

        Args:
            viewer: Who asks.
            requirement_id: Which.
            text: Up to 8,000 characters; people read it, models do not.
            by: Who writes.
            comment_id: The comment's id; the same again keeps no second one, and returns the first.

        Raises:
            NotAllowed: an agent writes.
            NotFound: there is no such requirement.
            InvalidInput: the text is empty or too long.
        """
        now, cleaned = utc_now(), comment_text("text", text)
        new = optional_id("comment_id", comment_id) or new_id()

        def act(
            tx: Session, run: MutableRun, row: MutableRequirement, principal: Principal
        ) -> Comment:
            return triage.comment(tx, run, row, _comment(new, row, principal, cleaned, now))

        return await self._act(viewer, requirement_id, by, act)

    async def comments(
        self, viewer: Viewer, requirement_id: str, *, limit: int = 50, cursor: str | None = None
    ) -> CommentPage:
        """List the comments about a requirement, the oldest first; `cursor` is that of a page.

        Raises:
            NotFound: there is no such requirement.
            NotAllowed: it belongs to somebody else.
            InvalidInput: an argument makes no sense.
        """
        require_count("limit", limit, most=LONGEST_PAGE)

        def read(tx: Session) -> CommentPage:
            row = listings.find_requirement_by_ending(tx, viewer, requirement_id)
            return requirement_history.comments_of(tx, row.id, limit=limit, cursor=cursor)

        return await self._store.read(read)

    async def _change(
        self, viewer: Viewer, requirement_id: str, by: str | Principal | None, change: _Act[None]
    ) -> Requirement:
        """Do something about a requirement, and return it as it is then."""

        def act(
            tx: Session, run: MutableRun, row: MutableRequirement, principal: Principal
        ) -> Requirement:
            change(tx, run, row, principal)
            save(tx)
            return requirement_outputs.requirement_of(tx, row, viewer)

        return await self._act(viewer, requirement_id, by, act)

    async def _act(
        self,
        viewer: Viewer,
        requirement_id: str,
        by: str | Principal | None,
        act: _Act[Result],
    ) -> Result:
        """Do something about a requirement in one transaction, under the lock of its run."""
        actor, caller = actor_of(viewer, by), calling_run()
        reached = viewer.acting_as(actor)
        require_id("requirement_id", requirement_id)

        def change(tx: Session) -> Result:
            full = listings.full_requirement_id(tx, reached, requirement_id)
            refuse_own_decision(tx, full, caller)
            run, row = lock_requirement(tx, full, reached)
            return act(tx, run, row, principal_of(actor, row.tenant))

        return await self._store.write(change)


def _comment(
    comment_id: str, row: MutableRequirement, principal: Principal, text: str, now: datetime
) -> Comment:
    return Comment(id=comment_id, requirement_id=row.id, by=principal, text=text, at=now)


def _checked_time(until: datetime, now: datetime) -> datetime:
    optional_time("until", until)
    if not now < until <= now + _LONGEST_SNOOZE:
        message = (
            f"until is {until:%Y-%m-%d %H:%M:%S%z}: give a time in the future, within "
            f"{_LONGEST_SNOOZE.days} days."
        )
        raise InvalidInput(message)
    return until
