"""The workflow of an agent's run that failed ends with it, whatever else the run waited for."""

from datetime import timedelta

from temporalio.client import WorkflowExecutionStatus

from kern.agent import Agent
from kern.client.processes.runtime import Runtime
from kern.errors import OutcomeUnknown
from kern.models.scripted import Call
from kern.tools import Approval, tool
from kern.values.states import RequirementKind, RunStatus
from tests.support.agents import Ledger, paying, scripted
from tests.support.waiting import wait_until
from tests.support.workflow_handles import handle_of


def await_end(agent: Agent, runtime: Runtime, run_id: str) -> None:
    wait_until(lambda: agent.get_run_output(run_id).status is RunStatus.error)
    handle = handle_of(runtime, run_id)
    running = WorkflowExecutionStatus.RUNNING
    wait_until(lambda: runtime.call(lambda _: handle.describe()).status is not running)


def test_a_deadline_that_fails_a_run_ends_its_workflow(runtime: Runtime, ledger: Ledger) -> None:
    soon = Approval(due=timedelta(seconds=1), on_expiry="fail")

    @tool(requires_confirmation=True, approval=soon)
    def hurry() -> str:
        return "hurried"

    calls = [Call("hurry"), Call("pay", amount=1)]
    agent = scripted([calls, "Done."], [hurry, paying(ledger)])
    failed = agent.run("Hurry")
    await_end(agent, runtime, failed.run_id)
    assert agent.retry_run(failed.run_id).status is RunStatus.completed
    assert ledger.lines == []


def test_a_person_who_fails_a_run_ends_its_workflow(runtime: Runtime, ledger: Ledger) -> None:
    @tool
    def ask_bank() -> str:
        raise OutcomeUnknown("The bank says nothing")

    calls = [Call("ask_bank"), Call("pay", amount=1)]
    agent = scripted([calls, "Done."], [ask_bank, paying(ledger)])
    paused = agent.run("Ask")
    [unknown] = [
        item for item in paused.active_requirements if item.kind is RequirementKind.unknown_outcome
    ]
    agent.continue_run(paused.run_id, [unknown.fail(by="dana")])
    await_end(agent, runtime, paused.run_id)
    again = agent.retry_run(paused.run_id)
    assert (again.status, ledger.lines) == (RunStatus.paused, [])
    assert [item.kind for item in again.active_requirements] == [RequirementKind.unknown_outcome]
