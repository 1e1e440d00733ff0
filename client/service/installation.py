"""Opens the service for a process that executes nothing: a command, or an operator's program."""

import asyncio
import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from kern.client.server.embedded import status
from kern.client.service.ports import Deliverer
from kern.client.service.service import Service
from kern.contracts.reports import (
    AwaitedWorker,
    Backlog,
    ParkedRuns,
    PolicyDifference,
    WorkerPolicies,
)
from kern.db.engine.driver_errors import unavailable
from kern.db.engine.from_settings import database_file, open_store
from kern.db.engine.store import Store
from kern.db.journal.outbox import Delivery
from kern.db.migrations import HEAD
from kern.db.migrations.compatibility import TablesRevision, require_current
from kern.db.migrations.migrate import tables_revision
from kern.db.reading import listings
from kern.db.runs import awaited_workers, policies, workers
from kern.errors import NotFound, Unavailable
from kern.process.clock import utc_now
from kern.process.settings import Settings


@dataclass(frozen=True)
class Migration:
    """What `migrate` changed: the database, and its revision before and after.

    Attributes:
        min_reader: The oldest revision whose code can work with the tables.
        code: The newest revision that this version knows.
    """

    database: str
    before: str | None
    after: str
    min_reader: str
    code: str


@dataclass(frozen=True)
class DatabaseStatus:
    """What is known of a database: its name and revision, what waits in it, and its workers.

    Attributes:
        min_reader: The oldest revision whose code can work with the tables.
        code: The newest revision that this version knows.
        differences: The components for which the workers declare different policies.
        awaited_workers: What active runs wait for that no worker has.
        parked: The runs that wait for people, while no worker has their component.
        policy_faults: What is wrong with stored policies of runs that have not ended.
    """

    name: str
    revision: str
    min_reader: str
    code: str
    backlog: Backlog
    workers: list[WorkerPolicies]
    differences: list[PolicyDifference]
    awaited_workers: list[AwaitedWorker]
    parked: list[ParkedRuns]
    policy_faults: list[str]


class OnDemandDeliverer:
    """Delivers to the Temporal that is configured, or to the folder's server while that runs.

    None is started: what is not delivered, the next worker delivers. A connection is kept for as
    long as the server has the same address.
    """

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings = settings
        self._store = store
        self._address: str | None = None
        self._courier: Deliverer | None = None

    async def deliver_accepted(self, delivery: Delivery) -> bool:
        """Deliver now; False where no Temporal answers."""
        courier = await self._reached()
        return courier is not None and await courier.deliver_accepted(delivery)

    async def terminated_among(self, run_ids: Sequence[str]) -> str | None:
        """Return the first run whose workflow was terminated; None where no Temporal answers."""
        courier = await self._reached()
        return None if courier is None else await courier.terminated_among(run_ids)

    async def close(self) -> None:
        """Record what was delivered."""
        if self._courier is not None:
            await self._courier.close()

    async def _reached(self) -> Deliverer | None:
        server = await asyncio.to_thread(status, self._settings.home)
        if not server.answers and not any(name.startswith("TEMPORAL_") for name in os.environ):
            return None
        # Slow to import, and most decisions are made where no server runs.
        from kern.client.temporal import connection  # noqa: PLC0415
        from kern.client.temporal.courier import Courier  # noqa: PLC0415

        address = None if connection.is_configured() else server.address
        if address is None and not connection.is_configured():
            return None
        if self._courier is None or address != self._address:
            try:
                client = await connection.connect(address)
            except Unavailable:
                return None
            await self.close()
            self._address = address
            self._courier = Courier(self._store, client, self._settings)
        return self._courier


@contextmanager
def existing_service(settings: Settings) -> Generator[Service]:
    """Open the service on a database that exists and has tables with which this version can work.

    Raises:
        NotFound: nothing was ever kept there.
        NotMigrated: its tables are older.
        Conflict: they are newer, and this version cannot work with them.
        Unavailable: it does not answer.
    """
    with _existing_store(settings) as store:
        yield Service(store, OnDemandDeliverer(settings, store), settings)


@contextmanager
def new_service(settings: Settings, database: Store | None = None) -> Generator[Service]:
    """Open the service on a database, as a process does that executes runs.

    Args:
        settings: Kern's settings, which name the database.
        database: The database that an app's components name; left open.

    Raises:
        NotMigrated: the tables have to be migrated first (on Postgres).
        Conflict: a newer version of Kern made them, and this one cannot work with them.
        Unavailable: it does not answer.
    """
    store = database or open_store(settings)
    try:
        store.open(settings.migrate)
        yield Service(store, OnDemandDeliverer(settings, store), settings)
    finally:
        if database is None:
            store.close()


def migrate(settings: Settings) -> Migration:
    """Make the tables, or bring them up to date.

    Raises:
        Unavailable: the database does not answer, or somebody holds its tables.
        Conflict: a newer version of Kern made the tables, and this one cannot work with them; or
            workers are present that could not go on.
    """
    store = open_store(settings)
    try:
        change = store.migrate()
        after = change.after
        return Migration(store.name, change.before, after.revision, after.min_reader, HEAD)
    finally:
        store.close()


def missing_file(settings: Settings) -> Path | None:
    """Return the file in which the database would be made; None if it is there, or on a server."""
    path = database_file(settings)
    return None if path is None or path.exists() else path.absolute()


def database_status(settings: Settings) -> DatabaseStatus:
    """Examine the database without changing it. Raises as `existing_service`."""
    _require_file(settings)
    store = open_store(settings)
    try:
        tables = _usable_tables(store)
        return store.read_now(lambda tx: _status_of(tx, store.name, tables))
    finally:
        store.close()


def _status_of(tx: Session, name: str, tables: TablesRevision) -> DatabaseStatus:
    now = utc_now()
    present = workers.present_workers(tx, now)
    return DatabaseStatus(
        name,
        tables.revision,
        tables.min_reader,
        HEAD,
        listings.backlog(tx),
        present,
        workers.differing(tx, present),
        awaited_workers.awaited_workers(tx, now),
        awaited_workers.parked_runs(tx, now),
        policies.faults(tx),
    )


def open_existing_store(settings: Settings) -> Store:
    """Open the store on a database that exists. Raises as `existing_service`."""
    _require_file(settings)
    store = open_store(settings)
    try:
        _usable_tables(store)
    except BaseException:
        store.close()
        raise
    return store


@contextmanager
def _existing_store(settings: Settings) -> Generator[Store]:
    store = open_existing_store(settings)
    try:
        yield store
    finally:
        store.close()


def _usable_tables(store: Store) -> TablesRevision:
    """Return the revision of tables with which this version can work as they are."""
    try:
        tables = tables_revision(store)
    except DBAPIError as error:
        raise unavailable(store.name, error) from error
    if tables is None:
        message = (
            f"The database {store.name} has no tables: nothing was run with it yet. `kern migrate` "
            "makes them."
        )
        raise NotFound(message)
    require_current(store.name, tables)
    return tables


def _require_file(settings: Settings) -> None:
    path = missing_file(settings)
    if path is not None:
        message = (
            f"There is no database at {str(path)!r}: nothing was run here yet. Change to the "
            "folder in which it was, or set KERN_HOME or KERN_DATABASE_URL; `kern migrate` makes "
            "an empty one here."
        )
        raise NotFound(message)
