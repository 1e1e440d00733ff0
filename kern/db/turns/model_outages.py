"""A provider that is away: how long it is waited for, and what follows when it does not come back.

An outage begins with the first failure of a turn that may pass, and ends with an answer. It is kept
in the run's row, for people who look. Between two tries nothing waits in a worker: Temporal has the
timer. An outage that exceeds its budget pauses the run, as a failed step does: a person has the
model asked again, or ends the run. What was stored before stays stored.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import JsonValue
from sqlmodel import Session

from kern.contracts.messages import TurnOutcome
from kern.db.engine.mutable_rows import MutableRun
from kern.db.journal.events import record
from kern.db.runs import lifecycle
from kern.db.turns.model_pauses import pause
from kern.db.turns.model_turns import outcome_of
from kern.run import ProviderOutage
from kern.values.canonical import clean_text
from kern.values.states import RunStatus

_LONGEST_PAUSE = 60.0
# What a provider names may be a mistake, such as milliseconds for seconds.
_LONGEST_RETRY_AFTER = 3600.0
_MOST_DOUBLINGS = 6


@dataclass(frozen=True)
class Failure:
    """A failure of a provider that may pass.

    Attributes:
        retry_after: The seconds to wait, if the provider named any.
    """

    code: str
    message: str
    retry_after: float | None = None


@dataclass(frozen=True)
class NextTry:
    """The model is asked again.

    Attributes:
        seconds: The time until then.
        attempt: The number of that try in this outage; the first failure was number 1.
        is_known: Whether the failure before was the same.
    """

    seconds: float
    attempt: int
    is_known: bool


def wait_or_pause(
    tx: Session, run_id: str, turn: int, failure: Failure, *, budget: float, now: datetime
) -> NextTry | TurnOutcome:
    """Note a failure, and return when to ask again, or the turn's outcome if there is one.

    Args:
        tx: The transaction.
        run_id: The run.
        turn: Its turn.
        failure: Why the model did not answer.
        budget: The seconds that an outage may take.
        now: The time.
    """
    run = lifecycle.lock(tx, run_id)
    if RunStatus(run.status).is_final or turn <= run.turn:
        return outcome_of(tx, run, turn)
    before = outage_of(run.outage)
    since = now if before is None else before.since
    attempts = 1 if before is None else before.attempts + 1
    remaining = budget - (now - since).total_seconds()
    message = clean_text(failure.message)
    if remaining <= 0:
        return _pause(
            tx,
            run,
            turn,
            ProviderOutage(since=since, attempts=attempts, code=failure.code, message=message),
            now,
        )
    seconds = min(_pause_seconds(failure, attempts), max(remaining, 1.0))
    outage = ProviderOutage(
        since=since,
        attempts=attempts,
        next_try_at=now + timedelta(seconds=seconds),
        code=failure.code,
        message=message,
    )
    run.outage = outage.model_dump(mode="json")
    run.updated_at = now
    if before is None:
        record(tx, run, "provider_away", now, turn=turn, code=failure.code)
    is_known = before is not None and before.message == message
    return NextTry(seconds, attempts + 1, is_known)


def outage_of(stored: dict[str, JsonValue] | None) -> ProviderOutage | None:
    """Return the outage that is kept in a run's row."""
    return None if stored is None else ProviderOutage.model_validate(stored)


def _pause_seconds(failure: Failure, attempts: int) -> float:
    if failure.retry_after is not None:
        return min(failure.retry_after, _LONGEST_RETRY_AFTER)
    return min(2.0 ** min(attempts - 1, _MOST_DOUBLINGS), _LONGEST_PAUSE)


def _pause(
    tx: Session, run: MutableRun, turn: int, outage: ProviderOutage, now: datetime
) -> TurnOutcome:
    run.turn, run.outage = turn, None
    arguments: dict[str, JsonValue] = {
        "code": outage.code,
        "error": outage.message,
        "since": outage.since.isoformat(timespec="seconds"),
        "attempts": outage.attempts,
    }
    text = "The model's provider is away. Ask it again, or end the run?"
    return pause(tx, run, arguments, text, now)
