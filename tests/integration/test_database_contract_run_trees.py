"""The database contract: runs inside runs, on every database."""

from collections.abc import Callable
from functools import partial

import pytest
from sqlalchemy import event
from sqlmodel import Session, select

from kern.contracts.answers import Answer, NewCall, NewChild
from kern.contracts.viewer import OPERATOR, Viewer
from kern.db.decisions import deciding
from kern.db.decisions.deciding import Submission
from kern.db.engine.tables import OutboxRow, RunRow
from kern.db.reading import run_outputs, session_metrics
from kern.db.runs import lifecycle
from kern.db.steps import pausing
from kern.db.turns import model_turns
from kern.db.turns.attempts import Settled
from kern.errors import InvalidDecision, InvalidInput, NotAllowed
from kern.models.base import ModelResponse, Usage
from kern.requirements import DecisionDraft
from kern.run import RunOutput
from kern.values.states import RunStatus, ToolOutcome, Verdict
from tests.support.stored_runs import ARGUMENTS, Stored, after, at_once, question


def delegated(stored: Stored, *labels: str, run_id: str | None = None) -> list[RunOutput]:
    """Have a run, or a new one, give work to members; return its output and theirs."""
    if run_id is None:
        run_id, _ = stored.accept(user_id="ann", kind="team")
    calls = [
        NewCall(f"c-{label}", "give", {}, child=NewChild(label, "team", label, f"Do {label}"))
        for label in labels
    ]
    stored.answer(run_id, *calls)
    above = stored.output(run_id)
    inside = [stored.output(call.child_run_id) for call in above.tools if call.child_run_id]
    return [above, *inside]


def gated(stored: Stored, run_id: str) -> str:
    """Have a run ask for a gated call; return the call's id."""
    new = NewCall("c1", "refund", dict(ARGUMENTS), question=question())
    return stored.answer(run_id, new).calls[0].tool_call_id


def status(stored: Stored, run_id: str) -> RunStatus:
    return stored.output(run_id).status


def cancel(stored: Stored, run_id: str) -> None:
    stored.do(lambda tx: lifecycle.cancel(tx, run_id, Viewer("ann"), after(9)))


def paused(stored: Stored, run_id: str) -> bool:
    return stored.do(lambda tx: pausing.pause(tx, run_id, after(5))).stands_still


def test_members_have_runs_inside_the_teams(stored: Stored) -> None:
    team, finder, writer = delegated(stored, "finder", "writer")
    assert (team.number, finder.number, writer.number) == (1, -1, -2)
    for member in (finder, writer):
        assert member.parent_run_id == team.run_id
        assert (member.session_id, member.user_id) == (team.session_id, "ann")
        assert member.status is RunStatus.pending
    again, _ = stored.accept(session_id=team.session_id, user_id="ann")
    assert stored.output(again).number == 2

    def row(tx: Session) -> RunRow:
        return tx.get_one(RunRow, finder.run_id)

    found = stored.look(row)
    assert (found.root_run_id, found.ancestors) == (team.run_id, [team.run_id])
    assert found.path == ["agent", "finder"]


def test_a_decision_locks_the_runs_above_before_the_chain(stored: Stored) -> None:
    team, member = delegated(stored, "finder")
    call_id = gated(stored, member.run_id)
    assert paused(stored, team.run_id)
    requirement, statements = stored.requirement(call_id), list[str]()

    def note(*execution: object) -> None:
        statements.append(" ".join(str(execution[2]).split()))

    event.listen(stored.database.engine, "before_cursor_execute", note)
    try:
        stored.resolve(requirement)
    finally:
        event.remove(stored.database.engine, "before_cursor_execute", note)
    # On Postgres, tables are named with their schema.
    plain = [statement.replace("kern.kern_", "kern_") for statement in statements]
    runs = [at for at, text in enumerate(plain) if "FROM kern_runs WHERE kern_runs.id = " in text]
    chain = [at for at, text in enumerate(plain) if "FROM kern_chain_heads WHERE" in text]
    assert len(runs) == 2, "the member's and the team's"
    assert len(chain) == 1
    assert chain[0] > max(runs)


