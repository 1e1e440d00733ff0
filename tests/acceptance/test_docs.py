"""Every Python block of the documents is executed."""

import runpy
from pathlib import Path

import pytest

from kern.db import SqliteDb
from kern.testing import isolated_runtime
from tests.support.documents import ROOT, Block, blocks_of
from tests.support.templates import sqlite_with_tables

BLOCKS = [
    pytest.param(block, id=f"{page.stem}-{number}")
    for page in sorted((ROOT / "docs").rglob("*.md"))
    for number, block in enumerate(blocks_of(page))
    if block.language == "python"
]

# With what an example's last line begins.
ENDS = (
    "The refund is on its way.",
    "Version 1.4 is live in eu.",
    "The team is done. Published:",
    "On the front page: Dear friends",
    "20 invoices posted and mailed",
)


@pytest.mark.parametrize("block", BLOCKS)
def test_the_block_runs(block: Block, folder: Path, tmp_path: Path) -> None:
    with isolated_runtime(
        folder / ".kern", SqliteDb(sqlite_with_tables(tmp_path / "kern.db").path)
    ):
        exec(compile(block.text, "docs", "exec"), {"__name__": "docs"})  # noqa: S102


# `test_inbox_app.py` serves the one, and `test_audit_export.py` hands exports to the other.
_TESTED = {"inbox_app.py", "verify_audit.py"}
SCRIPTS = {path.name for path in (ROOT / "examples").glob("*.py")} - _TESTED


@pytest.mark.parametrize("example", sorted(SCRIPTS))
def test_the_example_runs(
    example: str,
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INVOICES", "20")
    with isolated_runtime(
        folder / ".kern", SqliteDb(sqlite_with_tables(tmp_path / "kern.db").path)
    ):
        runpy.run_path(str(ROOT / "examples" / example), run_name="__main__")

    said = capsys.readouterr().out.splitlines()[-1]
    assert said.startswith(ENDS)
