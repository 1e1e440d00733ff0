"""What the storm rages over: Postgres, Temporal with copies of its past, and workers."""

import tempfile
import time
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg

from kern.db.engine.stores import PostgresStore
from tests.support.postgres import Postgres
from tests.support.processes import Processes, WorkerProcess, processes
from tests.support.storm.app import BANK, GATED, MODELS
from tests.support.temporal_server import TemporalServer

HEARTBEAT_SECONDS = 3.0
_APP = "tests.support.storm.app:declared"
_COPIES = 3


class Database:
    """A Postgres that dies, and that only reads for a while, as the old primary of a failover."""

    def __init__(self) -> None:
        self._server = Postgres()
        self.url = self._server.fresh_database()
        with closing(PostgresStore(self.url)) as store:
            store.migrate()

    def crash(self) -> None:
        """Kill the server, and have it back."""
        self._server.kill()
        self._server.restart()

    def only_read(self, *, only: bool) -> None:
        """Refuse to write, or take writes again; whoever is connected is thrown out."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("SET default_transaction_read_only = off")
            change = "SET default_transaction_read_only = on" if only else "RESET ALL"
            connection.execute(f"ALTER SYSTEM {change}")  # pyright: ignore[reportArgumentType]
            connection.execute("SELECT pg_reload_conf()")
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE pid <> pg_backend_pid() AND datname = current_database()"
            )

    def close(self) -> None:
        self._server.stop()


class Temporal:
    """A Temporal that comes back as it was some seconds ago."""

    def __init__(self, folder: Path) -> None:
        self.server = TemporalServer(folder)
        self._folder = folder
        self._copies: list[tuple[float, Path]] = []
        self._number = 0

    def copy(self) -> None:
        """Take a copy of what it knows now, while it works."""
        self._number += 1
        path = self._folder / f"copy-{self._number}"
        self.server.copy(path)
        self._copies.append((time.monotonic(), path))
        for _, old in self._copies[:-_COPIES]:
            old.unlink()
        del self._copies[:-_COPIES]

    def crash(self) -> None:
        """Kill the server, and have it back as it was."""
        self.server.kill()
        self.server.restart()

    def restore(self) -> float:
        """Have it back as an older copy has it; return how many seconds it has forgotten."""
        if not self._copies:
            return 0.0
        taken_at, copy = self._copies[0]
        self.server.restore(copy)
        return time.monotonic() - taken_at


class Parts:
    """Everything that can fail, and the folder of what workers log."""

    def __init__(self, database: Database, temporal: Temporal, started: Processes) -> None:
        self.database = database
        self.temporal = temporal
        self._processes = started

    def worker(self, *, gated: bool) -> WorkerProcess:
        """Start a worker of the present version, or of the one before there were gates."""
        environment = {GATED: "1" if gated else "0"}
        return self._processes.worker(app=_APP, **environment)


@contextmanager
def parts(folder: Path, bank: str, models: str) -> Generator[Parts]:
    """Have all of them for as long as the block runs."""
    database = Database()
    try:
        with tempfile.TemporaryDirectory(prefix="kern-storm-") as temporal_folder:
            temporal = Temporal(Path(temporal_folder))
            environment = {
                "TEMPORAL_ADDRESS": temporal.server.address,
                "KERN_DATABASE_URL": database.url,
                "KERN_HEARTBEAT_SECONDS": f"{HEARTBEAT_SECONDS:g}",
                "KERN_RELAY_SECONDS": "0.2",
                "KERN_HOME": str(folder / "home"),
                BANK: bank,
                MODELS: models,
            }
            try:
                with processes(folder, environment) as started:
                    yield Parts(database, temporal, started)
            finally:
                temporal.server.stop()
    finally:
        database.close()
