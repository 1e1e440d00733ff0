"""The run whose code is executed here: what it starts, it may wait for."""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

from kern.process.tenants import acting_for

_calling_run: ContextVar[str | None] = ContextVar("kern_calling_run", default=None)


@contextmanager
def executing_for(run_id: str, tenant: str) -> Generator[None]:
    """Execute code of a run, for the run's tenant: here, and in tasks that begin in the block.

    Threads that the code starts by itself know neither, unless it copies its context to them.
    """
    token = _calling_run.set(run_id)
    try:
        with acting_for(tenant):
            yield
    finally:
        _calling_run.reset(token)


def calling_run() -> str | None:
    """Return the id of the run whose code this is; None if it is no run's, or that is unknown."""
    return _calling_run.get()
