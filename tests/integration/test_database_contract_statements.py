"""However much waits for people, reading it takes the same number of statements."""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from pydantic import JsonValue
from sqlmodel import Session

from kern.contracts.answers import NewCall, NewChild
from kern.contracts.messages import PlannedCall
from kern.contracts.viewer import OPERATOR
from kern.db.decisions import deciding
from kern.db.decisions.deciding import Submission
from kern.db.reading import inbox_pages
from kern.db.reading.run_outputs import run_row
from kern.db.turns import model_turns
from kern.requirements import DecisionDraft, Requirement, RequirementKind, RequirementStatus
from kern.tools import Approval
from kern.values.ids import new_id
from kern.values.states import Verdict
from tests.support.statements import statements
from tests.support.stored_runs import NAMES, NOW, Stored, opened, question

FEW, MANY = 10, 100
QUORUM = Approval(quorum=2)


@pytest.fixture(params=NAMES)
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stored]:
    with opened(str(request.param), tmp_path) as database:
        yield database


def open_calls(stored: Stored, run_id: str) -> tuple[PlannedCall, ...]:
    """Name the open calls of a run's first turn once more."""

    def name(tx: Session) -> tuple[PlannedCall, ...]:
        run = run_row(tx, run_id)
        assert run is not None
        return model_turns.outcome_of(tx, run, 1).calls

    return stored.look(name)


def run_with(stored: Stored, number: int) -> str:
    """Make a run with so many requirements of all sorts, half of them decided by one of two."""
    run_id, _ = stored.accept(input="Pay", session_id=new_id())
    calls = [
        NewCall(f"c{i}", "refund", {"amount": i}, question=question(approval=QUORUM))
        for i in range(number)
    ]
    stored.answer(run_id, *calls)
    requirements = stored.output(run_id).requirements
    for item in requirements[::2]:
        stored.resolve(item, by="ann")
    for item in requirements[::4]:
        stored.resolve(item, by="bob")
    # Some are unknown, so that what is known of them is read too.
    for item in requirements[::8]:
        assert item.tool_call_id is not None
        stored.begin(item.tool_call_id, "first")
        stored.begin(item.tool_call_id, "second")
    return run_id


def test_reading_a_run_takes_the_same_statements_however_much_it_waits_for(stored: Stored) -> None:
    few, many = (run_with(stored, number) for number in (FEW, MANY))
    counts = [statements(stored, partial(stored.output, run_id)) for run_id in (few, many)]
    assert counts[0] == counts[1]
    assert len(stored.output(many).requirements) > MANY


def test_naming_open_calls_again_takes_the_same_statements(stored: Stored) -> None:
    counts = []
    for number in (FEW, MANY):
        run_id = run_with(stored, number)
        counts.append(statements(stored, partial(open_calls, stored, run_id)))
        calls = open_calls(stored, run_id)
        assert len(calls) == number
        # What was approved twice waits for nobody, unless it is unknown by now.
        free = len(range(0, number, 4)) - len(range(0, number, 8))
        assert sum(call.gate is None for call in calls) == free
    assert counts[0] == counts[1]


def test_naming_child_runs_again_takes_the_same_statements(stored: Stored) -> None:
    counts = []
    for number in (FEW, MANY):
        run_id, _ = stored.accept(input="Pay", session_id=new_id(), kind="team")
        child = NewChild("member", "agent", "member", "Do it.")
        stored.answer(run_id, *[NewCall(f"c{i}", "ask", {}, child=child) for i in range(number)])
        counts.append(statements(stored, partial(open_calls, stored, run_id)))
        children = {call.child.run_id for call in open_calls(stored, run_id) if call.child}
        assert len(children) == number
    assert counts[0] == counts[1]


def test_each_of_many_decisions_takes_the_same_statements(stored: Stored) -> None:
    counts = []
    for number in (FEW, 2 * FEW, 11 * FEW):
        run_id, _ = stored.accept(input="Pay", session_id=new_id())
        stored.answer(
            run_id,
            *[
                NewCall(f"c{i}", "refund", {}, question=question(approval=QUORUM))
                for i in range(number)
            ],
        )
        draft = DecisionDraft(verdict=Verdict.approve)
        submissions = [
            Submission(item.id, item.digest, draft, "ann")
            for item in stored.output(run_id).requirements
        ]

        def decide(tx: Session, submissions: list[Submission] = submissions) -> None:
            for submission in submissions:
                deciding.resolve(tx, submission, OPERATOR, NOW)

        counts.append(statements(stored, partial(stored.do, decide)))
    of_ten = counts[1] - counts[0]
    assert counts[2] - counts[1] == 9 * of_ten


def test_a_page_of_the_inbox_takes_the_same_statements_over_any_number_of_sessions(
    stored: Stored,
) -> None:
    for number in range(MANY):
        run_id, _ = stored.accept(input="Pay", session_id=f"session-{number}")
        approval = QUORUM if number % 2 else Approval(due=timedelta(hours=1))
        call = NewCall(
            "c", f"tool_{number % 7}", {"n": number}, question=question(approval=approval)
        )
        stored.answer(run_id, call)

    def page(limit: int) -> int:
        listing = partial(inbox_pages.list_inbox, viewer=OPERATOR, limit=limit)
        return len(stored.look(listing).requirements)

    assert page(MANY) == MANY
    counts = [statements(stored, partial(page, limit)) for limit in (FEW, MANY)]
    assert counts[0] == counts[1]


def test_what_each_shows_is_its_own(stored: Stored) -> None:
    """Grouped statements mix up neither sessions, tools nor calls."""
    sessions = [new_id() for _ in range(2)]
    for position, session in enumerate(sessions):
        for name in ("pay", "ship"):
            for amount in range(7):
                run_id, _ = stored.accept(session_id=session, input="x", on_busy="parallel")
                arguments: dict[str, JsonValue] = {"amount": 100 * position + amount}
                (call,) = stored.answer(run_id, NewCall("c", name, arguments)).calls
                stored.begin(call.tool_call_id)
                stored.finish(call.tool_call_id, result=name)
    opened_by = []
    for session in sessions:
        run_id, _ = stored.accept(session_id=session, input="y", on_busy="parallel")
        calls = [
            NewCall(n, n, {"amount": 1}, question=question(approval=QUORUM))
            for n in ("pay", "ship", "new")
        ]
        stored.answer(run_id, *calls)
        opened_by.append(run_id)
    page = stored.look(lambda tx: inbox_pages.list_inbox(tx, OPERATOR, limit=50)).requirements

    def shown(item: Requirement) -> list[object]:
        return [(call.result, call.arguments["amount"]) for call in item.earlier_calls]

    for position, run_id in enumerate(opened_by):
        for item in (item for item in page if item.run_id == run_id):
            name = str(item.tool_name)
            latest = [(name, 100 * position + amount) for amount in (6, 5, 4, 3, 2)]
            assert shown(item) == ([] if name == "new" else latest)


def test_a_call_is_not_among_what_was_done_before_it(stored: Stored) -> None:
    item = stored.doubtful()
    assert item.kind is RequirementKind.unknown_outcome
    assert item.earlier_calls == []
    seen = stored.gated()
    closed = stored.resolve(seen, Verdict.reject, by="dana").requirement
    assert (closed.status, closed.earlier_calls) == (RequirementStatus.resolved, [])
