"""What operators do with sessions on the command line: list, show, rename, delete."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from kern.contracts.requests import RunRequest
from kern.db.engine.stores import SqliteStore
from kern.db.runs import accepting
from kern.models.scripted import Call
from kern.values.ids import new_id
from tests.support import seeds
from tests.support.cli import Cli, terminal

pytestmark = pytest.mark.timeout(120)

REFUND = Call("refund", order_id="1042", amount=40.0)


def begun(db: SqliteStore, user: str | None = None, session_id: str | None = None) -> str:
    """Store a session with a run that has not begun; return its id."""
    session_id = session_id or new_id()
    request = RunRequest(component_id="shop", input="Hi", user_id=user, session_id=session_id)
    db.write_now(
        lambda tx: accepting.accept(
            tx,
            request,
            component_kind="agent",
            initial_state={"plan": "pro"},
            now=datetime.now(UTC),
            run_id=new_id(),
            session_id=session_id,
        )
    )
    return session_id


@pytest.mark.parametrize(
    "words", [("list",), ("show", "x"), ("rename", "x", "Name"), ("delete", "x", "--yes")]
)
def test_a_folder_without_a_database_is_told_of_and_left_as_it_is(
    kern: Cli, home: Path, words: tuple[str, ...]
) -> None:
    said = kern("sessions", *words, code=3)
    assert "There is no database" in said.err
    assert said.err.count("\n") == 1
    assert not home.exists()


@pytest.mark.parametrize("words", [("show", "x"), ("rename", "x", "Name"), ("delete", "x")])
def test_an_unknown_session_is_one_line_and_its_code(
    kern: Cli, db: SqliteStore, words: tuple[str, ...]
) -> None:
    said = kern("sessions", *words, code=3)
    assert said.err.startswith("kern: There is no session with the id 'x'.")
    assert said.err.count("\n") == 1
    assert kern("sessions", *words, "--json", code=3).error["code"] == "not_found"


def test_sessions_are_listed_in_pages(kern: Cli, db: SqliteStore) -> None:
    assert kern("sessions", "list").out == "No sessions.\n"
    ids = [begun(db, f"user-{number % 2}") for number in range(5)]
    first = kern("sessions", "list", "--limit", "2", "--json").json
    assert [one["session_id"] for one in first["sessions"]] == ids[:2:-1]
    assert first["sessions"][0]["session_state"] == {"plan": "pro"}
    second = kern("sessions", "list", "--limit", "9", "--after", first["next"], "--json").json
    assert [one["session_id"] for one in second["sessions"]] == ids[2::-1]
    assert second["next"] is None
    mine = kern("sessions", "list", "--user", "user-1", "--json").json["sessions"]
    assert [one["session_id"] for one in mine] == [ids[3], ids[1]]
    shown = kern("sessions", "list", "--limit", "1").out
    assert ids[4] in shown
    assert f"--after {kern('sessions', 'list', '--limit', '1', '--json').json['next']}" in shown
    assert "is no cursor" in kern("sessions", "list", "--after", "x", code=2).err


def test_a_session_is_shown_and_named_by_the_end_of_its_id(kern: Cli, db: SqliteStore) -> None:
    session_id = begun(db, "mara")
    kern("sessions", "rename", session_id[-8:], "Refund of 1042")
    assert "is empty" in kern("sessions", "rename", session_id, "", code=2).err
    shown = kern("sessions", "show", session_id[-6:])
    for part in (session_id, "Refund of 1042", "mara", "shop", '{"plan": "pro"}', "1 run", "Hi"):
        assert part in shown.out
    found = kern("sessions", "show", session_id, "--json").json
    assert (found["name"], found["metrics"]["run_count"]) == ("Refund of 1042", 1)
    assert [run["status"] for run in found["runs"]] == ["pending"]


def test_a_deleted_session_is_gone_and_the_chain_stays_whole(kern: Cli, db: SqliteStore) -> None:
    waiting = seeds.waiting(db, REFUND, user_id="mara")
    decided = seeds.waiting(db, REFUND, user_id="mara")
    kern.decide("approve", decided.requirement_id, "--by", "dana")
    for seeded in (waiting, decided):
        session_id = kern("show", seeded.run_id, "--json").json["session_id"]
        said = kern("sessions", "delete", session_id, "--json").json
        assert (said["deleted"], said["cancelled_runs"]) == (True, 1)
        kern("show", seeded.run_id, code=3)
        kern("sessions", "show", session_id, code=3)
    assert kern("pending", "--json").json["requirements"] == []
    assert kern("audit", "verify", "--json").json["decisions"] == 1


def test_on_a_terminal_a_deletion_is_asked_about(db: SqliteStore, tmp_path: Path) -> None:
    session_id = begun(db)
    with terminal("sessions", "delete", session_id, cwd=tmp_path) as asked:
        asked.expect("for good?")
        asked.type("n")
        asked.expect("Nothing was deleted.")
        assert asked.end() == 0
    with terminal("sessions", "delete", session_id, cwd=tmp_path) as asked:
        asked.expect("for good?")
        asked.type("y")
        asked.expect("Deleted: session")
        assert asked.end() == 0


def test_a_run_that_waits_for_another_says_so(kern: Cli, db: SqliteStore) -> None:
    session_id = begun(db, session_id="trip-oslo")
    begun(db, session_id="trip-oslo")
    assert "pending, queued" in kern("runs").out
    assert "pending, queued" in kern("sessions", "show", session_id).out
