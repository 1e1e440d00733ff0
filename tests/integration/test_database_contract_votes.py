"""The database contract: votes, proposals, withdrawals and what silence means among them."""

import re
from datetime import timedelta

import pytest
from pydantic import JsonValue

from kern.db.decisions import deciding
from kern.db.journal import audit_chain, verification
from kern.db.runs import lifecycle
from kern.db.turns.attempts import Execution, Settled
from kern.errors import AlreadyResolved, ArgumentsChanged, AuditBroken, InvalidDecision, NotAllowed
from kern.requirements import Requirement, UserInputField
from kern.tools import Approval
from kern.values.states import OnExpiry, RequirementKind, RequirementStatus, RunStatus, Verdict
from tests.support.stored_runs import ARGUMENTS, Stored, after

TWO = Approval(candidates=("ann", "bob"), quorum=2)
AMOUNT = UserInputField(name="amount", type="number", json_schema={"type": "number"})
CHEAP: dict[str, JsonValue] = {**ARGUMENTS, "amount": 60}


def call_of(seen: Requirement) -> str:
    assert seen.tool_call_id is not None
    return seen.tool_call_id


def arguments_that_run(stored: Stored, seen: Requirement) -> dict[str, JsonValue]:
    begun = stored.begin(call_of(seen), "runner")
    assert isinstance(begun, Execution)
    return begun.arguments


def now(stored: Stored, seen: Requirement) -> Requirement:
    return stored.requirement(call_of(seen))


def summary(seen: Requirement) -> list[tuple[list[str], JsonValue, int, int]]:
    return [(p.by, p.arguments.get("amount"), p.approvals, p.quorum) for p in seen.proposals]


@pytest.mark.parametrize("mind", ["ann", "bob"])
def test_of_two_who_propose_different_calls_either_may_agree_with_the_other(
    stored: Stored, mind: str
) -> None:
    seen = stored.gated(approval=TWO)
    stored.resolve(seen, by="ann")
    stored.resolve(seen, by="bob", edit={"amount": 60})
    shown = now(stored, seen)
    assert summary(shown) == [(["ann"], 80.0, 1, 2), (["bob"], 60, 1, 2)]
    assert [p.edit for p in shown.proposals] == [None, {"amount": 60}]
    assert len({p.digest for p in shown.proposals}) == 2
    edit = {"amount": 60} if mind == "ann" else None
    assert stored.resolve(seen, by=mind, edit=edit).delivery is not None
    assert arguments_that_run(stored, seen) == (CHEAP if mind == "ann" else ARGUMENTS)


def test_what_was_shown_is_what_is_approved(stored: Stored) -> None:
    seen = stored.gated(approval=TWO)
    stored.resolve(seen, by="ann", edit={"amount": 60})
    shown = now(stored, seen).proposals[0].digest
    stored.resolve(seen, by="ann", edit={"amount": 6000})
    for wrong in (shown[:8], "0" * 64):
        with pytest.raises(ArgumentsChanged, match="edited since you saw it"):
            stored.resolve(seen, by="bob", digest=wrong)
    with pytest.raises(ArgumentsChanged):
        stored.resolve(
            seen, by="bob", edit={"amount": 60}, digest=now(stored, seen).proposals[0].digest
        )
    stored.resolve(seen, by="ann", edit={"amount": 60})
    assert stored.resolve(seen, by="bob", digest=shown[:8]).delivery is not None
    resolution = now(stored, seen).resolution
    assert resolution is not None
    assert resolution.edit == {"amount": 60}
    assert arguments_that_run(stored, seen) == CHEAP
    stored.look(verification.verify)


def test_the_call_as_it_waits_is_approved_whatever_others_propose(stored: Stored) -> None:
    seen = stored.gated(approval=TWO)
    stored.resolve(seen, by="ann", edit={"amount": 60})
    stored.resolve(seen, by="bob", digest=seen.digest[:8])
    assert stored.resolve(seen, by="ann", digest=seen.digest).delivery is not None
    assert arguments_that_run(stored, seen) == ARGUMENTS


@pytest.mark.parametrize("verdict", [Verdict.reject, Verdict.withdraw])
def test_what_lets_nothing_run_is_decided_whatever_was_shown(
    stored: Stored, verdict: Verdict
) -> None:
    seen = stored.gated(approval=TWO)
    stored.resolve(seen, by="ann")
    stored.resolve(seen, verdict, by="ann", digest="0" * 64)


