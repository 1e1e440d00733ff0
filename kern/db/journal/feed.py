"""The feed: what concerns people, in one order, for everything that follows it from outside.

A row is written by the transaction that causes it, so it is there if and only if that happened. Its
number is given by another transaction, after the commit. A reader who has seen number *n* has to
have seen everything at or below *n*, though transactions commit in another order than that in which
they write. Three ways to promise it were measured, on Postgres with 16 writers that each change a
row of their own (2 cores; transactions a second, and their 99th percentile):

- *numbers under one lock*, the end of the feed locked as the last row of each transaction: 1,700/s
  and 45 ms, where the same transactions without any number make 3,200/s and 14 ms. And a process
  that is frozen between the lock and its commit stops everybody who pauses or decides.
- *a watermark*: rows keep the id of their transaction, and readers hold back those that are not
  below the oldest transaction that is active. Nothing waits. But that one may be anybody's, in any
  database of the server, and last for hours; ids begin anew in a database that was restored from a
  dump; and SQLite has none.
- *numbers given after the commit*, as here: 3,100/s and 16 ms, which is within the noise.

So rows are committed without a number, and a *numberer* gives the next numbers to what it sees, one
at a time: it holds the row of the end of the feed (`kern_feed_head`) until its commit, and others
skip that row instead of waiting. Numbers become visible in their order, since each numberer begins
after the one before has committed. One that dies has done nothing; one that is frozen delays the
feed, and nobody who decides. A worker's relay has a numberer, and so has a process that serves
readers; a commit in their process wakes them, and so they number many rows at once.

Of what is older than it is kept, the number remains (`pruned_seq`): a reader who comes back too
late has to start over.
"""

from collections.abc import Sequence
from datetime import datetime

from pydantic import JsonValue
from sqlalchemy import BigInteger, bindparam, func, select
from sqlmodel import Session

from kern.db.engine.after_commit import mark_fed, mark_news
from kern.db.engine.columns import UtcDateTime
from kern.db.engine.mutable_rows import MutableFeedHead
from kern.db.engine.plain_rows import add_later, execute
from kern.db.engine.records import RequirementRecord, RunRecord
from kern.db.engine.typed_tables import FEED, FEED_HEADS
from kern.db.engine.unit_of_work import hold
from kern.errors import Conflict
from kern.process.live_text import FEED_CHANNEL
from kern.values.feed import FeedKind
from kern.values.ids import new_id

# How many rows one transaction numbers or deletes at most.
BATCH = 500
_NAME = "feed"
# So that what a reader is sent of a row stays below a kilobyte.
_LONGEST = 160
_feed, _heads = FEED.table, FEED_HEADS.table
_HEAD = select(_heads.c.seq, _heads.c.pruned_seq).where(_heads.c.name == _NAME)
_LOCKED = _heads.select().where(_heads.c.name == _NAME).with_for_update(skip_locked=True)
_LOCKED_DISPATCHED = (
    _heads.select().where(_heads.c.name == "deliveries").with_for_update(skip_locked=True)
)
_DISPATCHED = select(_heads.c.seq).where(_heads.c.name == "deliveries")
_SKIP = (
    _heads.update()
    .where(_heads.c.name == "deliveries", _heads.c.seq < bindparam("up_to", type_=BigInteger))
    .values(seq=bindparam("up_to", type_=BigInteger))
)
_ANY_NEW = select(_feed.c.id).where(_feed.c.seq.is_(None)).limit(1)
_new = select(_feed.c.id).where(_feed.c.seq.is_(None)).order_by(_feed.c.id).limit(BATCH).subquery()
_numbered = select(_new.c.id, func.row_number().over(order_by=_new.c.id).label("number")).subquery()
_NUMBER = (
    _feed.update()
    .where(_feed.c.id == _numbered.c.id)
    .values(seq=_numbered.c.number + bindparam("last_seq", type_=BigInteger))
)
_OLD = (
    select(_feed.c.seq)
    .where(
        _feed.c.seq <= bindparam("most_seq", type_=BigInteger),
        _feed.c.at < bindparam("before", type_=UtcDateTime),
    )
    .order_by(_feed.c.seq)
    .limit(BATCH)
)
_PRUNE = _feed.delete().where(_feed.c.seq <= bindparam("up_to", type_=BigInteger))


