"""`kern.inbox`: operators' programs list, read and decide, without waiting for runs."""

import asyncio
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from kern import inbox
from kern.client.processes.runtime import Runtime
from kern.errors import (
    AlreadyResolved,
    ArgumentsChanged,
    InvalidDecision,
    InvalidInput,
    NotAllowed,
    NotFound,
)
from kern.models.scripted import Call
from kern.run import RunOutput
from kern.testing import isolated_runtime
from kern.tools import Approval, tool
from kern.values.states import RequirementKind, RequirementStatus, RunStatus, Verdict
from tests.support.agents import Ledger, paying, scripted
from tests.support.waiting import wait_until


def paused(ledger: Ledger, user: str | None = None, approval: Approval | None = None) -> RunOutput:
    agent = scripted([Call("pay", amount=5), "Paid."], [paying(ledger, approval)])
    return agent.run("Pay", user_id=user)


def ids(page: inbox.RequirementPage) -> list[str]:
    return [item.id for item in page.requirements]


def test_what_waits_is_listed_oldest_first_and_in_pages(runtime: Runtime, ledger: Ledger) -> None:
    runs = [paused(ledger, user) for user in ("mara", "noor", "mara")]
    expected = [run.active_requirements[0].id for run in runs]

    first = inbox.pending(limit=2)
    second = inbox.pending(limit=2, cursor=first.next_cursor)
    assert ids(first) + ids(second) == expected
    assert second.next_cursor is None
    assert ids(inbox.pending(user_id="mara")) == [expected[0], expected[2]]
    assert ids(inbox.pending(run_id=runs[1].run_id)) == [expected[1]]
    assert ids(inbox.pending(session_id=runs[1].session_id)) == [expected[1]]
    assert ids(inbox.pending(kind="confirmation")) == expected
    assert ids(inbox.pending(kind=RequirementKind.error)) == []


def test_a_decision_returns_at_acceptance_while_the_call_executes(runtime: Runtime) -> None:
    begun, release = threading.Event(), threading.Event()

    @tool(requires_confirmation=True)
    def pay(amount: int) -> str:
        """Pay."""
        begun.set()
        release.wait(60)
        return f"paid {amount}"

    agent = scripted([Call("pay", amount=5), "Paid."], [pay])
    run = agent.run("Pay")
    requirement = inbox.get(run.active_requirements[0].id)
    assert requirement.arguments == {"amount": 5}

    receipt = inbox.decide(requirement.confirm("fine"), by="dana")
    assert receipt.delivered is True
    assert receipt.requirement.status is RequirementStatus.resolved
    assert begun.wait(30)
    assert inbox.runs().runs[0].status is RunStatus.running
    release.set()
    assert agent.continue_run(run.run_id).content == "Paid."
    resolution = inbox.get(requirement.id).resolution
    assert resolution is not None
    assert (resolution.verdict, resolution.by) == (Verdict.approve, "dana")


def test_whoever_comes_second_is_told_who_was_first(runtime: Runtime, ledger: Ledger) -> None:
    (item,) = paused(ledger).active_requirements
    first, second = inbox.get(item.id), inbox.get(item.id)
    inbox.decide(first.reject("no", by="dana"))
    with pytest.raises(AlreadyResolved, match="'dana' decided 'reject'"):
        inbox.decide(second.confirm(by="erin"))
    assert ledger.lines == []


def test_more_approvals_are_asked_for_until_the_quorum(runtime: Runtime, ledger: Ledger) -> None:
    approval = Approval(quorum=2, candidates=("dana", "erin"), due=timedelta(days=1))
    (item,) = paused(ledger, approval=approval).active_requirements
    receipt = inbox.decide(inbox.get(item.id).confirm(), by="dana")
    assert receipt.delivered is None
    assert receipt.requirement.approvals == 1
    with pytest.raises(NotAllowed):
        inbox.decide(inbox.get(item.id).confirm(), by="mallory")
    assert ids(inbox.pending()) == [item.id]
    assert inbox.decide(inbox.get(item.id).confirm(), by="erin").delivered is True
    wait_until(lambda: ledger.lines == ["paid 5"])


