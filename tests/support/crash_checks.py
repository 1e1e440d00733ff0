"""What must hold after any death: the laws, checked on what the database, model and tools say."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from kern.db.engine.requirement_tables import RequirementRow
from kern.db.engine.tables import ToolCallRow
from tests.support.crash_app import ONCE, SCRIPTS, SUMMARY
from tests.support.crash_spec import Line
from tests.support.crash_state import FINAL, Rows, Snapshot


def check_end(last: Snapshot) -> None:
    """The run has ended, nothing of it is left open, and its story is whole."""
    rows = last.rows
    assert rows.run is not None
    assert rows.run.status in FINAL, rows.run.status
    assert not rows.outbox, "something was never delivered"
    pending = [one.kind for one in rows.requirements if one.status == "pending"]
    assert not pending, pending
    assert [event.seq for event in rows.events] == list(range(1, len(rows.events) + 1))
    assert rows.answers == set(range(1, len(rows.answers) + 1))
    if rows.run.status != "completed":
        return
    assert rows.run.content == "Done."
    paid = len(rows.answers) + rows.run.is_summarised
    assert rows.run.model_calls == paid, "an answer was counted twice, or lost"
    assert len(rows.answers) == len(SCRIPTS[rows.run.input.rpartition(" ")[2]])
    asked = {(one.turn, len(one.requested or [])) for one in rows.messages if one.requested}
    stored = Counter(call.turn for call in rows.calls)
    assert asked == set(stored.items()), "a call that the model asked for was lost"
    assert {call.status for call in rows.calls} <= {"done"}
    told = sorted((one.turn, one.position) for one in rows.messages if one.role == "tool")
    assert told == sorted((call.turn, call.position) for call in rows.calls)


def check_effects(last: Snapshot) -> None:
    """No tool ran twice that may not, none ran that was rejected, and what ran was approved."""
    done = Counter(line.tool_call_id for line in last.lines)
    for call in last.rows.calls:
        times = done[call.id]
        if call.name in ONCE:
            assert times <= 1, f"{call.name} ran {times} times"
        if call.outcome == "result":
            assert times >= 1, f"{call.name} is said to have run and has not"
        if call.outcome == "rejected":
            assert times == 0, f"{call.name} was rejected and ran"
        _check_lines(call, [line for line in last.lines if line.tool_call_id == call.id])


def _check_lines(call: ToolCallRow, lines: Sequence[Line]) -> None:
    assert {line.key for line in lines} <= {call.idempotency_key}, (
        "a repetition had another idempotency key"
    )
    assert {line.order_id for line in lines} <= {str(call.arguments["order_id"])}


def check_answers(deaths: Sequence[Snapshot], last: Snapshot, *, spurious: bool = False) -> None:
    """No answer that was stored was asked for again; others, at most once for each death.

    With `spurious`, also an attempt that lived may have been taken for dead.
    """
    for death in deaths:
        for turn in death.rows.answers:
            assert death.asked[turn] == last.asked[turn], f"turn {turn} was paid for again"
    for turn, times in last.asked.items():
        if spurious:
            break
        lost = sum(turn not in death.rows.answers for death in deaths)
        assert times <= 1 + lost, f"turn {turn} was asked for {times} times, {lost} deaths"


def check_summary(deaths: Sequence[Snapshot], last: Snapshot) -> None:
    """The session is summed up, once, and was not asked for again once that was stored."""
    run, session = last.rows.run, last.rows.session
    assert run is not None
    assert session is not None
    assert run.is_summarised
    assert (session.summary, session.summary_number) == (SUMMARY, run.number)
    lost = 0
    for death in deaths:
        if death.rows.run is not None and death.rows.run.is_summarised:
            assert death.summaries == last.summaries, "the summary was paid for again"
        else:
            lost += 1
    assert 1 <= last.summaries <= 1 + lost, f"{last.summaries} summaries, {lost} deaths"


def check_order(first: Snapshot, behind: Sequence[Snapshot]) -> None:
    """Each run that waited was released once, and began when the one before it had moved on."""
    moved_on = [_moved_on(one) for one in (first, *behind)]
    for before, one in zip(moved_on, behind, strict=False):
        assert one.rows.run is not None
        kinds = [event.kind for event in one.rows.events]
        assert kinds.count("run_dequeued") == 1, kinds
        assert one.rows.run.started_at is not None
        assert before <= one.rows.run.started_at, "a run began before its turn"
    numbers = [one.rows.run.number for one in (first, *behind) if one.rows.run is not None]
    assert numbers == list(range(1, len(numbers) + 1))


def _moved_on(one: Snapshot) -> datetime:
    return next(
        event.created_at
        for event in one.rows.events
        if event.kind in {"run_paused", "run_completed", "run_cancelled"}
    )


def check_questions(deaths: Sequence[Snapshot], last: Snapshot) -> None:
    """A person was asked of a call once for each attempt that a death cut off, never otherwise.

    A call of which the database said that it had not begun, or was done, was not cut off.
    """
    for call in last.rows.calls:
        doubtful = cut_off(deaths, call)
        asked = len(questions(last.rows, call))
        expected = doubtful if call.name in ONCE else 0
        if call.name == "slow":
            # It is in doubt by its timeout already.
            expected = 1
        assert asked == expected, f"{call.name}: {asked} questions for {expected} doubtful deaths"
        if call.name not in ONCE:
            times = sum(line.tool_call_id == call.id for line in last.lines)
            usual = 2 if call.name == "flaky" else 1
            assert times <= usual + doubtful, f"{call.name} ran {times} times"


def check_doubts(deaths: Sequence[Snapshot], last: Snapshot) -> None:
    """A person was asked of a call at most once for each attempt that a death may have cut off."""
    for call in last.rows.calls:
        doubtful = cut_off(deaths, call)
        asked = len(questions(last.rows, call))
        assert asked <= doubtful, f"{call.name}: {asked} questions for {doubtful} doubtful deaths"


def questions(rows: Rows, call: ToolCallRow) -> list[RequirementRow]:
    """Return what people were asked about what became of a call."""
    return [
        one
        for one in rows.requirements
        if one.tool_call_id == call.id and one.kind == "unknown_outcome"
    ]


def cut_off(deaths: Sequence[Snapshot], call: ToolCallRow) -> int:
    """Count the attempts at a call that ran when somebody died."""
    return len({token for death in deaths for (id_, token) in death.running if id_ == call.id})


def check_decisions(rows: Rows, acknowledged: Sequence[tuple[str, str, str]]) -> None:
    """Every decision that was acknowledged stands as it was given, and there are no others."""
    kept = [(one.requirement_id, one.verdict, one.actor) for one in rows.decisions]
    people = [one for one in kept if one[2] != "kern"]
    assert sorted(people) == sorted(acknowledged)
    assert len({one[0] for one in kept}) == len(kept), "a requirement was decided twice"
    for requirement in rows.requirements:
        if requirement.status in {"resolved", "expired"}:
            decided = (requirement.id, requirement.verdict, requirement.resolved_by)
            assert decided in kept
