"""Temporal comes back older than the database: a copy of its file, from before people decided.

It has forgotten signals and progress that it had acknowledged. The rows alone are enough to go on:
with workers that begin anew, and with those that lived on and remember what it has forgotten.
"""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio.client import WorkflowExecutionStatus

from kern.client.processes import process_runtime as runtime_module
from kern.client.processes.runtime import Runtime
from kern.client.temporal import relay as relay_module
from kern.components.registry import Registry
from kern.components.runnable import Runnable
from kern.contracts.viewer import OPERATOR
from kern.db.engine.stores import SqliteStore
from kern.models.scripted import Call
from kern.process.settings import Settings
from kern.run import RunOutput
from kern.tools import tool
from kern.values.states import RunStatus
from kern.workflow import HumanReview, Parallel, Step
from tests.support.agents import Ledger, paying, scripted
from tests.support.pipelines import exclaim, pipeline, upper
from tests.support.teams import delegating, team
from tests.support.templates import sqlite_with_tables
from tests.support.temporal_server import TemporalServer
from tests.support.waiting import wait_until
from tests.support.workflow_handles import handle_of

CONFIRM = HumanReview(requires_confirmation=True)


class Installation:
    """A folder's Temporal, which can be saved and restored, and a database that goes on.

    With `lives_on`, its worker outlives both.
    """

    def __init__(
        self, folder: Path, database: Path, monkeypatch: pytest.MonkeyPatch, *, lives_on: bool
    ) -> None:
        self.lives_on = lives_on
        self._folder, self._database, self._monkeypatch = folder, database, monkeypatch
        self._server = TemporalServer(folder)
        self._copy = folder.parent / "copy"
        self.runtime = self._open()

    def save(self) -> None:
        """Keep a copy of what Temporal knows now."""
        self._server.copy(self._copy)
        self._reopen()

    def restore(self) -> None:
        """Bring Temporal back as it was when it was saved."""
        if not self.lives_on:
            self.runtime.close()
        self._server.restore(self._copy)
        if not self.lives_on:
            self.runtime = self._open()

    def _reopen(self) -> None:
        if not self.lives_on:
            self.runtime.close()
            self.runtime = self._open()

    def close(self) -> None:
        self.runtime.close()
        self._server.stop()

    def _open(self) -> Runtime:
        settings = Settings(home=self._folder, heartbeat_seconds=1.0, relay_seconds=0.1)
        opened = Runtime(settings, SqliteStore(self._database), Registry())
        self._monkeypatch.setattr(runtime_module, "_runtime", opened)
        return opened


@pytest.fixture(params=[False, True], ids=["workers begin anew", "workers live on"])
def installation(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Installation]:
    # As if minutes had passed.
    monkeypatch.setattr(relay_module, "_STALE_AFTER", timedelta(0))
    monkeypatch.setattr(relay_module, "_SEARCH_SECONDS", 0.2)
    sqlite_with_tables(tmp_path / "kern.db").close()
    home = tmp_path / "home"
    home.mkdir()
    database, lives_on = tmp_path / "kern.db", bool(request.param)
    installed = Installation(home, database, monkeypatch, lives_on=lives_on)
    yield installed
    installed.close()


def decided(component: Runnable, output: RunOutput) -> RunOutput:
    for item in output.active_requirements:
        item.confirm(by="dana")
    return component.continue_run(output)


def test_an_approval_that_temporal_forgot_is_acted_on_once(
    installation: Installation, ledger: Ledger
) -> None:
    agent = scripted([Call("pay", amount=1), "Done."], [paying(ledger)])
    paused = agent.run("Pay")
    installation.save()
    (requirement,) = paused.active_requirements
    # The new runtime does not execute the agent yet: it is signalled, and forgotten.
    requirement.confirm(by="dana")
    receipt = installation.runtime.call(
        lambda service: service.inbox.decide(OPERATOR, requirement, "dana")
    )
    assert receipt.delivered
    installation.restore()
    assert agent.continue_run(paused.run_id).content == "Done."
    assert ledger.lines == ["paid 1"]


def test_what_was_done_since_is_not_done_again(installation: Installation, ledger: Ledger) -> None:
    agent = scripted([Call("pay", amount=1), Call("pay", amount=2), "Done."], [paying(ledger)])
    first = agent.run("Pay")
    installation.save()
    second = decided(agent, first)
    assert (second.status, ledger.lines) == (RunStatus.paused, ["paid 1"])
    installation.restore()
    # Its workflow waits for the first decision; the second one reaches it and changes nothing.
    assert decided(agent, second).content == "Done."
    assert ledger.lines == ["paid 1", "paid 2"]


def test_a_member_of_a_team_that_has_ended_since_is_not_waited_for(
    installation: Installation, ledger: Ledger
) -> None:
    payer = scripted([Call("pay", amount=1), "Paid."], [paying(ledger)], role="Pays")
    asker = scripted([Call("pay", amount=2), "Paid too."], [paying(ledger)], role="Pays too")
    desk = team([payer, asker], delegating((payer, "Pay."), (asker, "Pay.")))
    paused = desk.run("Pay")
    installation.save()
    mine, other = paused.active_requirements
    mine.confirm(by="dana")
    still = desk.continue_run(paused.run_id, [mine])
    wait_until(lambda: len(ledger.lines) == 1)
    assert still.status is RunStatus.paused
    installation.restore()
    other.confirm(by="dana")
    done = desk.continue_run(paused.run_id, [other])
    assert done.status is RunStatus.completed, done.error
    assert sorted(ledger.lines) == ["paid 1", "paid 2"]


def test_a_pipeline_goes_on_where_its_rows_stand(installation: Installation) -> None:
    flow = pipeline(
        Parallel(
            Step("left", upper, human_review=CONFIRM),
            Step("right", exclaim, human_review=CONFIRM),
            name="both",
        ),
        Step("last", lambda told: "last", human_review=CONFIRM),
    )
    paused = flow.run("hi")
    assert len(paused.active_requirements) == 2
    installation.save()
    later = decided(flow, paused)
    assert [item.path[-1] for item in later.active_requirements] == ["last"]
    installation.restore()
    done = decided(flow, later)
    assert (done.status, done.content) == (RunStatus.completed, "last")


def test_a_cancellation_that_temporal_forgot_is_delivered_again(
    installation: Installation, ledger: Ledger
) -> None:
    agent = scripted([Call("pay", amount=1), "Done."], [paying(ledger)])
    paused = agent.run("Pay")
    installation.save()
    assert agent.cancel_run(paused.run_id).status is RunStatus.cancelled
    installation.restore()
    agent.get_run_output(paused.run_id)
    runtime = installation.runtime

    def status() -> WorkflowExecutionStatus | None:
        handle = handle_of(runtime, paused.run_id)
        return runtime.call(lambda _: handle.describe()).status

    wait_until(lambda: status() is WorkflowExecutionStatus.CANCELED)
    assert ledger.lines == []


def test_a_run_that_was_started_since_is_started_again(installation: Installation) -> None:
    @tool(requires_confirmation=True)
    def note() -> str:
        """Note."""
        return "noted"

    agent = scripted([Call("note"), "Done."], [note])
    installation.save()
    paused = agent.run("Note")
    installation.restore()
    assert decided(agent, paused).content == "Done."
