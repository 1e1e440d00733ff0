"""The embedded runtime looks after itself: what ends in it begins again, and no Ctrl-C tears it."""

import os
import signal
import threading
from pathlib import Path

import pytest
from temporalio.bridge.worker import Worker
from temporalio.client import Client

from kern.client.processes.runtime import Runtime
from kern.client.server import process
from kern.client.temporal import connection
from kern.client.temporal.relay import Relay
from kern.components.registry import Registry
from kern.contracts.requests import RunRequest
from kern.contracts.viewer import Viewer
from kern.db.engine.stores import SqliteStore
from kern.errors import Unavailable
from kern.models.scripted import Call
from kern.process.settings import Settings
from tests.support.agents import scripted
from tests.support.templates import sqlite_with_tables
from tests.support.waiting import wait_until


class Breaking:
    """Has the native part of workers refuse to begin, as often as it is told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
        self.count = 0
        validate = Worker.validate

        async def refusing(worker: Worker) -> object:
            self.count += 1
            if self.count <= times:
                message = "the poller broke"
                raise RuntimeError(message)
            return await validate(worker)

        monkeypatch.setattr(Worker, "validate", refusing)


def test_a_worker_that_an_error_ends_is_begun_again(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("WARNING", logger="kern.runtime")
    broken = Breaking(monkeypatch, times=1)

    assert scripted(["Hello."]).run("Hi").content == "Hello."
    assert broken.count == 2
    assert "the poller broke" in caplog.text


def test_a_relay_that_an_error_ends_is_begun_again(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver, asked = Relay.deliver_due, list[int]()

    async def failing_once(relay: Relay) -> int:
        asked.append(1)
        if len(asked) == 1:
            message = "the relay broke"
            raise RuntimeError(message)
        return await deliver(relay)

    monkeypatch.setattr(Relay, "deliver_due", failing_once)
    runtime = Runtime(settings, sqlite_with_tables(tmp_path / "kern.db"))
    wait_until(lambda: len(asked) > 1)
    runtime.close()


def test_a_runtime_closes_while_a_worker_is_about_to_begin_again(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = Breaking(monkeypatch, times=1000)
    runtime = Runtime(settings, sqlite_with_tables(tmp_path / "kern.db"), Registry())
    runtime.add(scripted(["Hello."]))
    wait_until(lambda: broken.count)

    runtime.close()
    assert "kern" not in {thread.name for thread in threading.enumerate()}


def test_ctrl_c_while_it_opens_lets_the_opening_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect, connected = connection.connect, list[Client]()

    async def interrupted(address: str | None = None, *, lazy: bool = False) -> Client:
        os.kill(os.getpid(), signal.SIGINT)
        connected.append(await connect(address, lazy=lazy))
        return connected[-1]

    monkeypatch.setattr(connection, "connect", interrupted)

    with pytest.raises(KeyboardInterrupt):
        Runtime(Settings(home=tmp_path), SqliteStore(tmp_path / "kern.db"))

    assert connected
    assert "kern" not in {thread.name for thread in threading.enumerate()}
    assert list(process.servers_of(tmp_path)) == []


def test_a_server_that_is_killed_before_it_is_reached_is_started_again(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect, killed = connection.connect, list[int]()

    async def too_late(address: str | None = None, *, lazy: bool = False) -> Client:
        if not killed:
            ((pid, _),) = process.servers_of(settings.home)
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)
        return await connect(address, lazy=lazy)

    monkeypatch.setattr(connection, "connect", too_late)
    runtime = Runtime(settings, sqlite_with_tables(tmp_path / "kern.db"), Registry())
    try:
        agent = scripted(["Hello."])
        runtime.add(agent)
        request = RunRequest(component_id=agent.id, input="Hi")
        output = runtime.call(
            lambda service: service.interaction.run(Viewer(None), agent, request, background=False)
        )
    finally:
        runtime.close()
    assert killed
    assert output.content == "Hello."


def test_who_waits_when_the_runtime_is_closed_is_told_so(
    settings: Settings, tmp_path: Path
) -> None:
    began, free, said = threading.Event(), threading.Event(), list[str]()

    def work() -> str:
        """Work for longer than a runtime that is closed waits."""
        began.set()
        free.wait()
        return "done"

    agent = scripted([Call("work"), "Done."], [work])
    short = settings.model_copy(update={"shutdown_grace_seconds": 0.1})
    runtime = Runtime(short, sqlite_with_tables(tmp_path / "kern.db"), Registry())
    runtime.add(agent)

    def wait() -> None:
        request = RunRequest(component_id=agent.id, input="Work")
        with pytest.raises(Unavailable, match="goes on where the component is executed next"):
            runtime.call(
                lambda service: service.interaction.run(
                    Viewer(None), agent, request, background=False
                )
            )
        said.append("told")
        free.set()

    waiting = threading.Thread(target=wait, daemon=True)
    waiting.start()
    assert began.wait(30)
    runtime.close()
    waiting.join(30)
    assert said == ["told"]


def test_a_closed_runtime_takes_no_calls(settings: Settings, tmp_path: Path) -> None:
    runtime = Runtime(settings, sqlite_with_tables(tmp_path / "kern.db"), Registry())
    runtime.close()
    request = RunRequest(component_id="agent", input="Hi")
    with pytest.raises(Unavailable, match="ends its work"):
        runtime.call(
            lambda service: service.interaction.run(
                Viewer(None), scripted(["Hello."]), request, background=False
            )
        )
