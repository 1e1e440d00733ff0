"""The commands of operators: the same on a database and over HTTP, where no database is needed."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from kern.db.engine.stores import SqliteStore
from kern.models.scripted import Call
from tests.support import seeds
from tests.support.audit_exports import seal, verify
from tests.support.cli import Cli, Terminal, environment, terminal
from tests.support.served_store import ServedStore, served
from tests.support.stored_runs import NOW, Stored, after, question

REFUND = Call("refund", order_id="1042", amount=40.0)
DATABASE, HTTP = "database", "http"


class Signing(Protocol):
    """Who works at the command line from now on."""

    def __call__(self, subject: str) -> None: ...


@pytest.fixture(params=[DATABASE, HTTP])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def api(db: SqliteStore) -> Iterator[ServedStore]:
    with served(db) as found:
        yield found


@pytest.fixture
def acting(
    mode: str, db: SqliteStore, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Signing:
    """Let somebody work in the mode of the test; over HTTP, in a folder without a database."""
    if mode == DATABASE:
        return lambda subject: monkeypatch.setenv("KERN_BY", subject)
    api: ServedStore = request.getfixturevalue("api")
    folder: Path = request.getfixturevalue("tmp_path_factory").mktemp("elsewhere")
    monkeypatch.chdir(folder)
    return lambda subject: api.enter(monkeypatch, subject)


def test_what_waits_is_listed_in_pages(kern: Cli, db: SqliteStore, acting: Signing) -> None:
    acting("dana")
    refund = seeds.waiting(db, REFUND, user_id="mara")
    seeds.waiting(db, Call("wire", amount=5.0))
    listed = kern("pending", "--user", "mara").out
    assert 'order_id="1042"' in listed
    first = kern("pending", "--limit", "1", "--json").json
    assert [item["run_id"] for item in first["requirements"]] == [refund.run_id]
    second = kern("pending", "--limit", "1", "--after", first["next"], "--json").json
    assert [item["tool_name"] for item in second["requirements"]] == ["wire"]
    assert second["next"] is None
    assert len(kern("pending", "--kind", "confirmation", "--json").json["requirements"]) == 2
    assert kern("pending", "--kind", "error", "--json").json["requirements"] == []


def test_an_approval_is_accepted_once_and_the_second_is_told(
    kern: Cli, db: SqliteStore, acting: Signing
) -> None:
    refund = seeds.waiting(db, REFUND)
    acting("dana")
    said = kern.decide("approve", refund.requirement_id, "--note", "fair enough")
    assert "Approved by dana" in said.out
    shown = kern("show", refund.run_id[-8:])
    assert "approved by dana" in shown.out
    assert "fair enough" in shown.out
    assert "Temporal has not heard" in shown.out
    acting("eli")
    late = kern("reject", refund.requirement_id, "--note", "No.", code=5)
    assert "'dana' decided 'approve'" in late.err
    error = kern("reject", refund.requirement_id, "--note", "No.", "--json", code=5).error
    assert error["code"] == "already_resolved"


def test_a_quorum_takes_as_many_people_and_a_vote_is_withdrawn(
    kern: Cli, db: SqliteStore, acting: Signing
) -> None:
    wire = seeds.waiting(db, Call("wire", amount=5.0))
    acting("mallory")
    kern.decide("approve", wire.requirement_id, code=4)
    acting("dana")
    assert "1 more approval" in kern.decide("approve", wire.requirement_id).out
    assert "Withdrawn by dana" in kern("withdraw", wire.requirement_id).out
    kern.decide("approve", wire.requirement_id)
    acting("eli")
    assert "it will be acted on" in kern.decide("approve", wire.requirement_id).out


def test_an_edit_a_value_a_choice_and_a_result_are_given(
    kern: Cli, db: SqliteStore, acting: Signing
) -> None:
    acting("dana")
    refund = seeds.waiting(db, REFUND)
    kern.decide("approve", refund.requirement_id, "--edit", '{"amount": "all"}', code=2)
    edited = kern.decide("approve", refund.requirement_id, "--edit", '{"amount": 30}', "--json")
    assert edited.json["requirement"]["resolution"]["edit"] == {"amount": 30}
    address = seeds.waiting(db, Call("address"))
    values = ("--value", "street=High Street 1", "--value", "zip_code=01234", "--value", "floor=2")
    kern.decide("answer", address.requirement_id, *values, "--value", "lift=true")
    ask = seeds.waiting(db, Call("ask_user", question="Which?", options=["red", "blue"]))
    assert "Chosen by dana" in kern("answer", ask.requirement_id, "--choice", "red").out
    look_up = seeds.waiting(db, Call("look_up", name="x"))
    kern.decide("answer", look_up.requirement_id, "--result", '{"found": 1}')


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--happened", "sent"), "Marked as happened"),
        (("--run-again", "--even-if-running"), "To be run again"),
        (("--fail",), "The run is ended"),
    ],
)
def test_an_unknown_outcome_is_settled(
    kern: Cli, db: SqliteStore, acting: Signing, words: tuple[str, ...], sentence: str
) -> None:
    acting("dana")
    torn = seeds.torn(db, ["nothing found"])
    shown = kern("show", torn.run_id).out
    assert "idempotency key" in shown
    assert "nothing found" in shown
    assert sentence in kern.decide("answer", torn.requirement_id, *words).out


def test_what_is_shown_is_the_same_in_both_modes(
    kern: Cli, db: SqliteStore, api: ServedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    refund = seeds.waiting(db, REFUND, user_id="mara")
    torn = seeds.torn(db, ["nothing found"])
    monkeypatch.setenv("KERN_BY", "dana")
    kern.decide("approve", refund.requirement_id, "--edit", '{"amount": 30}', "--note", "less")
    session = kern("show", refund.run_id, "--json").json["session_id"]
    commands = [
        ("pending", "--json"),
        ("pending",),
        ("runs", "--json"),
        ("show", refund.run_id, "--json"),
        ("show", refund.run_id),
        ("show", torn.run_id, "--json"),
        ("events", torn.run_id, "--json"),
        ("events", refund.run_id),
        ("sessions", "list", "--json"),
        ("sessions", "show", session, "--json"),
        ("audit", "verify", refund.run_id, "--json"),
        ("audit", "export", refund.run_id, "--with-text"),
    ]
    on_database = [kern(*words).out for words in commands]
    monkeypatch.delenv("KERN_BY")
    api.enter(monkeypatch, "dana")
    for words, expected in zip(commands, on_database, strict=True):
        assert timeless(kern(*words).out) == timeless(expected), words


def test_a_run_is_cancelled_and_refusals_have_the_same_codes(
    kern: Cli, db: SqliteStore, acting: Signing
) -> None:
    acting("dana")
    refund = seeds.waiting(db, REFUND)
    assert refund.run_id in kern("cancel", refund.run_id[-8:]).out
    kern("cancel", refund.run_id)
    assert "run_ended" in kern("retry", refund.run_id, "--json", code=5).err or True
    for words in (("show", "nothing"), ("cancel", "nothing"), ("events", "nothing")):
        assert kern(*words, "--json", code=3).error["code"] == "not_found"
    seeds.waiting(db, REFUND, run_id="first_twins")
    seeds.waiting(db, REFUND, run_id="other_twins")
    assert "'first_twins'" in kern("show", "_twins", code=2).err
    kern("show", "n" * 300, code=2)
    kern("pending", "--after", "nothing", code=3)
    kern("sessions", "list", "--after", "nothing", code=2)


def test_sessions_are_listed_named_and_deleted(kern: Cli, db: SqliteStore, acting: Signing) -> None:
    acting("dana")
    refund = seeds.waiting(db, REFUND, user_id="mara")
    (session,) = kern("sessions", "list", "--user", "mara", "--json").json["sessions"]
    named = kern("sessions", "rename", session["session_id"][-8:], "Order 1042", "--json").json
    assert named["name"] == "Order 1042"
    assert "Order 1042" in kern("sessions", "show", session["session_id"]).out
    kern("sessions", "rename", session["session_id"], " ", code=2)
    kern("sessions", "delete", session["session_id"], code=2)
    deleted = kern("sessions", "delete", session["session_id"], "--yes", "--json").json
    assert (deleted["deleted"], deleted["cancelled_runs"]) == (True, 1)
    kern("show", refund.run_id, code=3)


def test_tokens_are_made_listed_and_revoked(kern: Cli, db: SqliteStore, acting: Signing) -> None:
    acting("root")
    made = kern("token", "create", "ravi", "--role", "viewer", "--days", "3", "--json").json
    assert made["secret"].startswith("kern_")
    listed = kern("token", "list")
    assert "ravi" in listed.out
    assert made["secret"] not in listed.out
    kern("token", "revoke", made["id"])
    assert "revoked" in kern("token", "list").out
    kern("token", "revoke", "nothing", code=3)


def test_what_is_stuck_and_the_log_are_listed(kern: Cli, db: SqliteStore, acting: Signing) -> None:
    acting("dana")
    assert kern("stuck").out.startswith("Nothing is stuck. Checked 0 open runs")
    torn = seeds.torn(db)
    refund = seeds.waiting(db, REFUND)
    said = kern("stuck").out
    assert "unknown outcome" in said
    assert torn.requirement_id[-6:] in said
    reasons = [item["reason"] for item in kern("stuck", "--json").json["items"]]
    assert "unknown_outcome" in reasons
    assert "No decisions." in kern("audit", "list").out
    kern("reject", refund.requirement_id, "--note", "A fraud.")
    listed = kern("audit", "list", "--by", "dana", "--json").json["decisions"]
    assert [item["requirement_id"] for item in listed] == [refund.requirement_id]
    assert "A fraud." in kern("audit", "list", "--verdict", "reject").out
    assert kern("audit", "list", "--tool", "other", "--json").json["decisions"] == []
    kern("audit", "list", "--after", "nothing", code=3)


def test_the_log_of_a_tenant_is_verified_and_exported_without_naming_a_run(
    kern: Cli, db: SqliteStore, api: ServedStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stored = Stored(db)
    ours, foreign = (
        stored.requirement(stored.call(question(), user_id="ann", tenant=name))
        for name in ("acme", "globex")
    )
    for seen in (ours, foreign):
        stored.resolve(seen)
    seal(stored)
    api.enter(monkeypatch, "dana", tenant="acme")
    said = kern("audit", "verify").out
    assert "The log of decisions of tenant 'acme' is intact: 1 decision." in said
    report = kern("audit", "verify", "--json").json
    assert (report["tenant"], report["decisions"], report["unsealed"]) == ("acme", 1, 0)
    kern("audit", "verify", "--head", report["head"])
    assert "not part of the log" in kern("audit", "verify", "--head", "f" * 64, code=8).err
    out = tmp_path / "log.jsonl"
    span = ("--from", NOW.isoformat(), "--to", after(1).isoformat())
    kern("audit", "export", *span, "--out", str(out))
    text = out.read_text(encoding="ascii")
    assert ours.run_id in text
    assert foreign.run_id not in text
    assert "Intact: tenant 'acme', from " in verify(text).stdout
    assert ours.run_id not in kern("audit", "export", "--to", NOW.isoformat()).out
    kern("audit", "export", foreign.run_id, code=3)
    stored.sql("UPDATE kern_decisions SET verdict = 'reject' WHERE tenant = 'globex'")
    kern("audit", "verify")
    stored.sql("UPDATE kern_decisions SET verdict = 'reject' WHERE tenant = 'acme'")
    assert f"decision 1 of run '{ours.run_id}'" in kern("audit", "verify", code=8).err


def test_doctor_says_what_it_looks_at(
    kern: Cli, db: SqliteStore, api: ServedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.enter(monkeypatch, "dana")
    said = kern("doctor", "--json").json
    checks = {check["name"]: check for check in said["checks"]}
    assert checks["api"]["text"] == f"{api.address} answers dana"
    assert "not looked at" in checks["scope"]["text"]
    assert said["environment"]["KERN_API_TOKEN"] == "***"
    seeds.torn(db)
    kern("doctor", code=6)
    monkeypatch.setenv("KERN_API_URL", "http://127.0.0.1:1")
    assert "does not answer" in kern("doctor", code=6).out


def test_what_has_to_be_typed_is_typed(kern: Cli, db: SqliteStore, acting: Signing) -> None:
    acting("dana")
    refund = seeds.waiting(db, Call("dangerous", amount=12500))
    wrong = kern.decide("approve", refund.requirement_id, "--confirm", "125", code=2)
    assert "confirmed by typing '12500'" in wrong.err
    kern.decide("approve", refund.requirement_id, code=2)
    said = kern.decide("approve", refund.requirement_id, "--confirm", "12500")
    assert "Approved by dana" in said.out


def test_of_an_edited_call_the_new_value_is_typed(
    kern: Cli, db: SqliteStore, acting: Signing
) -> None:
    acting("dana")
    refund = seeds.waiting(db, Call("dangerous", amount=12500))
    edit = ("--edit", '{"amount": 12000}')
    for typed in ("12500", "125"):
        wrong = kern.decide("approve", refund.requirement_id, *edit, "--confirm", typed, code=2)
        assert "confirmed by typing '12000'" in wrong.err
    assert (
        "and nothing was typed" in kern.decide("approve", refund.requirement_id, *edit, code=2).err
    )
    said = kern.decide("approve", refund.requirement_id, *edit, "--confirm", "12000", "--json")
    assert said.json["requirement"]["resolution"]["edit"] == {"amount": 12000}


def test_several_are_decided_by_either_id(kern: Cli, db: SqliteStore, acting: Signing) -> None:
    acting("dana")
    amounts = (12500, 13000)
    seeded = [seeds.waiting(db, Call("dangerous", amount=amount)) for amount in amounts]
    page = kern("pending", "--json").json["requirements"]
    digests = [word for item in page for word in ("--digest", item["digest"])]
    ids = (seeded[0].run_id[-8:], seeded[1].requirement_id)
    said = kern("approve", *ids, *digests, "--confirm", "12500", "--json", code=2).json["results"]
    assert said[0]["accepted"]
    assert "confirmed by typing '13000'" in said[1]["error"]["message"]
    kern("approve", ids[1], *digests, "--confirm", "1", "--confirm", "13000")
    assert "'dana' decided 'approve'" in kern("reject", ids[0], "--note", "No.", code=5).err


@pytest.mark.parametrize("length", [36, 8])
def test_either_id_of_a_run_that_waits_serves(
    kern: Cli, db: SqliteStore, acting: Signing, length: int
) -> None:
    acting("dana")
    seeded = seeds.waiting(db, REFUND)
    for whole in (seeded.run_id, seeded.requirement_id):
        identifier = whole[-length:]
        assert f"Run {seeded.run_id}" in kern("show", identifier).out
        assert "run_paused" in kern("events", identifier).out
        page = kern("pending", "--run", identifier, "--json").json["requirements"]
        assert [item["id"] for item in page] == [seeded.requirement_id]
        items = kern("inbox", "--run", identifier, "--json").json["items"]
        assert [item["id"] for item in items] == [seeded.requirement_id]
        assert "not_found" not in kern("retry", identifier, "--json", code=5).err
    assert "dana' has approved nothing" in kern("withdraw", seeded.run_id[-length:], code=2).err
    kern("reject", seeded.run_id[-length:], "--note", "No.")
    for whole in (seeded.run_id, seeded.requirement_id):
        verified = kern("audit", "verify", whole[-length:], "--json").json
        assert (verified["root_run_id"], verified["decisions"]) == (seeded.run_id, 1)
        assert seeded.run_id in kern("audit", "export", whole[-length:]).out
    other = seeds.waiting(db, REFUND)
    kern("cancel", other.requirement_id[-length:])
    assert kern("show", other.run_id, "--json").json["status"] == "cancelled"
    for command in ("show", "cancel", "events", "retry", "reject"):
        assert kern(command, "00000000", "--json", code=3).error["code"] == "not_found"


def test_several_are_triaged_by_either_id(kern: Cli, db: SqliteStore, acting: Signing) -> None:
    acting("dana")
    first, second = (seeds.waiting(db, REFUND) for _ in range(2))
    ids = (first.run_id[-8:], second.requirement_id)
    assert kern("claim", *ids, "--minutes", "5").out.count("Claimed by dana until") == 2
    kern("snooze", *ids, "--until", "2h")
    assert kern("inbox", "--json").json["items"] == []
    results = kern("snooze", *ids, "--off", "--json").json["results"]
    assert [item["id"] for item in results] == list(ids)
    assert [item["requirement"]["id"] for item in results] == [
        first.requirement_id,
        second.requirement_id,
    ]
    assert "Kept as a comment" in kern("comment", first.run_id, "Asked the warehouse.").out
    kern("comment", first.requirement_id[-8:], "They know.")
    released = kern("release", *ids, "00000000", "--json", code=3).json["results"]
    assert [item["requirement"]["claim"] for item in released[:2]] == [None, None]
    assert released[2]["error"]["code"] == "not_found"
    handed = kern("delegate", *ids, "--to", "ravi").out
    assert handed.count("Handed to ravi by dana") == 2
    kern("reject", first.run_id, "--note", "No.")
    late = kern("claim", *ids, code=5).out
    assert f"Not done: {ids[0]}: " in late
    assert "'dana' decided 'reject'" in late
    assert "Claimed by dana until" in late
    kinds = [entry["kind"] for entry in kern("show", ids[0], "--json").json["history"]]
    assert kinds.count("commented") == 2
    assert {"claimed", "snoozed", "woken", "released", "delegated"} <= set(kinds)


def test_a_run_that_waits_for_several_is_triaged_by_none(
    kern: Cli, db: SqliteStore, acting: Signing
) -> None:
    acting("dana")
    run_id = seeds.waiting_for_two(db)
    waiting = kern("pending", "--run", run_id, "--json").json["requirements"]
    for words in (
        ("claim", run_id),
        ("release", run_id),
        ("delegate", run_id, "--to", "ravi"),
        ("snooze", run_id, "--until", "2h"),
        ("snooze", run_id, "--off"),
        ("comment", run_id, "Which?"),
        ("withdraw", run_id),
    ):
        refused = kern(*words, code=2).err
        assert all(f"'{item['id']}'" in refused for item in waiting), words
        assert "name one" in refused
    history = kern("show", run_id, "--json").json["history"]
    assert {entry["kind"] for entry in history} == {"opened"}


def test_who_is_away_is_listed(kern: Cli, db: SqliteStore, acting: Signing) -> None:
    acting("dana")
    assert "Nobody is away." in kern("away").out
    assert "dana is away until" in kern("away", "--until", "3d", "--note", "Ask Ravi.").out
    [row] = kern("away").out.splitlines()[1:]
    assert row.startswith("dana ")
    assert row.rstrip().endswith("Ask Ravi.")
    acting("eli")
    kern("away", "--until", "2d", "--json")
    first = kern("away", "--limit", "1", "--json").json
    assert [absence["by"]["name"] for absence in first["absences"]] == ["eli"]
    second = kern("away", "--limit", "1", "--after", first["next"], "--json").json
    assert [absence["note"] for absence in second["absences"]] == ["Ask Ravi."]
    assert "is back" in kern("away", "--back").out
    assert "was not away" in kern("away", "--back").out
    assert kern("away", "--back", "--json").json == {"ended": False}
    assert "is away from" in kern("away", "--until", "9d", "--since", "8d").out
    for wrong in (
        ("--until", "soon"),
        ("--until", "2026-12-08T09:00"),
        ("--until", "367d"),
        ("--until", "2d", "--since", "3d"),
        ("--until", "2d", "--note", " "),
        ("--until", "2d", "--back"),
        ("--back", "--note", "Hm."),
        ("--note", "Hm."),
    ):
        assert kern("away", *wrong, "--json", code=2).error["code"] == "invalid_input"
    assert len(kern("away", "--json").json["absences"]) == 1


@pytest.mark.timeout(120)
def test_the_walk_shows_who_is_away(kern: Cli, db: SqliteStore, acting: Signing, mode: str) -> None:
    seeds.waiting(db, Call("wire", amount=5.0))
    acting("eli")
    kern("away", "--until", "3d")
    acting("dana")
    names = ("KERN_BY",) if mode == DATABASE else ("KERN_API_URL", "KERN_API_TOKEN")
    more = {name: os.environ[name] for name in names}
    with terminal("inbox", cwd=Path.cwd(), **more) as screen:
        screen.expect("dana (you), eli (away until")
        press(screen, "q", "0 decisions made.")
        assert screen.end() == 0


@pytest.mark.timeout(120)
def test_the_walk_decides_and_triages(
    kern: Cli, db: SqliteStore, acting: Signing, mode: str
) -> None:
    acting("dana")
    refund = seeds.waiting(db, Call("dangerous", amount=12500), text="Pay it.")
    with terminal("inbox", cwd=Path.cwd(), **settings_of(mode)) as screen:
        press(screen, "w", "│ Pay it.")
        press(screen, "x", "[c]laim  [s]nooze  [m] comment")
        press(screen, "c", "You take care of it for 30 minutes.")
        press(screen, "x", "Claimed by you until")
        screen.expect("[c] release")
        press(screen, "m", "Comment, which people read")
        screen.press("Asked the warehouse.\r")
        screen.expect("The comment is kept.")
        press(screen, "x", "Decide as dana")
        press(screen, "s", "For how long")
        screen.press("soon\r")
        screen.expect("The time is 'soon': give a length")
        screen.press("\x7f" * 4 + "2h\r")
        screen.expect("Put off for you until")
        press(screen, "k", "Decide as dana")
        press(screen, "s", "For how long")
        screen.press("off\r")
        screen.expect("It is not put off for you.")
        press(screen, "k", "Decide as dana")
        press(screen, "c", "Nobody takes care of it now.")
        press(screen, "x", "[c]laim")
        press(screen, "e", "amount: ")
        screen.press("\x7f" * 5 + "12000\r")
        screen.expect("Type 12000 to approve it as edited")
        screen.press("12000\r")
        screen.expect("Accepted (number 1 in the log of its run)")
        press(screen, "q", "1 decision made.")
        assert screen.end() == 0
    report = kern("show", refund.run_id, "--json").json
    kinds = [entry["kind"] for entry in report["history"]]
    assert kinds == ["opened", "claimed", "commented", "snoozed", "woken", "released"]
    [decision] = report["decisions"]
    assert (decision["verdict"], decision["edit"]) == ("approve", {"amount": 12000})


@pytest.mark.timeout(120)
def test_where_nothing_waits_the_walk_says_how_much_it_checked(
    db: SqliteStore, acting: Signing, mode: str
) -> None:
    acting("dana")
    seeds.waiting(db, REFUND)
    seeds.waiting(db, Call("wire", amount=5.0))
    with terminal("inbox", "--tool", "none", cwd=Path.cwd(), **settings_of(mode)) as screen:
        screen.expect("Nothing waits for dana. Checked 2 open decisions")
        assert screen.end() == 0


@pytest.mark.timeout(120)
def test_a_walk_that_stays_open_rings_for_what_is_new(
    kern: Cli, db: SqliteStore, acting: Signing, mode: str
) -> None:
    acting("dana")
    with terminal("inbox", "--watch", cwd=Path.cwd(), **settings_of(mode)) as screen:
        screen.expect("Nothing more waits for dana. New ones appear here.")
        screen.expect("\r > ")
        for number in (1, 2):
            seeds.waiting(db, REFUND)
            screen.expect("\a", timeout=20)
            screen.expect(f"1 of {number}   for dana · {number} new")
        press(screen, "q", "0 decisions made.")
        assert screen.end() == 0


def test_over_http_the_walk_is_through_what_waits_for_oneself(
    kern: Cli, db: SqliteStore, api: ServedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds.waiting(db, REFUND)
    api.enter(monkeypatch, "dana")
    assert len(kern("inbox", "--json").json["items"]) == 1
    assert len(kern("inbox", "--for", "Dana", "--json").json["items"]) == 1
    assert "somebody else" in kern("inbox", "--for", "eli", code=2).err
    assert len(kern("inbox", "--all", "--json").json["items"]) == 1


def settings_of(mode: str) -> dict[str, str]:
    """Return the settings with which a process works as this one does."""
    names = ("KERN_BY",) if mode == DATABASE else ("KERN_API_URL", "KERN_API_TOKEN")
    return {name: os.environ[name] for name in names}


def press(screen: Terminal, key: str, expected: str) -> None:
    """Press a key once keys count, and wait for what it leads to."""
    screen.expect("\r > ")
    screen.press(key)
    screen.expect(expected)


def test_only_whoever_the_token_belongs_to_decides(
    kern: Cli, db: SqliteStore, api: ServedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    refund = seeds.waiting(db, REFUND)
    api.enter(monkeypatch, "dana")
    refused = kern("reject", refund.requirement_id, "--note", "No.", "--by", "eli", code=4)
    assert "the token belongs to 'dana'" in refused.err
    monkeypatch.setenv("KERN_BY", "eli")
    kern("reject", refund.requirement_id, "--note", "No.", code=4)
    assert "rejected by dana" not in kern("show", refund.run_id).out
    kern("reject", refund.requirement_id, "--note", "No.", "--by", "Dana")
    assert "rejected by dana (dana of kern-token)" in kern("show", refund.run_id).out


def test_a_token_reaches_its_own_tenant(
    kern: Cli, db: SqliteStore, api: ServedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    refund = seeds.waiting(db, REFUND)
    api.enter(monkeypatch, "mallory", tenant="acme")
    kern("show", refund.run_id, code=3)
    assert kern("pending", "--json").json["requirements"] == []
    assert kern("pending", "--tenant", "acme", "--json").json["requirements"] == []
    other = kern("pending", "--tenant", "other", code=4)
    assert "The token is mallory's in the tenant 'acme'" in other.err


@pytest.mark.parametrize(
    "words",
    [
        ("worker", "--app", "x"),
        ("up", "--app", "x"),
        ("serve",),
        ("migrate",),
        ("demo",),
        ("run", "x", "Hi"),
    ],
)
def test_what_needs_a_database_is_refused(
    kern: Cli, home: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setenv("KERN_API_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("KERN_API_TOKEN", "kern_secret")
    said = kern(*words, code=2)
    assert "KERN_API_URL" in said.err
    assert said.err.count("\n") == 1
    assert not home.exists()


def test_a_server_that_is_away_is_named_and_the_token_is_not(
    kern: Cli, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERN_API_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("KERN_API_TOKEN", "kern_secret")
    said = kern("pending", code=6)
    assert "http://127.0.0.1:1 does not answer" in said.err
    assert "`kern serve`" in said.err
    assert "secret" not in said.err


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"KERN_API_URL": "ftp://kern"}, "http://"),
        ({"KERN_API_URL": "https://"}, "names no machine"),
        ({"KERN_API_URL": "https://dana:secret@kern"}, "a user or a password"),
        ({"KERN_API_URL": "https://kern/?token=1"}, "a query"),
        ({"KERN_API_TOKEN": ""}, "is empty"),
        ({"KERN_API_TOKEN": "kern_secret\nX: y"}, "characters that no token has"),
        ({"KERN_API_TOKEN": None}, "no token"),
        ({"KERN_API_TOKEN": None, "KERN_API_TOKEN_FILE": "nowhere"}, "'nowhere'"),
    ],
)
def test_settings_that_make_no_sense_are_refused_without_their_secrets(
    kern: Cli,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str | None],
    sentence: str,
) -> None:
    settings = {"KERN_API_URL": "https://kern.example", "KERN_API_TOKEN": "kern_secret"}
    for name, value in {**settings, **environment}.items():
        if value is not None:
            monkeypatch.setenv(name, value)
    said = kern("pending", code=2)
    assert sentence in said.err
    assert "secret" not in said.err


def test_the_token_may_be_in_a_file(
    kern: Cli, db: SqliteStore, api: ServedStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text(f"{api.token('dana').secret}\n")
    monkeypatch.setenv("KERN_API_URL", f"{api.address}/v1/")
    monkeypatch.setenv("KERN_API_TOKEN_FILE", str(file))
    assert kern("pending", "--json").json["requirements"] == []


def test_a_token_that_lets_nobody_in_is_one_line(
    kern: Cli, db: SqliteStore, api: ServedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERN_API_URL", api.address)
    monkeypatch.setenv("KERN_API_TOKEN", "kern_wrong")
    said = kern("runs", "--json", code=4)
    assert said.error["code"] == "unauthenticated"
    assert "kern_wrong" not in said.err


def test_an_operators_machine_loads_no_database_and_no_temporal(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from kern.client.cli.main import execute\n"
        "code = execute(['pending'])\n"
        "from kern import inbox\n"
        "try:\n    inbox.pending()\nexcept Exception as error:\n    print(type(error).__name__)\n"
        "heavy = {'sqlalchemy', 'sqlmodel', 'temporalio', 'alembic', 'psycopg', 'openai'}\n"
        "print(code, sorted(heavy & set(sys.modules)))\n"
    )
    (tmp_path / "program.py").write_text(program)
    said = subprocess.run(
        [sys.executable, "program.py"],
        cwd=tmp_path,
        env=environment(KERN_API_URL="http://127.0.0.1:1", KERN_API_TOKEN="kern_x"),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert said.stdout.splitlines() == ["Unavailable", "6 []"]


@pytest.mark.parametrize("words", ["doctor", "pending"])
def test_on_a_database_no_http_client_is_loaded(home: Path, tmp_path: Path, words: str) -> None:
    program = (
        "import sys\n"
        "from kern.client.cli.main import execute\n"
        f"execute([{words!r}])\n"
        "print([n for n in sys.modules if n.startswith(('httpx', 'kern.client.remote'))])\n"
    )
    (tmp_path / "program.py").write_text(program)
    said = subprocess.run(
        [sys.executable, "program.py"],
        cwd=tmp_path,
        env=environment(KERN_HOME=str(home)),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert said.stdout.splitlines()[-1] == "[]"


def timeless(text: str) -> str:
    """Leave out what differs from one look to the next: how long something has been waiting."""
    try:
        document = json.loads(text)
    except ValueError:
        lines = [line for line in text.splitlines() if "waits for a worker" not in line]
        return re.sub(r"[\d.,]+ (s|ms|min)\b|[-─ ]+", " ", "\n".join(lines))
    return json.dumps(_without_seconds(document), sort_keys=True)


# A run waits for a worker only after some seconds.
_TIMED = {"waiting_seconds", "working_seconds", "elapsed_seconds", "awaited_workers"}


def _without_seconds(value: object) -> object:
    if isinstance(value, dict):
        return {name: _without_seconds(item) for name, item in value.items() if name not in _TIMED}
    return [_without_seconds(item) for item in value] if isinstance(value, list) else value
