"""What operators do with the command line, on runs that wait: list, decide, cancel, verify."""

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from pydantic import JsonValue

from kern import __version__
from kern.client.cli.printing import safe
from kern.client.server.embedded import status
from kern.db.engine.from_settings import database_path
from kern.db.engine.stores import SqliteStore
from kern.db.journal import seals
from kern.db.migrations import HEAD
from kern.db.runs import workers
from kern.db.runs.workers import WorkerIdentity
from kern.db.turns import calls
from kern.db.turns.attempts import Storing
from kern.models.scripted import Call
from kern.values.states import ToolOutcome
from tests.support import seeds
from tests.support.cli import COMMAND, Cli, command
from tests.support.pictures import PDF, png
from tests.support.processes import ROOT
from tests.support.raw_sql import execute_sql
from tests.support.seeds import Seeded

pytestmark = pytest.mark.timeout(120)

REFUND = Call("refund", order_id="1042", amount=40.0)
LATER = "will be acted on when a worker runs"


@pytest.fixture
def refund(db: SqliteStore) -> Seeded:
    return seeds.waiting(db, REFUND, text="Refund order 1042, 40 EUR", user_id="mara")


def is_pending(kern: Cli, seeded: Seeded) -> bool:
    found = kern("show", seeded.run_id, "--json").json
    return found["requirements"][0]["status"] == "pending" and not found["decisions"]


@pytest.mark.parametrize(
    "words", [("runs",), ("pending",), ("show", "x"), ("approve", "x"), ("audit", "verify")]
)
def test_a_folder_without_a_database_is_told_of_and_left_as_it_is(
    kern: Cli, home: Path, words: tuple[str, ...]
) -> None:
    said = kern(*words, code=3)
    assert "There is no database" in said.err
    assert said.err.count("\n") == 1
    assert not home.exists()


def test_runs_are_listed_in_pages(kern: Cli, db: SqliteStore) -> None:
    ids = [seeds.waiting(db, REFUND, user_id=f"user-{i % 2}").run_id for i in range(5)]
    first = kern("runs", "--limit", "2", "--json").json
    assert [run["run_id"] for run in first["runs"]] == ids[:2:-1]
    second = kern("runs", "--limit", "9", "--after", first["next"], "--json").json
    assert [run["run_id"] for run in second["runs"]] == ids[2::-1]
    assert second["next"] is None
    assert first["runs"][0]["status"] == "paused"
    assert first["runs"][0]["created_at"].endswith("Z")
    mine = kern("runs", "--user", "user-1", "--json").json["runs"]
    assert [run["run_id"] for run in mine] == [ids[3], ids[1]]
    assert kern("runs", "--status", "completed", "--json").json == {"runs": [], "next": None}
    component_id = first["runs"][0]["component_id"]
    assert len(kern("runs", "--component", component_id, "--json").json["runs"]) == 5
    assert kern("runs", "--component", "none-such").out == "No such runs.\n"
    assert ids[4] in kern("runs").out


def test_pending_is_listed_by_kind(kern: Cli, db: SqliteStore) -> None:
    seeds.waiting(db, REFUND)
    assert len(kern("pending", "--kind", "confirmation", "--json").json["requirements"]) == 1
    assert kern("pending", "--kind", "user_input", "--json").json["requirements"] == []
    assert "'confirmation'" in kern("pending", "--kind", "refund", code=2).err


def test_an_id_that_is_too_long_is_refused_and_not_called_an_outage(
    kern: Cli, db: SqliteStore
) -> None:
    seeds.waiting(db, REFUND)
    for words in (("pending", "--run"), ("show",), ("cancel",), ("approve",)):
        refused = kern(*words, "a" * 60_000, code=2).err
        assert "60,000 characters: use 240 at most" in refused
        assert len(refused) < 500


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_that_of_the_shell_that_is_named(kern: Cli, shell: str) -> None:
    mark = {"bash": "complete -o", "zsh": "#compdef kern", "fish": "complete --command kern"}
    assert mark[shell] in kern("--show-completion", shell).out
    assert "tcsh" in kern("--show-completion", "tcsh", code=2).err


