"""The database contract: reminders and escalation while nobody decides, on every database."""

from datetime import timedelta

import pytest

from kern.contracts.messages import Gate
from kern.db.decisions import deciding
from kern.errors import InvalidDefinition, NotAllowed
from kern.requirements import Requirement
from kern.tools import Approval, Escalation
from kern.values.states import RequirementStatus
from tests.support.stored_runs import Stored, after

TEN = timedelta(seconds=10)


def look(stored: Stored, seen: Requirement, seconds: float) -> Gate | None:
    return stored.do(lambda tx: deciding.expire(tx, seen.id, after(seconds))).gate


def told(stored: Stored, seen: Requirement) -> list[str]:
    return [kind for kind in stored.events(seen.run_id) if kind.startswith("requirement_")][1:]


def test_people_are_reminded_in_a_rhythm_and_once_each_time(stored: Stored) -> None:
    seen = stored.gated(approval=Approval(remind=TEN, due=timedelta(seconds=35)))
    assert look(stored, seen, 9) == Gate(requirement_id=seen.id, due_at=after(10))
    assert told(stored, seen) == []
    for _twice in range(2):
        assert look(stored, seen, 10.5) == Gate(requirement_id=seen.id, due_at=after(20))
    assert told(stored, seen) == ["requirement_reminded"]
    assert look(stored, seen, 34) == Gate(requirement_id=seen.id, due_at=after(35))
    assert told(stored, seen) == ["requirement_reminded"] * 2, "what was missed is not made up for"
    assert look(stored, seen, 35) is None
    assert told(stored, seen)[-1] == "requirement_expired"


def test_reminders_end_after_a_hundred(stored: Stored) -> None:
    seen = stored.gated(approval=Approval(remind=TEN))
    gates = [look(stored, seen, 10 * times) for times in range(1, 102)]
    assert gates[-1] == Gate(requirement_id=seen.id, due_at=None)
    assert told(stored, seen) == ["requirement_reminded"] * 100


def test_others_are_asked_besides_when_it_is_time(stored: Stored) -> None:
    escalate = Escalation(after=TEN, to=("boss", "dana"))
    seen = stored.gated(approval=Approval(candidates=("dana",), escalate=escalate))
    with pytest.raises(NotAllowed):
        stored.resolve(seen, by="boss", at=after(9))
    for _twice in range(2):
        assert look(stored, seen, 11) == Gate(requirement_id=seen.id, due_at=None)
    assert told(stored, seen) == ["requirement_escalated"]
    assert stored.output(seen.run_id).requirements[0].candidates == ["dana", "boss"]
    closed = stored.resolve(seen, by="boss", at=after(12)).requirement
    assert closed.status is RequirementStatus.resolved
    assert look(stored, seen, 20) is None


def test_a_decision_ends_reminders(stored: Stored) -> None:
    seen = stored.gated(approval=Approval(remind=TEN))
    stored.resolve(seen, at=after(5))
    assert look(stored, seen, 10) is None
    assert "requirement_reminded" not in stored.events(seen.run_id)


def test_an_escalation_that_makes_no_sense_is_refused() -> None:
    boss = Escalation(after=TEN, to=("boss",))
    with pytest.raises(InvalidDefinition, match="needs candidates"):
        Approval(escalate=boss)
    with pytest.raises(InvalidDefinition, match="'boss', who is excluded"):
        Approval(candidates=("dana",), excluded=("boss",), escalate=boss)
    with pytest.raises(InvalidDefinition):
        Escalation(after=timedelta(0), to=("boss",))
    with pytest.raises(InvalidDefinition):
        Approval(remind=timedelta(milliseconds=1))
