"""What applies to the calls of a tool: the stricter of what it declares and what a run pinned."""

import pytest

from kern.tools import Approval, Tool, tool
from kern.tools.gates import gate_of
from kern.tools.policy import applied_policy, declared_policy
from kern.values.states import RequirementKind


def refund(**options: object) -> Tool:
    """Return a version of a tool."""

    def pay(amount: int, note: str = "") -> str:
        """Pay."""
        return f"{amount} {note}"

    return tool(**options)(pay)  # type: ignore[call-overload, no-any-return]


def gate(present: Tool, pinned: Tool, **arguments: object) -> RequirementKind | None:
    return gate_of(present, arguments, applied_policy(present, declared_policy(pinned)))


def test_without_a_pin_the_tool_decides() -> None:
    free, gated = refund(), refund(requires_confirmation=True)
    assert gate_of(free, {"amount": 1}, applied_policy(free, None)) is None
    assert gate_of(gated, {"amount": 1}) is RequirementKind.confirmation


@pytest.mark.parametrize(
    "options",
    [
        {"requires_confirmation": True},
        {"user_input_fields": ["note"]},
        {"external_execution": True},
        {"requires_confirmation": lambda amount: amount > 500},
    ],
)
def test_a_pinned_gate_holds_in_a_worker_without_one(options: dict[str, object]) -> None:
    kind = declared_policy(refund(**options)).gate
    assert kind is not None
    assert gate(refund(), refund(**options), amount=1) is kind.kind


def test_a_gate_that_only_the_worker_has_holds() -> None:
    assert gate(refund(requires_confirmation=True), refund(), amount=1) is not None
    own = refund(requires_confirmation=lambda amount: amount > 500)
    assert gate(own, refund(), amount=1) is None
    assert gate(own, refund(), amount=501) is not None


def test_of_two_kinds_the_one_counts_that_leaves_more_to_people() -> None:
    confirming, external = refund(requires_confirmation=True), refund(external_execution=True)
    assert gate(confirming, external, amount=1) is RequirementKind.external_execution
    assert gate(external, confirming, amount=1) is RequirementKind.external_execution


def test_the_fields_of_both_are_filled_in() -> None:
    amounts, notes = refund(user_input_fields=["amount"]), refund(user_input_fields=["note"])
    assert applied_policy(amounts, declared_policy(notes)).fields == ("amount", "note")


def test_several_people_confirm_what_they_cannot_each_fill_in() -> None:
    shared = refund(requires_confirmation=True, approval=Approval(quorum=2))
    applied = applied_policy(refund(user_input_fields=["note"]), declared_policy(shared))
    assert (applied.kind, applied.approval.quorum) == (RequirementKind.confirmation, 2)


def test_the_pinned_candidates_decide_where_the_rules_have_nobody_in_common() -> None:
    pinned = refund(requires_confirmation=True, approval=Approval(candidates=("ann",)))
    present = refund(requires_confirmation=True, approval=Approval(candidates=("bob",)))
    assert applied_policy(present, declared_policy(pinned)).approval.candidates == ("ann",)
    assert applied_policy(pinned, declared_policy(pinned)).approval is pinned.approval


FINANCE = "group:finance"


@pytest.mark.parametrize(
    ("pinned", "present", "candidates", "excluded", "quorum"),
    [
        # A group has as many people as it has.
        (Approval(candidates=FINANCE, quorum=2), Approval(candidates=FINANCE), [FINANCE], [], 2),
        (Approval(candidates=FINANCE), Approval(candidates=FINANCE, quorum=2), [FINANCE], [], 2),
        (Approval(candidates=FINANCE, quorum=2), Approval(), [FINANCE], [], 2),
        (Approval(candidates=FINANCE, quorum=2), None, [FINANCE], [], 2),
        (
            Approval(candidates=("ann", FINANCE), quorum=3),
            Approval(quorum=2),
            ["ann", FINANCE],
            [],
            3,
        ),
        (
            Approval(candidates=FINANCE, excluded="bob"),
            Approval(candidates=FINANCE, quorum=2),
            [FINANCE],
            ["bob"],
            2,
        ),
        # Nobody in common: the pinned candidates, under whatever else both ask for.
        (Approval(candidates=FINANCE), Approval(candidates="ann", quorum=1), [FINANCE], [], 1),
        (
            Approval(candidates=("ann", "bob")),
            Approval(candidates=("eve", "kim"), quorum=2, excluded="sam"),
            ["ann", "bob"],
            ["sam"],
            2,
        ),
        # The other's exclusions leave nobody: the pinned rule alone.
        (Approval(candidates="ann"), Approval(excluded="ann"), ["ann"], [], 1),
    ],
)
def test_whatever_a_worker_declares_no_weaker_rule_applies_than_the_pinned_one(
    pinned: Approval,
    present: Approval | None,
    candidates: list[str],
    excluded: list[str],
    quorum: int,
) -> None:
    gated = refund(requires_confirmation=True, approval=pinned)
    other = refund() if present is None else refund(requires_confirmation=True, approval=present)
    applied = applied_policy(other, declared_policy(gated)).approval
    assert sorted(applied.candidates) == sorted(candidates)
    assert list(applied.excluded) == excluded
    assert applied.quorum == quorum


def test_limits_are_the_smaller_and_effects_the_stricter() -> None:
    pinned = refund(effect="idempotent", retries=2, timeout=5.0)
    present = refund(effect="read", retries=9, timeout=60.0)
    applied = applied_policy(present, declared_policy(pinned))
    assert (applied.effect, applied.retries, applied.timeout) == ("idempotent", 2, 5.0)
    assert applied_policy(refund(), declared_policy(pinned)).retries == 0
