"""The database contract: tool calls move by compare and set, on every database."""

from datetime import timedelta

import pytest
from pydantic import JsonValue
from sqlmodel import select

from kern.contracts.viewer import Viewer
from kern.db.engine.tables import OutboxRow
from kern.db.journal import audit_chain, verification
from kern.db.runs import lifecycle
from kern.db.turns import calls, late_results, leases
from kern.db.turns.attempts import Claim, Execution, Settled, Storing
from kern.errors import AlreadyResolved, NotFound, StillRunning
from kern.session_state import StateChange
from kern.tools import Approval
from kern.values.attempts import UnknownReason
from kern.values.states import (
    RequirementKind,
    RequirementStatus,
    RunStatus,
    ToolCallStatus,
    ToolOutcome,
    Verdict,
)
from tests.support.stored_runs import ARGUMENTS, Stored, after, at_once, question

NOW_TAKEN, GATED, NOTHING, ENDED = "taken", "gated", "nothing", "ended"
STATES = ["waiting", "gated", "running", "unknown", "done", "cancelled"]


def brought_to(stored: Stored, state: str, effect: str) -> str:
    """Make a call in a state, held by `mine` where somebody holds it."""
    call_id = stored.call(question() if state == "gated" else None, effect, user_id="ann")
    if state in {"running", "unknown", "done"}:
        stored.begin(call_id, "mine")
    if state == "unknown":
        stored.do(
            lambda tx: calls.ask_outcome(tx, call_id, "mine", UnknownReason.timed_out, after(0))
        )
    if state == "done":
        stored.finish(call_id, "mine", result="first")
    if state == "cancelled":
        run_id = stored.run_of(call_id)
        stored.do(lambda tx: lifecycle.cancel(tx, run_id, Viewer("ann"), after(0)))
    return call_id


def met(found: Execution | Settled) -> str:
    if isinstance(found, Execution):
        return NOW_TAKEN
    if found.run_ended:
        return ENDED
    return GATED if found.gate is not None else NOTHING


@pytest.mark.parametrize("effect", ["once", "idempotent", "read"])
@pytest.mark.parametrize("token", ["mine", "other"])
@pytest.mark.parametrize("state", STATES)
def test_who_may_begin_a_call(stored: Stored, state: str, token: str, effect: str) -> None:
    call_id = brought_to(stored, state, effect)
    before = stored.execution(call_id).attempts
    taken_over = effect != "once" and state == "running"
    expected = {
        "waiting": NOW_TAKEN,
        "gated": GATED,
        "running": NOW_TAKEN if token == "mine" or taken_over else GATED,
        "unknown": GATED,
        "done": NOTHING,
        "cancelled": ENDED,
    }[state]
    assert met(stored.begin(call_id, token)) == expected
    began = expected == NOW_TAKEN and not (state == "running" and token == "mine")
    assert stored.execution(call_id).attempts == before + began


@pytest.mark.parametrize("token", ["mine", "other"])
@pytest.mark.parametrize("state", STATES)
def test_whose_result_is_kept(stored: Stored, state: str, token: str) -> None:
    call_id = brought_to(stored, state, "once")
    held = state in {"running", "unknown", "done"} and token == "mine"
    assert stored.finish(call_id, token, result="late") is (
        Storing.stored if held else Storing.fenced
    )
    found = stored.execution(call_id)
    if state == "done":
        assert found.result == "first"
    elif held:
        assert (found.status, found.result) == (ToolCallStatus.done, "late")
    else:
        assert found.result != "late"
    told = [m for m in stored.output(stored.run_of(call_id)).messages if m.role == "tool"]
    assert len(told) == (found.status is ToolCallStatus.done)


@pytest.mark.parametrize("token", ["mine", "other"])
@pytest.mark.parametrize("state", STATES)
def test_who_may_give_a_call_back(stored: Stored, state: str, token: str) -> None:
    call_id = brought_to(stored, state, "read")
    before = stored.execution(call_id).status
    given = stored.do(lambda tx: calls.release(tx, call_id, token, "it raised", after(1)))
    assert given is (state == "running" and token == "mine")
    assert stored.execution(call_id).status is (ToolCallStatus.waiting if given else before)