@pytest.mark.parametrize("who", ["ann", "bob", "Ann "])
def test_whoever_has_approved_may_reject(stored: Stored, who: str) -> None:
    seen = stored.gated(approval=TWO)
    stored.resolve(seen, by="ann")
    stored.resolve(seen, by="bob", edit={"amount": 60})
    assert stored.resolve(seen, Verdict.reject, by=who).delivery is not None
    assert stored.execution(call_of(seen)).outcome == "rejected"


def test_the_log_keeps_what_was_replaced(stored: Stored) -> None:
    seen = stored.gated(approval=TWO)
    stored.resolve(seen, by="ann")
    stored.resolve(seen, by="ann", edit={"amount": 60})
    stored.resolve(seen, Verdict.withdraw, by="ann")
    log = stored.look(lambda tx: audit_chain.decisions_of(tx, seen.id))
    assert [(row.verdict, row.edit) for row in log] == [
        ("approve", None),
        ("approve", {"amount": 60}),
        ("withdraw", None),
    ]
    assert log[2].digest == log[1].digest
    stored.look(verification.verify)
    assert now(stored, seen).proposals == []


def test_one_person_is_one_voice_whatever_they_propose(stored: Stored) -> None:
    seen = stored.gated(approval=Approval(quorum=2))
    for spelling, amount in (("ann", 1), ("Ann", 2), ("ann ", 1), ("ANN", 2)):
        assert stored.resolve(seen, by=spelling, edit={"amount": amount}).delivery is None
    with pytest.raises(AlreadyResolved, match="already decided"):
        stored.resolve(seen, by="ann", edit={"amount": 2})
    assert summary(now(stored, seen)) == [(["ANN"], 2, 1, 2)]


def test_values_and_choices_need_the_quorum_too(stored: Stored) -> None:
    seen = stored.gated(RequirementKind.user_input, approval=TWO, fields=[AMOUNT])
    assert stored.resolve(seen, Verdict.answer, by="ann", values={"amount": 1}).delivery is None
    assert stored.resolve(seen, Verdict.answer, by="bob", values={"amount": 2}).delivery is None
    assert summary(now(stored, seen)) == [(["ann"], 1, 1, 2), (["bob"], 2, 1, 2)]
    assert stored.resolve(seen, Verdict.answer, by="ann", values={"amount": 2}).delivery
    assert arguments_that_run(stored, seen) == {**ARGUMENTS, "amount": 2}

    asked = stored.gated(RequirementKind.user_feedback, approval=TWO, choices=["a", "b"])
    assert stored.resolve(asked, Verdict.choose, by="ann", choices=("a",)).delivery is None
    assert stored.resolve(asked, Verdict.choose, by="bob", choices=("b",)).delivery is None
    assert stored.resolve(asked, Verdict.choose, by="bob", choices=("a",)).delivery
    assert stored.execution(call_of(asked)).result == '"a"'


def test_an_approval_is_withdrawn_while_the_requirement_is_open(stored: Stored) -> None:
    seen = stored.gated(approval=Approval(quorum=2))
    stored.resolve(seen, by="ann")
    accepted = stored.resolve(seen, Verdict.withdraw, by="ann ")
    assert (accepted.delivery, accepted.requirement.status) == (None, RequirementStatus.pending)
    assert stored.resolve(seen, by="bob").delivery is None
    assert stored.resolve(seen, by="ann").delivery is not None


def test_an_approval_is_withdrawn_after_the_resolution_until_the_call_begins(
    stored: Stored,
) -> None:
    seen = stored.gated(approval=Approval(quorum=2))
    stored.resolve(seen, by="ann")
    first = stored.resolve(seen, by="bob", edit=None)
    assert stored.output(seen.run_id).status is RunStatus.running
    accepted = stored.resolve(seen, Verdict.withdraw, by="ann", note="fraud")
    assert accepted.requirement.status is RequirementStatus.pending
    assert (accepted.requirement.resolution, accepted.stands_still) == (None, True)
    gate = stored.begin(call_of(seen))
    assert isinstance(gate, Settled)
    assert gate.gate is not None
    # The workflow has heard of the earlier resolution, and must not take it for the next.
    assert first.delivery is not None
    assert gate.gate.requirement_id not in {seen.id, first.delivery.requirement_id}
    again = stored.resolve(seen, by="ann")
    assert again.delivery is not None
    assert again.delivery.requirement_id == gate.gate.requirement_id
    assert arguments_that_run(stored, seen) == ARGUMENTS
    assert stored.events(seen.run_id).count("requirement_withdrawn") == 1


