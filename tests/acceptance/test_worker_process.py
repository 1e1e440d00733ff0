"""The worker as a process: it waits for what it stands on, tells how it is, and ends gracefully."""

import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support import postgres
from tests.support.apps import SECRET
from tests.support.processes import Process, processes
from tests.support.topology import Topology, topology
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(300)

SECONDS = 100.0


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Topology]:
    with topology(tmp_path) as found:
        yield found


def test_sigterm_lets_a_tool_end_and_keeps_its_result(parts: Topology) -> None:
    worker, client = parts.start.ready_worker(), parts.start.client()
    run = client.run("transfers", background=True)
    wait_until(lambda: parts.count("transfer"), timeout=SECONDS)
    worker.signal(signal.SIGTERM)
    wait_until(lambda: worker.get("/readyz")[1].get("workers") == "stopping", timeout=SECONDS)
    assert worker.process.poll() is None
    parts.release()
    assert worker.wait() == 0
    assert client.output(run)["results"] == ["transferred"]
    parts.start.ready_worker()
    assert client.until(run, "completed")["content"] == "Transferred."
    assert parts.count("transfer") == 1


def test_tool_that_outlasts_the_grace_does_not_keep_the_worker(parts: Topology) -> None:
    worker = parts.start.ready_worker(KERN_SHUTDOWN_GRACE_SECONDS="0.1")
    client = parts.start.client()
    run = client.run("transfers", background=True)
    wait_until(lambda: parts.count("transfer"), timeout=SECONDS)
    assert worker.terminate() == 0
    assert worker.logged("tools_abandoned")
    parts.start.ready_worker()
    assert client.until(run, "paused")["waits_for"] == ["unknown_outcome"]


def test_repeatable_tool_that_outlasts_the_grace_is_repeated_elsewhere(parts: Topology) -> None:
    worker = parts.start.ready_worker(KERN_SHUTDOWN_GRACE_SECONDS="0.1")
    client = parts.start.client()
    run = client.run("publishing", background=True)
    wait_until(lambda: parts.count("publish"), timeout=SECONDS)
    assert worker.terminate() == 0
    parts.release()
    parts.start.ready_worker()
    assert client.until(run, "completed")["results"] == ["published"]


def test_second_signal_ends_at_once(parts: Topology) -> None:
    worker, client = parts.start.ready_worker(), parts.start.client()
    client.run("transfers", background=True)
    wait_until(lambda: parts.count("transfer"), timeout=SECONDS)
    worker.signal(signal.SIGINT)
    wait_until(lambda: worker.logged("worker_stopping"), timeout=SECONDS)
    worker.signal(signal.SIGINT)
    assert worker.wait() == 128 + signal.SIGINT


def test_readiness_follows_temporal(parts: Topology) -> None:
    worker = parts.start.ready_worker()
    parts.temporal.kill()
    wait_until(lambda: worker.readiness() == 503, timeout=SECONDS)
    status, body = worker.get("/readyz")
    assert (status, body["temporal"], body["database"]) == (503, "does not answer", "ok")
    assert worker.get("/healthz") == (200, {"alive": True})
    parts.temporal.restart()
    worker.until_ready()


def test_readiness_follows_the_database(parts: Topology) -> None:
    worker = parts.start.ready_worker()
    postgres.server().kill()
    try:
        wait_until(lambda: worker.readiness() == 503, timeout=SECONDS)
        _, body = worker.get("/readyz")
        assert (body["database"], body["temporal"]) == ("does not answer", "ok")
        assert worker.get("/healthz") == (200, {"alive": True})
    finally:
        postgres.server().restart()
    worker.until_ready()
    done = parts.start.client().run("publishing", background=True)
    assert done["status"] == "pending"


def test_worker_that_starts_before_temporal_and_the_database_becomes_ready(
    parts: Topology,
) -> None:
    parts.temporal.kill()
    postgres.server().kill()
    try:
        worker = parts.start.worker()
        wait_until(lambda: worker.logged("worker_waiting"), timeout=SECONDS)
        assert worker.get("/readyz")[1]["database"] == "does not answer"
        assert worker.get("/healthz")[0] == 200
    finally:
        postgres.server().restart()
    wait_until(lambda: worker.get("/readyz")[1].get("database") == "ok", timeout=SECONDS)
    assert worker.get("/readyz") == (
        503,
        {
            "ready": False,
            "database": "ok",
            "temporal": "not connected yet",
            "workers": "not started yet",
        },
    )
    parts.temporal.restart()
    worker.until_ready()


