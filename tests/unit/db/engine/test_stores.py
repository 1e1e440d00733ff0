"""Databases are opened where settings and arguments say, and refuse what cannot be a place."""

from pathlib import Path

import pytest

from kern.db import PostgresDb, SqliteDb, database_from_url
from kern.db.engine import pg_notify
from kern.db.engine.databases import store_of
from kern.db.engine.from_settings import open_store
from kern.db.engine.schema import schema_of
from kern.db.engine.stores import PostgresStore, SqliteStore
from kern.errors import InvalidInput
from kern.process.settings import read_settings

URL = "postgresql://kern:sesame@localhost:5432/kern"
LONGEST = "a" * 50


@pytest.mark.parametrize("path", ["", "  ", "a\0b", 5, None, b"x"])
def test_a_file_that_is_none_is_refused(path: object) -> None:
    with pytest.raises(InvalidInput, match="give the path of a file"):
        SqliteStore(path)  # type: ignore[arg-type]


def test_a_folder_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="it is a folder"):
        SqliteStore(tmp_path)


def test_memory_is_another_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidInput, match=r"InMemoryDb\(\)"):
        SqliteStore(":memory:")
    assert not list(tmp_path.iterdir())


def test_a_database_is_shown_as_it_was_given_and_without_its_password() -> None:
    db = PostgresStore(URL)
    assert db.name == "postgresql://kern:***@localhost:5432/kern"
    db.close()


def test_another_schema_is_another_database_and_is_shown() -> None:
    db, other = PostgresDb(URL), PostgresDb(URL, schema="billing")
    assert other.name == "postgresql://kern:***@localhost:5432/kern (schema billing)"
    assert db != other
    assert other == PostgresDb(URL, "billing")
    assert pg_notify.channel(store_of(db).engine) != pg_notify.channel(store_of(other).engine)


def test_the_schema_of_the_settings_counts_where_none_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    databases = [PostgresDb(URL), database_from_url(URL)]
    assert [schema_of(store_of(db).engine) for db in databases] == ["kern", "kern"]
    monkeypatch.setenv("KERN_DATABASE_SCHEMA", "billing")
    monkeypatch.setenv("KERN_DATABASE_URL", URL)
    stores = [store_of(PostgresDb(URL)), store_of(database_from_url(URL))]
    stores.append(open_store(read_settings()))
    assert [schema_of(store.engine) for store in stores] == ["billing"] * 3
    assert schema_of(store_of(PostgresDb(URL, schema="other")).engine) == "other"
    assert schema_of(store_of(SqliteDb(tmp_path / "kern.db")).engine) is None


@pytest.mark.parametrize("name", ["kern", "_k", "kern_2", "public", "select", LONGEST])
def test_names_of_schemas(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERN_DATABASE_SCHEMA", name)
    assert read_settings().database_schema == name
    assert schema_of(PostgresStore(URL, name).engine) == name


WRONG = [
    *("", " ", "Kern", "2kern", "kern-1", "kern.runs", 'k"; DROP SCHEMA public; --', "kärn", "k\n"),
    *(LONGEST + "a", "pg_kern", "information_schema"),
]


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_a_schema_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = "Postgres keeps this name" if name in WRONG[-2:] else "use lower-case letters"
    with pytest.raises(InvalidInput, match=f"^The schema is .*: .*{expected}"):
        PostgresDb(URL, schema=name)
    monkeypatch.setenv("KERN_DATABASE_SCHEMA", name)
    with pytest.raises(InvalidInput, match=f"KERN_DATABASE_SCHEMA is .*: .*{expected}"):
        read_settings()


@pytest.mark.parametrize("name", [5, b"kern", ["kern"]])
def test_what_is_no_text_is_no_schema(name: object) -> None:
    with pytest.raises(InvalidInput, match="use lower-case letters"):
        PostgresDb(URL, schema=name)  # type: ignore[arg-type]