@pytest.mark.parametrize("effect", ["once", "read"])
def test_an_attempt_that_is_known_to_be_alive_is_waited_for(stored: Stored, effect: str) -> None:
    call_id = stored.call(effect=effect, user_id="ann")
    stored.begin(call_id, "first")
    taken = stored.do(
        lambda tx: calls.begin(
            tx, call_id, Claim("second", is_alive=lambda token: token == "first"), after(1)
        )
    )
    if effect == "once":
        assert taken == Settled(active_token="first")
        assert stored.output(stored.run_of(call_id)).requirements == []
    else:
        assert isinstance(taken, Execution)


@pytest.mark.parametrize("begun", [True, False])
def test_a_doubt_about_what_never_began_needs_nobody(stored: Stored, *, begun: bool) -> None:
    """The attempt that held the call tells that it had not begun it, after another has asked."""
    requirement = stored.doubtful()
    call_id, run_id = requirement.tool_call_id or "", requirement.run_id
    given = stored.do(lambda tx: calls.release(tx, call_id, "first", "no", after(2), begun=begun))
    assert given is not begun
    settled, output = stored.requirement(call_id), stored.output(run_id)
    if begun:
        # It may have happened.
        assert (settled.status, output.status) == (RequirementStatus.pending, RunStatus.paused)
        return
    decision = stored.look(lambda tx: audit_chain.decisions_of(tx, requirement.id)[-1])
    assert (decision.verdict, decision.actor) == (Verdict.run_again.value, "kern")
    assert settled.status is RequirementStatus.resolved
    assert output.status is RunStatus.running
    waiting = select(OutboxRow).where(OutboxRow.run_id == run_id)
    told = stored.look(lambda tx: [row.requirement_id for row in tx.exec(waiting)])
    assert requirement.id in told
    stored.look(verification.verify)
    taken = stored.begin(call_id, "third")
    assert isinstance(taken, Execution)
    assert taken.attempt == 1


@pytest.mark.parametrize("token", ["mine", "other"])
def test_a_call_that_is_given_back_ends_with_its_run(stored: Stored, token: str) -> None:
    call_id = brought_to(stored, "running", "once")
    run_id = stored.run_of(call_id)
    stored.do(lambda tx: lifecycle.cancel(tx, run_id, Viewer("ann"), after(0)))
    assert not stored.do(lambda tx: calls.release(tx, call_id, token, "not begun", after(1)))
    found = stored.execution(call_id)
    if token == "mine":
        assert (found.status, found.outcome) == (ToolCallStatus.done, ToolOutcome.cancelled)
        assert stored.events(run_id)[-1] == "tool_call_stopped"
    else:
        assert found.status is ToolCallStatus.running


@pytest.mark.parametrize("token", ["mine", "other"])
@pytest.mark.parametrize("state", STATES)
def test_who_may_doubt_a_call(stored: Stored, state: str, token: str) -> None:
    call_id = brought_to(stored, state, "once")
    asked = stored.do(
        lambda tx: calls.ask_outcome(tx, call_id, token, UnknownReason.timed_out, after(1))
    )
    opens = state == "running" and token == "mine"
    expected = ENDED if state == "cancelled" else GATED
    assert met(asked) == (
        expected if opens or state in {"gated", "unknown", "cancelled"} else NOTHING
    )
    if opens:
        assert stored.requirement(call_id).kind is RequirementKind.unknown_outcome
        assert stored.output(stored.run_of(call_id)).status is RunStatus.paused


def test_eight_attempts_at_once_begin_a_call_once(stored: Stored) -> None:
    call_id = stored.call()
    found = at_once([lambda n=n: stored.begin(call_id, f"t{n}") for n in range(8)])  # type: ignore[misc]
    assert [met(one) for one in found if not isinstance(one, Exception)].count(NOW_TAKEN) == 1
    output = stored.output(stored.run_of(call_id))
    assert [r.kind for r in output.requirements] == [RequirementKind.unknown_outcome]


