"""Scripts as processes of their own: one that is killed, and one that begins with several runs."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import ROOT
from tests.support.temporal_server import stop_servers_below
from tests.support.waiting import wait_until

SCRIPT = [sys.executable, "-m", "tests.support.queue_client"]


def test_queued_runs_begin_by_themselves_in_order_after_the_process_was_killed(
    tmp_path: Path,
) -> None:
    environment = {
        "KERN_HOME": str(tmp_path / "kern"),
        "KERN_HEARTBEAT_SECONDS": "1",
        "PATH": "/usr/bin:/bin",
    }
    asking = subprocess.Popen(
        [*SCRIPT, "ask", str(tmp_path)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert asking.stdout is not None
    with asking.stdout as said:
        assert said.readline() == "asked\n"
        wait_until((tmp_path / "entered").exists, timeout=30)
        asking.kill()
        asking.wait(30)
    assert not (tmp_path / "ledger").exists()
    (tmp_path / "release").touch()
    finished = subprocess.run(
        [*SCRIPT, "finish", str(tmp_path)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    assert json.loads(finished.stdout) == ["heard released", "heard two", "heard three"]
    assert (tmp_path / "ledger").read_text().split() == ["released", "two", "three"]


def test_the_first_use_may_be_several_async_runs_at_once(tmp_path: Path) -> None:
    done = ended("gathering", folder=tmp_path)
    assert (done.stdout, done.returncode) == (f"{['Hello.'] * 5}\n", 0)


@pytest.mark.parametrize(("how", "code"), [("thread", 0), ("pool", 1)])
def test_threads_that_wait_for_runs_are_answered_when_the_main_one_has_ended(
    tmp_path: Path, how: str, code: int
) -> None:
    done = ended("leaving", how, folder=tmp_path, timeout=60)
    assert (done.stdout, done.returncode) == ("Done.\n", code)
    assert done.stderr.count("Traceback") == code


def test_a_script_that_is_interrupted_says_what_it_waits_for_and_is_left_by_a_second_time(
    tmp_path: Path,
) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.support.outlasting"],
        cwd=ROOT,
        env={"KERN_HOME": str(tmp_path / "kern"), "PATH": "/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as script:
        assert script.stdout is not None
        assert script.stderr is not None
        assert script.stdout.readline() == "began\n"
        script.send_signal(signal.SIGINT)
        said = iter(script.stderr.readline, "")
        assert any("What executes has 30 seconds to end; Ctrl-C" in line for line in said)
        script.send_signal(signal.SIGINT)
        assert script.wait(30) == 130
        assert script.stderr.read() == ""
    # Its watch ends it only when nobody has come back to it for a while.
    stop_servers_below(tmp_path)


def ended(
    script: str, *arguments: str, folder: Path, timeout: float = 100
) -> subprocess.CompletedProcess[str]:
    """Run a script of `tests.support` to its end."""
    return subprocess.run(
        [sys.executable, "-m", f"tests.support.{script}", *arguments],
        cwd=ROOT,
        env={"KERN_HOME": str(folder / "kern"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
