"""Withdrawals under a real Temporal: the rows alone say whether a call may begin."""

import pytest

from kern import inbox
from kern.client.processes.runtime import Runtime
from kern.contracts.viewer import OPERATOR
from kern.db.decisions import deciding
from kern.db.decisions.deciding import Submission
from kern.errors import AlreadyResolved
from kern.models.scripted import Call
from kern.requirements import DecisionDraft, Requirement, submitted_digest
from kern.run import RunOutput
from kern.team import Team
from kern.tools import Approval
from kern.values.states import RequirementStatus, RunStatus, Verdict
from kern.workflow import HumanReview, Step, Workflow
from tests.support.agents import Ledger, paying, scripted
from tests.support.pipelines import exclaim, only, pipeline, upper
from tests.support.stored_runs import NOW
from tests.support.waiting import wait_until


def approve_unheard(runtime: Runtime, requirement: Requirement, by: str) -> None:
    """Accept an approval whose process dies before it tells Temporal; the relay does later."""
    draft = DecisionDraft(verdict=Verdict.approve)
    submission = Submission(requirement.id, submitted_digest(requirement), draft, by)
    runtime.services.db.write_now(lambda tx: deciding.resolve(tx, submission, OPERATOR, NOW))


def undelivered(runtime: Runtime, run_id: str) -> int:
    return runtime.call(lambda service: service.runs.report(OPERATOR, run_id)).undelivered


def test_a_withdrawn_call_waits_though_temporal_hears_of_the_approval(
    runtime: Runtime, ledger: Ledger
) -> None:
    agent = scripted([Call("pay", amount=5), "Paid."], [paying(ledger)])
    paused = agent.run("Pay")
    requirement = only(paused)
    approve_unheard(runtime, requirement, "ann")
    receipt = inbox.decide(inbox.get(requirement.id).withdraw("fraud"), by="ann")
    assert receipt.requirement.status is RequirementStatus.pending
    # The signal about the earlier approval arrives, and lets nothing run.
    wait_until(lambda: not undelivered(runtime, paused.run_id))
    output = agent.get_run_output(paused.run_id)
    assert output.status is RunStatus.paused
    assert only(output).id == requirement.id

    done = agent.continue_run(paused.run_id, [only(output).confirm(by="ann")])
    assert (done.content, ledger.lines) == ("Paid.", ["paid 5"])
    with pytest.raises(AlreadyResolved, match=r"pay ended at .* no longer be withdrawn"):
        inbox.decide(inbox.get(requirement.id).withdraw(), by="ann")


def test_continue_run_takes_a_withdrawal_and_returns_the_paused_run(
    runtime: Runtime, ledger: Ledger
) -> None:
    approval = Approval(candidates=("ann", "bob"), quorum=2)
    agent = scripted([Call("pay", amount=5), "Paid."], [paying(ledger, approval)])
    paused = agent.run("Pay")
    paused = agent.continue_run(paused.run_id, [only(paused).confirm(by="ann")])
    (proposal,) = only(paused).proposals
    assert (proposal.by, proposal.approvals, proposal.quorum) == (["ann"], 1, 2)
    paused = agent.continue_run(paused.run_id, [only(paused).withdraw(by="ann")])
    assert (paused.status, only(paused).proposals) == (RunStatus.paused, [])
    paused = agent.continue_run(paused.run_id, [only(paused).confirm(by="bob")])
    done = agent.continue_run(paused.run_id, [only(paused).confirm(by="ann")])
    assert (done.status, ledger.lines) == (RunStatus.completed, ["paid 5"])


def test_a_members_call_and_a_step_are_withdrawn_alike(runtime: Runtime, ledger: Ledger) -> None:
    member = scripted([Call("pay", amount=5), "Paid."], [paying(ledger)], name="payer")
    team = Team(
        id=f"team-{member.id}",
        members=[member],
        model=scripted(
            [Call("delegate_task_to_member", member_id=member.id, task="pay"), "Ok"]
        ).model,
    )
    flow = pipeline(
        upper, Step("shout", exclaim, human_review=HumanReview(requires_confirmation=True))
    )
    paused, asked = withdrawn(runtime, team)
    wait_until(lambda: team.get_run_output(paused.run_id).status is RunStatus.paused)
    assert ledger.lines == []
    paused, asked = withdrawn(runtime, flow)
    output = flow.get_run_output(paused.run_id)
    assert output.status is RunStatus.paused
    done = flow.continue_run(paused.run_id, [only(output).confirm(by="ann")])
    assert done.content == "HI!"
    with pytest.raises(AlreadyResolved, match=r"step 'shout' continued at"):
        inbox.decide(inbox.get(asked.id).withdraw(), by="ann")


def withdrawn(runtime: Runtime, component: Team | Workflow) -> tuple[RunOutput, Requirement]:
    """Approve and withdraw what a run asks, and wait until Temporal has heard of the approval."""
    paused = component.run("hi")
    asked = only(paused)
    approve_unheard(runtime, asked, "ann")
    inbox.decide(inbox.get(asked.id).withdraw(), by="ann")
    wait_until(lambda: not undelivered(runtime, asked.run_id))
    return paused, asked
