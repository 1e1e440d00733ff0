"""What answers operators' programs in a process that runs no components."""

from kern.client.processes.service_thread import ServiceThread
from kern.client.service.installation import OnDemandDeliverer, open_existing_store
from kern.client.service.service import Service
from kern.process.settings import Settings


class OperatorRuntime(ServiceThread[Service]):
    """The service on the configured database, with a thread and an event loop of its own.

    It executes nothing and starts no server. What it cannot deliver to Temporal, a worker does.

    Raises:
        NotFound: nothing was ever kept there, so the settings may name another place than meant.
        Conflict: its tables belong to another version of Kern.
        Unavailable: the database does not answer.
    """

    def __init__(self, settings: Settings) -> None:
        self._store = open_existing_store(settings)
        deliverer = OnDemandDeliverer(settings, self._store)
        super().__init__(Service(self._store, deliverer, settings), "kern-operator")

    def _let_go(self) -> None:
        self._store.close()