def test_pending_is_listed_oldest_first_and_in_pages(kern: Cli, db: SqliteStore) -> None:
    found = [seeds.waiting(db, REFUND, user_id="mara") for _ in range(3)]
    first = kern("pending", "--limit", "2", "--json").json
    ids = [item["id"] for item in first["requirements"]]
    assert ids == [one.requirement_id for one in found[:2]]
    rest = kern("pending", "--after", first["next"], "--json").json["requirements"]
    assert [item["id"] for item in rest] == [found[2].requirement_id]
    of_one = kern("pending", "--run", found[1].run_id, "--json").json["requirements"]
    assert [item["run_id"] for item in of_one] == [found[1].run_id]
    assert kern("pending", "--user", "nobody", "--json").json["requirements"] == []
    assert 'refund(amount=40.0, order_id="1042")' in kern("pending").out


def test_an_approval_is_accepted_without_any_server(kern: Cli, home: Path, refund: Seeded) -> None:
    said = kern.decide("approve", refund.requirement_id, "--by", "dana", "--note", "fair enough")
    assert "Approved by dana" in said.out
    assert LATER in said.out
    assert not status(home).running
    assert sorted(path.name for path in home.iterdir() if "temporal" in path.name) == []
    shown = kern("show", refund.run_id)
    assert "approved by dana" in shown.out
    assert "fair enough" in shown.out
    assert "Temporal has not heard" in shown.out
    assert kern("show", refund.run_id, "--json").json["undelivered"] == 2


def test_the_second_to_decide_is_told_who_was_first(kern: Cli, refund: Seeded) -> None:
    kern.decide("approve", refund.requirement_id, "--by", "dana")
    late = kern("reject", refund.requirement_id, "--by", "eli", code=5)
    assert "'dana' decided 'approve'" in late.err
    assert (
        kern("reject", refund.requirement_id, "--json", code=5).error["code"] == "already_resolved"
    )


def test_ids_are_found_by_their_ends(kern: Cli, db: SqliteStore, refund: Seeded) -> None:
    assert refund.run_id in kern("show", refund.run_id[-6:]).out
    assert refund.run_id in kern("show", f"…{refund.run_id[-8:]}").out
    kern("show", refund.run_id[-5:], code=3)
    kern("show", "%" * 8, code=3)
    seeds.waiting(db, REFUND, run_id="first_twins")
    seeds.waiting(db, REFUND, run_id="other_twins")
    said = kern("show", "_twins", code=2)
    assert "'first_twins'" in said.err
    assert "'other_twins'" in said.err
    kern("reject", refund.requirement_id[-8:])


def test_an_edit_is_validated_and_recorded(kern: Cli, refund: Seeded) -> None:
    said = kern.decide("approve", refund.requirement_id, "--edit", '{"amount": 30}', "--json").json
    assert said["requirement"]["resolution"]["edit"] == {"amount": 30}
    assert (said["accepted"], said["delivered"]) == (True, False)
    assert 'changed to {"amount": 30}' in kern("show", refund.run_id).out


@pytest.mark.parametrize(
    "options",
    [
        ("approve", "--edit", "{"),
        ("approve", "--edit", "[1]"),
        ("approve", "--edit", '{"amount": "much"}'),
        ("approve", "--edit", '{"amount": NaN}'),
        ("approve", "--by", " "),
        ("answer", "--value", "amount=3"),
        ("answer",),
    ],
)
def test_malformed_decisions_change_nothing(
    kern: Cli, refund: Seeded, options: tuple[str, ...]
) -> None:
    name, *rest = options
    said = kern.decide(name, refund.requirement_id, *rest, code=2)
    assert said.err.count("\n") == 1
    assert is_pending(kern, refund)


@pytest.mark.parametrize(
    "words", [("approve",), ("reject",), ("answer", "--fail"), ("show",), ("cancel",)]
)
def test_unknown_ids(kern: Cli, db: SqliteStore, words: tuple[str, ...]) -> None:
    name, *rest = words
    assert kern(name, "no-such-thing", *rest, "--json", code=3).error["code"] == "not_found"


