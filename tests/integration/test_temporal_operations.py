"""What an operator may do with a run's workflow in Temporal, and what Kern makes of it."""

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import WorkflowHandle

from kern import inbox
from kern.client.processes.runtime import Runtime
from kern.client.service.inbox import Inbox
from kern.errors import RunEnded
from kern.models.scripted import Call
from kern.run import RunOutput
from kern.values.ids import new_id
from kern.values.states import RunStatus
from tests.support.agents import Ledger, paying, scripted
from tests.support.waiting import wait_until
from tests.support.workflow_handles import handle_of


def error_code(output: RunOutput) -> str | None:
    return None if output.error is None else output.error.code


def test_a_decision_about_a_terminated_run_is_refused_and_nothing_is_executed(
    runtime: Runtime, ledger: Ledger
) -> None:
    agent = scripted([Call("pay", amount=1), "Done."], [paying(ledger)])
    paused = agent.run("Pay")
    handle = handle_of(runtime, paused.run_id)
    runtime.call(lambda _: handle.terminate())
    (requirement,) = paused.active_requirements
    with pytest.raises(RunEnded, match="terminated its workflow"):
        inbox.decide(requirement.confirm(by="dana"))
    ended = agent.get_run_output(paused.run_id)
    assert (ended.status, error_code(ended)) == (RunStatus.error, "ended_outside")
    assert ledger.lines == []


def test_a_run_that_is_terminated_while_somebody_decides_executes_nothing(
    runtime: Runtime, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = scripted([Call("pay", amount=1), "Done."], [paying(ledger)])
    paused = agent.run("Pay")
    handle = handle_of(runtime, paused.run_id)
    runtime.call(lambda _: handle.terminate())

    async def see_nothing(*_: object) -> None:
        """It is terminated right after the check."""

    monkeypatch.setattr(Inbox, "refuse_terminated", see_nothing)
    (requirement,) = paused.active_requirements
    inbox.decide(requirement.confirm(by="dana"))
    wait_until(lambda: agent.get_run_output(paused.run_id).status is RunStatus.error)
    assert error_code(agent.get_run_output(paused.run_id)) == "ended_outside"
    assert ledger.lines == []


def test_a_cancelled_workflow_cancels_its_run(runtime: Runtime, ledger: Ledger) -> None:
    agent = scripted([Call("pay", amount=1), "Done."], [paying(ledger)])
    paused = agent.run("Pay")
    handle = handle_of(runtime, paused.run_id)
    runtime.call(lambda _: handle.cancel())
    wait_until(lambda: agent.get_run_output(paused.run_id).status is RunStatus.cancelled)
    assert ledger.lines == []


def test_a_reset_workflow_repeats_nothing(runtime: Runtime, ledger: Ledger) -> None:
    agent = scripted([Call("pay", amount=1), Call("pay", amount=2), "Done."], [paying(ledger)])
    first = agent.run("Pay")
    first.active_requirements[0].confirm(by="dana")
    second = agent.continue_run(first)
    handle = handle_of(runtime, first.run_id)
    runtime.call(lambda _: reset(runtime, handle))
    second.active_requirements[0].confirm(by="dana")
    assert agent.continue_run(second).content == "Done."
    assert ledger.lines == ["paid 1", "paid 2"]


async def reset(runtime: Runtime, handle: WorkflowHandle[object, object]) -> None:
    """Reset a workflow to the end of its first task."""
    client = runtime.services.temporal
    described = await handle.describe()
    await client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=handle.id, run_id=described.run_id),
            workflow_task_finish_event_id=4,
            request_id=new_id(),
            reason="a test",
        )
    )