def test_an_answer_that_is_stored_twice_gives_work_once(stored: Stored) -> None:
    team, member = delegated(stored, "finder")
    again, same = delegated(stored, "finder", run_id=team.run_id)
    assert (again.run_id, same.run_id) == (team.run_id, member.run_id)
    assert len(again.tools) == 1


def test_a_call_ends_with_what_its_run_came_to(stored: Stored) -> None:
    team, member, other, third = delegated(stored, "a", "b", "c")
    calls = {call.child_run_id: call.id for call in team.tools}
    goes_on = stored.begin(calls[member.run_id])
    assert isinstance(goes_on, Settled)
    assert goes_on.child_is_active

    stored.answer(member.run_id, content="Found.")
    stored.do(
        lambda tx: lifecycle.fail(
            tx, lifecycle.lock(tx, other.run_id), "broke", "It broke.", after(1)
        )
    )
    stored.do(lambda tx: lifecycle.cancel(tx, third.run_id, Viewer("ann"), after(1)))
    for one in (member, other, third, member):
        settled = stored.begin(calls[one.run_id])
        assert isinstance(settled, Settled)
        assert not settled.child_is_active

    ended = {call.child_run_id: call for call in stored.output(team.run_id).tools}
    assert ended[member.run_id].outcome is ToolOutcome.result
    assert ended[member.run_id].result == "Found."
    assert ended[other.run_id].outcome is ToolOutcome.error
    assert ended[other.run_id].result == "b failed: It broke."
    assert ended[third.run_id].outcome is ToolOutcome.cancelled
    assert stored.events(team.run_id).count("tool_call_completed") == 3


def test_a_team_is_paused_when_nothing_inside_it_moves(stored: Stored) -> None:
    team, member, other = delegated(stored, "a", "b")
    call_id = gated(stored, member.run_id)
    assert not paused(stored, team.run_id), "another member has not even begun"
    stored.answer(other.run_id, content="Done.")
    assert not paused(stored, team.run_id), "the call of the one that ended is not done"
    stored.begin(next(one.id for one in team.tools if one.child_run_id == other.run_id))
    assert status(stored, team.run_id) is RunStatus.running

    assert paused(stored, team.run_id)
    assert status(stored, team.run_id) is RunStatus.paused
    (asked,) = stored.output(team.run_id).active_requirements
    assert asked.path == ["agent", "a", "refund"]

    stored.resolve(asked)
    assert status(stored, member.run_id) is RunStatus.running
    assert status(stored, team.run_id) is RunStatus.running
    assert not paused(stored, team.run_id)
    assert "run_continued" in stored.events(team.run_id)
    stored.begin(call_id)
    stored.finish(call_id)


def test_all_above_go_on_with_what_is_lowest(stored: Stored) -> None:
    firm, office = delegated(stored, "office")
    _, clerk = delegated(stored, "clerk", run_id=office.run_id)
    gated(stored, clerk.run_id)
    for one in (office, firm):
        assert paused(stored, one.run_id)
    (asked,) = stored.output(firm.run_id).active_requirements
    assert asked.path == ["agent", "office", "clerk", "refund"]
    stored.resolve(asked, Verdict.reject)
    for one in (clerk, office, firm):
        assert status(stored, one.run_id) is RunStatus.running


