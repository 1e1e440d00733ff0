"""A process that used Kern forks: parent and child go on, each with its own runtime."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kern.testing import isolated_runtime
from tests.support.forking import agent
from tests.support.templates import postgres_with_tables

_EACH = pytest.mark.parametrize("kind", ["sqlite", "postgres"])


def lines_of(scene: str, home: Path, kind: str = "sqlite") -> list[str]:
    """Return what a process and its forked children print; each has to end in time."""
    url = {"KERN_DATABASE_URL": postgres_with_tables()} if kind == "postgres" else {}
    path = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME"}}
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.forking", scene],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env={**path, **url, "KERN_HOME": str(home)},
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("scene", "kind"),
    [("agent", "sqlite"), ("agent", "postgres"), ("multiprocessing", "sqlite")],
)
def test_a_forked_child_runs_components(scene: str, tmp_path: Path, kind: str) -> None:
    lines = lines_of(scene, tmp_path, kind)
    assert set(lines) == {"parent: Paid.", "child: Paid.", "ended: 0"}
    assert len(lines) == (6 if scene == "agent" else 3)


def test_a_forked_child_decides(tmp_path: Path) -> None:
    with isolated_runtime(tmp_path):
        agent.run("Pay")
    lines = lines_of("inbox", tmp_path)
    assert lines == ["parent: 1", "child: resolved", "ended: 0", "parent: 0"]


@_EACH
def test_what_a_child_writes_after_its_parent_closed_is_kept(tmp_path: Path, kind: str) -> None:
    lines = lines_of("outliving", tmp_path, kind)
    assert lines == ["child: 1", "child: resolved", "ended: 0", "parent: 0"]


@_EACH
def test_a_fork_in_the_middle_of_transactions(tmp_path: Path, kind: str) -> None:
    lines = lines_of("busy", tmp_path, kind)
    assert lines == ["child: 1", "ended: 0"] * 5 + ["parent: paused 1"]


def test_a_database_in_memory_is_refused_in_a_forked_child(tmp_path: Path) -> None:
    lines = lines_of("memory", tmp_path)
    assert lines[0] == lines[-1] == "parent: ok"
    assert lines[1].startswith("child: Conflict This database is in the memory of the process")