def test_worker_that_waits_can_be_stopped(parts: Topology) -> None:
    parts.temporal.kill()
    worker = parts.start.worker()
    wait_until(lambda: worker.logged("worker_waiting"), timeout=SECONDS)
    assert worker.terminate() == 0


def test_logs_are_json_with_run_and_session_and_without_words_of_models(parts: Topology) -> None:
    worker, client = parts.start.ready_worker(), parts.start.client()
    run = client.run("breaking")
    assert SECRET in str(run["results"])
    assert worker.terminate() == 0
    told = {line["event"] for line in worker.lines() if line.get("run_id") == run["run_id"]}
    assert {"turn_stored", "tool_started", "tool_ended"} <= told
    assert all(isinstance(line, dict) for line in worker.lines())
    sessions = {line["session_id"] for line in worker.logged("turn_stored")}
    assert sessions == {run["session_id"]}
    text = worker.log.read_text()
    assert SECRET not in text
    assert postgres.PASSWORD not in text


def test_folder_is_enough_without_any_configuration(tmp_path: Path) -> None:
    environment = {"KERN_HOME": str(tmp_path / "home"), "KERN_TEST_FOLDER": str(tmp_path)}
    with processes(tmp_path, environment) as start:
        worker = start.worker("--ui")
        worker.until_ready()
        ui = urlsplit(str(worker.logged("ui_served")[0]["url"]))
        socket.create_connection((ui.hostname, ui.port)).close()
        assert start.client().run("refunds")["status"] == "paused"
        assert worker.terminate() == 0


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"KERN_HEARTBEAT_SECONDS": "often"}, "KERN_HEARTBEAT_SECONDS is 'often'"),
        ({"KERN_DATABASE_URL": "mysql://user:secret@host/db"}, "begins with 'mysql'"),
        ({"TEMPORAL_ADDRESS": "127.0.0.1:1", "TEMPORAL_PROFILE": "nope"}, "Profile 'nope'"),
        ({"KERN_HEALTH_HOST": "192.0.2.1"}, "The port 0 on '192.0.2.1'"),
    ],
)
def test_wrong_configuration_ends_with_one_clear_line(
    tmp_path: Path, environment: dict[str, str], said: str
) -> None:
    assert_refused(tmp_path, environment, said)


def test_wrong_app_ends_with_one_clear_line(tmp_path: Path) -> None:
    assert_refused(tmp_path, {}, "names no app", app=":agents")


def test_missing_namespace_ends_the_worker(parts: Topology) -> None:
    worker = parts.start.worker(TEMPORAL_NAMESPACE="nowhere")
    assert worker.wait() == 2
    assert "nowhere" in str(worker.logged("worker_failed")[0]["why"])


def test_file_is_an_app(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("NAME = 'from-a-file'\n")
    (tmp_path / "client.py").write_text(
        "from kern.agent import Agent\nfrom kern.models.scripted import ScriptedModel\n"
        "from beside import NAME\nagent = Agent(id=NAME, model=ScriptedModel(['hello']))\n"
    )
    with processes(tmp_path, {"KERN_HOME": str(tmp_path / "home")}) as start:
        worker = start.worker(app=f"{tmp_path / 'client.py'}:agent")
        worker.until_ready()
        assert worker.logged("worker_ready")[0]["components"] == ["from-a-file"]


def assert_refused(folder: Path, environment: dict[str, str], said: str, **options: str) -> None:
    with processes(folder, {"KERN_HOME": str(folder / "home"), **environment}) as start:
        worker: Process = start.worker(**options)
        assert worker.wait() == 2
        failed = worker.logged("worker_failed")
        assert [said in str(line["why"]) for line in failed] == [True], failed
        assert "secret" not in worker.log.read_text()
        assert not (folder / "home" / "server.json").exists()
        assert worker.log.stat().st_size < 2000
