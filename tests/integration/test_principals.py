"""Who approved, from where they authenticated to the tool that runs."""

import pytest

from kern import inbox
from kern.agent import Agent
from kern.client.processes.runtime import Runtime
from kern.contracts.requests import RunRequest
from kern.contracts.viewer import Viewer
from kern.errors import NotAllowed
from kern.inbox import Principal
from kern.models.scripted import Call
from kern.requirements import PrincipalKind
from kern.run import ToolExecution
from kern.tools import Approval, Requester, RunContext, tool
from kern.values.states import ToolOutcome
from tests.support.agents import Ledger, paying, scripted
from tests.support.pipelines import only
from tests.support.waiting import wait_until

DANA = Principal(issuer="https://id.example.org", subject="u-17", name="Dana", groups=("finance",))


def test_a_tool_is_told_who_approved_it(runtime: Runtime) -> None:
    heard: list[tuple[object, ...]] = []

    @tool(requires_confirmation=True, approval=Approval(quorum=2))
    def pay(amount: int, run_context: RunContext) -> str:
        """Pay."""
        heard.extend((v.by, v.principal, v.verdict.value, v.note) for v in run_context.approvals)
        return f"paid {amount}"

    agent = scripted([Call("pay", amount=5), "Paid."], [pay])
    paused = agent.run("Pay")
    receipt = inbox.decide(only(paused).confirm("fine"), by=DANA)
    (proposal,) = receipt.requirement.proposals
    assert proposal.by == ["Dana"]
    done = agent.continue_run(paused.run_id, [only(paused).confirm(by="eli")])
    assert done.content == "Paid."
    assert [(by, verdict, note) for by, _, verdict, note in heard] == [
        ("Dana", "approve", "fine"),
        ("eli", "approve", None),
    ]
    claim = heard[1][1]
    assert heard[0][1] == DANA
    assert isinstance(claim, Principal)
    assert claim.is_local


def test_an_agent_decides_nothing_in_its_own_name_or_as_a_principal(
    runtime: Runtime, ledger: Ledger
) -> None:
    agent = scripted([Call("pay", amount=5), "Paid."], [paying(ledger)])
    paused = agent.run("Pay")
    robot = DANA.model_copy(update={"kind": PrincipalKind.agent})
    with pytest.raises(NotAllowed, match="asks for a person"):
        inbox.decide(only(paused).confirm(), by=robot)
    with pytest.raises(NotAllowed, match="asks for a person"):
        agent.continue_run(paused.run_id, [only(paused).confirm(by=robot)])
    assert ledger.lines == []


@pytest.mark.parametrize("by", ["dana", DANA])
def test_no_code_of_a_run_decides_what_the_run_waits_for(
    runtime: Runtime, ledger: Ledger, by: str | Principal
) -> None:
    @tool
    def approve(run_context: RunContext) -> str:
        """Approve whatever the run waits for."""
        waiting = inbox.pending(run_id=run_context.run_id).requirements
        return str([inbox.decide(item.confirm(), by=by).delivered for item in waiting])

    calls = [Call("pay", amount=5), Call("approve")]
    agent = scripted([calls, "Done."], [paying(ledger), approve])
    run_id = agent.run("Pay", background=True).run_id
    wait_until(
        lambda: agent.get_run_output(run_id).tools[1:] and approval_of(agent, run_id).outcome
    )
    assert approval_of(agent, run_id).outcome is ToolOutcome.error
    assert "no run approves its own calls" in (approval_of(agent, run_id).result or "")
    assert ledger.lines == []
    # A person does, from outside.
    inbox.decide(only(agent.get_run_output(run_id)).confirm(), by=by)
    wait_until(lambda: ledger.lines == ["paid 5"])


def approval_of(agent: Agent, run_id: str) -> ToolExecution:
    return next(call for call in agent.get_run_output(run_id).tools if call.tool_name == "approve")


def test_who_was_authenticated_decides_whatever_name_is_on_the_object(
    runtime: Runtime, ledger: Ledger
) -> None:
    agent = scripted([Call("pay", amount=5), "Paid."], [paying(ledger)])
    paused = agent.run("Pay")
    viewer = Viewer(is_operator=True, principal=DANA)
    requirement = only(paused).confirm(by="the boss")
    receipt = runtime.call(lambda service: service.inbox.decide(viewer, requirement, "the boss"))
    resolution = receipt.requirement.resolution
    assert resolution is not None
    assert (resolution.by, resolution.principal) == ("Dana", DANA)
    wait_until(lambda: ledger.lines == ["paid 5"])


def test_who_asked_in_the_name_of_a_customer_does_not_decide(
    runtime: Runtime, ledger: Ledger
) -> None:
    agent = scripted(
        [Call("pay", amount=5), "Paid."], [paying(ledger, Approval(excluded=Requester))]
    )
    # The worker knows the agent from now on.
    agent.run("Pay", user_id="customer-6")
    viewer = Viewer(is_operator=True, principal=DANA)
    request = RunRequest(component_id=agent.id, input="Pay", user_id="customer-7")
    accepted = runtime.call(lambda service: service.runs.accept(viewer, agent, request))
    wait_until(lambda: inbox.pending(run_id=accepted.run_id).requirements)
    (asked,) = inbox.pending(run_id=accepted.run_id).requirements
    for by in (DANA, "u-17", "Dana", "customer-7"):
        with pytest.raises(NotAllowed, match="is excluded"):
            inbox.decide(asked.confirm(), by=by)
    inbox.decide(asked.confirm(), by="eli")
    wait_until(lambda: ledger.lines == ["paid 5"])