def test_what_an_attempt_is_given(stored: Stored) -> None:
    call_id = stored.call(
        user_id="ann", session_state={"a": 1}, dependencies={"d": 2}, metadata={"m": 3}
    )
    found = stored.begin(call_id)
    assert isinstance(found, Execution)
    assert found.arguments == ARGUMENTS
    assert (found.state, found.dependencies, found.metadata) == ({"a": 1}, {"d": 2}, {"m": 3})
    assert (found.user_id, found.attempt, found.tool_call_id) == ("ann", 1, call_id)


def test_an_attempt_that_was_taken_over_writes_nothing(stored: Stored) -> None:
    call_id = stored.call(effect="idempotent")
    stored.begin(call_id, "frozen")
    stored.begin(call_id, "second")
    change = StateChange(op="set", key="k", value=1)
    assert stored.finish(call_id, "frozen", change, result="stale") is Storing.fenced
    assert stored.execution(call_id).status is ToolCallStatus.running
    assert stored.finish(call_id, "second", result="fresh") is Storing.stored
    run_id = stored.run_of(call_id)
    assert stored.execution(call_id).result == "fresh"
    assert stored.output(run_id).session_state == {}
    assert "late_result_refused" in stored.events(run_id)


def test_a_late_result_settles_what_became_of_its_call(stored: Stored) -> None:
    asked = stored.doubtful()
    assert asked.tool_call_id is not None
    assert stored.finish(asked.tool_call_id, "first", result="paid", at=after(9)) is Storing.stored
    settled = stored.requirement(asked.tool_call_id)
    assert settled.status is RequirementStatus.resolved
    assert settled.resolution is not None
    assert (settled.resolution.verdict, settled.resolution.by) == (Verdict.happened, "kern")
    assert stored.execution(asked.tool_call_id).result == "paid"
    assert stored.output(asked.run_id).status is RunStatus.running


def test_a_result_that_came_before_the_second_try_makes_it_needless(stored: Stored) -> None:
    asked = stored.doubtful()
    assert asked.tool_call_id is not None
    stored.resolve(asked, Verdict.run_again)
    assert stored.finish(asked.tool_call_id, "first", result="paid") is Storing.stored
    assert met(stored.begin(asked.tool_call_id, "third")) == NOTHING


def test_a_result_that_came_after_the_second_try_began_is_fenced(stored: Stored) -> None:
    asked = stored.doubtful()
    assert asked.tool_call_id is not None
    stored.resolve(asked, Verdict.run_again)
    assert met(stored.begin(asked.tool_call_id, "third")) == NOW_TAKEN
    assert stored.finish(asked.tool_call_id, "first") is Storing.fenced
    assert stored.execution(asked.tool_call_id).status is ToolCallStatus.running


@pytest.mark.parametrize("verdict", [Verdict.happened, Verdict.reject])
def test_a_late_result_that_a_person_denied_is_recorded_once_and_changes_nothing(
    stored: Stored, verdict: Verdict
) -> None:
    asked = stored.doubtful()
    call_id = asked.tool_call_id
    assert call_id is not None
    stored.resolve(asked, verdict, result="not paid" if verdict is Verdict.happened else None)
    before, said = stored.execution(call_id), stored.requirement(call_id)
    for _ in range(2):
        # As when the connection is lost after the commit, and the transaction is executed again.
        assert stored.finish(call_id, "first", result="paid", at=after(9)) is Storing.fenced
    assert (stored.execution(call_id), stored.requirement(call_id)) == (before, said)
    run_id = stored.run_of(call_id)
    assert stored.events(run_id).count("late_result_refused") == 1
    [found] = stored.look(lambda tx: late_results.results_of(tx, run_id))
    assert (found.tool_call_id, found.outcome, found.result) == (call_id, "result", "paid")


