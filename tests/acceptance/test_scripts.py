"""Scripts as processes of their own: one that is killed, and one that begins with several runs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import ROOT
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
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.gathering"],
        cwd=ROOT,
        env={"KERN_HOME": str(tmp_path / "kern"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    assert done.stdout == f"{['Hello.'] * 5}\n"


@pytest.mark.parametrize(("how", "code"), [("thread", 0), ("pool", 0), ("error", 1)])
def test_threads_that_wait_for_runs_are_answered_when_the_main_one_has_ended(
    tmp_path: Path, how: str, code: int
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.leaving", how],
        cwd=ROOT,
        env={"KERN_HOME": str(tmp_path / "kern"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("Done.\n", code)
    assert "Traceback" not in done.stderr or how == "error"
