"""Claims, delegations, snoozes and comments on the command line, and the history of them."""

import pytest

from kern.db.engine.stores import SqliteStore
from kern.models.scripted import Call
from tests.support import seeds
from tests.support.cli import Cli
from tests.support.seeds import Seeded

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def seen(db: SqliteStore) -> Seeded:
    return seeds.waiting(db, Call("refund", order_id="1042", amount=5.0))


def test_what_people_did_about_a_call_is_shown_in_order(kern: Cli, seen: Seeded) -> None:
    ending = seen.requirement_id[-8:]
    assert "Claimed by dana until" in kern("claim", ending, "--by", "dana").out
    refused = kern("claim", ending, "--by", "ravi", "--json", code=5)
    assert refused.error["code"] == "claimed"
    assert "'dana' takes care of" in refused.error["message"]
    kern("comment", ending, "Asked the\u200b warehouse.", "--by", "dana")
    kern("delegate", ending, "--to", "group:ops", "--note", "You know them.", "--by", "dana")
    kern("reject", ending, "--by", "ravi")
    lines = [line.strip() for line in kern("show", seen.run_id).out.splitlines()]
    begins = ("claimed by dana until", "comment by dana", "handed on by dana to", "rejected by")
    places = [next(i for i, line in enumerate(lines) if line.startswith(s)) for s in begins]
    assert places == sorted(places)
    assert lines[places[1]].endswith(r': "Asked the\u200b warehouse."')
    assert lines[places[2]].endswith(": You know them.")
    kinds = [entry["kind"] for entry in kern("show", seen.run_id, "--json").json["history"]]
    assert kinds == ["opened", "claimed", "commented", "delegated"]
    kern("claim", ending, code=5)
    kern("comment", ending, "Too late.")


def test_a_claim_is_given_back(kern: Cli, seen: Seeded) -> None:
    kern("claim", seen.requirement_id, "--by", "dana", "--minutes", "5")
    kern("release", seen.requirement_id, "--by", "ravi", code=5)
    item = kern("release", seen.requirement_id, "--by", "dana", "--json").json["requirement"]
    assert item["claim"] is None
    claimed = kern("claim", seen.requirement_id, "--by", "ravi", "--json").json["requirement"]
    assert claimed["claim"]["by"] == "ravi"


def test_a_call_is_put_off_and_taken_up_again(kern: Cli, seen: Seeded) -> None:
    assert "Put off for dana until" in (
        kern("snooze", seen.requirement_id, "--until", "2h", "--by", "dana").out
    )
    assert "is not put off" in kern("snooze", seen.requirement_id, "--off", "--by", "dana").out
    for wrong in (
        ("--until", "2 hours"),
        ("--until", "2099-01-01T09:00"),
        ("--until", "2099-01-01T09:00Z"),
        ("--until", "2020-01-01T09:00Z"),
        ("--until", "0m"),
        ("--until", "31d"),
        ("--until", "2h", "--off"),
        (),
    ):
        refused = kern("snooze", seen.requirement_id, *wrong, "--json", code=2)
        assert refused.error["code"] == "invalid_input"


def test_what_makes_no_sense_is_refused(kern: Cli, seen: Seeded) -> None:
    kern("delegate", seen.requirement_id, "--to", "dana", "--by", "dana", code=2)
    kern("delegate", seen.requirement_id, code=2)
    kern("comment", seen.requirement_id, " ", code=2)
    kern("claim", seen.requirement_id, "--minutes", "481", code=2)
    kern("claim", "nothing-like-it", code=3)
    assert kern("show", seen.run_id, "--json").json["history"][1:] == []
