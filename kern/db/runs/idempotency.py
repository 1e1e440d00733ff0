"""Idempotency keys: whoever receives the same key twice has to do what it stands for once.

A key stands for an intention: this tool or step, in this place of this run, with these arguments,
the n-th time. It is the same for every execution of a call, and also where the call is another one:
for a step that is tried again, by `retries`, by a person or by `retry_run`, and for the calls of
the run that executes such a step, which begins anew and calls the same tools. It changes once the
call has ended well, since asking for it again is another intention, and with the arguments.

A child run's keys start from the key of the call that it executes, so a second run for the same
step comes to the same keys.
"""

from collections.abc import Collection, Sequence

from sqlalchemy import bindparam, or_, select
from sqlmodel import Session

from kern.db.engine.plain_rows import execute
from kern.db.engine.records import RunRecord
from kern.db.engine.typed_tables import TOOL_CALLS
from kern.db.engine.unit_of_work import save
from kern.db.reading.run_outputs import KEY_LENGTH
from kern.values.canonical import digest
from kern.values.states import ToolOutcome

_calls = TOOL_CALLS.table
_SAME_INTENTION = (
    select(_calls.c.id)
    .where(
        _calls.c.run_id == bindparam("run_id"),
        _calls.c.idempotency_key == bindparam("key"),
        or_(_calls.c.outcome.is_(None), _calls.c.outcome == ToolOutcome.result.value),
    )
    .limit(1)
)


def new_key(
    tx: Session,
    run: RunRecord,
    place: Sequence[str],
    arguments_digest: str,
    *,
    beside: Collection[str] = (),
    is_first: bool = False,
) -> str:
    """Return the key of a call that is about to be stored.

    Args:
        tx: The transaction, which has the run's lock.
        run: The run.
        place: Where the call is in the run.
        arguments_digest: The digest of what it does.
        beside: The keys of calls that are stored together with it.
        is_first: Whether the run has had no call in this place, so that nothing need be read.
    """
    base = digest([run.idempotency_key or run.id, *place, arguments_digest])[:KEY_LENGTH]
    key, times = base, 0
    if not is_first:
        # The call before may have ended in this transaction.
        save(tx)
    while key in beside or (not is_first and _is_in_use(tx, run.id, key)):
        times += 1
        key = f"{base}-{times}"
    return key


def _is_in_use(tx: Session, run_id: str, key: str) -> bool:
    """Whether a call of this run with this key is open, or has ended well."""
    return execute(tx, _SAME_INTENTION, run_id=run_id, key=key).first() is not None
