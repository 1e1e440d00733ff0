"""Migrations: every database comes to the tables of the code, once, however many begin at once."""

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from kern.db.engine.base import KernRow
from kern.db.engine.stores import MemoryStore, SqliteStore
from kern.db.migrations import HEAD, MIN_READER
from kern.db.migrations.migrate import TablesChange, configuration, revision_of
from kern.errors import Conflict
from tests.support.migration_rules import Revision, breaches
from tests.support.stored_runs import at_once
from tests.support.table_differences import table_differences

POSTGRES_NAME = 63
ROOT = Path(__file__).resolve().parent.parent.parent

DEVELOPMENT = (
    *("sessions", "runs", "messages", "tool_calls", "requirements", "files", "deleted_runs"),
    *("decisions", "events", "outbox", "chain_heads", "shapes", "steps"),
)


def test_the_head_is_the_newest_revision() -> None:
    with closing(MemoryStore()) as database, database.engine.connect() as connection:
        scripts = ScriptDirectory.from_config(configuration(connection))
    assert scripts.get_heads() == [HEAD]
    revisions = [script.revision for script in scripts.walk_revisions()]
    assert revisions == sorted(revisions, reverse=True), "a newer revision is recognised by order"


def test_revisions_expand_and_contract_one_release_later() -> None:
    with closing(MemoryStore()) as database, database.engine.connect() as connection:
        scripts = ScriptDirectory.from_config(configuration(connection))
    revisions = [Revision.of(script.module) for script in scripts.walk_revisions("base", "heads")]
    assert breaches(revisions[::-1]) == []
    assert revisions[0].min_reader == MIN_READER


def test_an_empty_database_comes_to_the_head_and_stays_there(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "new" / "kern.db")) as database:
        assert revision_of(database) is None
        for _time in range(2):
            database.migrate()
            assert revision_of(database) == HEAD


def test_the_tables_are_those_that_the_code_declares(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "kern.db")) as database:
        database.migrate()
        assert table_differences(database) == []


def test_a_missing_index_and_a_table_of_nobody_are_differences(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "kern.db")) as database:
        database.migrate()
        with database.engine.begin() as connection:
            connection.execute(text("DROP INDEX kern_runs_by_status"))
            connection.execute(text("CREATE TABLE kern_stray (id TEXT)"))
        differences = str(table_differences(database))
        assert "kern_runs_by_status" in differences
        assert "kern_stray" in differences


def test_every_name_has_the_prefix(tmp_path: Path) -> None:
    """SQLite has one namespace for the tables and indexes of a file, whoever made them."""
    with closing(SqliteStore(tmp_path / "kern.db")) as database:
        database.migrate()
        with database.engine.connect() as connection:
            names = connection.execute(text("SELECT name FROM sqlite_master")).scalars().all()
    assert [
        name for name in names if not name.startswith(("kern_", "sqlite_autoindex_kern_"))
    ] == []
    tables = KernRow.metadata.sorted_tables
    constraints = [str(item.name) for table in tables for item in table.constraints]
    constraints += [str(item.name) for table in tables for item in table.indexes]
    assert [name for name in constraints if not name.startswith("kern_")] == []
    assert [name for name in constraints if len(name) > POSTGRES_NAME] == []


def test_constraints_have_the_names_of_the_code(tmp_path: Path) -> None:
    """Alembic does not compare them, and a later migration addresses a constraint by its name."""
    with closing(SqliteStore(tmp_path / "kern.db")) as database:
        database.migrate()
        inspector = inspect(database.engine)
        for name, table in KernRow.metadata.tables.items():
            found = {
                inspector.get_pk_constraint(name)["name"],
                *(key["name"] for key in inspector.get_foreign_keys(name)),
                *(key["name"] for key in inspector.get_unique_constraints(name)),
            }
            assert found == {constraint.name for constraint in table.constraints}


def check_migrated(changes: Sequence[object]) -> None:
    assert [change for change in changes if not isinstance(change, TablesChange)] == []


def test_eight_threads_may_begin_with_one_file_at_once(tmp_path: Path) -> None:
    databases = [SqliteStore(tmp_path / "kern.db") for _ in range(8)]
    check_migrated(at_once([database.migrate for database in databases]))
    for database in databases:
        database.close()


def test_threads_may_bring_different_databases_up_at_once() -> None:
    databases = [MemoryStore() for _ in range(8)]
    check_migrated(at_once([database.migrate for database in databases]))
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
            change = "UPDATE kern_version SET version_num = :v, min_reader = :v"
            connection.execute(text(change), {"v": revision})
        with pytest.raises(Conflict, match=f"revision {revision}.*newer version"):
            database.migrate()
        assert revision_of(database) == revision