def test_cancelling_closes_everything_inside_and_tells_it(stored: Stored) -> None:
    firm, office, done = delegated(stored, "office", "done")
    stored.answer(done.run_id, content="Done.")
    _, clerk = delegated(stored, "clerk", run_id=office.run_id)
    gated(stored, clerk.run_id)
    stored.do(lambda tx: lifecycle.cancel(tx, firm.run_id, Viewer("ann"), after(1)))

    for one in (firm, office, clerk):
        assert status(stored, one.run_id) is RunStatus.cancelled
        assert {call.status for call in stored.output(one.run_id).tools} == {"done"}
    assert status(stored, done.run_id) is RunStatus.completed
    assert not stored.output(firm.run_id).active_requirements

    def told(tx: Session) -> set[str]:
        return set(tx.exec(select(OutboxRow.run_id).where(OutboxRow.kind == "cancel")))

    assert {firm.run_id, office.run_id, clerk.run_id} <= stored.look(told)


def test_a_team_that_fails_takes_its_members_with_it(stored: Stored) -> None:
    team, member = delegated(stored, "a")
    gated(stored, member.run_id)
    stored.do(
        lambda tx: lifecycle.fail(
            tx, lifecycle.lock(tx, team.run_id), "broke", "It broke.", after(1)
        )
    )
    assert status(stored, team.run_id) is RunStatus.error
    assert status(stored, member.run_id) is RunStatus.cancelled
    assert not stored.output(team.run_id).active_requirements


def test_deciding_and_cancelling_at_once_leaves_one_of_both(stored: Stored) -> None:
    for _ in range(10):
        firm, office = delegated(stored, "office")
        _, clerk = delegated(stored, "clerk", run_id=office.run_id)
        gated(stored, clerk.run_id)
        assert paused(stored, office.run_id)
        assert paused(stored, firm.run_id)
        (asked,) = stored.output(firm.run_id).active_requirements
        both: list[Callable[[], object]] = [
            partial(stored.resolve, asked),
            partial(cancel, stored, firm.run_id),
        ]
        at_once(both)
        for one in (firm, office, clerk):
            assert status(stored, one.run_id) is RunStatus.cancelled
        (closed,) = stored.output(firm.run_id).requirements
        assert closed.status in {"resolved", "cancelled"}


def test_only_the_owner_and_the_components_of_the_tree_reach_what_is_inside(
    stored: Stored,
) -> None:
    team, member = delegated(stored, "a")

    def found(viewer: Viewer) -> str:
        return stored.look(lambda tx: run_outputs.find_run(tx, member.run_id, viewer).id)

    for viewer in (Viewer("ann", component_id="agent"), Viewer("ann", component_id="a"), OPERATOR):
        assert found(viewer) == member.run_id
    with pytest.raises(NotAllowed):
        found(Viewer("eve"))
    with pytest.raises(InvalidInput):
        found(Viewer("ann", component_id="other"))
    assert team.component_id == "agent"


def test_a_decision_is_refused_in_a_tree_that_it_is_not_in(stored: Stored) -> None:
    _, member = delegated(stored, "a")
    elsewhere, _ = stored.accept(user_id="ann")
    call_id = gated(stored, member.run_id)
    seen = stored.requirement(call_id)
    told = Submission(seen.id, seen.digest, DecisionDraft(verdict=Verdict.approve), "dana")
    with pytest.raises(InvalidDecision, match=elsewhere):
        stored.do(lambda tx: deciding.resolve(tx, told, Viewer("ann"), after(1), within=elsewhere))
    assert stored.requirement(call_id).status == "pending"


def test_what_members_used_is_told_with_the_team_and_counted_once(stored: Stored) -> None:
    team, member = delegated(stored, "a")
    response = ModelResponse(
        content="Done.", provider="scripted", usage=Usage(input_tokens=7, output_tokens=2)
    )
    stored.do(lambda tx: model_turns.store(tx, member.run_id, 1, Answer(response), after(1)))
    assert stored.output(member.run_id).metrics.total_tokens == 9
    assert stored.output(team.run_id).metrics.model_calls == 2

    def sums(tx: Session) -> tuple[int, int, int]:
        found = session_metrics.metrics(tx, team.session_id, Viewer("ann"), after(2))
        return found.run_count, found.model_calls, found.total_tokens

    assert stored.look(sums) == (1, 2, 9)
