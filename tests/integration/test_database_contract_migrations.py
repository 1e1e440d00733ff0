"""The database contract: migrations on a real Postgres, and on a file that many processes open."""

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from psycopg import sql
from sqlalchemy import Column, Text, inspect, make_url, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from kern.db.engine.base import KernRow
from kern.db.engine.stores import PostgresStore, SqliteStore
from kern.db.journal import verification
from kern.db.migrations import HEAD
from kern.db.migrations.migrate import (
    TablesChange,
    changing,
    lock_migrations,
    prepare_schema,
    revision_of,
)
from kern.errors import Conflict, NotFound, Unavailable
from kern.values.states import RunStatus
from tests.support import forked
from tests.support.cli import environment
from tests.support.postgres import PASSWORD, fresh_database
from tests.support.stored_runs import Stored, at_once, question
from tests.support.table_differences import table_differences
from tests.support.upgrades import downgrade

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
        assert table_differences(database) == []


def test_eight_workers_may_begin_with_one_database_at_once() -> None:
    url = fresh_database()
    databases = [PostgresStore(url) for _ in range(8)]
    changes = at_once([database.migrate for database in databases])
    assert [change for change in changes if not isinstance(change, TablesChange)] == []
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


def test_a_custom_schema_holds_all_that_kern_makes() -> None:
    url = fresh_database()
    with closing(PostgresStore(url, "billing_2")) as database:
        database.migrate()
        assert table_differences(database) == []
        with database.engine.connect() as connection:
            query = text("SELECT schemaname, count(*) FROM pg_tables GROUP BY 1")
            counts = {str(name): number for name, number in connection.execute(query)}
    assert counts["billing_2"] > len(KernRow.metadata.tables)
    assert set(counts) == {"billing_2", "pg_catalog", "information_schema"}


def test_two_installations_share_a_database_and_nothing_else() -> None:
    url = fresh_database()
    with closing(PostgresStore(url)) as one, closing(PostgresStore(url, "other")) as two:
        changes = at_once([one.migrate, two.migrate])
        assert [change for change in changes if not isinstance(change, TablesChange)] == []
        assert revision_of(one) == revision_of(two) == HEAD
        assert not one.is_same(two)
        assert one.is_same(PostgresStore(url))
        here, there = Stored(one), Stored(two)
        call_id = here.call(question(), run_id="run", session_id="session")
        there.accept(run_id="run", session_id="session", input="Another")
        here.resolve(here.requirement(call_id))
        assert here.output("run").status is RunStatus.running
        assert there.output("run").status is RunStatus.pending
        assert there.output("run").input == "Another"
        assert here.look(verification.verify).decisions == 1
        assert there.look(verification.verify).decisions == 0
        downgrade(two, "base")
        two.migrate()
        assert here.output("run").status is RunStatus.running
        with pytest.raises(NotFound):
            there.output("run")


def test_a_migration_waits_for_one_of_its_own_schema_only() -> None:
    url = fresh_database()
    with (
        closing(PostgresStore(url)) as one,
        closing(PostgresStore(url, "other")) as two,
        one.engine.begin() as connection,
        one.engine.begin() as rival,
    ):
        lock_migrations(connection)
        two.migrate()
        rival.execute(text("SET LOCAL lock_timeout = '50ms'"))
        with pytest.raises(OperationalError, match="lock timeout"):
            lock_migrations(rival)


@pytest.fixture
def limited() -> Iterator[tuple[str, str]]:
    """The URLs of a database for a role that may make no schema, and for its administrator."""
    admin = fresh_database()
    role, database = f"r{secrets.token_hex(6)}", admin.rpartition("/")[2]
    with psycopg.connect(admin, autocommit=True) as connection:
        command = sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'p'")
        connection.execute(command.format(sql.Identifier(role)))
        command = sql.SQL("REVOKE CREATE ON DATABASE {} FROM PUBLIC")
        connection.execute(command.format(sql.Identifier(database)))
        yield admin.replace(f"kern:{PASSWORD}", f"{role}:p"), admin


def test_a_role_that_may_make_no_schema_is_told_what_to_have_done(
    limited: tuple[str, str],
) -> None:
    url, admin = limited
    role = make_url(url).username
    with closing(PostgresStore(url)) as database:
        with pytest.raises(Unavailable, match="permission denied") as refused:
            database.migrate()
        command = f"CREATE SCHEMA IF NOT EXISTS kern AUTHORIZATION {role}"
        assert f"`{command}`" in str(refused.value)
        assert revision_of(database) is None
        with psycopg.connect(admin, autocommit=True) as connection:
            connection.execute(command.encode())
        database.migrate()
        assert table_differences(database) == []


def test_a_role_that_may_only_look_into_the_schema_is_told_so(limited: tuple[str, str]) -> None:
    url, admin = limited
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA kern")
        connection.execute("GRANT USAGE ON SCHEMA kern TO PUBLIC")
    refused = pytest.raises(Unavailable, match=r"permission denied for schema kern.*AUTHORIZATION")
    with closing(PostgresStore(url)) as database, refused:
        database.migrate()
    with closing(PostgresStore(admin)) as own:
        own.migrate()
    refused = pytest.raises(Unavailable, match="permission denied for table kern_version")
    with closing(PostgresStore(url)) as database, refused:
        revision_of(database)


@pytest.mark.parametrize("is_schema_there", [False, True])
def test_tables_of_a_development_version_are_refused(is_schema_there: bool) -> None:  # noqa: FBT001  a parameter
    url = fresh_database()
    names = (
        *("sessions", "runs", "messages", "tool_calls", "requirements"),
        *("decisions", "events", "outbox", "chain_heads"),
    )
    with psycopg.connect(url, autocommit=True) as connection:
        for name in names:
            connection.execute(f"CREATE TABLE {name} (id TEXT)".encode())
        connection.execute("CREATE TABLE alembic_version AS SELECT '0005' AS version_num")
        if is_schema_there:
            connection.execute("CREATE SCHEMA kern")
    with closing(PostgresStore(url)) as database:
        acts: list[Callable[[], object]] = [database.migrate, lambda: revision_of(database)]
        for act in acts:
            with pytest.raises(Conflict, match=r"before 0\.2 \(revision 0005\).*Move the database"):
                act()


def test_a_migration_reaches_nothing_outside_its_schema() -> None:
    """Names without a schema mean Kern's, in Alembic's operations and in literal SQL."""
    url = fresh_database()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE public.kern_runs (id TEXT)")
        connection.execute("CREATE TABLE public.stray (id TEXT)")
    with closing(PostgresStore(url)) as database:
        database.migrate()
        with changing(database) as connection:
            prepare_schema(connection)
            operations = Operations(MigrationContext.configure(connection))
            operations.add_column("kern_runs", Column("extra", Text))
            operations.execute("UPDATE kern_runs SET extra = 'x'")
            with pytest.raises(ProgrammingError, match="stray"), connection.begin_nested():
                operations.drop_table("stray")
            with pytest.raises(ProgrammingError, match="stray"), connection.begin_nested():
                operations.execute("DELETE FROM stray")
        inspector = inspect(database.engine)
        public = inspector.get_columns("kern_runs", schema="public")
        assert [column["name"] for column in public] == ["id"]
        own = inspector.get_columns("kern_runs", schema="kern")
        assert "extra" in [column["name"] for column in own]