def old_tables(database: SqliteStore, names: tuple[str, ...], revision: str) -> None:
    with database.engine.begin() as connection:
        for name in names:
            connection.execute(text(f"CREATE TABLE {name} (id TEXT)"))
        connection.execute(text("CREATE TABLE alembic_version (version_num TEXT)"))
        connection.execute(text("INSERT INTO alembic_version VALUES (:v)"), {"v": revision})


def test_a_database_of_a_development_version_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "kern.db"
    with closing(SqliteStore(path)) as database:
        old_tables(database, DEVELOPMENT, "0005")
        before = inspect(database.engine).get_table_names()
        acts: list[Callable[[], object]] = [database.migrate, lambda: revision_of(database)]
        for act in acts:
            with pytest.raises(Conflict, match=r"kern\.db.*before 0\.2 \(revision 0005\).*Move"):
                act()
        assert inspect(database.engine).get_table_names() == before


@pytest.mark.parametrize(
    ("names", "revision"),
    [
        # An application of its own, numbered in the same way, with some tables of the same names.
        (("sessions", "runs", "messages", "events", "outbox"), "0005"),
        # Or with all of them, at a revision that Kern never had.
        (DEVELOPMENT, "1a2b3c4d5e6f"),
    ],
)
def test_an_application_is_not_taken_for_a_development_version(
    tmp_path: Path, names: tuple[str, ...], revision: str
) -> None:
    with closing(SqliteStore(tmp_path / "kern.db")) as database:
        old_tables(database, names, revision)
        database.migrate()
        assert revision_of(database) == HEAD


@pytest.mark.parametrize(
    "statement",
    [
        "op.drop_table('kern_files')",
        "op.drop_column('kern_runs', 'content')",
        "op.rename_table('kern_files', 'kern_media')",
        "op.alter_column('kern_runs', 'content', new_column_name='answer')",
        "op.alter_column('kern_runs', 'content', nullable=False)",
        "op.alter_column('kern_runs', 'content', type_=sa.Integer())",
        "op.add_column('kern_runs', sa.Column('later', sa.String(), nullable=False))",
        "op.create_unique_constraint('kern_x', 'kern_runs', ['content'])",
        "op.create_check_constraint('kern_x', 'kern_runs', 'turn > 0')",
        "op.create_foreign_key('kern_x', 'kern_runs', 'kern_files', ['a'], ['b'])",
        "op.create_index('kern_x', 'kern_runs', ['content'], unique=True)",
        "op.execute('ALTER TABLE kern_runs DROP COLUMN content')",
        "op.execute(sa.text('ALTER TABLE kern_runs RENAME content TO answer'))",
    ],
)
def test_a_revision_that_takes_away_raises_min_reader_one_release_later(statement: str) -> None:
    source = f"def upgrade():\n    {statement}\n"
    first, second = Revision("0001", "0001", ""), Revision("0002", "0001", "")
    assert "raise min_reader" in breaches([first, second, Revision("0003", "0001", source)])[0]
    assert breaches([first, second, Revision("0003", "0002", source)]) == []
    at_once = breaches([first, second, Revision("0003", "0003", source)])
    assert "the version before cannot work" in at_once[0]


@pytest.mark.parametrize(
    "statement",
    [
        "op.add_column('kern_runs', sa.Column('later', sa.String(), nullable=True))",
        "op.add_column('kern_runs', sa.Column('x', sa.Text(), server_default='', nullable=False))",
        "op.create_table('kern_later', sa.Column('id', sa.String(), nullable=False))",
        "op.create_index('kern_x', 'kern_runs', ['content'])",
        "op.alter_column('kern_runs', 'content', nullable=True)",
        "op.execute('UPDATE kern_runs SET later = content')",
    ],
)
def test_a_revision_that_only_adds_leaves_min_reader(statement: str) -> None:
    source = f"def upgrade():\n    {statement}\n\ndef downgrade():\n    op.drop_table('x')\n"
    first = Revision("0001", "0001", "")
    assert breaches([first, Revision("0002", "0001", source)]) == []
    assert "says nothing" in breaches([first, Revision("0002", None, source)])[0]
    falling = [first, Revision("0002", "0001", ""), Revision("0003", "0000", "")]
    assert "falls" in breaches(falling)[0]