def test_nothing_of_an_edit_that_was_withdrawn_runs(stored: Stored) -> None:
    seen = stored.gated()
    stored.resolve(seen, by="ann", edit={"amount": 1})
    stored.resolve(seen, Verdict.withdraw, by="ann")
    stored.resolve(seen, by="bob")
    assert arguments_that_run(stored, seen) == ARGUMENTS


def test_a_row_that_is_set_back_to_resolved_lets_nothing_run(stored: Stored) -> None:
    seen = stored.gated()
    stored.resolve(seen, by="ann")
    stored.resolve(seen, Verdict.withdraw, by="ann")
    stored.sql(
        "UPDATE kern_requirements SET status = 'resolved', verdict = 'approve' WHERE id = :id",
        id=seen.id,
    )
    stored.sql(
        "UPDATE kern_tool_calls SET approved_digest = digest WHERE id = :id", id=call_of(seen)
    )
    assert stored.begin(call_of(seen)) == Settled(run_ended=True)
    # The database serves other tests, which verify it.
    with pytest.raises(AuditBroken, match="was changed after it was decided"):
        stored.look(lambda tx: verification.verify_run(tx, seen.run_id))
    stored.sql(
        "UPDATE kern_requirements SET status = 'cancelled', verdict = NULL WHERE id = :id",
        id=seen.id,
    )


def test_what_has_begun_or_ended_can_no_longer_be_withdrawn(stored: Stored) -> None:
    seen = stored.gated()
    stored.resolve(seen, by="ann")
    stored.begin(call_of(seen), at=after(5))
    boundary = rf"refund began at {re.escape(after(5).isoformat())}.*no longer be withdrawn"
    with pytest.raises(AlreadyResolved, match=boundary):
        stored.resolve(seen, Verdict.withdraw, by="ann")
    stored.finish(call_of(seen), at=after(6))
    with pytest.raises(AlreadyResolved, match=r"refund ended at .*no longer be withdrawn"):
        stored.resolve(seen, Verdict.withdraw, by="ann")

    rejected = stored.gated()
    stored.resolve(rejected, Verdict.reject, by="ann")
    with pytest.raises(AlreadyResolved, match="'ann' decided 'reject'"):
        stored.resolve(rejected, Verdict.withdraw, by="ann")

    cancelled = stored.gated()
    stored.resolve(cancelled, by="ann")
    stored.do(
        lambda tx: lifecycle.fail(tx, lifecycle.lock(tx, cancelled.run_id), "x", "", after(1))
    )
    with pytest.raises(AlreadyResolved, match="no longer be withdrawn"):
        stored.resolve(cancelled, Verdict.withdraw, by="ann")


def test_only_ones_own_approval_is_withdrawn(stored: Stored) -> None:
    seen = stored.gated(approval=Approval(quorum=2, excluded=("eve",)))
    stored.resolve(seen, by="ann")
    with pytest.raises(InvalidDecision, match=r"'bob' has approved nothing"):
        stored.resolve(seen, Verdict.withdraw, by="bob")
    with pytest.raises(NotAllowed, match="excluded"):
        stored.resolve(seen, Verdict.withdraw, by="eve")
    with pytest.raises(NotAllowed, match="looks like"):
        stored.resolve(seen, Verdict.withdraw, by="\u0430nn")
    stored.resolve(seen, Verdict.withdraw, by="ann")
    with pytest.raises(InvalidDecision, match=r"'ann' has approved nothing"):
        stored.resolve(seen, Verdict.withdraw, by="ann")


SILENCE = Approval(quorum=3, due=timedelta(hours=1), on_expiry="approve")


