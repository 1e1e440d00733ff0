"""The service of a process that is connected to Temporal: it can wait for runs, too."""

from temporalio.client import Client

from kern.client.service.interaction import Interaction
from kern.client.service.naming import SessionNaming
from kern.client.service.ports import Deliverer
from kern.client.service.service import Service
from kern.client.service.waiting import Waiting
from kern.db.engine.store import Store
from kern.process.settings import Settings


class RuntimeService(Service):
    """Every operation of `Service`, and those that wait for workflows.

    Attributes:
        interaction: Run components, continue and retry their runs, until the next stop.
        naming: Have models name sessions.
    """

    def __init__(
        self,
        store: Store,
        deliverer: Deliverer,
        temporal: Client,
        waiting: Waiting,
        settings: Settings | None = None,
    ) -> None:
        super().__init__(store, deliverer, settings)
        self.interaction = Interaction(self.runs, self.inbox, self.readers, waiting)
        self.naming = SessionNaming(self.sessions, temporal)
