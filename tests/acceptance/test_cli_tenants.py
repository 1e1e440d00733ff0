"""Operators of tenants on the command line: what they see, what they act on, what they do not."""

from pathlib import Path

import pytest

from kern.db.engine.stores import SqliteStore
from kern.values.ids import new_id
from tests.support.cli import Cli
from tests.support.stored_runs import Stored, question

pytestmark = pytest.mark.timeout(120)

APP = "tests.support.cli_app"
# Every command that takes an id, with what it is given.
COMMANDS = {
    "show": ("show", "RUN"),
    "events": ("events", "RUN"),
    "cancel": ("cancel", "RUN"),
    "retry": ("retry", "RUN"),
    "approve": ("approve", "ID", "--digest", "DIGEST"),
    "reject": ("reject", "ID"),
    "answer": ("answer", "ID", "--choice", "x"),
    "withdraw": ("withdraw", "ID"),
    "sessions show": ("sessions", "show", "SESSION"),
    "sessions rename": ("sessions", "rename", "SESSION", "Name"),
    "sessions delete": ("sessions", "delete", "SESSION", "--yes"),
}
LISTS = (("runs",), ("pending",), ("sessions", "list"))


@pytest.fixture
def ids(db: SqliteStore) -> dict[str, str]:
    """A run of ann's in the tenant acme that waits for a person."""
    stored = Stored(db)
    asked = stored.requirement(stored.call(question(), user_id="ann", tenant="acme"))
    return {
        "RUN": asked.run_id,
        "ID": asked.id,
        "SESSION": asked.session_id,
        "DIGEST": asked.digest[:12],
    }


def words(name: str, ids: dict[str, str]) -> list[str]:
    """Return a command with the ends of the ids, as people type them."""
    return [ids[word][-12:] if word in ids else word for word in COMMANDS[name]]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_for_another_tenant_finds_nothing(
    kern: Cli, ids: dict[str, str], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown = {place: new_id() for place in ids}
    for given in (["--tenant", "globex"], ["--tenant", ""]):
        refused = kern(*words(name, ids), *given, code=3).err
        missing = kern(*words(name, unknown), *given, code=3).err
        for place, value in ids.items():
            refused = refused.replace(value[-12:], place)
            missing = missing.replace(unknown[place][-12:], place)
        assert refused == missing
    monkeypatch.setenv("KERN_TENANT", "globex")
    kern(*words(name, ids), code=3)
    # What the command names comes before the environment.
    kern("show", ids["RUN"], "--tenant", "acme")


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - {"retry", "answer", "withdraw"}))
def test_a_command_for_the_tenant_and_for_all_finds_it(
    kern: Cli, ids: dict[str, str], name: str
) -> None:
    kern("show", ids["RUN"][-12:])
    kern(*words(name, ids), "--tenant", "acme")


def test_lists_show_the_tenant_where_there_is_one(kern: Cli, ids: dict[str, str]) -> None:
    columns = {"runs": "run_id", "pending": "id", "sessions": "session_id"}
    for listing, known in zip(LISTS, ids, strict=False):
        table = kern(*listing).out
        assert "TENANT" in table.splitlines()[0]
        assert "acme" in table
        column = columns[listing[0]]
        (rows,) = (value for value in kern(*listing, "--json").json.values() if value)
        assert [(row[column], row["tenant"]) for row in rows] == [(ids[known], "acme")]
        for other in ("globex", ""):
            assert ids[known][-8:] not in kern(*listing, "--tenant", other).out
    assert "tenant acme" in kern("show", ids["RUN"]).out
    assert "in tenant acme" in kern("sessions", "show", ids["SESSION"]).out
    assert kern("show", ids["RUN"], "--json").json["tenant"] == "acme"


def test_a_list_of_the_default_tenant_alone_has_no_such_column(kern: Cli, db: SqliteStore) -> None:
    Stored(db).call(question(), user_id="ann")
    for listing in LISTS:
        assert "TENANT" not in kern(*listing).out


def test_the_log_is_verified_for_all_tenants_at_once_and_for_each(
    kern: Cli, ids: dict[str, str]
) -> None:
    kern.decide("approve", ids["ID"], "--tenant", "acme", "--by", "dana")
    kern("audit", "verify")
    assert ids["RUN"] in kern("audit", "verify", ids["RUN"], "--tenant", "acme").out
    kern("audit", "verify", ids["RUN"], "--tenant", "globex", code=3)
    assert "intact: 1 decision." in kern("audit", "verify", "--tenant", "acme").out
    assert "intact: 0 decisions." in kern("audit", "verify", "--tenant", "globex").out
    (decision,) = kern("show", ids["RUN"], "--json").json["decisions"]
    assert decision["principal"]["tenant"] == "acme"
    kern("sessions", "delete", ids["SESSION"], "--json")
    assert ids["RUN"] in kern("audit", "verify", ids["RUN"], "--tenant", "acme").out
    kern("audit", "verify", ids["RUN"], "--tenant", "globex", code=3)


def test_a_run_is_begun_in_the_tenant_that_is_named(kern: Cli, db: SqliteStore) -> None:
    begin = ("run", f"{APP}:answers", "Go.", "--background", "--json")
    named = kern(*begin, "--tenant", "acme").json["run_id"]
    unnamed = kern(*begin).json["run_id"]
    seen = {run["run_id"]: run["tenant"] for run in kern("runs", "--json").json["runs"]}
    assert seen == {named: "acme", unnamed: ""}


def test_what_can_be_no_tenant_is_refused(
    kern: Cli, db: SqliteStore, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "tenant is ' acme'" in kern("runs", "--tenant", " acme", code=2).err
    monkeypatch.setenv("KERN_TENANT", " acme")
    assert "KERN_TENANT is ' acme'" in kern("runs", code=2).err
    # A tenant that one command names is not the next one's.
    monkeypatch.delenv("KERN_TENANT")
    kern("runs", "--tenant", "acme")
    kern("audit", "verify")
