"""The stricter of two policies: a join, whose result is never weaker than either side."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from kern.contracts.approval import Approval, Escalation
from kern.contracts.policy import (
    EFFECTS,
    GATES,
    ApprovalRule,
    ComponentPolicy,
    GateRule,
    Policy,
    ToolPolicy,
    differences,
)
from kern.errors import NotFound
from kern.values.names import name_key
from kern.values.states import Effect, OnExpiry, RequirementKind

PEOPLE = ("ann", "Ann ", "bob", "carla", "dana")

names = st.lists(st.sampled_from(PEOPLE), max_size=4).map(tuple)
moments = st.none() | st.sampled_from([timedelta(hours=1), timedelta(hours=2), timedelta(days=1)])


@st.composite
def approvals(draw: st.DrawFn) -> Approval:
    candidates, excluded = draw(names), draw(names)
    keys = {name_key(name) for name in excluded}
    to = tuple(name for name in draw(names) if name_key(name) not in keys)
    escalates = bool(candidates and to) and draw(st.booleans())
    return Approval(
        candidates=candidates,
        excluded=excluded,
        quorum=draw(st.integers(1, 3)),
        due=draw(moments),
        remind=draw(moments),
        escalate=Escalation(after=timedelta(hours=1), to=to) if escalates else None,
        on_expiry=draw(st.sampled_from(OnExpiry)),
    )


rules: SearchStrategy[ApprovalRule] = approvals().map(ApprovalRule.of)
gates = st.builds(
    GateRule,
    kind=st.sampled_from(GATES),
    when=st.sampled_from(["always", "one", "other"]),
    fields=st.lists(st.sampled_from("ab"), unique=True).map(sorted).map(tuple),
    approval=rules,
)
tools = st.builds(
    ToolPolicy,
    gate=st.none() | gates,
    effect=st.sampled_from(EFFECTS),
    retries=st.integers(0, 3),
    timeout=st.none() | st.sampled_from([1.0, 2.0, 3.0]),
)


@given(tools, tools)
def test_the_order_of_two_policies_does_not_count(first: ToolPolicy, second: ToolPolicy) -> None:
    assert first.stricter(second) == second.stricter(first)


@given(tools, tools, tools)
def test_the_order_of_three_policies_does_not_count(
    first: ToolPolicy, second: ToolPolicy, third: ToolPolicy
) -> None:
    assert first.stricter(second).stricter(third) == first.stricter(second.stricter(third))


@given(tools)
def test_a_policy_is_as_strict_as_itself(policy: ToolPolicy) -> None:
    assert policy.stricter(policy) == policy


@given(tools, tools)
def test_the_stricter_policy_is_never_weaker_than_either(
    first: ToolPolicy, second: ToolPolicy
) -> None:
    joined = first.stricter(second)
    for side in (first, second):
        assert EFFECTS.index(joined.effect) >= EFFECTS.index(side.effect)
        assert joined.retries <= side.retries
        assert side.timeout is None or (
            joined.timeout is not None and joined.timeout <= side.timeout
        )
        if side.gate is not None:
            assert joined.gate is not None
            _require_as_strict(joined.gate, side.gate)


def _require_as_strict(joined: GateRule, side: GateRule) -> None:
    assert GATES.index(joined.kind) >= GATES.index(side.kind)
    assert joined.when in {"always", side.when}
    assert set(joined.fields) >= set(side.fields)
    rule, weaker = joined.approval, side.approval
    assert rule.quorum >= weaker.quorum
    assert _keys(rule.excluded) >= _keys(weaker.excluded)
    assert weaker.candidates is None or _keys(rule.candidates or ()) <= _keys(weaker.candidates)
    assert _keys(rule.escalate_to) <= _keys(weaker.escalate_to)
    approves = rule.on_expiry is OnExpiry.approve
    assert not approves or weaker.on_expiry is OnExpiry.approve
    if approves and weaker.due is None:
        assert rule.due is None
    if approves and weaker.due is not None and rule.due is not None:
        assert rule.due >= weaker.due


def _keys(people: str | tuple[str, ...]) -> set[str]:
    names = (people,) if isinstance(people, str) else people
    return {name_key(name) for name in names}


@given(approvals())
def test_a_rule_that_enough_people_can_follow_is_the_same_approval_again(
    approval: Approval,
) -> None:
    again = ApprovalRule.of(approval).approval
    deciders = _keys(approval.candidates) - _keys(approval.excluded)
    if approval.candidates and len(deciders) < approval.quorum:
        assert again is None
    else:
        assert again is not None
        assert (again.quorum, again.due, again.on_expiry) == (
            approval.quorum,
            approval.due,
            approval.on_expiry,
        )
        assert _keys(again.excluded) == _keys(approval.excluded)
        assert _keys(again.candidates) == deciders


def test_candidates_who_have_nobody_in_common_leave_nobody() -> None:
    ours, theirs = Approval(candidates=("ann",)), Approval(candidates=("bob",))
    joined = ApprovalRule.of(ours).stricter(ApprovalRule.of(theirs))
    assert joined.candidates == ()
    assert joined.approval is None


def test_of_two_deadlines_by_which_silence_approves_the_later_counts() -> None:
    sooner = Approval(due=timedelta(hours=1), on_expiry="approve")
    later = Approval(due=timedelta(hours=2), on_expiry="approve")
    joined = ApprovalRule.of(sooner).stricter(ApprovalRule.of(later))
    assert (joined.due, joined.on_expiry) == (timedelta(hours=2), OnExpiry.approve)
    rejecting = joined.stricter(ApprovalRule.of(Approval(due=timedelta(hours=3))))
    assert (rejecting.due, rejecting.on_expiry) == (timedelta(hours=3), OnExpiry.reject)


def test_the_approval_of_a_tool_without_a_gate_does_not_count() -> None:
    asking = Approval(due=timedelta(hours=1), on_expiry="approve")
    rule = GateRule(kind=RequirementKind.confirmation, approval=ApprovalRule.of(asking))
    assert ToolPolicy(gate=rule).stricter(ToolPolicy()).gate == rule


def test_a_policy_is_read_as_it_was_pinned_and_keeps_its_digest() -> None:
    gate = GateRule(kind=RequirementKind.confirmation, approval=ApprovalRule(due=timedelta(1)))
    tools = {"refund": ToolPolicy(gate=gate, timeout=2.5, effect=Effect.read)}
    policy = Policy(components={"support": ComponentPolicy(kind="agent", tools=tools)})
    again = Policy.read(policy.pinned)
    assert again == policy
    assert again.digest == policy.digest


def test_a_policy_of_a_newer_version_is_left_to_a_newer_worker() -> None:
    pinned = Policy(components={}).pinned
    with pytest.raises(NotFound, match="has version 2"):
        Policy.read({**pinned, "version": 2})


@pytest.mark.parametrize(
    ("present", "text"),
    [
        ({"refund": ToolPolicy()}, "refund (gate)"),
        ({}, "refund (in one of the two only)"),
        (
            {
                "refund": ToolPolicy(gate=GateRule(kind=RequirementKind.confirmation)),
                "more": ToolPolicy(),
            },
            "more (in one of the two only)",
        ),
    ],
)
def test_differences_are_told_by_the_names_of_tools(
    present: dict[str, ToolPolicy], text: str
) -> None:
    gated = ToolPolicy(gate=GateRule(kind=RequirementKind.confirmation))
    pinned = ComponentPolicy(kind="agent", tools={"refund": gated})
    assert differences(pinned, ComponentPolicy(kind="agent", tools=present)) == [text]
    assert differences(pinned, pinned) == []
