"""Exports of the log of decisions, verified by the example: a program that knows no Kern."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kern.db.engine.store import Store
from kern.db.engine.stores import PostgresStore, SqliteStore
from kern.db.journal import seals, verification
from kern.tools import Approval
from kern.values.canonical import digest
from tests.support.cli import Cli
from tests.support.processes import ROOT
from tests.support.stored_runs import Stored, after
from tests.support.templates import postgres_with_tables, sqlite_with_tables

SCRIPT = ROOT / "examples" / "verify_audit.py"
Line = dict[str, Any]
Tamper = Callable[[list[Line]], object]
# What a canonical form gets wrong first: floats, big and small, and letters of all planes.
HARD: Line = {
    "amount": 1e22,
    "tiny": 5e-324,
    "whole": 40.0,
    "count": 2**63,
    "ключ": 'ä\u2028\u0085\x7f"\\',
    "😀": "\U0001f600",
    "\ue000": 0.1,
}


@dataclass(frozen=True)
class Exported:
    """A log that was decided, sealed and exported."""

    stored: Stored
    lines: list[Line]
    run_id: str


def verify(lines: list[Line] | str) -> subprocess.CompletedProcess[str]:
    """Have the example verify lines, with an interpreter that finds no package of Kern."""
    text = lines if isinstance(lines, str) else "".join(json.dumps(line) + "\n" for line in lines)
    return subprocess.run(
        [sys.executable, "-I", "-S", str(SCRIPT)],
        input=text,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=60,
    )
