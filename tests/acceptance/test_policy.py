"""Two versions deployed: what a run pinned holds in every worker, and code can only be stricter."""

import json
from collections import Counter, defaultdict
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kern.client.cli.main import execute
from kern.client.processes import process_runtime as runtime_module
from kern.client.processes.runtime import Runtime
from kern.components.registry import Registry
from kern.components.runnable import Runnable
from kern.process.settings import read_settings
from kern.run import RunOutput
from kern.values.states import RunStatus
from tests.support.cli import Cli
from tests.support.policy_app import GATED, PAYMENTS, declare
from tests.support.processes import WorkerProcess
from tests.support.topology import Topology, topology
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(600)

APP = "tests.support.policy_app:components"
OLD, NEW = "0", "1"


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Topology]:
    with topology(tmp_path) as found:
        yield found


@pytest.fixture
def client(parts: Topology, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Runnable]]:
    """What a process runs that has the gates, and that executes nothing itself."""
    with _client(parts, monkeypatch):
        yield declare(gated=True)


@contextmanager
def _client(parts: Topology, monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    for name in ("TEMPORAL_ADDRESS", "KERN_DATABASE_URL"):
        monkeypatch.setenv(name, parts.start.environment[name])
    runtime = Runtime(read_settings(), None, Registry())
    monkeypatch.setattr(runtime_module, "_runtime", runtime)
    try:
        yield
    finally:
        runtime.close()


def start(parts: Topology, version: str) -> WorkerProcess:
    worker = parts.start.worker(app=APP, **{GATED: version})
    worker.until_ready()
    return worker


def wait(component: Runnable, run_id: str) -> RunOutput:
    return component.continue_run(run_id)


def approve_all(component: Runnable, run: RunOutput) -> RunOutput:
    """Approve whatever a run asks for until it has ended."""
    while run.active_requirements:
        for requirement in run.active_requirements:
            requirement.confirm(by="dana")
        run = component.continue_run(run.run_id, run.requirements)
    return run


def begin(client: dict[str, Runnable], count: int) -> list[tuple[str, str]]:
    return [
        (kind, component.run("Refund.", background=True).run_id)
        for _ in range(count)
        for kind, component in client.items()
    ]


def pays_nothing_unapproved(parts: Topology, client: dict[str, Runnable], count: int) -> None:
    runs = begin(client, count)
    paused = [(kind, wait(client[kind], run_id)) for kind, run_id in runs]
    assert {run.status for _, run in paused} == {RunStatus.paused}
    assert parts.done == []
    ended = [approve_all(client[kind], run) for kind, run in paused]
    assert {run.status for run in ended} == {RunStatus.completed}
    expected = Counter({kind: times * count for kind, times in PAYMENTS.items()})
    assert parts.count("paid") == expected.total()


def test_nothing_is_paid_unapproved_while_an_old_and_a_new_worker_share_the_work(
    parts: Topology, client: dict[str, Runnable]
) -> None:
    old, new = start(parts, OLD), start(parts, NEW)
    pays_nothing_unapproved(parts, client, 3)
    for worker in (old, new):
        assert worker.logged("tool_started") or worker.logged("turn_stored")


def test_an_old_worker_alone_keeps_to_what_was_pinned(
    parts: Topology, client: dict[str, Runnable]
) -> None:
    start(parts, OLD)
    pays_nothing_unapproved(parts, client, 1)


def test_a_run_that_an_old_worker_began_stays_gated_where_the_new_one_continues(
    parts: Topology, client: dict[str, Runnable]
) -> None:
    old = start(parts, OLD)
    runs = begin(client, 1)
    paused = [(kind, wait(client[kind], run_id)) for kind, run_id in runs]
    old.kill()
    start(parts, NEW)
    ended = [approve_all(client[kind], run) for kind, run in paused]
    assert {run.status for run in ended} == {RunStatus.completed}
    assert parts.count("paid") == sum(PAYMENTS.values())


def test_a_new_worker_asks_where_only_its_own_code_has_the_gate(
    parts: Topology, client: dict[str, Runnable]
) -> None:
    del client
    start(parts, NEW)
    lenient = declare(gated=False)
    pays_nothing_unapproved(parts, lenient, 1)


def test_doctor_names_differing_workers_and_show_the_policy_of_a_run(
    parts: Topology, client: dict[str, Runnable], capsys: pytest.CaptureFixture[str]
) -> None:
    cli = Cli(capsys)
    start(parts, OLD)
    wait_until(lambda: "none has" not in doctor(capsys)["workers"][0])
    assert "policies" not in doctor(capsys)
    run = wait(client["agent"], client["agent"].run("Refund.", background=True).run_id)
    shown = cli("show", run.run_id).out
    assert f"policy {(run.policy_digest or '')[:8]}" in shown
    assert "which differs in support: refund (gate): the stricter of both applies" in shown
    assert " differs: support: refund (gate)\n" in shown
    start(parts, NEW)
    wait_until(lambda: "policies" in doctor(capsys))
    (text,) = (item for item in doctor(capsys)["policies"] if item.startswith("support: "))
    assert "its workers declare different policies" in text
    assert "support: refund (gate)" in text


def doctor(capsys: pytest.CaptureFixture[str]) -> dict[str, list[str]]:
    """Return what the doctor finds, by what it looked at."""
    capsys.readouterr()
    execute(["doctor", "--json"])
    found = defaultdict[str, list[str]](list)
    for check in json.loads(capsys.readouterr().out)["checks"]:
        found[check["name"]].append(check["text"])
    return found


@pytest.mark.slow
def test_of_a_thousand_calls_none_is_executed_unapproved(
    parts: Topology, client: dict[str, Runnable]
) -> None:
    start(parts, OLD)
    start(parts, NEW)
    # Six calls in each round: one for each place of a gate, and two where a step follows an agent.
    for _ in range(17):
        pays = parts.count("paid")
        runs = begin(client, 10)
        paused = [(kind, wait(client[kind], run_id)) for kind, run_id in runs]
        assert {run.status for _, run in paused} == {RunStatus.paused}
        assert parts.count("paid") == pays
        for kind, run in paused:
            assert approve_all(client[kind], run).status is RunStatus.completed
    assert parts.count("paid") == 17 * 10 * sum(PAYMENTS.values())
