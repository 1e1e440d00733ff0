"""The topology of docker-compose without containers: what is accepted is kept, whoever is away."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import Process
from tests.support.topology import Topology, topology
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(300)

SECONDS = 100.0


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Topology]:
    with topology(tmp_path) as found:
        yield found


def test_client_and_worker_share_nothing_but_temporal_and_the_database(parts: Topology) -> None:
    worker, client = parts.start.ready_worker(), parts.start.client()
    paused = client.run("refunds")
    assert (paused["status"], paused["waits_for"]) == ("paused", ["confirmation"])
    done = client.approve(paused)
    assert (done["status"], done["content"]) == ("completed", "Refunded.")
    assert [entry["pid"] for entry in parts.done] == [worker.pid]


def test_decision_while_no_worker_runs_is_accepted_and_acted_on_later(parts: Topology) -> None:
    worker, client = parts.start.ready_worker(), parts.start.client()
    paused = client.run("refunds")
    worker.kill()
    decided = client.decide(paused)
    assert (decided.get("failed"), decided["waits_for"]) == (None, [])
    assert parts.count("refund") == 0
    parts.start.ready_worker()
    assert client.until(paused, "completed")["content"] == "Refunded."
    assert parts.count("refund") == 1


def test_run_requested_while_temporal_is_away_starts_when_it_is_back(parts: Topology) -> None:
    parts.temporal.kill()
    client = parts.start.client()
    accepted = client.run("refunds", background=True)
    assert accepted["status"] == "pending"
    parts.temporal.restart()
    parts.start.ready_worker()
    assert client.until(accepted, "paused")["waits_for"] == ["confirmation"]


def test_what_is_accepted_outlives_its_client(parts: Topology) -> None:
    parts.temporal.kill()
    client = parts.start.client()
    accepted = client.run("refunds", background=True)
    client.kill()
    parts.temporal.restart()
    parts.start.ready_worker()
    assert parts.start.client().until(accepted, "paused")["waits_for"] == ["confirmation"]


def test_decision_while_temporal_is_away_is_accepted_and_acted_on_later(parts: Topology) -> None:
    parts.start.ready_worker()
    client = parts.start.client()
    paused = client.run("refunds")
    parts.temporal.kill()
    decided = client.decide(paused)
    assert (decided.get("failed"), decided["waits_for"]) == (None, [])
    parts.temporal.restart()
    assert client.until(paused, "completed")["content"] == "Refunded."
    assert parts.count("refund") == 1


def test_another_worker_repeats_an_idempotent_tool_whose_worker_was_killed(
    parts: Topology,
) -> None:
    workers = two_workers(parts)
    client = parts.start.client()
    run = client.run("publishing", background=True)
    killed = executing(parts, workers, "publish")
    killed.kill()
    parts.release()
    assert client.until(run, "completed")["results"] == ["published"]
    assert parts.count("publish") == 2
    assert len({entry["key"] for entry in parts.done}) == 1
    assert parts.done[-1]["pid"] != killed.pid


def test_frozen_worker_that_wakes_up_settles_the_question_what_its_tool_did(
    parts: Topology,
) -> None:
    workers = two_workers(parts)
    client = parts.start.client()
    run = client.run("transfers", background=True)
    frozen = executing(parts, workers, "transfer")
    frozen.signal(signal.SIGSTOP)
    asked = client.until(run, "paused")
    assert asked["waits_for"] == ["unknown_outcome"]
    parts.release()
    frozen.signal(signal.SIGCONT)
    done = client.until(run, "completed")
    assert (done["content"], done["results"]) == ("Transferred.", ["transferred"])
    assert [entry["what"] for entry in parts.done] == ["transfer", "transferred"]


def test_killed_worker_of_a_tool_that_may_not_be_repeated_leaves_a_question(
    parts: Topology,
) -> None:
    workers = two_workers(parts)
    client = parts.start.client()
    run = client.run("transfers", background=True)
    executing(parts, workers, "transfer").kill()
    assert client.until(run, "paused")["waits_for"] == ["unknown_outcome"]
    assert parts.count("transfer") == 1


def two_workers(parts: Topology) -> list[Process]:
    workers = [parts.start.worker(), parts.start.worker()]
    for worker in workers:
        worker.until_ready()
    return list(workers)


def executing(parts: Topology, workers: list[Process], tool: str) -> Process:
    """Return the worker that executes a tool, once it does."""
    wait_until(lambda: parts.count(tool), timeout=SECONDS)
    pid = parts.done[0]["pid"]
    return next(worker for worker in workers if worker.pid == pid)
