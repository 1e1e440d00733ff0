"""Teams on the command line: run from an app, decided about, and told as one story."""

from pathlib import Path

import pytest

from kern.db import SqliteDb
from kern.db.engine.from_settings import database_path
from kern.models.scripted import Call
from kern.testing import isolated_runtime
from kern.tools import tool
from tests.support.agents import scripted
from tests.support.cli import Cli, command
from tests.support.documents import ROOT
from tests.support.teams import delegating, team
from tests.support.templates import sqlite_with_tables

pytestmark = pytest.mark.timeout(240)

EXAMPLE = str(ROOT / "examples" / "research.py")


def test_a_team_runs_from_its_app_and_its_members_are_its_own(folder: Path) -> None:
    paused = command("run", EXAMPLE, "Is tea older?", "--user", "mara", "--json", cwd=folder)
    assert (paused.code, paused.json["status"]) == (10, "paused"), paused.err
    run_id = paused.json["run_id"]

    pending = command("pending", "--run", run_id, cwd=folder).out
    assert "research → editor: approve publish(" in pending
    listed = command("runs", "--user", "mara", "--json", cwd=folder).json["runs"]
    assert [one["run_id"] for one in listed] == [run_id]


def test_the_story_of_a_team_tells_what_its_members_did(home: Path, kern: Cli) -> None:
    @tool(requires_confirmation=True)
    def pay(amount: int) -> str:
        """Pay."""
        return f"paid {amount}"

    with isolated_runtime(home, SqliteDb(sqlite_with_tables(database_path(home)).path)):
        payer = scripted([Call("pay", amount=5), "It is paid."], [pay])
        desk = team([payer], delegating((payer, "Pay 5")))
        run = desk.run("Pay the bill")
        run = desk.continue_run(run.run_id, [run.active_requirements[0].confirm(by="dana")])
    (call,) = run.tools
    assert call.child_run_id is not None

    told = kern("show", run.run_id)
    assert told.code == 0
    parts = (
        "Pay the bill",
        "delegate_task_to_member",
        f"{payer.id}  completed  run {call.child_run_id}",
        "asked  Pay 5",
        "pay(amount=5)",
        "approved by dana",
        "It is paid.",
        "4 model calls, 2 tool calls",
    )
    places = [told.out.index(part) for part in parts]
    assert places == sorted(places)
    inside = kern("show", run.run_id, "--json").json["inside"]
    assert inside[call.child_run_id]["decisions"][0]["by"] == "dana"
    alone = kern("show", call.child_run_id).out
    assert f"part of run {run.run_id}" in alone
