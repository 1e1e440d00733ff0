"""The commit happens and its acknowledgement is lost: whoever asked learns that it was done."""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial

import pytest
from temporalio.client import WorkflowExecutionStatus

from kern import inbox
from kern.agent import Agent
from kern.client.processes.runtime import Runtime
from kern.contracts.viewer import OPERATOR
from kern.db.journal import outbox
from kern.db.journal.verification import verify
from kern.errors import NotFound, RunEnded
from kern.models.scripted import Call
from kern.session_state import StateChange
from kern.tools import Approval
from kern.values.states import RunStatus
from kern.workflow import Step, Workflow
from tests.support.agents import Ledger, paying, scripted
from tests.support.lost_acknowledgements import each_commit_unheard
from tests.support.pipelines import only, pipeline
from tests.support.stored_runs import Stored, after
from tests.support.waiting import wait_until
from tests.support.workflow_handles import handle_of

# A run has several turns.
_OFTEN = ("turn_completed",)


@pytest.fixture(params=[1, 2], ids=["once", "twice"])
def unheard(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every commit of this process is repeated, since nobody has heard of it."""
    with each_commit_unheard(request.param):
        yield


@pytest.fixture
def agent(runtime_on_each: Runtime, ledger: Ledger) -> Agent:
    _ = runtime_on_each
    return scripted([Call("pay", amount=3), "Paid."], [paying(ledger)])


def events(run_id: str, runtime: Runtime) -> list[str]:
    return Stored(runtime.services.db).events(run_id)


@pytest.mark.usefixtures("unheard")
def test_a_run_is_accepted_paused_approved_and_ended_once(
    agent: Agent, runtime_on_each: Runtime, ledger: Ledger
) -> None:
    paused = agent.run("Pay 3")
    output = agent.continue_run(paused.run_id, [only(paused).confirm(by="dana")])
    assert (output.status, output.content, ledger.lines) == (
        *(RunStatus.completed, "Paid."),
        ["paid 3"],
    )
    assert (output.metrics.model_calls, output.metrics.tool_calls) == (2, 1)
    assert runtime_on_each.services.db.read_now(verify).decisions == 1
    kinds = events(paused.run_id, runtime_on_each)
    assert [kind for kind in kinds if kinds.count(kind) > 1 and kind not in _OFTEN] == []


@pytest.mark.usefixtures("unheard")
def test_a_cancelled_run_is_told_as_cancelled(
    agent: Agent, runtime_on_each: Runtime, ledger: Ledger
) -> None:
    paused = agent.run("Pay 3")
    assert agent.cancel_run(paused.run_id).status is RunStatus.cancelled
    assert events(paused.run_id, runtime_on_each).count("run_cancelled") == 1
    ended = WorkflowExecutionStatus.RUNNING
    handle = handle_of(runtime_on_each, paused.run_id)
    wait_until(lambda: runtime_on_each.call(lambda _: handle.describe()).status is not ended)
    assert ledger.lines == []


@pytest.mark.usefixtures("unheard")
def test_a_run_that_has_ended_otherwise_is_not_told_as_cancelled(agent: Agent) -> None:
    paused = agent.run("Pay 3")
    agent.continue_run(paused.run_id, [only(paused).reject(by="dana")])
    with pytest.raises(RunEnded, match="'completed'"):
        agent.cancel_run(paused.run_id)


@pytest.mark.usefixtures("unheard")
def test_a_deletion_is_told_as_done(agent: Agent, runtime_on_each: Runtime) -> None:
    paused = agent.run("Pay 3")
    handle = handle_of(runtime_on_each, paused.run_id)
    agent.delete_session(paused.session_id)
    with pytest.raises(NotFound):
        agent.get_session(paused.session_id)
    with pytest.raises(NotFound):
        agent.delete_session(paused.session_id)
    ended = WorkflowExecutionStatus.RUNNING
    wait_until(lambda: runtime_on_each.call(lambda _: handle.describe()).status is not ended)


def test_a_deletion_counts_the_runs_that_it_ended(agent: Agent, runtime_on_each: Runtime) -> None:
    paused = agent.run("Pay 3")
    with each_commit_unheard():
        deletion = runtime_on_each.call(
            lambda service: service.sessions.delete(OPERATOR, paused.session_id)
        )
    assert (deletion.cancelled_runs, deletion.delivered) == (1, True)


@pytest.mark.usefixtures("unheard")
def test_a_retry_is_told_as_accepted(runtime_on_each: Runtime, ledger: Ledger) -> None:
    flow = failing_once(ledger)
    failed = flow.run("x")
    assert failed.status is RunStatus.error
    assert flow.retry_run(failed.run_id).status is RunStatus.completed
    assert ledger.lines == ["try", "try"]
    assert events(failed.run_id, runtime_on_each).count("run_retried") == 1


def failing_once(ledger: Ledger) -> Workflow:
    def fragile(_text: str) -> str:
        ledger.add("try")
        if len(ledger.lines) == 1:
            message = "the first time"
            raise ValueError(message)
        return "done"

    return pipeline(Step("fragile", fragile, effect="idempotent"))


@pytest.mark.usefixtures("unheard")
def test_an_approval_is_withdrawn_once(runtime_on_each: Runtime, ledger: Ledger) -> None:
    approval = Approval(candidates=("ann", "bob"), quorum=2)
    agent = scripted([Call("pay", amount=3), "Paid."], [paying(ledger, approval)])
    requirement = only(agent.run("Pay 3"))
    inbox.decide(inbox.get(requirement.id).approve(), by="ann")
    receipt = inbox.decide(inbox.get(requirement.id).withdraw(), by="ann")
    assert receipt.requirement.proposals == []
    assert runtime_on_each.services.db.read_now(verify).decisions == 2


@pytest.mark.usefixtures("unheard")
def test_a_session_is_renamed_changed_and_copied_once(
    agent: Agent, runtime_on_each: Runtime
) -> None:
    _ = runtime_on_each
    paused = agent.run("Pay 3")
    session = agent.continue_run(paused.run_id, [only(paused).confirm(by="dana")]).session_id
    plus = [StateChange(op="increment", key="visits", value=1)]
    assert agent.update_session_state(session, plus) == {"visits": 1}
    assert agent.set_session_name(session, "Refunds").name == "Refunds"
    agent.fork_session(session)
    found = [item for item in agent.get_sessions().sessions if item.forked_from == session]
    assert [item.run_count for item in found] == [1]


def test_what_a_relay_claimed_unheard_is_delivered(stored: Stored) -> None:
    _, delivery = stored.accept()
    assert delivery is not None
    due, claimed = after(3), partial(outbox.claim_due, now=after(3))
    with each_commit_unheard():
        assert [item.id for item in stored.do(claimed)] == [delivery.id]
    later = due + timedelta(seconds=1)
    assert stored.do(lambda tx: outbox.claim_due(tx, later)) == [], "of another relay"