def announce(
    tx: Session,
    row: RequirementRecord,
    component_id: str,
    kind: FeedKind,
    now: datetime,
    **data: JsonValue,
) -> None:
    """Add to the feed that something happened to a requirement. Nothing in `data` is secret."""
    facts: dict[str, JsonValue] = {
        "ask": row.kind,
        "tool": row.tool_name,
        "title": _shortened(row.title),
        "risk": row.risk,
        "digest": row.current_digest or row.digest,
        "due_at": None if row.due_at is None else row.due_at.isoformat(),
        **data,
    }
    add_later(
        tx,
        FEED,
        id=new_id(),
        seq=None,
        tenant=row.tenant,
        user_id=row.user_id,
        component_id=component_id,
        kind=kind.value,
        requirement_id=row.id,
        run_id=row.run_id,
        subject=_shortened(row.subject),
        data={name: value for name, value in facts.items() if value is not None},
        at=now,
    )
    mark_fed(tx)


def announce_run(
    tx: Session, run: RunRecord, kind: FeedKind, now: datetime, **data: JsonValue
) -> None:
    """Add to the feed that a run ended, unless another run started it: that one says so."""
    if run.parent_run_id is not None:
        return
    add_later(
        tx,
        FEED,
        id=new_id(),
        seq=None,
        tenant=run.tenant,
        user_id=run.user_id,
        component_id=run.component_id,
        kind=kind.value,
        requirement_id=None,
        run_id=run.id,
        subject=None,
        data=data,
        at=now,
    )
    mark_fed(tx)


def is_any_unnumbered(tx: Session) -> bool:
    """Whether rows are without a number, without taking a lock."""
    return execute(tx, _ANY_NEW).first() is not None


def number(tx: Session) -> int:
    """Give the next numbers, if no other numberer is at it; return how many.

    Raises:
        Conflict: the end of the feed is missing.
    """
    head = hold(tx, FEED_HEADS, _LOCKED)
    if head is None:
        head_of(tx)
        return 0
    count = execute(tx, _NUMBER, last_seq=head.seq).rowcount
    if count:
        head.seq += count
        mark_news(tx, FEED_CHANNEL, head.seq)
    return count


def head_of(tx: Session) -> tuple[int, int]:
    """Return the last number, and that up to which nothing is kept. The migration made the row.

    Raises:
        Conflict: it is missing.
    """
    row = execute(tx, _HEAD).first()
    if row is None:
        message = (
            "The end of the feed is missing from kern_feed_head: somebody removed it. Nobody "
            "hears of what happens until it is restored, with the highest number of kern_feed."
        )
        raise Conflict(message)
    return row.seq, row.pruned_seq


def hold_dispatched(tx: Session) -> MutableFeedHead | None:
    """Take the row that says up to which number deliveries were made; None if another has it."""
    return hold(tx, FEED_HEADS, _LOCKED_DISPATCHED)


def skip_dispatched(tx: Session, seq: int) -> None:
    """Make no deliveries of what is there, since nobody is subscribed."""
    execute(tx, _SKIP, up_to=seq)


def dispatched_of(tx: Session) -> int:
    """Return up to which number deliveries were made."""
    return int(execute(tx, _DISPATCHED).scalar_one())


def prune(tx: Session, before: datetime, most_seq: int | None = None) -> int:
    """Delete the next rows that are older than this, in order; return how many.

    Nothing above `most_seq` is deleted. Another numberer or pruner is not waited for.
    """
    head = hold(tx, FEED_HEADS, _LOCKED)
    if head is None:
        return 0
    bound = head.seq if most_seq is None else most_seq
    old: Sequence[int] = execute(tx, _OLD, before=before, most_seq=bound).scalars().all()
    if not old:
        return 0
    head.pruned_seq = max(old)
    return execute(tx, _PRUNE, up_to=head.pruned_seq).rowcount


def _shortened(text: str | None) -> str | None:
    return None if text is None else text[:_LONGEST]
