"""What tests of the command line share: folders, and the command."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from kern.client.server.embedded import EmbeddedServer
from kern.db.engine.from_settings import database_path
from kern.db.engine.stores import SqliteStore
from tests.support.cli import Cli
from tests.support.templates import sqlite_with_tables


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which the command works."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / ".kern"


@pytest.fixture
def db(home: Path) -> Iterator[SqliteStore]:
    """The folder's database."""
    found = sqlite_with_tables(database_path(home))
    yield found
    found.close()


@pytest.fixture
def kern(capsys: pytest.CaptureFixture[str]) -> Cli:
    """The command, in this process."""
    return Cli(capsys)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for the processes of a module, whose server runs: nobody waits for it to start."""
    path = tmp_path_factory.mktemp("cli")
    server = EmbeddedServer.join(path / ".kern")
    yield path
    server.leave()
