"""The one place that says what an error means to Temporal: try again, when, or never."""

from datetime import timedelta

from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from kern.errors import KernError, NotFound
from kern.models.base import ProviderError

# Longer texts only bloat the history; the whole of it is in the worker's log.
_TEXT = 2000
_LONGEST_WAIT = 3600.0
_NOT_HERE = timedelta(seconds=5)


def provider_failure(error: ProviderError, *, is_last: bool) -> ApplicationError:
    """Map a provider's failure.

    Passing ones are tried again, after the time that the provider asked for.
    """
    wait = None
    if error.retry_after is not None:
        wait = timedelta(seconds=min(error.retry_after, _LONGEST_WAIT))
    return ApplicationError(
        str(error)[:_TEXT],
        type=error.code,
        non_retryable=is_last or not error.retryable,
        next_retry_delay=wait,
        # Our own log says it in one line; Temporal's would add a traceback.
        category=ApplicationErrorCategory.BENIGN,
    )


def kern_failure(error: KernError) -> ApplicationError:
    """Map an error of Kern's own.

    A component that is not registered here may be registered by the next worker.
    """
    missing = isinstance(error, NotFound)
    return ApplicationError(
        str(error)[:_TEXT],
        type=error.code,
        non_retryable=not (error.retryable or missing),
        next_retry_delay=_NOT_HERE if missing else None,
    )
