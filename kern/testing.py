"""The kit for testing agents: scripted models, and a runtime that leaves nothing behind."""

import importlib
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from kern.contracts.database import Database
from kern.models.scripted import Call, ScriptedModel

__all__ = ["Call", "ScriptedModel", "isolated_runtime"]


@contextmanager
def isolated_runtime(home: Path | None = None, db: Database | None = None) -> Generator[Path]:
    """Run agents on a real runtime of its own for the duration of the block.

    It has its own server, database and registry, so tests see no other runs and no other agents.

    Args:
        home: The runtime's folder; default: a temporary one, which is removed at the end.
        db: The database; default: SQLite in the folder.

    Yields:
        The runtime's folder.
    """
    if home is None:
        with (
            # The server may still write into the folder as it ends.
            tempfile.TemporaryDirectory(prefix="kern", ignore_cleanup_errors=True) as folder,
            isolated_runtime(Path(folder), db) as runtime_folder,
        ):
            yield runtime_folder
        return
    runtime = importlib.import_module("kern.client.processes.process_runtime")
    with runtime.isolated(home, db):
        yield home
