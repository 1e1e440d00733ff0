"""A database that was restored from an older backup is refused by who knows a newer head."""

from pathlib import Path

import pytest

from kern.client.processes.runtime import Runtime
from kern.components.registry import Registry
from kern.db.engine.stores import SqliteStore
from kern.db.journal import seals, verification
from kern.errors import AuditBroken
from kern.process.settings import Settings
from tests.support.stored_runs import NOW, Stored
from tests.support.templates import sqlite_with_tables


def test_nothing_is_executed_on_a_database_that_is_older_than_a_known_head(
    settings: Settings, tmp_path: Path
) -> None:
    store = sqlite_with_tables(tmp_path / "kern.db")
    stored = Stored(store)
    stored.resolve(stored.gated())
    stored.do(lambda tx: seals.seal(tx, NOW))
    noted = stored.look(verification.verify).head
    store.close()
    older = sqlite_with_tables(tmp_path / "older.db")
    knowing = settings.model_copy(update={"audit_head": noted})
    with pytest.raises(
        AuditBroken, match=r"the database is older.*backup-and-restore\.md.*unset KERN_AUDIT_HEAD"
    ):
        Runtime(knowing, older, Registry())
    with pytest.raises(AuditBroken, match="is older than that hash"):
        older.read_now(lambda tx: verification.verify(tx, noted))
    older.close()
    Runtime(knowing, SqliteStore(tmp_path / "kern.db"), Registry()).close()