def test_only_candidates_decide_and_all_of_a_quorum(kern: Cli, db: SqliteStore) -> None:
    wire = seeds.waiting(db, Call("wire", amount=5.0))
    assert (
        "'mallory' may not decide"
        in kern.decide("approve", wire.requirement_id, "--by", "mallory", code=4).err
    )
    assert "1 more approval" in kern.decide("approve", wire.requirement_id, "--by", "dana").out
    assert "(1 of 2 approvals)" in kern("pending").out
    assert "1 of 2 wire(amount=5.0) (by dana" in kern("show", wire.run_id).out
    kern.decide("approve", wire.requirement_id, "--by", "dana", code=5)
    assert LATER in kern.decide("approve", wire.requirement_id, "--by", "eli").out


def test_an_approval_is_withdrawn_until_its_call_begins(kern: Cli, db: SqliteStore) -> None:
    wire = seeds.waiting(db, Call("wire", amount=5.0))
    kern.decide("approve", wire.requirement_id, "--by", "dana")
    kern.decide("approve", wire.requirement_id, "--by", "eli", "--edit", '{"amount": 3.0}')
    shown = kern("pending").out
    assert "1 of 2 wire(amount=3.0), edited (by eli" in shown
    assert "1 of 2 wire(amount=5.0) (by dana" in shown
    assert "may not decide" in kern("withdraw", wire.requirement_id, code=4).err
    said = kern("withdraw", wire.requirement_id, "--by", "dana", "--note", "fraud").out
    assert "Withdrawn by dana" in said
    assert LATER in kern("reject", wire.requirement_id, "--by", "dana").out
    late = kern("withdraw", wire.requirement_id, "--by", "eli", code=5)
    assert "'dana' decided 'reject'" in late.err
    assert "withdrawn by dana" in kern("show", wire.run_id).out
    kern("audit", "verify")


