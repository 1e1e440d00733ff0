"""Databases are told where they are, and refuse places where they cannot be."""

from pathlib import Path

import pytest

from kern.db.engine.stores import PostgresStore, SqliteStore
from kern.errors import InvalidInput


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
    db = PostgresStore("postgresql://kern:sesame@localhost:5432/kern")
    assert db.name == "postgresql://kern:***@localhost:5432/kern"
    db.close()