def test_a_late_result_that_a_person_foresaw_is_nothing_new(stored: Stored) -> None:
    asked = stored.doubtful()
    assert asked.tool_call_id is not None
    stored.resolve(asked, Verdict.happened, result="paid")
    assert stored.finish(asked.tool_call_id, "first", result="paid") is Storing.stored
    assert "late_result_refused" not in stored.events(asked.run_id)


def test_who_may_decide_about_a_call_may_say_what_became_of_it(stored: Stored) -> None:
    seen = stored.gated(approval=Approval(candidates=("dana",), excluded=("eve",)))
    assert seen.tool_call_id is not None
    stored.resolve(seen)
    stored.begin(seen.tool_call_id, "first")
    stored.begin(seen.tool_call_id, "second")
    asked = stored.requirement(seen.tool_call_id)
    assert (asked.kind, asked.candidates) == (RequirementKind.unknown_outcome, ["dana"])
    assert asked.excluded == ["eve"]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("arguments", '{"amount":9000.0,"order_id":"1042"}'),
        ("name", "charge"),
        ("digest", "other"),
        ("approved_digest", "other"),
        ("approved_arguments", '{"amount":9000.0}'),
    ],
)
def test_a_call_whose_row_was_changed_after_the_approval_never_runs(
    stored: Stored, column: str, value: str
) -> None:
    seen = stored.gated()
    assert seen.tool_call_id is not None
    stored.resolve(seen)
    change = f"UPDATE kern_tool_calls SET {column} = :value WHERE id = :id"  # noqa: S608
    stored.sql(change, value=value, id=seen.tool_call_id)
    assert met(stored.begin(seen.tool_call_id)) == ENDED
    found = stored.output(seen.run_id)
    assert found.status is RunStatus.error
    assert found.error is not None
    assert found.error.code == "arguments_changed"


def test_concurrent_calls_lose_no_change_of_the_state(stored: Stored) -> None:
    session: JsonValue = "shared-session"
    ids = [stored.call(session_id=session, user_id="ann") for _ in range(8)]
    for call_id in ids:
        stored.begin(call_id)
    plus, log = (
        StateChange(op="increment", key="n", value=1),
        StateChange(op="append", key="log", value="x"),
    )
    found = at_once([lambda one=one: stored.finish(one, "attempt", plus, log) for one in ids])  # type: ignore[misc]
    assert found == [Storing.stored] * 8
    assert stored.output(stored.run_of(ids[0])).session_state == {"n": 8, "log": ["x"] * 8}


def test_a_change_that_no_longer_fits_does_not_lose_the_result(stored: Stored) -> None:
    call_id = stored.call(session_state={"n": "text", "m": 1})
    stored.begin(call_id)
    changes = [StateChange(op="increment", key=key, value=1) for key in "nm"]
    assert stored.finish(call_id, "attempt", *changes) is Storing.stored
    run_id = stored.run_of(call_id)
    assert stored.execution(call_id).outcome is ToolOutcome.result
    assert stored.output(run_id).session_state == {"n": "text", "m": 2}
    assert "session_state_refused" in stored.events(run_id)


def test_an_unknown_call_is_not_found(stored: Stored) -> None:
    for act in (stored.begin, stored.finish):
        with pytest.raises(NotFound, match="no tool call with the id 'nope'"):
            act("nope")


