"""Workflows on the command line: run, look at, decide about steps, retry."""

from pathlib import Path

import pytest

from tests.support.cli import command, output_of, terminal, worker
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(240)

APP = "tests.support.cli_flows"


def test_a_workflow_is_decided_about_and_looked_at(folder: Path) -> None:
    said = command("run", f"{APP}:flow", "hi", "--json", cwd=folder)
    assert (said.code, said.json["status"]) == (10, "paused")
    (asked,) = said.json["requirements"]
    assert asked["path"] == ["flow", "shout"]
    run_id = said.json["run_id"]
    listed = command("pending", cwd=folder)
    assert "approve shout(" in listed.out
    with worker(APP, folder):
        edit = ("--edit", '{"input": "ho"}', "--digest", asked["digest"])
        assert command("approve", asked["id"], *edit, cwd=folder).code == 0
        wait_until(lambda: status(folder, run_id) == "paused" and waits_for(folder, run_id))
        shown = command("show", run_id, cwd=folder).out
        assert "3 of 4 known steps done: unlucky" in shown
        assert "waits for a person, because it failed" in shown
        failed = waits_for(folder, run_id)
        skipped = command("answer", failed, "--skip", "--note", "later", cwd=folder)
        assert (skipped.code, "Left out" in skipped.out) == (0, True)
        wait_until(lambda: status(folder, run_id) == "completed")
    shown = command("show", run_id, cwd=folder).out
    assert "unlucky  skipped" in shown
    assert "left out by" in shown
    assert "later" in shown
    whole = command("show", run_id, "--json", cwd=folder).json
    assert whole["content"] == '{"left":"HO","right":"HO"}'
    assert [one["name"] for one in whole["steps"]][1:] == [
        "shout",
        "parallel",
        "left",
        "right",
        "unlucky",
    ]
    events = command("events", run_id, cwd=folder).out
    assert "step_skipped" in events


def test_a_failed_run_is_retried(folder: Path) -> None:
    said = command("run", f"{APP}:failing", "hi", "--json", cwd=folder)
    assert (said.code, said.json["error"]["code"]) == (7, "step_failed")
    run_id = said.json["run_id"]
    (folder / "luck").touch()
    retried = command("retry", run_id, cwd=folder)
    assert (retried.code, "goes on where it failed" in retried.out) == (0, True)
    with worker(APP, folder):
        wait_until(lambda: status(folder, run_id) == "completed")
    again = command("retry", run_id, cwd=folder)
    assert again.code == 5
    (folder / "luck").unlink()


def test_steps_are_decided_about_at_a_terminal(folder: Path) -> None:
    with terminal("run", f"{APP}:flow", "hi", cwd=folder) as screen:
        screen.expect("a = approve")
        screen.type("a")
        screen.expect("k = go on without it")
        screen.type("k")
        screen.expect('{"left":"HI","right":"HI"}')
        assert screen.end() == 0


def status(folder: Path, run_id: str) -> str:
    return output_of(folder, run_id).status.value


def waits_for(folder: Path, run_id: str) -> str:
    return next((one.id for one in output_of(folder, run_id).active_requirements), "")
