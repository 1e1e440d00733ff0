"""What tests share: a Temporal server for each test process, and a fresh database for each test."""

import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from kern.client.processes import process_runtime as runtime_module
from kern.client.processes.runtime import Runtime
from kern.client.server.embedded import EmbeddedServer
from kern.components.registry import Registry
from kern.process.settings import Settings
from tests.support.agents import Ledger
from tests.support.templates import sqlite_with_tables, with_tables
from tests.support.temporal_server import stop_servers_below

# How long an example takes is the machine's affair; each test has its timeout.
hypothesis.settings.register_profile("kern", deadline=None)
hypothesis.settings.load_profile("kern")
_TESTS = Path(__file__).resolve().parent
_SETTINGS = ("KERN_", "TEMPORAL_", "OPENAI_")
# Modules are handed to test processes in this order: what takes longest must not come last.
_LONGEST_FIRST = ("acceptance", "integration", "workflow")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the folders whose modules take longest; within a folder the order stays random."""

    def rank(item: pytest.Item) -> int:
        name = item.path.relative_to(_TESTS).parts[0]
        return _LONGEST_FIRST.index(name) if name in _LONGEST_FIRST else len(_LONGEST_FIRST)

    items.sort(key=rank)


@pytest.fixture(scope="session", autouse=True)
def _interrupted_finalisers_are_no_errors() -> Iterator[None]:
    """Overlook what a machine with too little CPU does to a finaliser.

    Temporal's SDK interrupts workflow code that has not yielded for two seconds, and the task is
    executed again. Where the interruption meets a finaliser, Python can only report it.
    """
    report = sys.unraisablehook

    def overlook(unraisable: "sys.UnraisableHookArgs") -> None:
        if unraisable.exc_type.__name__ != "_InterruptDeadlockError":
            report(unraisable)

    sys.unraisablehook = overlook
    yield
    sys.unraisablehook = report


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the person who runs the tests reaches them."""
    for name in list(os.environ):
        if name.startswith(_SETTINGS):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session", autouse=True)
def _ctrl_c() -> None:
    """Ctrl-C works in what tests start, though a shell ignores it in the background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _no_server_stays(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A test that leaves a Temporal server behind fails the session, which ends the server."""
    yield
    left = stop_servers_below(tmp_path_factory.getbasetemp())
    assert not left, f"these servers were left running: {left}"


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """A folder whose server runs as long as the test process."""
    with tempfile.TemporaryDirectory(prefix="kern") as path:
        server = EmbeddedServer.join(Path(path))
        yield Path(path)
        server.leave()


@pytest.fixture
def settings(folder: Path) -> Settings:
    """Settings under which crashes are noticed quickly."""
    return Settings(home=folder, heartbeat_seconds=1.0, relay_seconds=0.1)


@pytest.fixture
def runtime(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Runtime]:
    """This process's runtime, on SQLite."""
    yield from _on_sqlite(settings, tmp_path, monkeypatch)


@pytest.fixture(params=["sqlite", "postgres"])
def runtime_on_each(
    request: pytest.FixtureRequest,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Runtime]:
    """This process's runtime, on each of the databases that outlive a process."""
    database = with_tables(str(request.param), tmp_path)
    yield from running(Runtime(settings, database, Registry()), monkeypatch)


@pytest.fixture
def short_histories(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Runtime]:
    """This process's runtime, whose workflows continue as new after each turn or step."""
    yield from _on_sqlite(
        settings.model_copy(update={"turns_per_history": 1}), tmp_path, monkeypatch
    )


@pytest.fixture
def narrow(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Runtime]:
    """This process's runtime, which executes one tool at a time."""
    yield from _on_sqlite(settings.model_copy(update={"tool_slots": 1}), tmp_path, monkeypatch)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """What tools note of their effects."""
    return Ledger(tmp_path / "ledger")


def _on_sqlite(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Runtime]:
    database = sqlite_with_tables(tmp_path / "kern.db")
    yield from running(Runtime(settings, database, Registry()), monkeypatch)


def running(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runtime]:
    """Put a runtime in this process's place, and close it afterwards."""
    monkeypatch.setattr(runtime_module, "_runtime", runtime)
    yield runtime
    runtime.close()