def test_the_environment_names_who_decides(
    kern: Cli, db: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    wire = seeds.waiting(db, Call("wire", amount=5.0))
    monkeypatch.setenv("KERN_BY", "dana")
    assert "Approved by dana" in kern.decide("approve", wire.requirement_id).out
    assert "Approved by eli" in kern.decide("approve", wire.requirement_id, "--by", "eli").out
    monkeypatch.setenv("KERN_BY", " ")
    assert "KERN_BY need a name" in kern("withdraw", wire.requirement_id, code=2).err


def test_values_are_read_as_their_fields_want_them(kern: Cli, db: SqliteStore) -> None:
    asked = seeds.waiting(db, Call("address"))
    assert (
        "zip_code"
        in kern.decide("answer", asked.requirement_id, "--value", "street=Elm", code=2).err
    )
    bad = ("--value", "street=Elm", "--value", "zip_code=01234", "--value", "floor=up")
    assert "floor" in kern.decide("answer", asked.requirement_id, *bad, code=2).err
    kern("answer", asked.requirement_id, "--value", "street", code=2)
    assert is_pending(kern, asked)
    good = (
        "--values",
        '{"street": "Elm", "floor": 1}',
        "--value",
        "zip_code=01234",
        "--value",
        "floor=3",
    )
    kern.decide("answer", asked.requirement_id, *good)
    call = kern("show", asked.run_id, "--json").json["tools"][0]
    assert call["arguments"] == {"street": "Elm", "zip_code": "01234", "floor": 3, "lift": False}


def test_choices_and_results(kern: Cli, db: SqliteStore) -> None:
    asked = seeds.waiting(db, Call("ask_user", question="Which?", options=["red", "blue"]))
    assert "Which? [red | blue]" in kern("pending").out
    assert (
        "none of the choices"
        in kern("answer", asked.requirement_id, "--choice", "green", code=2).err
    )
    kern("answer", asked.requirement_id, "--choice", "blue")
    assert kern("show", asked.run_id, "--json").json["tools"][0]["result"] == '["blue"]'.strip("[]")
    outside = seeds.waiting(db, Call("look_up", name="x"))
    kern("approve", outside.requirement_id, code=2)
    kern.decide("answer", outside.requirement_id, "--result", '{"found": 3}')
    assert kern("show", outside.run_id, "--json").json["tools"][0]["result"] == '{"found":3}'


def test_choices_that_look_alike_are_told_apart(kern: Cli, db: SqliteStore) -> None:
    options: list[JsonValue] = ["yes\u200b", "yes", "y\ne", "a | b"]
    asked = seeds.waiting(db, Call("ask_user", question="Ok?\nkern: approved", options=options))
    shown = r'"Ok?\nkern: approved" ["yes\u200b" | yes | "y\ne" | "a | b"]'
    assert shown in " ".join(kern("pending").out.split())
    assert shown in kern("show", asked.run_id).out


def test_whoever_executes_elsewhere_may_not_know(kern: Cli, db: SqliteStore) -> None:
    outside = seeds.waiting(db, Call("look_up", name="x"))
    assert "why nobody knows" in kern("answer", outside.requirement_id, "--unknown", code=2).err
    both = ("--unknown", "--result", "3")
    kern("answer", outside.requirement_id, *both, "--note", "closed", code=2)
    said = kern("answer", outside.requirement_id, "--unknown", "--note", "closed", "--by", "dana")
    assert "Outcome reported as unknown by dana" in said.out
    assert "outcome reported as unknown by dana" in kern("show", outside.run_id).out
    assert kern("show", outside.run_id, "--json").json["tools"][0]["status"] == "unknown"
    kern("audit", "verify")


def test_a_call_with_an_unknown_outcome_is_settled_in_three_ways(
    kern: Cli, db: SqliteStore
) -> None:
    happened, again, failed = (seeds.torn(db) for _ in range(3))
    assert 'did send(text="hello") happen?' in kern("pending").out
    kern("answer", happened.requirement_id, "--happened", "sent", "--run-again", code=2)
    kern.decide("answer", happened.requirement_id, "--happened", "sent")
    kern.decide("answer", again.requirement_id, "--run-again")
    kern("answer", failed.requirement_id, "--fail", "--note", "nobody knows")
    assert kern("show", happened.run_id, "--json").json["tools"][0]["result"] == "sent"
    assert "1 tool call," in kern("show", happened.run_id).out
    assert kern("show", again.run_id, "--json").json["tools"][0]["status"] == "waiting"
    story = kern("show", failed.run_id).out
    assert "Error  decided_to_fail" in story
    assert "nobody knows" in story


def test_whoever_looks_a_call_up_sees_its_key_and_what_the_reconciler_said(
    kern: Cli, db: SqliteStore
) -> None:
    lost = seeds.torn(db, evidence=("12:00:00 UTC: the bank is closed", "still unknown"))
    shown = kern("show", lost.run_id)
    [requirement] = kern("show", lost.run_id, "--json").json["requirements"]
    assert f"idempotency key  {requirement['attempt']['idempotency_key']}" in shown.out
    assert "reconciler  12:00:00 UTC: the bank is closed" in shown.out
    assert "reconciler  still unknown" in shown.out


def test_what_an_attempt_came_to_after_a_person_said_otherwise_is_shown(
    kern: Cli, db: SqliteStore
) -> None:
    torn = seeds.torn(db)
    kern("reject", torn.requirement_id, "--by", "dana")
    call_id = kern("show", torn.run_id, "--json").json["tools"][0]["id"]
    sent = partial(calls.finish, outcome=ToolOutcome.result, result="sent", changes=[])
    now = datetime.now(UTC)
    assert db.write_now(lambda tx: sent(tx, call_id, "first", now=now)) is Storing.fenced
    shown = kern("show", torn.run_id)
    assert "another try was rejected by dana" in shown.out
    assert "too late" in shown.out
    assert "ended late with a result: sent" in shown.out
    [told] = kern("show", torn.run_id, "--json").json["late_results"]
    assert (told["tool_call_id"], told["outcome"], told["result"]) == (call_id, "result", "sent")


def test_a_run_is_cancelled_once(kern: Cli, refund: Seeded) -> None:
    assert "Nothing new begins" in kern("cancel", refund.run_id[-8:]).out
    assert "cancelled" in kern("show", refund.run_id).out
    assert kern("cancel", refund.run_id, "--json").json["status"] == "cancelled", "once more"
    kern("approve", refund.requirement_id, code=5)


def test_the_chain_verifies_until_somebody_rewrites_it(
    kern: Cli, db: SqliteStore, refund: Seeded
) -> None:
    kern.decide("approve", refund.requirement_id, "--by", "dana")
    assert "1 decision not sealed yet" in kern("audit", "verify").out
    db.write_now(lambda tx: seals.seal(tx, datetime.now(UTC)))
    assert "not sealed" not in kern("audit", "verify").out
    head = kern("audit", "verify", "--json").json["head"]
    assert "1 decision" in kern("audit", "verify", "--head", head).out
    assert "not part of the log" in kern("audit", "verify", "--head", "0" * 63 + "1", code=8).err
    db.write_now(lambda tx: execute_sql(tx, "UPDATE kern_decisions SET actor = 'eli'"))
    assert "was changed" in kern("audit", "verify", code=8).err


def test_texts_of_others_steer_no_terminal(kern: Cli, db: SqliteStore) -> None:
    nasty = "\x1b]0;owned\x07\x1b[31m[bold red]markup[/] \x9b2J \u202e04 RUE\rover"
    seeded = seeds.waiting(
        db, Call("refund", order_id=nasty, amount=1.0), text=nasty, user_id="[bold red]markup[/]"
    )
    for words in (("runs",), ("pending",), ("show", seeded.run_id)):
        for flag in ((), ("--json",)):
            said = kern(*words, *flag)
            assert safe(said.out) == said.out
    assert "[bold red]markup[/]" in kern("show", seeded.run_id).out
    refused = kern.decide("approve", seeded.requirement_id, "--by", nasty, code=2)
    assert safe(refused.err) == refused.err
    assert "U+001B cannot be seen" in refused.err
    said = kern.decide(
        "approve", seeded.requirement_id, "--by", "[bold red]markup[/]", "--note", nasty
    )
    assert safe(said.out) == said.out
    again = kern("approve", seeded.requirement_id, code=5)
    assert safe(again.err) == again.err
    assert again.err.count("\n") == 1
    missing = kern("show", nasty, code=2)
    assert safe(missing.err) == missing.err


def test_json_is_in_a_shape_that_stays(kern: Cli, refund: Seeded) -> None:
    kern.decide("approve", refund.requirement_id, "--by", "dana")
    found = kern("show", refund.run_id, "--json").json
    assert {"run_id", "status", "messages", "tools", "requirements", "decisions", "metrics"} <= set(
        found
    )
    decision = found["decisions"][0]
    assert (decision["by"], decision["verdict"], decision["seq"]) == ("dana", "approve", 1)
    assert decision["at"].endswith("Z")


@pytest.mark.parametrize(
    "words",
    [("aprove", "x"), ("audit",), ("runs", "--limit", "0"), ("show",), ("runs", "--status", "x")],
)
def test_wrong_options_are_one_line(kern: Cli, words: tuple[str, ...]) -> None:
    said = kern(*words, code=2)
    assert said.err.startswith("kern: ")
    assert said.err.count("\n") == 1
    assert kern(*words, "--json", code=2).error["code"] == "usage"


def test_a_setting_that_makes_no_sense(kern: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERN_HEARTBEAT_SECONDS", "soon")
    assert "KERN_HEARTBEAT_SECONDS" in kern("runs", code=2).err


def test_a_database_that_does_not_answer(kern: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERN_DATABASE_URL", "postgresql://kern:sesame@127.0.0.1:9/kern")
    said = kern("pending", code=6)
    assert "postgresql://kern:***@127.0.0.1:9/kern does not answer: " in said.err
    assert "sesame" not in said.err
    assert "?" not in said.err, "the driver's advice is left out"
    assert said.err.count("\n") == 1


@pytest.mark.parametrize("words", [("runs",), ("pending",), ("sessions", "list")])
def test_an_empty_user_is_refused(kern: Cli, refund: Seeded, words: tuple[str, ...]) -> None:
    assert "user_id is empty" in kern(*words, "--user", "", code=2).err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a disk that is full")
@pytest.mark.parametrize("words", [("runs", "--json"), ("runs",), ("--help",)])
def test_a_full_disk_is_one_line(home: Path, refund: Seeded, words: tuple[str, ...]) -> None:
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            [*COMMAND, *words],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            check=False,
            env={**os.environ, "KERN_HOME": str(home)},
        )
    assert ended.returncode == 6
    assert "No space left on device" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_a_wrong_setting_is_told_with_its_value(
    kern: Cli, db: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERN_HEARTBEAT_SECONDS", "often")
    said = kern("runs", code=2)
    assert "KERN_HEARTBEAT_SECONDS is 'often': Input should be a valid number" in said.err
    assert said.err.count("\n") == 1


def test_an_older_database_waits_for_migrate(kern: Cli, home: Path) -> None:
    home.mkdir()
    database_path(home).touch()
    assert "kern migrate" in kern("runs", code=3).err
    assert kern("migrate", "--json").json["from"] is None
    assert "already at" in kern("migrate").out
    assert "No runs." in kern("runs").out


def test_migrate_says_from_where_to_where_and_whose_code_can_go_on(kern: Cli, home: Path) -> None:
    _ = home
    text = kern("migrate").out
    assert f"brought from nothing to revision {HEAD}." in text
    assert f"can work with it from revision {HEAD} on" in text
    assert kern("migrate", "--json").json["min_reader"] == HEAD


def test_a_newer_database_is_left_alone(kern: Cli, db: SqliteStore) -> None:
    newer = "UPDATE kern_version SET version_num = '9999', min_reader = '9998'"
    db.write_now(lambda tx: execute_sql(tx, newer))
    for words in ("runs", "migrate"):
        refusal = kern(words, code=5).err
        assert "is at revision 9999" in refusal
        assert f"has to know revision 9998, and this version knows only {HEAD}" in refusal
    assert "9998" in kern("doctor", code=6).out


def test_a_newer_database_with_which_this_version_can_work_is_used(
    kern: Cli, db: SqliteStore
) -> None:
    db.write_now(lambda tx: execute_sql(tx, "UPDATE kern_version SET version_num = '9999'"))
    assert "No runs." in kern("runs").out
    assert f"already at revision 9999, newer than this version's {HEAD}" in kern("migrate").out
    checks = {check["name"]: check["text"] for check in kern("doctor", "--json").json["checks"]}
    assert f"revision 9999 (this version knows {HEAD})" in checks["database"]


def test_doctor_says_that_workers_of_two_versions_run(kern: Cli, db: SqliteStore) -> None:
    now = datetime.now(UTC)
    for number in (1, 2):
        worker = WorkerIdentity(f"w{number}", "host", number, now)
        db.write_now(partial(workers.beat, worker=worker, worker_policy={}, now=now))
    checks = {check["name"]: check["text"] for check in kern("doctor", "--json").json["checks"]}
    assert "versions" not in checks
    older = "UPDATE kern_workers SET version = '0.0.9', revision = '0000' WHERE id = 'w1'"
    db.write_now(lambda tx: execute_sql(tx, older))
    checks = {check["name"]: check["text"] for check in kern("doctor", "--json").json["checks"]}
    assert "workers of 2 versions of Kern run" in checks["versions"]
    assert f"1@host 0.0.9 (revision 0000), 2@host {__version__}" in checks["versions"]


def test_a_database_of_a_development_version_is_to_be_moved_away(kern: Cli, home: Path) -> None:
    home.mkdir()
    path = database_path(home)
    with closing(sqlite3.connect(path)) as old:
        for name in ("sessions", "runs", "messages", "tool_calls", "requirements"):
            old.execute(f"CREATE TABLE {name} (id TEXT)")
        for name in ("decisions", "events", "outbox", "chain_heads"):
            old.execute(f"CREATE TABLE {name} (id TEXT)")
        old.execute("CREATE TABLE alembic_version AS SELECT '0005' AS version_num")
        old.commit()
    for words in ("runs", "migrate"):
        assert "before 0.2 (revision 0005)" in kern(words, code=5).err
    said = kern("doctor", code=6).out
    assert "FAIL database" in said
    assert "Move the database away" in said
    path.rename(path.with_suffix(".old"))
    kern("migrate")
    assert "No runs." in kern("runs").out


def test_doctor_looks_and_leaves_everything_as_it_is(
    kern: Cli, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = kern("doctor", "--json").json
    assert found["ok"]
    assert not home.exists()
    monkeypatch.setenv(
        "KERN_DATABASE_URL", "postgresql://kern:sesame@127.0.0.1:9/kern?password=sesame"
    )
    monkeypatch.setenv("TEMPORAL_API_KEY", "sesame")
    monkeypatch.setenv("OPENAI_API_KEY", "sesame")
    said = kern("doctor", "--app", "no_such_module:agent", code=6)
    assert "sesame" not in said.out
    assert "FAIL database" in said.out
    assert "FAIL app" in said.out
    assert "sesame" not in kern("doctor", "--json", code=6).out


def test_show_and_the_events_say_that_an_approved_call_was_not_executed(
    kern: Cli, refund: Seeded
) -> None:
    kern.decide("approve", refund.requirement_id, "--by", "dana")
    assert "not executed" not in kern("show", refund.run_id).out
    kern("cancel", refund.run_id)
    text = kern("show", refund.run_id).out
    assert "approved, not executed: The run was cancelled before this call ran." in text
    (requirement,) = kern("show", refund.run_id, "--json").json["requirements"]
    assert requirement["not_executed"] == "The run was cancelled before this call ran."
    assert "approved_not_executed" in kern("events", refund.run_id, "--json").out


def test_doctor_counts_what_waits(kern: Cli, refund: Seeded) -> None:
    kern.decide("approve", refund.requirement_id)
    checks = {one["name"]: one["text"] for one in kern("doctor", "--json").json["checks"]}
    assert f"revision {HEAD}" in checks["database"]
    assert "0 requirements" in checks["pending"]
    assert "2 deliveries" in checks["outbox"]
    assert "none runs" in checks["server"]


def test_a_decision_is_accepted_while_temporal_is_down(
    tmp_path: Path, db: SqliteStore, refund: Seeded
) -> None:
    [item] = command("pending", "--json", cwd=tmp_path).json["requirements"]
    words = ("approve", refund.requirement_id, "--digest", item["digest"])
    said = command(*words, cwd=tmp_path, TEMPORAL_ADDRESS="127.0.0.1:9")
    assert (said.code, said.err) == (0, "")
    assert LATER in said.out


def test_help_loads_nothing_heavy(tmp_path: Path) -> None:
    heavy = ["openai", "temporalio", "sqlmodel", "sqlalchemy", "fastapi", "pydantic"]
    code = (
        "import sys; from kern.client.cli.main import execute; execute([]); "
        f"sys.exit(str([name for name in {json.dumps(heavy)} if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == "[]\n"
    assert "Exit codes" in done.stdout


def test_nobody_runs_in_the_session_of_another(kern: Cli, db: SqliteStore, refund: Seeded) -> None:
    session = kern("show", refund.run_id, "--json").json["session_id"]
    words = ("run", "tests.support.seeds:agent", "Hi", "--session", session, "--background")
    assert "belongs to another user" in kern(*words, "--user", "eve", code=4).err
    assert kern(*words, "--user", "mara", "--json").json["delivered"] is False


def test_files_are_given_and_named(kern: Cli, db: SqliteStore, tmp_path: Path) -> None:
    chart, bill = tmp_path / "chart.png", tmp_path / "bill.pdf"
    chart.write_bytes(png())
    bill.write_bytes(PDF)
    words = ("run", "tests.support.cli_app:answers", "Look", "--background", "--json")
    run_id = kern(*words, "--file", str(bill), "--image", str(chart)).json["run_id"]

    shown = kern("show", run_id).out
    assert f"file   chart.png  (image/png, {len(png())} bytes)" in shown
    assert "file   bill.pdf  (application/pdf" in shown
    found = kern("show", run_id, "--json").json
    assert [one["name"] for one in found["messages"][0]["files"]] == ["chart.png", "bill.pdf"]
    assert "Look [chart.png] [bill.pdf]" in kern("sessions", "show", found["session_id"]).out
    [run] = kern("sessions", "show", found["session_id"], "--json").json["runs"]
    assert [one["media_type"] for one in run["files"]] == ["image/png", "application/pdf"]


def test_a_file_that_is_not_there_is_one_line(kern: Cli, db: SqliteStore) -> None:
    words = ("run", "tests.support.cli_app:answers", "Look", "--file", "gone.pdf", "--background")
    said = kern(*words, code=2)
    assert "File 'gone.pdf' cannot be read" in said.err
    assert said.err.count("\n") == 1
    assert kern("runs", "--json").json["runs"] == []


def test_an_app_that_is_not_there(kern: Cli, db: SqliteStore) -> None:
    assert "no_such_app" in kern("run", "no_such_app:agent", "Hi", code=2).err
    assert "holds 4 components" in kern("run", "tests.support.cli_app", "Hi", code=2).err
