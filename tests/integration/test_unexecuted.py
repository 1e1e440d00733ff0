"""Approved, and not executed: the operator who approved is told that nothing was done, and why."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kern.agent import Agent
from kern.client.processes.runtime import Runtime
from kern.components.registry import Registry
from kern.contracts.viewer import OPERATOR
from kern.db.engine.stores import SqliteStore
from kern.db.runs import lifecycle
from kern.models.scripted import Call, ScriptedModel
from kern.process.settings import Settings
from kern.requirements import Requirement
from kern.tools import Tool, tool
from kern.values.states import RunStatus, ToolOutcome, Verdict
from kern.workflow import HumanReview, Step
from tests.conftest import running
from tests.support.agents import Ledger
from tests.support.pipelines import only, pipeline, upper
from tests.support.stored_runs import Stored, after
from tests.support.templates import sqlite_with_tables, with_tables

LOG = "approved_not_executed"


@contextmanager
def process(
    settings: Settings, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> Generator[Runtime]:
    """A process of its own: it has not seen the code of the one before."""
    yield from running(Runtime(settings, store, Registry()), monkeypatch)


def agent_with(version: Tool) -> Agent:
    return Agent(
        id="support", model=ScriptedModel([Call("pay", amount=3), "Nothing."]), tools=[version]
    )


def pays(ledger: Ledger) -> Tool:
    @tool(requires_confirmation=True)
    def pay(amount: int) -> str:
        """Pay."""
        ledger.add(f"paid {amount}")
        return "paid"

    return pay


def pays_in(ledger: Ledger) -> Tool:
    @tool(requires_confirmation=True)
    def pay(amount: int, currency: str) -> str:
        """Pay."""
        ledger.add(f"paid {amount} {currency}")
        return "paid"

    return pay


def test_a_call_whose_tool_has_a_new_argument_is_told_as_not_executed(
    tmp_path: Path,
    settings: Settings,
    ledger: Ledger,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with process(settings, sqlite_with_tables(tmp_path / "kern.db"), monkeypatch):
        paused = agent_with(pays(ledger)).run("Pay 3")
    later = SqliteStore(tmp_path / "kern.db")
    with process(settings, later, monkeypatch) as runtime:
        newer = agent_with(pays_in(ledger))
        output = newer.continue_run(paused.run_id, [only(paused).confirm(by="dana")])
        assert (output.status, output.content) == (RunStatus.completed, "Nothing.")
        assert ledger.lines == []
        assert output.tools[0].outcome is ToolOutcome.error
        (requirement,) = output.requirements
        assert requirement.not_executed is not None
        assert "currency" in requirement.not_executed
        assert "not_executed" in requirement.model_dump(mode="json")
        assert LOG in Stored(runtime.services.db).events(paused.run_id)
    (line,) = [item for item in caplog.messages if LOG in item]
    for fact in (requirement.id, requirement.tool_call_id, paused.run_id, "arguments_refused"):
        assert str(fact) in line
    assert "currency" not in line, "values and words of the call are in no log"


@pytest.fixture(params=["sqlite", "postgres", "memory"])
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stored]:
    database = with_tables(str(request.param), tmp_path)
    yield Stored(database)
    database.close()


def read(stored: Stored, seen: Requirement) -> Requirement:
    (found,) = stored.output(seen.run_id).requirements
    return found


def test_an_approved_call_of_a_run_that_is_cancelled_before_it_began(
    stored: Stored, caplog: pytest.LogCaptureFixture
) -> None:
    approved = stored.gated()
    stored.resolve(approved)
    assert read(stored, approved).not_executed is None, "it may yet be"
    stored.do(lambda tx: lifecycle.cancel(tx, approved.run_id, OPERATOR, after(1)))
    expected = "The run was cancelled before this call ran."
    assert read(stored, approved).not_executed == expected
    assert stored.events(approved.run_id)[-2:] == [LOG, "run_cancelled"]
    (line,) = [item for item in caplog.messages if LOG in item]
    assert approved.id in line
    assert "run_cancelled" in line


def test_an_approved_call_of_a_run_that_fails_before_it_began(stored: Stored) -> None:
    approved = stored.gated()
    stored.resolve(approved)

    def fail(tx: object) -> None:
        run = lifecycle.lock(tx, approved.run_id)  # type: ignore[arg-type]
        lifecycle.fail(tx, run, "broken", "Broken.", after(1))  # type: ignore[arg-type]

    stored.do(fail)
    assert "ended with an error" in (read(stored, approved).not_executed or "")


def test_what_was_executed_rejected_or_never_approved_is_not_told_so(stored: Stored) -> None:
    executed = stored.gated()
    stored.resolve(executed)
    stored.begin(executed.tool_call_id or "")
    stored.do(lambda tx: lifecycle.cancel(tx, executed.run_id, OPERATOR, after(1)))
    assert read(stored, executed).not_executed is None, "it began"
    rejected = stored.gated()
    stored.resolve(rejected, Verdict.reject)
    stored.do(lambda tx: lifecycle.cancel(tx, rejected.run_id, OPERATOR, after(1)))
    assert read(stored, rejected).not_executed is None
    pending = stored.gated()
    stored.do(lambda tx: lifecycle.cancel(tx, pending.run_id, OPERATOR, after(1)))
    assert read(stored, pending).not_executed is None
    for run_id in (executed.run_id, rejected.run_id, pending.run_id):
        assert LOG not in stored.events(run_id)


def test_an_outcome_that_was_to_be_tried_again_and_was_not(stored: Stored) -> None:
    doubt = stored.doubtful()
    stored.resolve(doubt, Verdict.run_again)
    stored.do(lambda tx: lifecycle.cancel(tx, doubt.run_id, OPERATOR, after(1)))
    found = stored.requirement(doubt.tool_call_id or "")
    assert "cancelled" in (found.not_executed or "")


def test_an_approved_step_of_a_run_that_is_cancelled_before_it_began(runtime: Runtime) -> None:
    review = HumanReview(requires_confirmation=True)
    flow = pipeline(Step("pay", upper, human_review=review, effect="once"))
    paused = flow.run("x")
    stored = Stored(runtime.services.db)
    stored.resolve(only(paused))
    flow.cancel_run(paused.run_id)
    (found,) = flow.get_run_output(paused.run_id).requirements
    assert "cancelled before" in (found.not_executed or "")
