"""The one place that maps errors to Temporal: try again now, later, or never.

Temporal's history gets a code and a fixed sentence only. The message of an error may contain
secrets or the texts of models and people: it goes to the run's row, or to the worker's log.
"""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta

from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory, FailureError

from kern.activities.places import QueueFullError
from kern.db.engine.store import Store
from kern.db.runs import deleted
from kern.errors import DatabaseFailure, KernError, NotFound
from kern.models.base import ProviderError
from kern.process.logs import get_logger

_log = get_logger("kern.activities")

_LONGEST_WAIT = 3600.0
# Often during a deployment, then seldom, since each try adds an event to the run.
_SOON, _SELDOM = timedelta(seconds=5), timedelta(seconds=60)
_SOON_TRIES = 12
# Until then a place may be free here; another worker may have one now.
_NO_PLACE_WAIT = timedelta(seconds=2)


@contextmanager
def at_the_edge(run_id: str) -> Generator[None]:
    """Turn every error of the block into one that Temporal may know."""
    try:
        yield
    except FailureError:
        raise
    except asyncio.CancelledError:
        if _is_awaited():
            raise
        raise try_again("stopped", "Nobody waits for this attempt any more") from None
    except QueueFullError:
        raise try_again("no_place", "Too many wait for a place here", _NO_PLACE_WAIT) from None
    except KernError as error:
        _log.warning("activity_failed", run_id=run_id, code=error.code, why=str(error))
        raise _kern_failure(error) from None
    except Exception as error:  # noqa: BLE001  an error in Kern, or in code of the user's
        _log.exception("activity_broke", run_id=run_id)
        raise try_again("broken", f"{type(error).__name__}; the worker's log has it") from None


def provider_failure(error: ProviderError, seconds: float | None = None) -> ApplicationError:
    """Map a provider's temporary failure: try again after a time, in which no worker waits."""
    if seconds is None and error.retry_after is not None:
        seconds = min(error.retry_after, _LONGEST_WAIT)
    wait = None if seconds is None else timedelta(seconds=seconds)
    return try_again(error.code, "The provider failed and is asked again", wait)


def provider_refusal(error: ProviderError) -> ApplicationError:
    """Map a provider's final refusal, if there is no run to fail with it."""
    return ApplicationError(
        "The provider refused; the worker's log says why",
        type=error.code,
        non_retryable=True,
        category=ApplicationErrorCategory.BENIGN,
    )


def not_here(text: str) -> ApplicationError:
    """Map what this worker does not have: another worker or the next deployment may have it."""
    wait = _SOON if activity.info().attempt <= _SOON_TRIES else _SELDOM
    return try_again("not_found", text, wait)


def try_again(code: str, text: str, wait: timedelta | None = None) -> ApplicationError:
    """Return an error after which Temporal executes the activity once more."""
    return ApplicationError(
        text,
        type=code,
        next_retry_delay=wait,
        # Our own log says it in one line; Temporal's would add a traceback.
        category=ApplicationErrorCategory.BENIGN,
    )


def _is_awaited() -> bool:
    """Whether Temporal still accepts the end of this cancelled activity.

    It does not if the workflow has ended or the activity has timed out. The SDK takes such a
    cancellation for a failure, and would print it with a traceback.
    """
    details = activity.cancellation_details()
    return details is None or not (details.not_found or details.timed_out)


def _kern_failure(error: KernError) -> ApplicationError:
    if isinstance(error, NotFound):
        return not_here("What the run needs is not in this worker")
    if error.retryable or isinstance(error, DatabaseFailure):
        # A database that somebody has to mend is no fault of the run's, which continues afterwards.
        return try_again(error.code, "A dependency does not answer")
    return ApplicationError(
        f"The run cannot continue ({error.code}); the worker's log says why",
        type=error.code,
        non_retryable=True,
        category=ApplicationErrorCategory.BENIGN,
    )


async def is_deleted(db: Store, run_id: str) -> bool:
    """Whether a run was deleted with its session, so that nothing is left to do.

    Rows that are merely missing are another matter: a worker with another database may have taken
    the task, and the right one takes it at the next try.
    """
    was_deleted = await db.read(lambda tx: deleted.is_deleted(tx, run_id))
    if was_deleted:
        _log.info("run_was_deleted", run_id=run_id)
    return was_deleted
