"""What should be progressing and is not, reason by reason, as the rows of one tenant say."""

from datetime import datetime, timedelta

import pytest

from kern.agent import Agent
from kern.components.policies import policy_of
from kern.contracts.stuck import StuckItem, StuckReason, StuckReport
from kern.contracts.viewer import OPERATOR, Viewer
from kern.db.runs import stuck_work as stuck_work_module
from kern.db.runs import workers
from kern.db.runs.stuck_work import stuck_work
from kern.db.runs.workers import WorkerIdentity
from kern.models.scripted import ScriptedModel
from kern.requirements import Requirement
from kern.tools import Approval, tool
from kern.values.ids import new_id
from tests.support.stored_runs import NOW, Stored, after, question, refund

LATE = after(600)


@pytest.fixture
def tenant() -> str:
    """A tenant that no other test uses."""
    return f"tenant-{new_id()}"


@pytest.fixture
def component() -> str:
    """A component that no other test uses."""
    return f"agent-{new_id()}"


def report(stored: Stored, tenant: str, at: datetime = LATE) -> StuckReport:
    viewer = Viewer(is_operator=True, tenant=tenant)
    return stored.look(lambda tx: stuck_work(tx, viewer, at))


def stuck(stored: Stored, tenant: str, reason: StuckReason, at: datetime = LATE) -> list[StuckItem]:
    return [item for item in report(stored, tenant, at).items if item.reason is reason]


def serve(stored: Stored, component: str, at: datetime) -> None:
    """Have a worker report that it has the component with its tool."""
    agent = Agent(id=component, model=ScriptedModel(["Done."]), tools=[tool(refund)])
    identity = WorkerIdentity(new_id(), "host", 7, at)
    stored.do(lambda tx: workers.beat(tx, identity, {component: policy_of(agent)}, at))


def gated(
    stored: Stored, tenant: str, component: str, approval: Approval | None = None
) -> Requirement:
    asked = question(approval=approval or Approval())
    call_id = stored.call(asked, tenant=tenant, component_id=component, user_id="ann")
    return stored.requirement(call_id)


def test_a_component_without_a_worker_and_its_parked_runs(
    stored: Stored, tenant: str, component: str
) -> None:
    run_id, _ = stored.accept(tenant=tenant, component_id=component)
    assert stuck(stored, tenant, StuckReason.no_worker, after(29)) == []
    (item,) = stuck(stored, tenant, StuckReason.no_worker)
    assert (item.run_id, item.component_id, item.tool) == (run_id, component, None)
    assert item.since == NOW
    assert component in item.why
    gated(stored, tenant, component)
    counts = [each.count for each in stuck(stored, tenant, StuckReason.no_worker)]
    assert counts == [1, 1]
    serve(stored, component, LATE)
    assert stuck(stored, tenant, StuckReason.no_worker) == []


def test_a_decided_call_that_no_worker_has_begun(
    stored: Stored, tenant: str, component: str
) -> None:
    requirement = gated(stored, tenant, component)
    assert stuck(stored, tenant, StuckReason.not_started) == []
    stored.resolve(requirement)
    assert stuck(stored, tenant, StuckReason.not_started, after(30)) == []
    (item,) = stuck(stored, tenant, StuckReason.not_started, after(31))
    assert (item.requirement_id, item.run_id) == (requirement.id, requirement.run_id)
    assert (item.since, item.tool) == (NOW, "refund")
    assert requirement.tool_call_id is not None
    stored.begin(requirement.tool_call_id, at=after(40))
    assert stuck(stored, tenant, StuckReason.not_started) == []


def test_an_approved_call_that_was_not_executed_for_a_week(
    stored: Stored, tenant: str, component: str
) -> None:
    requirement = gated(stored, tenant, component)
    stored.resolve(requirement)
    statement = "UPDATE kern_requirements SET not_executed = 'Its tool is another.' WHERE id = :id"
    stored.sql(statement, id=requirement.id)
    (item,) = stuck(stored, tenant, StuckReason.not_executed)
    assert (item.requirement_id, item.why) == (requirement.id, "Its tool is another.")
    week = NOW + timedelta(days=7)
    assert len(stuck(stored, tenant, StuckReason.not_executed, week)) == 1
    assert stuck(stored, tenant, StuckReason.not_executed, week + timedelta(seconds=1)) == []


