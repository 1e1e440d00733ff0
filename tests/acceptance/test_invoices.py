"""The invoices of the example: killed twice on the way, each is posted and mailed exactly once."""

import sqlite3
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.support.processes import ROOT
from tests.support.temporal_server import stop_servers_below
from tests.support.waiting import wait_until

EXAMPLE = [sys.executable, str(ROOT / "examples" / "invoices.py"), "2026-11"]


def test_a_run_that_is_killed_on_the_way_posts_and_mails_each_invoice_once(tmp_path: Path) -> None:
    killed_on_the_way(tmp_path, 60, timeout=90)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_thousand_invoices_are_posted_and_mailed_once(tmp_path: Path) -> None:
    killed_on_the_way(tmp_path, 1000, timeout=1000)


@pytest.fixture(autouse=True)
def _no_server_stays(tmp_path: Path) -> Iterator[None]:
    yield
    stop_servers_below(tmp_path)


def killed_on_the_way(folder: Path, count: int, timeout: float) -> None:
    for part in (count // 4, count // 2):
        with started(folder, count) as example:
            wait_until(lambda: count_in(folder) >= part, timeout=timeout / 2)  # noqa: B023  at once
            example.kill()
            example.wait(30)
        assert count_in(folder) < count, "it had ended before it was killed"

    with started(folder, count) as example:
        said, _ = example.communicate(timeout=timeout)
    assert said.splitlines()[-1].startswith(f"{count} invoices posted and mailed"), said

    numbers = [(f"2026-11/{number:04}",) for number in range(1, count + 1)]
    with closing(sqlite3.connect(folder / "invoices.db")) as books:
        for table in ("posted", "mailed"):
            rows = books.execute(f"select invoice from {table} order by invoice").fetchall()  # noqa: S608
            assert rows == numbers, table


@contextmanager
def started(folder: Path, count: int) -> Generator[subprocess.Popen[str]]:
    """Have the example run as a process while the block lasts, in a folder of its own."""
    environment = {
        "INVOICES": str(count),
        "KERN_HEARTBEAT_SECONDS": "1",
        "PATH": "/usr/bin:/bin",
    }
    with subprocess.Popen(
        EXAMPLE, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()
            process.wait(30)


def count_in(folder: Path) -> int:
    """Return how many letters are in the outbox."""
    path = folder / "invoices.db"
    if not path.exists():
        return 0
    try:
        with closing(sqlite3.connect(path, timeout=30)) as books:
            return int(books.execute("select count(*) from mailed").fetchone()[0])
    except sqlite3.OperationalError:
        return 0
