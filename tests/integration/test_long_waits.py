"""A run that waits for people for long: its history moves on while only people are waited for.

Each reminder takes events, and the server terminates a workflow whose history is too long.
"""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from kern.client.processes import process_runtime as runtime_module
from kern.client.processes.runtime import Runtime
from kern.client.server import start
from kern.components.registry import Registry
from kern.components.runnable import Runnable
from kern.db.engine.stores import SqliteStore
from kern.models.scripted import Call
from kern.process.settings import Settings
from kern.tools import Approval, Tool, tool
from kern.values.states import RunStatus
from tests.support.agents import Ledger, scripted
from tests.support.teams import delegating, team
from tests.support.templates import sqlite_with_tables
from tests.support.temporal_server import TemporalServer
from tests.support.waiting import wait_until
from tests.support.workflow_handles import handle_of

# The server suggests a new history after so many events.
EVENTS = 60
REMIND = timedelta(seconds=1)


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runtime]:
    """A runtime whose server suggests new histories early, and ends workflows that do not heed."""
    plain = start._command  # pyright: ignore[reportPrivateUsage]
    limits = {"suggestContinueAsNew": EVENTS, "warn": 4 * EVENTS, "error": 8 * EVENTS}
    options = [
        part
        for name, events in limits.items()
        for part in ("--dynamic-config-value", f"limit.historyCount.{name}={events}")
    ]
    monkeypatch.setattr(start, "_command", lambda *parts: [*plain(*parts), *options])
    sqlite_with_tables(tmp_path / "kern.db").close()
    home = tmp_path / "home"
    home.mkdir()
    server = TemporalServer(home)
    settings = Settings(home=home, heartbeat_seconds=1.0, relay_seconds=0.1)
    opened = Runtime(settings, SqliteStore(tmp_path / "kern.db"), Registry())
    monkeypatch.setattr(runtime_module, "_runtime", opened)
    yield opened
    opened.close()
    server.stop()


def reminding(ledger: Ledger) -> Tool:
    @tool(requires_confirmation=True, approval=Approval(remind=REMIND))
    def pay(amount: int) -> str:
        """Pay."""
        ledger.add(f"paid {amount}")
        return f"paid {amount}"

    return pay


CALLS = [Call("pay", amount=number) for number in range(1, 6)]


@pytest.mark.parametrize("kind", ["agent", "member"])
@pytest.mark.timeout(300)
def test_the_history_moves_on_while_people_are_waited_for(
    runtime: Runtime, ledger: Ledger, kind: str
) -> None:
    component: Runnable = scripted([CALLS, "Done."], [reminding(ledger)], role="Pays")
    if kind == "member":
        component = team([component], delegating((component, "Pay.")))  # type: ignore[list-item,arg-type]
    paused = component.run("Pay")
    assert paused.status is RunStatus.paused
    run_id = paused.active_requirements[0].run_id
    handle = handle_of(runtime, run_id)

    def history() -> str | None:
        return runtime.call(lambda _: handle.describe()).run_id

    first = history()
    wait_until(lambda: history() != first, timeout=200)
    second = history()
    wait_until(lambda: history() != second, timeout=200)
    still = component.get_run_output(paused.run_id)
    assert still.status is RunStatus.paused
    assert len(still.active_requirements) == len(CALLS)
    for requirement in still.active_requirements:
        requirement.confirm(by="dana")
    done = component.continue_run(still)
    assert done.status is RunStatus.completed, done.error
    assert sorted(ledger.lines) == [f"paid {number}" for number in range(1, 6)]
