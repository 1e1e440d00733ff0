"""A run for which no worker has the code says so: to whoever waits, in reports, and in the log."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kern.activities import failures, tool_call
from kern.agent import Agent
from kern.client.cli.delays import reporting_delays
from kern.client.cli.main import execute
from kern.client.processes import process_runtime as runtime_module
from kern.client.processes.health import Health
from kern.client.processes.runtime import Runtime
from kern.client.server.embedded import status
from kern.client.service import missing_worker
from kern.components.registry import Registry
from kern.contracts.reports import RunReport
from kern.contracts.viewer import OPERATOR
from kern.db.engine.store import Store
from kern.models.scripted import Call, Script, ScriptedModel, Step
from kern.process.logs import OnceLog, get_logger
from kern.process.settings import Settings
from kern.tools import Tool
from kern.values.ids import new_id
from tests.support.agents import Ledger, paying
from tests.support.cli import Cli
from tests.support.templates import sqlite_with_tables
from tests.support.waiting import wait_until


@pytest.fixture
def database(tmp_path: Path) -> Store:
    return sqlite_with_tables(tmp_path / "kern.db")


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits looks sooner, and says again what an earlier test has heard."""
    monkeypatch.setattr(missing_worker, "_FIRST_SECONDS", 0.3)
    monkeypatch.setattr(missing_worker, "_log", OnceLog(get_logger(missing_worker.LOGGER)))


@pytest.fixture
def client(
    settings: Settings, database: Store, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Runtime]:
    """A runtime that executes nothing."""
    address = status(settings.home).address
    assert address is not None
    with monkeypatch.context() as patch:
        patch.setenv("TEMPORAL_ADDRESS", address)
        runtime = Runtime(settings, database, Registry())
    monkeypatch.setattr(runtime_module, "_runtime", runtime)
    yield runtime
    runtime.close()


@pytest.fixture
def start(settings: Settings, tmp_path: Path, client: Runtime) -> Iterator[Callable[..., Runtime]]:
    """Starts runtimes that execute runs of the client's database."""
    del client
    runtimes: list[Runtime] = []

    def begin(component: Agent) -> Runtime:
        runtime = Runtime(settings, sqlite_with_tables(tmp_path / "kern.db"), Registry())
        runtimes.append(runtime)
        runtime.add(component)
        return runtime

    yield begin
    for runtime in runtimes:
        runtime.close()


def agent(name: str, script: Script, *tools: Tool) -> Agent:
    return Agent(id=name, model=ScriptedModel(script), tools=list(tools))


async def until_logged(caplog: pytest.LogCaptureFixture, text: str) -> None:
    await asyncio.to_thread(wait_until, lambda: text in caplog.text)


