"""A provider that is away is waited for; then a person is asked. Nothing is lost or repeated."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kern import inbox
from kern.client.processes.runtime import Runtime
from kern.components.registry import Registry
from kern.components.run_methods import RunMethods
from kern.models.base import ModelRequest, ProviderError
from kern.models.scripted import Call
from kern.process.settings import Settings
from kern.run import RunOutput
from kern.values.states import RequirementKind, RunStatus
from kern.workflow import Step
from tests.conftest import running
from tests.support.agents import Ledger, paying, scripted
from tests.support.pipelines import go_on, only, pipeline
from tests.support.teams import delegating, team
from tests.support.templates import sqlite_with_tables
from tests.support.waiting import wait_until


class Provider:
    """A model that pays once and then answers, while its provider is there."""

    def __init__(self, error: Callable[[], Exception] | None = None) -> None:
        self.is_away = False
        self.failures = 0
        self._error = error or (
            lambda: ProviderError("nobody listens", code="connection", retryable=True)
        )

    def __call__(self, request: ModelRequest) -> Call | str | Exception:
        has_paid = any(message.role == "tool" for message in request.messages)
        if has_paid and self.is_away:
            self.failures += 1
            return self._error()
        return "Done." if has_paid else Call("pay", amount=1)


@pytest.fixture
def impatient(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Runtime]:
    """A runtime that waits for no provider."""
    none = settings.model_copy(update={"model_outage_seconds": 0.0})
    database = sqlite_with_tables(tmp_path / "kern.db")
    yield from running(Runtime(none, database, Registry()), monkeypatch)


def paid(agent: RunMethods, paused: RunOutput) -> RunOutput:
    paused.active_requirements[0].confirm(by="dana")
    return agent.continue_run(paused)


def kinds(component: RunMethods, run_id: str) -> list[str]:
    return [
        event.name if event.kind == "noted" else event.kind
        for event in component.stream_run(run_id)
    ]


def test_an_outage_is_waited_for_and_shown(runtime: Runtime, ledger: Ledger) -> None:
    provider = Provider()
    agent = scripted(provider, [paying(ledger)])
    paused = agent.run("Pay")
    provider.is_away = True
    (requirement,) = paused.active_requirements
    inbox.decide(requirement.confirm(by="dana"))
    wait_until(lambda: agent.get_run_output(paused.run_id).provider_outage)
    seen = agent.get_run_output(paused.run_id)
    assert seen.status is RunStatus.running
    assert seen.provider_outage is not None
    assert seen.provider_outage.code == "connection"
    assert "nobody listens" in seen.provider_outage.message
    assert seen.provider_outage.next_try_at is not None
    provider.is_away = False
    done = agent.continue_run(paused.run_id)
    assert (done.status, done.content) == (RunStatus.completed, "Done.")
    assert done.provider_outage is None
    assert ledger.lines == ["paid 1"]
    told = kinds(agent, paused.run_id)
    assert told.index("provider_away") < told.index("provider_back")
    assert told.count("provider_away") == 1


def test_an_outage_beyond_its_budget_asks_a_person_who_has_it_asked_again(
    impatient: Runtime, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    provider = Provider()
    agent = scripted(provider, [paying(ledger)])
    paused = agent.run("Pay")
    provider.is_away = True
    stopped = paid(agent, paused)
    assert stopped.status is RunStatus.paused
    (requirement,) = stopped.active_requirements
    assert requirement.kind is RequirementKind.error
    assert requirement.arguments["code"] == "connection"
    assert "nobody listens" in str(requirement.arguments["error"])
    assert "final" in caplog.text
    provider.is_away = False
    requirement.run_again(by="dana")
    done = agent.continue_run(stopped)
    assert (done.status, done.content) == (RunStatus.completed, "Done.")
    assert ledger.lines == ["paid 1"]
    assert [call.tool_name for call in done.tools] == ["pay"]
    assert [message.role for message in done.messages] == ["user", "assistant", "tool", "assistant"]


def test_a_person_ends_the_run_which_can_be_retried(impatient: Runtime, ledger: Ledger) -> None:
    provider = Provider()
    agent = scripted(provider, [paying(ledger)])
    paused = agent.run("Pay")
    provider.is_away = True
    stopped = paid(agent, paused)
    stopped.active_requirements[0].fail(by="dana")
    failed = agent.continue_run(stopped)
    assert failed.status is RunStatus.error
    assert failed.error is not None
    assert failed.error.code == "connection"
    provider.is_away = False
    done = agent.retry_run(failed.run_id)
    assert (done.status, done.content) == (RunStatus.completed, "Done.")
    assert ledger.lines == ["paid 1"]


def test_a_final_error_ends_an_agents_run_which_can_be_retried(
    runtime: Runtime, ledger: Ledger
) -> None:
    provider = Provider(lambda: ProviderError("no such key", code="refused", retryable=False))
    agent = scripted(provider, [paying(ledger)])
    paused = agent.run("Pay")
    provider.is_away = True
    failed = paid(agent, paused)
    assert (failed.status, provider.failures) == (RunStatus.error, 1)
    provider.is_away = False
    assert agent.retry_run(failed.run_id).content == "Done."
    assert ledger.lines == ["paid 1"]


def test_a_bug_in_a_model_is_not_waited_for(runtime: Runtime, ledger: Ledger) -> None:
    def broken() -> Exception:
        return AttributeError("no such attribute")

    provider = Provider(broken)
    agent = scripted(provider, [paying(ledger)])
    paused = agent.run("Pay")
    provider.is_away = True
    assert paid(agent, paused).status is RunStatus.error
    assert provider.failures == 2


def test_a_member_of_a_team_asks_through_the_team(impatient: Runtime, ledger: Ledger) -> None:
    provider = Provider()
    member = scripted(provider, [paying(ledger)], role="Pays")
    desk = team([member], delegating((member, "Pay.")))
    paused = desk.run("Pay")
    provider.is_away = True
    stopped = paid(desk, paused)
    assert stopped.status is RunStatus.paused
    (requirement,) = stopped.active_requirements
    assert requirement.kind is RequirementKind.error
    provider.is_away = False
    requirement.run_again(by="dana")
    done = desk.continue_run(stopped)
    assert done.status is RunStatus.completed, done.error
    assert ledger.lines == ["paid 1"]


def test_a_step_that_an_agent_executes_asks_through_the_workflow(
    impatient: Runtime, ledger: Ledger
) -> None:
    provider = Provider()
    flow = pipeline(Step("pay", scripted(provider, [paying(ledger)])))
    paused = flow.run("Pay")
    provider.is_away = True
    only(paused).confirm()
    stopped = go_on(flow, paused)
    assert stopped.status is RunStatus.paused
    asked = only(stopped)
    assert asked.kind is RequirementKind.error
    provider.is_away = False
    asked.run_again()
    done = go_on(flow, stopped)
    assert (done.status, done.content) == (RunStatus.completed, "Done.")
    assert ledger.lines == ["paid 1"]
