"""The database contract: migrations on a real Postgres, and on a file that many processes open."""

import os
from contextlib import closing
from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlmodel import SQLModel

from kern.db.engine.stores import PostgresStore, SqliteStore
from kern.db.migrations import HEAD
from kern.db.migrations.migrate import revision_of
from tests.support import forked
from tests.support.cli import environment
from tests.support.postgres import fresh_database
from tests.support.stored_runs import at_once

# Standard input ends for all of them at one moment.
MIGRATE = """
import sys
from kern.db.engine.stores import SqliteStore
sys.stdin.read()
SqliteStore(sys.argv[1]).migrate()
"""


def test_the_tables_are_those_that_the_code_declares() -> None:
    with closing(PostgresStore(fresh_database())) as database:
        assert revision_of(database) is None
        for _ in range(2):
            database.migrate()
        with database.engine.connect() as connection:
            assert compare_metadata(MigrationContext.configure(connection), SQLModel.metadata) == []


def test_eight_workers_may_begin_with_one_database_at_once() -> None:
    url = fresh_database()
    databases = [PostgresStore(url) for _ in range(8)]
    assert at_once([database.migrate for database in databases]) == [None] * 8
    assert revision_of(databases[0]) == HEAD
    for database in databases:
        database.close()


def test_eight_processes_may_begin_with_one_file_at_once(tmp_path: Path) -> None:
    path, script, log = tmp_path / "kern.db", tmp_path / "migrate.py", tmp_path / "log"
    script.write_text(MIGRATE)
    waiting, go = os.pipe()
    with os.fdopen(waiting) as stdin, log.open("w") as output:
        streams = (stdin.fileno(), output.fileno(), output.fileno())
        command, env = [str(script), str(path)], environment()
        processes = [forked.fork(command, cwd=tmp_path, env=env, streams=streams) for _ in range(8)]
    os.close(go)
    assert [process.wait(100) for process in processes] == [0] * 8, log.read_text()
    with closing(SqliteStore(path)) as database:
        assert revision_of(database) == HEAD
