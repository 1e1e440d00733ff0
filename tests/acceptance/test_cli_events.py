"""Text that comes on a terminal, and the events of a run, at the command line."""

import json
from pathlib import Path

import pytest

from tests.support.cli import Cli, command, terminal

pytestmark = pytest.mark.timeout(240)

APP = "tests.support.cli_app"


def test_text_comes_on_a_terminal_while_it_is_written(folder: Path) -> None:
    with terminal("run", f"{APP}:tells", "Go.", cwd=folder) as screen:
        screen.expect("Once upon ")
        assert "a time" not in screen.text
        (folder / "go").touch()
        screen.expect("a time.")
        assert screen.end() == 0
    assert screen.text.count("Once upon a time.") == 1
    assert screen.text.endswith("a time.\n")


def test_events_are_listed_from_a_number_on_and_followed_to_the_end(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = command("run", f"{APP}:answers", "What is it?", "--json", cwd=folder).json
    monkeypatch.setenv("KERN_HOME", str(folder / ".kern"))
    kern = Cli(capsys)
    listed = kern("events", run["run_id"], "--json")
    events = [json.loads(line) for line in listed.out.splitlines()]
    assert [event["kind"] for event in events] == [
        *("run_started", "turn_started", "content", "turn_completed", "run_completed")
    ]
    assert [event["seq"] for event in events if "seq" in event] == [1, 2, 3]
    assert "output" not in events[-1]
    after = kern("events", run["run_id"], "--after", "2", "--follow")
    assert [line.split()[0] for line in after.out.splitlines()] == ["3"]
    assert "Forty-two." in kern("events", run["run_id"][-8:]).out
    kern("events", "nothing", code=3)
