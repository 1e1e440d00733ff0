"""What docker-compose starts, without containers: each part is a process of its own."""

import json
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from tests.support.agents import Ledger
from tests.support.apps import FOLDER, LEDGER, RELEASE
from tests.support.processes import Json, Processes, processes
from tests.support.templates import postgres_with_tables
from tests.support.temporal_server import TemporalServer, temporal_server


class Topology:
    """The parts of one test, and the folder in which its tools leave their traces."""

    def __init__(self, folder: Path, temporal: TemporalServer, started: Processes) -> None:
        self.temporal = temporal
        self.start = started
        self._folder = folder

    @property
    def done(self) -> list[Json]:
        """What the tools did, in its order."""
        return [cast("Json", json.loads(line)) for line in Ledger(self._folder / LEDGER).lines]

    def count(self, what: str) -> int:
        """Return how often something was done."""
        return sum(1 for entry in self.done if entry["what"] == what)

    def release(self) -> None:
        """Let tools end that wait for it."""
        (self._folder / RELEASE).touch()


@contextmanager
def topology(folder: Path) -> Generator[Topology]:
    """Have the parts for as long as the block runs; workers and clients are started in it."""
    with temporal_server() as temporal:
        environment = {
            "TEMPORAL_ADDRESS": temporal.address,
            "KERN_DATABASE_URL": postgres_with_tables(),
            "KERN_HEARTBEAT_SECONDS": "1",
            "KERN_RELAY_SECONDS": "0.1",
            FOLDER: str(folder),
        }
        with processes(folder, environment) as started:
            yield Topology(folder, temporal, started)