@pytest.mark.parametrize(
    ("spoken", "runs"),
    [
        ([], True),
        ([("ann", None)], True),
        ([("ann", None), ("bob", None)], True),
        ([("ann", {"amount": 1})], False),
        ([("ann", {"amount": 1}), ("bob", {"amount": 1})], False),
        ([("ann", None), ("bob", {"amount": 1})], False),
        ([("ann", {"amount": 1}), ("ann", None)], True),
        ([("ann", None), ("ann", "withdraw")], False),
        ([("ann", None), ("bob", None), ("ann", "withdraw")], False),
    ],
)
def test_silence_approves_only_what_all_who_spoke_approved(
    stored: Stored, spoken: list[tuple[str, object]], *, runs: bool
) -> None:
    seen = stored.gated(approval=SILENCE)
    for who, what in spoken:
        if what == "withdraw":
            stored.resolve(seen, Verdict.withdraw, by=who)
        else:
            stored.resolve(seen, by=who, edit=what)
    stored.do(lambda tx: deciding.expire(tx, seen.id, after(7200)))
    closed = now(stored, seen)
    assert closed.status is RequirementStatus.expired
    assert closed.resolution is not None
    assert closed.resolution.verdict is (Verdict.approve if runs else Verdict.reject)
    if runs:
        assert arguments_that_run(stored, seen) == ARGUMENTS
    else:
        assert stored.execution(call_of(seen)).outcome == "rejected"


@pytest.mark.parametrize("on_expiry", list(OnExpiry))
def test_whoever_withdraws_after_the_deadline_has_the_last_word(
    stored: Stored, on_expiry: OnExpiry
) -> None:
    seen = stored.gated(approval=Approval(quorum=1, due=timedelta(hours=1), on_expiry=on_expiry))
    stored.resolve(seen, by="ann")
    stored.resolve(seen, Verdict.withdraw, by="ann", at=after(7200))
    # The timer of the earlier wait, and that of the new one.
    stored.do(lambda tx: deciding.expire(tx, seen.id, after(7201)))
    closed = now(stored, seen)
    assert closed.resolution is not None
    expected = Verdict.fail if on_expiry is OnExpiry.fail else Verdict.reject
    assert closed.resolution.verdict is expected


def doubtful(stored: Stored, approval: Approval) -> Requirement:
    """Let a call begin that people approved, and its worker die."""
    seen = stored.gated(approval=approval)
    for by in approval.candidates[: approval.quorum]:
        stored.resolve(seen, by=by)
    stored.begin(call_of(seen), "first")
    stored.begin(call_of(seen), "second")
    return now(stored, seen)


def test_running_again_takes_as_many_people_as_the_call_took(stored: Stored) -> None:
    approval = Approval(candidates=("ann", "bob", "cid"), excluded=("eve",), quorum=2)
    seen = doubtful(stored, approval)
    assert (seen.kind, seen.quorum) == (RequirementKind.unknown_outcome, 2)
    assert (seen.candidates, seen.excluded) == (["ann", "bob", "cid"], ["eve"])
    assert stored.resolve(seen, Verdict.run_again, by="ann").delivery is None
    assert summary(now(stored, seen)) == [(["ann"], 80.0, 1, 2)]
    with pytest.raises(AlreadyResolved, match="already decided"):
        stored.resolve(seen, Verdict.run_again, by="ANN")
    assert isinstance(stored.begin(call_of(seen), "third"), Settled)
    stored.resolve(seen, Verdict.withdraw, by="ann")
    assert stored.resolve(seen, Verdict.run_again, by="bob").delivery is None
    assert stored.resolve(seen, Verdict.run_again, by="cid").delivery is not None
    # Nobody has begun it again: either of them may still take it back.
    stored.resolve(seen, Verdict.withdraw, by="cid")
    assert isinstance(stored.begin(call_of(seen), "third"), Settled)
    assert stored.resolve(seen, Verdict.run_again, by="ann").delivery is not None
    assert isinstance(stored.begin(call_of(seen), "third"), Execution)
    with pytest.raises(AlreadyResolved, match=r"refund began at .*no longer be withdrawn"):
        stored.resolve(seen, Verdict.withdraw, by="ann")
    # And once more: the quorum is not lost on the way.
    stored.begin(call_of(seen), "fourth")
    assert now(stored, seen).quorum == 2


@pytest.mark.parametrize("verdict", [Verdict.happened, Verdict.reject, Verdict.fail])
def test_what_lets_nothing_run_takes_one_person(stored: Stored, verdict: Verdict) -> None:
    seen = doubtful(stored, TWO)
    stored.resolve(seen, Verdict.run_again, by="ann")
    assert stored.resolve(seen, verdict, by="ann", result="paid").delivery is not None