@pytest.mark.parametrize("effect", ["once", "idempotent", "read"])
@pytest.mark.parametrize("newer_is", ["running", "waiting", "done"])
def test_an_older_attempt_takes_nothing_from_a_newer(
    stored: Stored, effect: str, newer_is: str
) -> None:
    """It was frozen before it took the call, and wakes up after another came."""
    call_id = stored.call(effect=effect, user_id="ann")
    older, newer = Claim("older", "1@a", after(0)), Claim("newer", "2@b", after(10))
    assert isinstance(stored.do(lambda tx: calls.begin(tx, call_id, newer, after(10))), Execution)
    if newer_is == "waiting":
        stored.do(lambda tx: calls.release(tx, call_id, "newer", "it raised", after(11)))
    if newer_is == "done":
        stored.finish(call_id, "newer", at=after(11))
    taken = stored.do(lambda tx: calls.begin(tx, call_id, older, after(12)))
    assert taken == Settled(is_superseded=newer_is != "done")
    assert stored.output(stored.run_of(call_id)).requirements == []
    if newer_is == "running":
        assert stored.finish(call_id, "newer", at=after(13)) is Storing.stored
        return
    if newer_is == "waiting":
        newest = Claim("newest", "1@a", after(20))
        assert isinstance(
            stored.do(lambda tx: calls.begin(tx, call_id, newest, after(20))), Execution
        )


def test_a_clock_that_was_set_back_leaves_no_call_behind(stored: Stored) -> None:
    call_id = stored.call(effect="read", user_id="ann")
    ahead, present = Claim("ahead", None, after(86400)), Claim("present", None, after(0))
    stored.do(lambda tx: calls.begin(tx, call_id, ahead, after(0)))
    assert isinstance(stored.do(lambda tx: calls.begin(tx, call_id, present, after(1))), Execution)


def test_whoever_comes_without_a_place_takes_nothing(stored: Stored) -> None:
    call_id = stored.call(user_id="ann")
    assert stored.do(lambda tx: calls.begin(tx, call_id, None, after(0))) == Settled(
        needs_place=True
    )
    assert stored.execution(call_id).attempts == 0
    gated = stored.gated()
    settled = stored.do(lambda tx: calls.begin(tx, gated.tool_call_id or "", None, after(0)))
    assert isinstance(settled, Settled)
    assert settled.gate is not None


@pytest.mark.parametrize("effect", ["once", "idempotent", "read"])
def test_a_call_that_was_taken_and_has_not_begun_is_taken_over(stored: Stored, effect: str) -> None:
    call_id = stored.call(effect=effect, user_id="ann")
    stored.take(call_id, "lost")
    taken = stored.take(call_id, "next", after(1))
    assert isinstance(taken, Execution)
    assert (taken.attempt, taken.may_have_happened) == (1, False)
    assert not stored.do(lambda tx: calls.may_begin(tx, call_id, "lost", after(2)))
    assert stored.do(lambda tx: calls.may_begin(tx, call_id, "next", after(2)))
    assert stored.finish(call_id, "next", at=after(3)) is Storing.stored
    assert stored.output(stored.run_of(call_id)).requirements == []


def test_cancelling_ends_a_call_that_was_taken_and_has_not_begun(stored: Stored) -> None:
    call_id = stored.call(user_id="ann")
    stored.take(call_id, "mine")
    run_id = stored.run_of(call_id)
    stored.do(lambda tx: lifecycle.cancel(tx, run_id, Viewer("ann"), after(1)))
    found = stored.execution(call_id)
    assert (found.status, found.outcome, found.attempts, found.started_at) == (
        ToolCallStatus.done,
        ToolOutcome.cancelled,
        0,
        None,
    )
    assert not stored.do(lambda tx: calls.may_begin(tx, call_id, "mine", after(2)))


@pytest.mark.parametrize("begun", [True, False])
def test_an_approval_can_be_withdrawn_until_the_call_has_begun(
    stored: Stored, *, begun: bool
) -> None:
    gated = stored.gated()
    call_id = gated.tool_call_id or ""
    stored.resolve(gated)
    stored.begin(call_id, "mine") if begun else stored.take(call_id, "mine")
    if begun:
        with pytest.raises(AlreadyResolved, match="began"):
            stored.resolve(gated, Verdict.withdraw)
        return
    stored.resolve(gated, Verdict.withdraw)
    assert stored.requirement(call_id).status is RequirementStatus.pending
    assert stored.execution(call_id).attempts == 0
    assert not stored.do(lambda tx: calls.may_begin(tx, call_id, "mine", after(2)))
    assert met(stored.take(call_id, "next")) == GATED