def test_a_decision_about_another_call_than_was_shown_is_refused(
    runtime: Runtime, ledger: Ledger
) -> None:
    run = scripted([Call("pay", amount=5), "Paid."], [paying(ledger)]).run("Pay")
    [waiting] = run.active_requirements
    item = inbox.get(waiting.id).approve(digest="0" * 64)
    with pytest.raises(ArgumentsChanged, match="you saw another one"):
        inbox.decide(item, by="dana")
    with pytest.raises(InvalidDecision, match="8 characters or more"):
        inbox.decide(item, by="dana", digest=waiting.digest[:7])
    assert inbox.get(waiting.id).resolution is None
    done = inbox.decide(item, by="dana", digest=waiting.digest[:8]).requirement
    assert done.resolution is not None


def test_what_makes_no_sense_is_refused(runtime: Runtime, ledger: Ledger) -> None:
    (item,) = paused(ledger).active_requirements
    with pytest.raises(NotFound, match="no requirement with the id 'nope-nope'"):
        inbox.get("nope-nope")
    with pytest.raises(InvalidDecision, match="No decision was filled in"):
        inbox.decide(inbox.get(item.id))
    for by in (None, "", " "):
        with pytest.raises(InvalidDecision, match="Nobody is named"):
            inbox.decide(inbox.get(item.id).confirm(), by=by)
    with pytest.raises(InvalidInput, match="kind is 'refund': use one of 'confirmation'"):
        inbox.pending(kind="refund")  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="status is 'late'"):
        inbox.runs(status="late")  # type: ignore[arg-type]
    for limit in (0, -1, 1001, True):
        with pytest.raises(InvalidInput, match="limit is"):
            inbox.pending(limit=limit)
        with pytest.raises(InvalidInput, match="limit is"):
            inbox.runs(limit=limit)


async def test_async_programs_do_the_same(runtime: Runtime, ledger: Ledger) -> None:
    run = await asyncio.to_thread(paused, ledger, "mara")
    (item,) = (await inbox.apending(user_id="mara")).requirements
    receipt = await inbox.adecide((await inbox.aget(item.id)).confirm(), by="dana")
    assert receipt.delivered is True
    page = await inbox.aruns(user_id="mara", component_id=run.component_id)
    assert [one.run_id for one in page.runs] == [run.run_id]


def test_runs_are_filtered_and_paged(runtime: Runtime, ledger: Ledger) -> None:
    runs = [paused(ledger, "mara"), paused(ledger, "noor")]
    done = scripted(["Hello."]).run("Hi", user_id="mara")
    assert [run.run_id for run in inbox.runs(status="completed").runs] == [done.run_id]
    mine = inbox.runs(user_id="mara", limit=1)
    rest = inbox.runs(user_id="mara", limit=1, cursor=mine.next_cursor)
    assert [run.run_id for run in (*mine.runs, *rest.runs)] == [done.run_id, runs[0].run_id]
    assert rest.next_cursor is None


PROGRAM = """
import sys
from kern import inbox
(item,) = inbox.pending().requirements
print(inbox.decide(inbox.get(item.id).confirm(), by="dana").delivered)
print([name for name in ("openai", "fastapi") if name in sys.modules])
"""


def test_a_program_in_the_wrong_folder_is_told_so(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env={"KERN_HOME": str(tmp_path / "elsewhere")},
    )
    assert "There is no database at" in done.stderr
    assert not (tmp_path / "elsewhere").exists()


def test_a_program_without_components_decides_while_nobody_executes(
    tmp_path: Path, ledger: Ledger
) -> None:
    agent = scripted([Call("pay", amount=5), "Paid."], [paying(ledger)])
    with isolated_runtime(tmp_path):
        run = agent.run("Pay")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env={"KERN_HOME": str(tmp_path)},
    )
    assert done.stdout.splitlines() == ["False", "[]"], done.stderr
    # What nobody could deliver, the next worker of the component does.
    with isolated_runtime(tmp_path):
        assert agent.continue_run(run.run_id).content == "Paid."
    assert ledger.lines == ["paid 5"]
