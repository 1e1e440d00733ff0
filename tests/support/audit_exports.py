"""Exports of the log of decisions, and the example that verifies them without Kern."""

import asyncio
import json
import subprocess
import sys
from datetime import datetime
from typing import Any

from kern.client.service.audit import Audit
from kern.contracts.viewer import OPERATOR, Viewer
from kern.db.engine.store import Store
from kern.db.journal import seals
from kern.values.canonical import digest
from tests.support.processes import ROOT
from tests.support.stored_runs import Stored, after

SCRIPT = ROOT / "examples" / "verify_audit.py"
Line = dict[str, Any]


def seal(stored: Stored) -> None:
    """Seal what is not sealed."""
    stored.do(lambda tx: seals.seal(tx, after(9)))


def export(
    store: Store,
    run_id: str | None = None,
    viewer: Viewer = OPERATOR,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    with_text: bool = False,
) -> list[Line]:
    """Return the lines of an export."""

    async def collect() -> list[str]:
        lines = Audit(store).export(viewer, run_id, since=since, until=until, with_text=with_text)
        return [line async for line in lines]

    return [json.loads(line) for line in asyncio.run(collect())]


def verify(lines: list[Line] | str) -> subprocess.CompletedProcess[str]:
    """Have the example verify lines, with an interpreter that finds no package but its own."""
    text = lines if isinstance(lines, str) else "".join(json.dumps(line) + "\n" for line in lines)
    return subprocess.run(
        [sys.executable, "-I", "-S", str(SCRIPT)],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def rehash(line: Line) -> None:
    """Give a line the hash that fits its content."""
    line["hash"] = digest(line["content"])
