"""What callers learn when something fails around an acceptance.

Accepting is a transaction. An error before it changes nothing. While it is committed, the
connection may break, and nobody knows whether the commit happened. After it, the run or decision is
kept and acted on, whatever fails then: a delivery, the wait for a stop, or reading the outcome. A
caller who took such an error for a refusal would ask again, and have two runs. So the error names
the run, and says which of these it is.
"""

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager

from kern.client.service.ports import Deliverer
from kern.db.journal.outbox import Delivery
from kern.errors import DatabaseFailure, KernError, Unavailable
from kern.process.logs import get_logger

_log = get_logger("kern.client")


async def deliver(deliverer: Deliverer, delivery: Delivery) -> bool:
    """Deliver what was accepted; False if that fails, whatever the reason: a relay does it then."""
    try:
        return await deliverer.deliver_accepted(delivery)
    except Exception as error:  # noqa: BLE001  the caller's run or decision is kept all the same
        why = f"{type(error).__name__}: {error}"
        _log.warning("delivery_postponed", run_id=delivery.run_id, kind=delivery.kind, why=why)
        return False


def accepting_run(run_id: str) -> AbstractContextManager[None]:
    """Name the run in an error that leaves open whether it was accepted."""
    return _retold(
        lambda error: (
            f"It is not known whether run {run_id!r} was accepted: {error} Try again with "
            f"run_id={run_id!r}, which never starts a second run."
        ),
        run_id,
    )


def changing_run(run_id: str, change: str) -> AbstractContextManager[None]:
    """Name the run in an error that leaves open whether a change of it was stored."""
    return _retold(
        lambda error: (
            f"It is not known whether the {change} of run {run_id!r} was stored: {error} Read the "
            f"run with get_run_output({run_id!r}) before you repeat it."
        ),
        run_id,
    )


def deleting_session(session_id: str) -> AbstractContextManager[None]:
    """Name the session in an error that leaves open whether it was deleted."""
    return _retold(
        lambda error: (
            f"It is not known whether session {session_id!r} was deleted: {error} Delete it again: "
            "NotFound means that it was."
        )
    )


def before_deciding(
    requirement_ids: list[str], run_id: str | None = None
) -> AbstractContextManager[None]:
    """Name the requirements, and the run if it is known, in an error before any decision."""
    about = _about(requirement_ids, run_id)
    return _retold(
        lambda error: f"Nothing was decided about {about}: {error} Decide again.", run_id
    )


def deciding(requirement_ids: list[str], run_id: str | None = None) -> AbstractContextManager[None]:
    """Name the requirements in an error that leaves open whether their decisions were stored."""
    about = _about(requirement_ids, run_id)
    return _retold(
        lambda error: (
            f"It is not known whether the decision about {about} was kept: {error} "
            "Read it again: if it is still pending, decide again; otherwise it stands."
        ),
        run_id,
    )


def watching(run_id: str) -> AbstractContextManager[None]:
    """Name the run in an error of a call that has decided nothing so far."""
    return _retold(
        lambda error: (
            f"Nothing was decided about run {run_id!r}, and it cannot be read: {error} Continue it "
            "again; what is kept of it stands."
        ),
        run_id,
    )


def _about(requirement_ids: list[str], run_id: str | None) -> str:
    names = "requirement " + ", ".join(map(repr, requirement_ids))
    return names if run_id is None else f"{names} of run {run_id!r}"


def following(run_id: str, accepted: str = "run") -> AbstractContextManager[None]:
    """Name the run in an error that comes after the acceptance; nothing has to be repeated."""
    return _retold(
        lambda error: (
            f"The {accepted} was accepted, and run {run_id!r} continues by itself; do not repeat "
            f"it. Only its outcome cannot be read: {error} Read it later with "
            f"get_run_output({run_id!r})."
        ),
        run_id,
    )


@contextmanager
def _retold(message: Callable[[KernError], str], run_id: str | None = None) -> Generator[None]:
    """Raise an outage or a failure of the database again, with another message and a run's id.

    One that names its run already has been retold.
    """
    try:
        yield
    except (Unavailable, DatabaseFailure) as error:
        if error.run_id is not None:
            raise
        retold = type(error)(message(error))
        retold.run_id = run_id
        raise retold from error
