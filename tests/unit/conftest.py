"""Holds the fast ring to its promise: no test below this folder starts a server."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from temporalio.testing import WorkflowEnvironment

_SERVERS = frozenset({"temporal", "temporal-server", "postgres", "initdb", "pg_ctl"})
_is_unit_test = False


@pytest.fixture(autouse=True)
def _no_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail a test that starts Temporal or Postgres; it belongs to the slower rings."""
    global _is_unit_test  # noqa: PLW0603  an audit hook stays for good, so it asks whether it applies
    # Temporal's SDK starts its test server in Rust, where Python's hooks see nothing.
    for start in ("start_local", "start_time_skipping"):
        monkeypatch.setattr(WorkflowEnvironment, start, _refuse)
    _is_unit_test = True
    yield
    _is_unit_test = False


def _refuse(*_arguments: object, **_options: object) -> None:
    pytest.fail("a unit test starts a server: move it to tests/workflow or tests/integration")


def _check_process(event: str, arguments: tuple[object, ...]) -> None:
    if not _is_unit_test or event != "subprocess.Popen":
        return
    program, command, *_ = arguments
    words = [program, *(command if isinstance(command, list | tuple) else [command])]
    for word in words:
        if isinstance(word, str | bytes | os.PathLike):
            path: str | bytes = os.fspath(word)
            if Path(os.fsdecode(path)).name in _SERVERS:
                _refuse()


sys.addaudithook(_check_process)