@pytest.mark.parametrize("ends", ["no", "cancelled", "taken over", "rejected"])
def test_an_attempt_asks_once_more_before_its_code_begins(stored: Stored, ends: str) -> None:
    call_id = stored.call(effect="once", user_id="ann")
    stored.begin(call_id, "mine")
    if ends == "cancelled":
        run_id = stored.run_of(call_id)
        stored.do(lambda tx: lifecycle.cancel(tx, run_id, Viewer("ann"), after(1)))
    if ends in {"taken over", "rejected"}:
        stored.begin(call_id, "other", after(1))
    if ends == "rejected":
        stored.resolve(stored.requirement(call_id), Verdict.reject, at=after(1))
    may = stored.do(lambda tx: calls.may_begin(tx, call_id, "mine", after(2)))
    assert may is (ends == "no")


@pytest.mark.parametrize("reason", [UnknownReason.timed_out, UnknownReason.worker_lost])
def test_a_call_that_is_known_to_execute_is_not_executed_beside(
    stored: Stored, reason: UnknownReason
) -> None:
    call_id = stored.call(effect="once", user_id="ann")
    stored.do(lambda tx: calls.begin(tx, call_id, Claim("mine", "7@host"), after(0)))
    assert stored.do(lambda tx: calls.may_begin(tx, call_id, "mine", after(0)))
    if reason is UnknownReason.timed_out:
        stored.do(lambda tx: calls.ask_outcome(tx, call_id, "mine", reason, after(1)))
    else:
        stored.begin(call_id, "other", after(1))
        # It was frozen, and wakes up.
        stored.do(lambda tx: leases.beat(tx, ["mine"], after(3)))
    requirement = stored.requirement(call_id)
    assert requirement.attempt is not None
    assert (requirement.attempt.reason, requirement.attempt.worker) == (reason, "7@host")
    assert requirement.attempt.begun_at == after(0)
    assert requirement.attempt.idempotency_key == stored.execution(call_id).idempotency_key
    with pytest.raises(StillRunning, match="7@host"):
        stored.resolve(requirement, Verdict.run_again, at=after(10))
    stored.do(lambda tx: leases.beat(tx, ["mine"], after(20)))
    with pytest.raises(StillRunning):
        stored.resolve(requirement, Verdict.run_again, at=after(40))
    # Another minute without a sign of life.
    stored.resolve(requirement, Verdict.run_again, at=after(100))
    assert stored.execution(call_id).status is ToolCallStatus.waiting


def test_nothing_is_executed_in_the_place_of_a_lost_attempt_before_its_lease_is_over(
    stored: Stored,
) -> None:
    call_id = stored.call(effect="once", user_id="ann")
    claim = Claim("mine", "7@host", lease=timedelta(seconds=9))
    stored.do(lambda tx: calls.begin(tx, call_id, claim, after(0)))
    assert stored.do(lambda tx: calls.may_begin(tx, call_id, "mine", after(0), claim.lease))
    # Its worker is frozen: another attempt finds the call begun, and knows of nobody.
    stored.begin(call_id, "other", after(4))
    requirement = stored.requirement(call_id)
    with pytest.raises(StillRunning, match=r"7@host, .* until 2026-05-04 03:02:10 UTC"):
        stored.resolve(requirement, Verdict.run_again, at=after(8))
    assert stored.execution(call_id).status is ToolCallStatus.unknown
    stored.resolve(requirement, Verdict.run_again, at=after(10))
    assert stored.execution(call_id).status is ToolCallStatus.waiting


def test_a_person_may_insist(stored: Stored) -> None:
    call_id = stored.call(effect="once", user_id="ann")
    stored.begin(call_id, "mine")
    stored.do(lambda tx: calls.ask_outcome(tx, call_id, "mine", UnknownReason.timed_out, after(1)))
    asked = stored.requirement(call_id)
    stored.resolve(asked, Verdict.run_again, at=after(2), even_if_running=True)
    assert stored.execution(call_id).status is ToolCallStatus.waiting
