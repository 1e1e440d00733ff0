"""What the service needs of the process that it runs in."""

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

    async def close(self) -> None:
        """Finish what is under way."""
        ...
