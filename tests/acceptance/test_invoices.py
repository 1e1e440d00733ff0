"""The example of a thousand invoices survives `kill -9` half-way: each is paid under one key."""

import os
import signal
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from tests.support.cli import environment
from tests.support.documents import ROOT
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(240)

COUNT = 200
SCRIPT = [sys.executable, str(ROOT / "examples" / "invoices.py")]


def test_the_example_survives_a_kill_half_way(folder: Path) -> None:
    ledger = folder / "paid.txt"
    env = {**environment(), "INVOICES": str(COUNT), "INVOICES_LEDGER": str(ledger)}
    for part in (50, 120):
        with subprocess.Popen(SCRIPT, cwd=folder, env=env) as process:
            wait_until(lambda: len(lines(ledger)) >= part, timeout=60)  # noqa: B023  at once
            os.kill(process.pid, signal.SIGKILL)
    done = subprocess.run(SCRIPT, cwd=folder, env=env, capture_output=True, text=True, check=True)
    total = sum(range(1, COUNT + 1))
    assert done.stdout.splitlines()[-1] == f"Paid {COUNT} invoices, {total} EUR."
    keys: dict[str, set[str]] = defaultdict(set)
    for line in lines(ledger):
        number, key = line.split()
        keys[number].add(key)
    assert len(keys) == COUNT
    assert {len(found) for found in keys.values()} == {1}, "an invoice was paid under two keys"
    # Ten were in flight at each kill.
    assert len(lines(ledger)) <= COUNT + 2 * 10


def lines(ledger: Path) -> list[str]:
    return ledger.read_text().splitlines() if ledger.exists() else []