async def test_who_waits_for_a_run_that_nobody_can_execute_learns_it_once(
    client: Runtime, start: Callable[..., Runtime], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("WARNING", logger=missing_worker.LOGGER)
    name = f"support-{new_id()}"
    own, run_id = agent(name, ["Hello."]), new_id()
    first = asyncio.create_task(own.arun("Hi", run_id=run_id))
    await until_logged(caplog, f"no worker polls {name}")
    second = asyncio.create_task(own.acontinue_run(run_id))
    third = asyncio.create_task(read_all(own, run_id))

    def report() -> RunReport:
        return client.call(lambda service: service.runs.report(OPERATOR, run_id))

    await asyncio.to_thread(wait_until, lambda: report().awaited_workers)
    (awaited,) = report().awaited_workers
    assert (awaited.missing, awaited.is_parked) == (name, False)
    await asyncio.to_thread(start, agent(name, ["Hello."]))
    outputs = await asyncio.gather(first, second)
    assert [output.content for output in outputs] == ["Hello.", "Hello."]
    assert await third
    assert caplog.text.count("no worker polls") == 1


async def read_all(own: Agent, run_id: str) -> list[object]:
    return [event async for event in own.astream_run(run_id)]


async def test_who_reads_a_run_that_nobody_can_execute_learns_it(
    client: Runtime, start: Callable[..., Runtime], caplog: pytest.LogCaptureFixture
) -> None:
    del client
    caplog.set_level("WARNING", logger=missing_worker.LOGGER)
    name = f"support-{new_id()}"
    own = agent(name, ["Hello."])
    output = await own.arun("Hi", background=True)
    reading = asyncio.create_task(read_all(own, output.run_id))
    await until_logged(caplog, f"no worker polls {name}")
    await asyncio.to_thread(start, agent(name, ["Hello."]))
    assert await reading


@pytest.fixture
def tries(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was given back because a tool was missing; it is tried again soon."""
    found, not_here = list[str](), failures.not_here

    def soon(text: str) -> Exception:
        found.append(text)
        error = not_here(text)
        error._next_retry_delay = None  # pyright: ignore[reportPrivateUsage]
        return error

    monkeypatch.setattr(tool_call, "not_here", soon)
    return found


async def test_an_approved_call_of_a_missing_tool_is_seen_and_logged_once(
    client: Runtime,
    start: Callable[..., Runtime],
    ledger: Ledger,
    tries: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", logger="kern.tool_call")
    name = f"support-{new_id()}"
    script: list[Step] = [Call("pay", amount=1), "Paid."]
    own, lacking = agent(name, script, paying(ledger)), agent(name, script)
    worker = await asyncio.to_thread(start, own)
    paused = await own.arun("Pay")
    await asyncio.to_thread(worker.close)
    worker = await asyncio.to_thread(start, lacking)
    (requirement,) = paused.active_requirements
    requirement.confirm(by="dana")
    waiting = asyncio.create_task(own.acontinue_run(paused.run_id, paused.requirements))
    await asyncio.to_thread(wait_until, lambda: len(tries) >= 3)
    assert caplog.text.count("tool_missing") == 1
    assert "tool_started" not in caplog.text
    health = Health()
    health.watch_database(client.services.db)
    (text,) = await health.waiting()
    assert f"run {paused.run_id} waits for a worker that has pay since" in text
    report = await client.acall(lambda service: service.runs.report(OPERATOR, paused.run_id))
    assert [item.tool for item in report.awaited_workers] == ["pay"]
    await asyncio.to_thread(worker.close)
    await asyncio.to_thread(start, own)
    assert (await waiting).content == "Paid."
    assert ledger.lines == ["paid 1"]


def test_show_and_doctor_name_what_a_run_waits_for(
    client: Runtime,
    tmp_path: Path,
    ledger: Ledger,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    name = f"support-{new_id()}"
    own = agent(name, [Call("pay", amount=1), "Paid."], paying(ledger))
    run_id = own.run("Pay", background=True).run_id
    del client
    monkeypatch.setenv("KERN_DATABASE_URL", f"sqlite:///{tmp_path / 'kern.db'}")
    kern = Cli(capsys)
    text = f"waits for a worker that has `{name}` since"
    wait_until(lambda: text in kern("show", run_id).out)
    (shown,) = kern("show", run_id, "--json").json["awaited_workers"]
    assert shown["component_id"] == name
    execute(["doctor", "--json"])
    found = json.loads(capsys.readouterr().out)
    texts = [item["text"] for item in found["checks"] if item["name"] == "waiting"]
    assert any(f"run {run_id} {text}" in item for item in texts)
    assert not found["ok"]


def test_doctor_asks_for_a_namespace_that_does_not_exist(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    address = status(settings.home).address
    assert address is not None
    monkeypatch.setenv("TEMPORAL_ADDRESS", address)
    monkeypatch.setenv("TEMPORAL_NAMESPACE", "nowhere")
    output = Cli(capsys)("doctor", code=6).out
    assert "FAIL server" in output
    assert "temporal operator namespace create -n nowhere" in output
    monkeypatch.setenv("TEMPORAL_NAMESPACE", "default")
    assert "namespace default" in Cli(capsys)("doctor").out


def test_the_command_line_says_that_a_run_waits_for_a_worker(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logger = get_logger(missing_worker.LOGGER)
    with reporting_delays():
        logger.warning("worker_missing", run_id="1", why="no worker polls support")
    assert capsys.readouterr().err == "kern: no worker polls support\n"
