"""Migrations: every database comes to the tables of the code, once, however many begin at once."""

from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text
from sqlmodel import SQLModel

from kern.db.engine import tables
from kern.db.engine.stores import MemoryStore, SqliteStore
from kern.db.migrations import HEAD
from kern.db.migrations.migrate import configuration, revision_of
from kern.errors import Conflict
from tests.support.stored_runs import at_once

_ = tables


def test_the_head_is_the_newest_revision() -> None:
    with closing(MemoryStore()) as database, database.engine.connect() as connection:
        scripts = ScriptDirectory.from_config(configuration(connection))
    assert scripts.get_heads() == [HEAD]
    revisions = [script.revision for script in scripts.walk_revisions()]
    assert revisions == sorted(revisions, reverse=True), "a newer revision is recognised by order"


def test_an_empty_database_comes_to_the_head_and_stays_there(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "new" / "kern.db")) as database:
        assert revision_of(database) is None
        for _time in range(2):
            database.migrate()
            assert revision_of(database) == HEAD


def test_the_tables_are_those_that_the_code_declares(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "kern.db")) as database:
        database.migrate()
        with database.engine.connect() as connection:
            assert compare_metadata(MigrationContext.configure(connection), SQLModel.metadata) == []
            found = set(inspect(connection).get_table_names())
        assert found == {*SQLModel.metadata.tables, "alembic_version"}


def test_eight_threads_may_begin_with_one_file_at_once(tmp_path: Path) -> None:
    databases = [SqliteStore(tmp_path / "kern.db") for _ in range(8)]
    assert at_once([database.migrate for database in databases]) == [None] * 8
    for database in databases:
        database.close()


def test_threads_may_bring_different_databases_up_at_once() -> None:
    databases = [MemoryStore() for _ in range(8)]
    assert at_once([database.migrate for database in databases]) == [None] * 8
    for database in databases:
        assert revision_of(database) == HEAD
        database.close()


@pytest.mark.parametrize("revision", ["9999", "zzzz"])
def test_a_database_of_a_newer_version_is_refused_and_left_as_it_is(
    tmp_path: Path, revision: str
) -> None:
    with closing(SqliteStore(tmp_path / "kern.db")) as database:
        database.migrate()
        with database.engine.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = :v"), {"v": revision})
        with pytest.raises(Conflict, match=f"revision {revision}.*newer version"):
            database.migrate()
        assert revision_of(database) == revision
