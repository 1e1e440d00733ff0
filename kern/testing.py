"""The kit for tests of agents: scripted models, and a runtime that leaves nothing behind."""

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
    """Run agents on a real runtime of their own while the block lasts.

    It has its own server and database, so nothing of other runs is seen, and its own registry.

    Args:
        home: The folder; default: a temporary one, which is removed at the end.
        db: The database; default: SQLite in the folder.

    Yields:
        The folder.
    """
    if home is None:
        with (
            # The server may still be writing as it ends.
            tempfile.TemporaryDirectory(prefix="kern", ignore_cleanup_errors=True) as folder,
            isolated_runtime(Path(folder), db) as used,
        ):
            yield used
        return
    runtime = importlib.import_module("kern.client.processes.process_runtime")
    with runtime.isolated(home, db):
        yield home
