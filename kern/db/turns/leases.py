"""Renews the leases of the attempts that are executing."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import bindparam
from sqlmodel import Session

from kern.db.engine.columns import UtcDateTime
from kern.db.engine.plain_rows import execute
from kern.db.engine.typed_tables import TOOL_CALLS
from kern.values.attempts import DEFAULT_LEASE

_calls = TOOL_CALLS.table
_BEAT = (
    _calls.update()
    .where(_calls.c.token.in_(bindparam("tokens", expanding=True)))
    .values(
        beat_at=bindparam("now", type_=UtcDateTime),
        leased_until=bindparam("until", type_=UtcDateTime),
    )
)


def beat(
    tx: Session, tokens: Sequence[str], now: datetime, lease: timedelta = DEFAULT_LEASE
) -> None:
    """Say of attempts that they execute: one statement for all those of a process.

    It takes no lock of a run, so it never waits for one while it holds a call's row.
    """
    execute(tx, _BEAT, tokens=sorted(tokens), now=now, until=now + lease)
