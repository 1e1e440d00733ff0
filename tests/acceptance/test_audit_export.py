"""Exports of the log of decisions, verified by the example: a program that knows no Kern."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlmodel import Session

from kern.db.engine.requirement_tables import RequirementRow
from kern.db.engine.stores import SqliteStore
from kern.db.journal import audit_chain, audit_export, verification
from kern.db.journal.audit_chain import NewDecision
from kern.tools import Approval
from kern.values.states import Verdict
from tests.support.audit_exports import SCRIPT, Line, export, rehash, seal, verify
from tests.support.cli import Cli
from tests.support.stored_runs import Stored, after
from tests.support.templates import with_tables

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


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def exported(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Exported]:
    """Three decisions of one run, with a seal in between, one of another, and one unsealed."""
    with closing(with_tables(request.param, tmp_path_factory.mktemp("db"))) as store:
        stored = Stored(store)
        seen = stored.gated(approval=Approval(quorum=20))
        stored.resolve(seen, by="dana", note='"é\u2028\x1b[31m\U0001f600', edit={"amount": 0.1})
        stored.resolve(seen, by="eli")
        seal(stored)
        stored.do(lambda tx: append_hard_values(tx, seen.id))
        stored.resolve(stored.gated(), at=after(5).replace(microsecond=0))
        seal(stored)
        stored.resolve(stored.gated())
        yield Exported(stored, export(store, with_text=True), seen.run_id)


def append_hard_values(tx: Session, requirement_id: str) -> None:
    row = tx.get_one(RequirementRow, requirement_id)
    decision = NewDecision(Verdict.approve, "дана", "\ud7ff", "d", edit=HARD, given=[HARD, -0.0])
    earlier = audit_chain.decisions_of(tx, requirement_id)
    audit_chain.append(tx, row, decision, earlier, after(3))


def test_the_example_is_short_and_imports_nothing_but_the_standard_library() -> None:
    source = SCRIPT.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 65
    imported = re.findall(r"^(?:import|from) (\w+)", source, re.MULTILINE)
    assert set(imported) <= sys.stdlib_module_names


def test_the_example_finds_an_export_intact_and_prints_the_head(exported: Exported) -> None:
    report = exported.stored.look(verification.verify)
    for lines in (exported.lines, export(exported.stored.database)):
        verified = verify(lines)
        assert verified.returncode == 0, verified.stderr
        assert verified.stdout == (
            f"Intact: the whole log (head {report.head})\n1 decisions not sealed\n"
        )
    kinds = [line["type"] for line in exported.lines]
    assert kinds == ["log", *["decision"] * 5, *["seal"] * 3, "end"]


def test_texts_are_exported_only_when_they_are_asked_for(exported: Exported) -> None:
    plain = export(exported.stored.database)
    assert not any("texts" in line for line in plain)
    assert "\\u001b" not in json.dumps(plain)
    decisions = [line for line in exported.lines if line["type"] == "decision"]
    assert all(line["texts"]["salt"] for line in decisions)
    assert HARD in [line["texts"]["edit"] for line in decisions]


def test_the_part_of_one_run_is_verified_alone(exported: Exported) -> None:
    lines = export(exported.stored.database, exported.run_id, with_text=True)
    assert [line["type"] for line in lines] == ["log", *["decision"] * 3, "seal", "seal", "end"]
    verified = verify(lines)
    assert verified.returncode == 0, verified.stderr
    assert verified.stdout.startswith(f"Intact: run {exported.run_id!r} (head ")
    assert lines[-2] in exported.lines, "it is a seal of the log"


def test_a_long_log_is_exported_page_by_page(
    exported: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PAGE", "CHAINS"):
        monkeypatch.setattr(audit_export, name, 1)
    store = exported.stored.database
    assert export(store, with_text=True) == exported.lines
    assert len(export(store, exported.run_id)) == 7


def change(number: int, name: str, value: object, *, forged: bool = False) -> Tamper:
    """Change what a line says of its row, with the hash that fits if it is `forged`."""

    def tamper(lines: list[Line]) -> None:
        lines[number - 1]["content"][name] = value
        if forged:
            rehash(lines[number - 1])

    return tamper


def remove(number: int) -> Tamper:
    return lambda lines: lines.pop(number - 1)


def swap(number: int) -> Tamper:
    def tamper(lines: list[Line]) -> None:
        lines[number - 1], lines[number] = lines[number], lines[number - 1]

    return tamper


def add(lines: list[Line]) -> None:
    """Add a decision behind the last one of a chain, as if it had been made."""
    added = json.loads(json.dumps(lines[3]))
    added["content"] |= {"seq": 4, "id": "added", "previous_hash": lines[3]["hash"]}
    rehash(added)
    lines.insert(4, added)


def rewrite(lines: list[Line]) -> None:
    """Write a whole chain anew, so that its decisions fit together."""
    previous = "0" * 64
    for line in lines[1:4]:
        line["content"] |= {"actor": "eve", "previous_hash": previous}
        rehash(line)
        previous = line["hash"]


def narrow(lines: list[Line]) -> None:
    """Call the log that of one run, whose seals have gaps, and take a decision with its seal."""
    lines[0]["run"] = lines[1]["content"]["root_run_id"]


# The lines: the head, three decisions of a run, two of others, three seals, the end. What the
# order of the runs is, the ids decide: that of the run with three comes first.
CASES: dict[str, tuple[Tamper, int]] = {
    "a decision was changed": (change(3, "verdict", "reject"), 3),
    "a decision was changed with its hash": (change(3, "verdict", "reject", forged=True), 4),
    "the last decision of a chain was changed with its hash": (
        change(4, "verdict", "reject", forged=True),
        8,
    ),
    "the hash was changed": (lambda lines: lines[2].update(hash="f" * 64), 3),
    "the first decision was removed": (remove(2), 2),
    "a decision in the middle was removed": (remove(3), 3),
    "the last decision of a chain was removed": (remove(4), 7),
    "a decision without a seal was removed": (remove(6), 9),
    "a decision was added": (add, 11),
    "two decisions changed places": (swap(2), 2),
    "a chain was rewritten": (rewrite, 7),
    "a note was changed": (lambda lines: lines[1]["texts"].update(note="x"), 2),
    "a float was changed": (lambda lines: lines[3]["texts"]["edit"].update(whole=40), 4),
    "a salt was changed": (lambda lines: lines[1]["texts"].update(salt="x"), 2),
    "a text was taken away": (lambda lines: lines[1]["texts"].update(edit=None), 2),
    "a seal was changed": (change(8, "at", "2026-01-01T00:00:00+00:00"), 8),
    "a seal was changed with its hash": (change(7, "at", "2026", forged=True), 8),
    "the last seal was changed with its hash": (change(9, "at", "2026", forged=True), 10),
    "a seal was removed": (remove(7), 7),
    "the last seal was removed": (remove(9), 9),
    "two seals changed places": (swap(7), 7),
    "the head was changed": (lambda lines: lines[-1].update(head="f" * 64), 10),
    "the end was removed": (remove(10), 9),
    "the beginning was removed": (remove(1), 1),
    "all but the beginning was removed": (lambda lines: lines.__delitem__(slice(1, None)), 1),
    "the log is called that of one run": (narrow, 5),
    "a field is missing": (lambda lines: lines[4].pop("hash"), 5),
}


@pytest.mark.parametrize("case", CASES)
def test_the_example_names_the_first_line_that_does_not_fit(exported: Exported, case: str) -> None:
    tamper, number = CASES[case]
    lines = json.loads(json.dumps(exported.lines))
    tamper(lines)
    verified = verify(lines)
    assert verified.returncode == 1
    assert verified.stdout == ""
    assert verified.stderr.startswith(f"Line {number}: "), verified.stderr


def extend(lines: list[Line]) -> None:
    """Add a decision behind the last one of a chain, as `add`, and count it."""
    add(lines)
    lines[-1]["lines"] += 1


def test_the_example_counts_decisions_that_no_seal_covers(exported: Exported) -> None:
    lines = json.loads(json.dumps(exported.lines))
    extend(lines)
    verified = verify(lines)
    assert verified.returncode == 0, verified.stderr
    assert "2 decisions not sealed" in verified.stdout


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"verdict":', '"verdict": "reject", "verdict":'),
        ('{"type": "decision"', '{"type": "decision", "by": "eve"'),
        ('{"type": "decision"', '{"type": "decision", "type": "decision"'),
        ('{"type": "decision"', '{"type": "remark"'),
        ('{"type": "log"', '{"type": "log", "by": "eve"'),
        ('{"type": "end"', '{"type": "end", "by": "eve"'),
        ('{"type": "seal"', '{"type": "seal", "texts": {"note": "x"}'),
    ],
)
def test_the_example_refuses_what_the_format_does_not_have(
    exported: Exported, old: str, new: str
) -> None:
    text = "".join(json.dumps(line) + "\n" for line in exported.lines)
    assert old in text
    verified = verify(text.replace(old, new, 1))
    assert verified.returncode == 1
    assert verified.stderr.startswith("Line "), verified.stderr


def test_the_example_refuses_a_field_that_its_hash_covers_and_kern_does_not_write(
    exported: Exported,
) -> None:
    lines = json.loads(json.dumps(exported.lines))
    lines[5]["content"]["verified"] = True
    rehash(lines[5])
    assert verify(lines).stderr.startswith("Line 6: ")


def test_the_example_reads_a_named_file_and_says_that_one_is_empty(
    exported: Exported, tmp_path: Path
) -> None:
    log = tmp_path / "log.jsonl"
    command = [sys.executable, "-I", "-S", str(SCRIPT), str(log)]
    for text, code, words in (
        ("".join(json.dumps(line) + "\n" for line in exported.lines), 0, "Intact"),
        ("", 1, "The file is empty."),
    ):
        log.write_text(text, encoding="ascii")
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert ended.returncode == code
        assert words in ended.stdout + ended.stderr


@pytest.mark.parametrize("text", ["{", "no JSON\n", "[]\n", '{"type": "log"}\n'])
def test_the_example_refuses_what_is_no_export(text: str) -> None:
    verified = verify(text)
    assert verified.returncode == 1
    assert verified.stderr.startswith("Line "), verified.stderr
    assert "Traceback" not in verified.stderr


def test_the_command_exports_to_a_file_and_to_standard_output(
    kern: Cli, db: SqliteStore, tmp_path: Path
) -> None:
    stored = Stored(db)
    first, second = stored.gated(), stored.gated()
    for seen in (first, second):
        stored.resolve(seen, note="private")
    seal(stored)
    out = tmp_path / "log.jsonl"
    assert f"6 lines in {out}" in kern("audit", "export", "--out", str(out)).out
    printed = kern("audit", "export").out
    assert printed == out.read_text(encoding="ascii")
    assert verify(printed).returncode == 0
    assert "private" not in printed
    part = kern("audit", "export", first.run_id[-8:], "--with-text").out
    assert "private" in part
    assert f"Intact: run {first.run_id!r}" in verify(part).stdout
    assert "cannot be written" in kern("audit", "export", "--out", str(tmp_path), code=2).err
    assert list(tmp_path.glob("*.part")) == []
    kern("audit", "export", "no-such-run", code=3)


def test_the_command_verifies_one_run_even_when_it_was_deleted(kern: Cli, db: SqliteStore) -> None:
    stored = Stored(db)
    seen = stored.gated()
    stored.resolve(seen, note="private")
    assert "1 decision not sealed yet" in kern("audit", "verify", seen.run_id[-8:]).out
    seal(stored)
    assert f"run {seen.run_id} are intact: 1 decision." in kern("audit", "verify", seen.run_id).out
    head = kern("audit", "verify", "--json").json["head"]
    assert (
        "without naming a run" in kern("audit", "verify", seen.run_id, "--head", head, code=2).err
    )
    kern("sessions", "delete", stored.output(seen.run_id).session_id, "--json")
    report = kern("audit", "verify", seen.run_id, "--json").json
    assert (report["decisions"], report["seals"], report["unsealed"]) == (1, 1, 0)
    assert "texts" not in kern("audit", "export", seen.run_id, "--with-text").out
    kern("audit", "verify", seen.run_id, "--tenant", "acme", code=3)
    kern("audit", "verify", "no-such-run", code=3)


@pytest.mark.parametrize(
    "change",
    ["edit = 'no JSON'", "edit = 'NaN'", "given = '\"\\ud800\"'", "groups = '['", "at = 'x'"]
    + [f"{name} = X'ff'" for name in ("edit", "actor", "hash", "note", "tool_name")],
)
def test_the_commands_name_a_row_that_holds_what_is_no_json(
    kern: Cli, db: SqliteStore, change: str
) -> None:
    stored = Stored(db)
    seen = stored.gated()
    stored.resolve(seen, note="private")
    seal(stored)
    stored.sql(f"UPDATE kern_decisions SET {change}")  # noqa: S608
    assert f"decision 1 of run '{seen.run_id}'" in kern("audit", "verify", code=8).err
    if "ud800" in change:
        # JSON in ASCII has it, and no hash does.
        assert verify(kern("audit", "export", "--with-text").out).returncode == 1
        return
    refused = kern("audit", "export", "--with-text", code=8)
    assert f"decision 1 of run '{seen.run_id}'" in refused.err
    assert verify(refused.out).returncode == 1
