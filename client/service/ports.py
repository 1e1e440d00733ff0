"""What the service needs of the process that it runs in."""

from collections.abc import Sequence
from typing import Protocol

from kern.db.journal.outbox import Delivery


class Deliverer(Protocol):
    """Notifies Temporal of what was accepted."""

    async def deliver_accepted(self, delivery: Delivery) -> bool:
        """Deliver now if Temporal answers; the relay of a worker delivers what is left.

        Returns:
            Whether it was delivered.
        """
        ...

    async def terminated_among(self, run_ids: Sequence[str]) -> str | None:
        """Return the first of these runs whose workflow an operator has terminated in Temporal.

        None if there is none, or if Temporal does not answer.
        """
        ...

    async def close(self) -> None:
        """Finish what is under way."""
        ...