def test_what_temporal_has_not_heard_of(stored: Stored, tenant: str, component: str) -> None:
    run_id, delivery = stored.accept(tenant=tenant, component_id=component)
    assert delivery is not None
    assert stuck(stored, tenant, StuckReason.not_delivered, after(5)) == []
    (item,) = stuck(stored, tenant, StuckReason.not_delivered, after(6))
    assert (item.run_id, item.since) == (run_id, NOW)
    assert "after 0 tries" in item.why
    stored.sql("DELETE FROM kern_outbox WHERE run_id = :id", id=run_id)
    assert stuck(stored, tenant, StuckReason.not_delivered) == []


def test_an_unknown_outcome_until_somebody_settles_it(
    stored: Stored, tenant: str, component: str
) -> None:
    call_id = stored.call(tenant=tenant, component_id=component, user_id="ann")
    stored.begin(call_id, "first")
    stored.begin(call_id, "second")
    (item,) = stuck(stored, tenant, StuckReason.unknown_outcome)
    assert item.requirement_id == stored.requirement(call_id).id
    assert item.why == (stored.requirement(call_id).attempt or pytest.fail("none")).sentence


def test_a_deadline_on_which_nothing_has_acted(stored: Stored, tenant: str, component: str) -> None:
    requirement = gated(stored, tenant, component, Approval(due=timedelta(seconds=100)))
    assert stuck(stored, tenant, StuckReason.deadline_passed, after(160)) == []
    (item,) = stuck(stored, tenant, StuckReason.deadline_passed, after(161))
    assert (item.requirement_id, item.since) == (requirement.id, after(100))


def test_what_waits_by_itself_is_listed_and_not_counted(
    stored: Stored, tenant: str, component: str
) -> None:
    session_id = new_id()
    ids = {"tenant": tenant, "component_id": component, "session_id": session_id}
    first, _ = stored.accept(**ids)  # type: ignore[arg-type]
    second, _ = stored.accept(**ids)  # type: ignore[arg-type]
    outage = (
        '{"since":"2026-05-04T03:02:00Z","attempts":2,"next_try_at":null,"code":"connection",'
        '"message":"away"}'
    )
    stored.sql("UPDATE kern_runs SET outage = :o WHERE id = :id", o=outage, id=first)
    serve(stored, component, after(4))
    found = report(stored, tenant, after(4))
    reasons = {item.reason: item.run_id for item in found.items}
    assert reasons == {StuckReason.provider_away: first, StuckReason.queued: second}
    assert (found.count, found.checked) == (0, 2)


def test_what_is_another_tenants_is_not_there_and_the_operator_sees_all(
    stored: Stored, tenant: str, component: str
) -> None:
    requirement = gated(stored, tenant, component)
    stored.resolve(requirement)
    assert report(stored, f"{tenant}-other").items == []
    assert report(stored, f"{tenant}-other").checked == 0
    everything = stored.look(lambda tx: stuck_work(tx, OPERATOR, LATE))
    assert requirement.id in {item.requirement_id for item in everything.items}


def test_a_great_backlog_is_cut_and_says_so(
    stored: Stored, tenant: str, component: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stuck_work_module, "MOST_LISTED", 2)
    for _ in range(2):
        stored.accept(tenant=tenant, component_id=component)
    assert report(stored, tenant).is_complete
    stored.accept(tenant=tenant, component_id=component)
    found = report(stored, tenant)
    assert not found.is_complete
    listed = [item for item in found.items if item.reason is StuckReason.not_delivered]
    assert len(listed) == 2


def test_a_worker_is_lost_when_it_has_not_reported_for_a_minute(
    stored: Stored, tenant: str, component: str
) -> None:
    serve(stored, component, NOW)

    def present(at: datetime) -> list[bool]:
        listed = report(stored, tenant, at).workers
        return [worker.is_present for worker in listed if worker.components == [component]]

    assert present(after(60)) == [True]
    assert present(after(61)) == [False]
