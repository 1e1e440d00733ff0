"""The database contract: migrations on a real Postgres."""

from contextlib import closing

from kern.db.engine.stores import PostgresStore
from kern.db.migrations import HEAD
from kern.db.migrations.migrate import revision_of
from tests.support.postgres import fresh_database
from tests.support.stored_runs import at_once
from tests.support.table_differences import table_differences


def test_the_tables_are_those_that_the_code_declares() -> None:
    with closing(PostgresStore(fresh_database())) as database:
        assert revision_of(database) is None
        for _ in range(2):
            database.migrate()
        assert table_differences(database) == []


def test_eight_workers_may_begin_with_one_database_at_once() -> None:
    url = fresh_database()
    databases = [PostgresStore(url) for _ in range(8)]
    assert at_once([database.migrate for database in databases]) == [None] * 8
    assert revision_of(databases[0]) == HEAD
    for database in databases:
        database.close()
