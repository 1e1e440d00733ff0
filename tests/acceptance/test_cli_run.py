"""`kern run` and the workers, as processes: exit codes, prompts, Ctrl-C, and who delivers what."""

import subprocess
from functools import partial
from pathlib import Path

import pytest

from kern.contracts.viewer import OPERATOR
from kern.db.engine.from_settings import database_path
from kern.db.engine.stores import SqliteStore
from kern.db.reading.inbox_filters import InboxFilter
from kern.db.reading.inbox_pages import list_inbox
from kern.values.states import RunStatus
from tests.support.cli import COMMAND, command, environment, output_of, terminal, worker
from tests.support.pictures import png
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(240)

APP = "tests.support.cli_app"


def test_an_answer_is_printed_and_nothing_else(folder: Path) -> None:
    said = command("run", f"{APP}:answers", "What is it?", cwd=folder)
    assert (said.code, said.out, said.err) == (0, "Forty-two.\n", "")


def test_a_run_is_given_an_image(folder: Path, tmp_path: Path) -> None:
    chart = tmp_path / "chart.png"
    chart.write_bytes(png())
    said = command("run", f"{APP}:answers", "", "--image", str(chart), "--json", cwd=folder)
    assert said.json["status"] == "completed"
    assert [one["name"] for one in said.json["messages"][0]["files"]] == ["chart.png"]


def test_a_failed_run_has_its_own_exit_code(folder: Path) -> None:
    said = command("run", f"{APP}:fails", "Go.", "--json", cwd=folder)
    assert said.code == 7
    assert said.json["status"] == "error"


def test_what_waits_off_a_terminal_is_decided_and_finished_by_a_worker(folder: Path) -> None:
    said = command("run", f"{APP}:asks", "Go.", "--user", "mara", cwd=folder)
    assert said.code == 10
    assert "waits for a person" in said.out
    db = SqliteStore(database_path(folder / ".kern"))
    [item] = db.read_now(
        lambda tx: list_inbox(tx, OPERATOR, limit=9, only=InboxFilter(user_id="mara"))
    ).requirements
    assert f"kern approve {item.id}" in said.out
    approved = command("approve", item.id, "--digest", item.digest, cwd=folder)
    assert (approved.code, "Delivered: the run goes on." in approved.out) == (0, True)
    left = command("run", f"{APP}:answers", "Go.", "--background", "--json", cwd=folder)
    assert (left.code, left.json["accepted"], left.json["delivered"]) == (0, True, True)
    with worker(APP, folder):
        found = partial(list_inbox, viewer=OPERATOR, limit=9, only=InboxFilter(user_id="mara"))
        wait_until(lambda: len(db.read_now(found).requirements) == 2, timeout=60)
        wait_until(lambda: output_of(folder, left.json["run_id"]).status is RunStatus.completed)
    db.close()


def test_every_kind_of_requirement_is_asked_for_at_a_terminal(folder: Path) -> None:
    with terminal("run", f"{APP}:asks", "Go.", cwd=folder) as screen:
        screen.expect("a = approve")
        screen.type("maybe")
        screen.expect("a = approve")
        screen.type("a")
        screen.expect("zip_code:")
        screen.type("01234")
        screen.expect("2  blue")
        screen.expect("Your choice")
        screen.type("3")
        screen.expect("Your choice")
        screen.type("2")
        screen.expect("All done.")
        assert screen.end() == 0


def test_an_interrupted_run_is_kept(folder: Path) -> None:
    with terminal("run", f"{APP}:asks", "Go.", cwd=folder) as screen:
        screen.expect("a = approve")
        screen.interrupt()
        screen.expect("is kept and goes on")
        screen.expect("kern show ")
        assert screen.end() == 130


def test_who_waits_for_a_temporal_that_does_not_answer_is_told_so(folder: Path) -> None:
    with terminal("run", f"{APP}:answers", "Go.", cwd=folder, TEMPORAL_ADDRESS="127.0.0.1:1") as at:
        at.expect("Temporal does not answer: Connection refused. What was accepted is kept")
        at.interrupt()
        at.expect("is kept and goes on")
        assert at.end() == 130


def test_a_reader_that_leaves_early_is_no_error(folder: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, "--help"],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141
