"""A row offers to approve only what it shows completely, and what is harmless."""

from datetime import UTC, datetime

import pytest

from kern.client.console.facts import Facts
from kern.client.console.row_approval import (
    ROW_LENGTH,
    can_approve_in_group,
    can_approve_on_row,
    missing_on_row,
)
from kern.requirements import Requirement, RequirementKind, RequirementStatus
from kern.values.decisions import EarlierCall, Proposal
from kern.values.states import Verdict

AT = datetime(2026, 11, 26, tzinfo=UTC)


def requirement(**changes: object) -> Requirement:
    values: dict[str, object] = {
        "id": "r1",
        "run_id": "run-1",
        "session_id": "session-1",
        "kind": RequirementKind.confirmation,
        "tool_name": "refund",
        "arguments": {"order_id": "88-22130", "amount": 24.9},
        "created_at": AT,
    }
    return Requirement.model_validate(values | changes)


def test_a_harmless_call_that_is_shown_whole_can_be_approved() -> None:
    assert can_approve_on_row(requirement(), Facts(), may_decide=True)
    assert can_approve_on_row(requirement(), Facts(risk="low"), may_decide=True)
    assert can_approve_on_row(requirement(quorum=2, approvals=1), Facts(), may_decide=True)


EDITED = Proposal(
    verdict=Verdict.approve,
    arguments={"amount": 5},
    edit={"amount": 5},
    digest="d",
    by=["sam"],
    approvals=1,
    quorum=2,
)


@pytest.mark.parametrize(
    ("changes", "facts"),
    [
        ({}, Facts(risk="high")),
        ({}, Facts(confirm_value="24.9")),
        ({"quorum": 2}, Facts()),
        ({"quorum": 3, "approvals": 1}, Facts()),
        ({"arguments": {"order_id": "88\u200b"}}, Facts()),
        ({"arguments": {"a": {"b\u200b": [1]}}}, Facts()),
        ({"arguments": {"a": [{"b": "p\u0430y"}]}}, Facts()),
        ({"tool_name": "ref\u00adund"}, Facts()),
        ({}, Facts(title="Refund\u202e")),
        ({"earlier_calls": [EarlierCall(run_id="x", outcome="result", at=AT)]}, Facts()),
        ({}, Facts(current_arguments={"order_id": "88-22130", "amount": 5})),
        ({"quorum": 2, "approvals": 1, "proposals": [EDITED]}, Facts()),
        ({"kind": RequirementKind.unknown_outcome}, Facts()),
        ({"kind": RequirementKind.output_review}, Facts()),
        ({"status": RequirementStatus.cancelled}, Facts()),
    ],
)
def test_everything_else_is_opened(changes: dict[str, object], facts: Facts) -> None:
    assert not can_approve_on_row(requirement(**changes), facts, may_decide=True)
    assert not can_approve_in_group(requirement(**changes), facts, may_decide=True)


def test_whoever_may_not_decide_is_offered_nothing() -> None:
    assert not can_approve_on_row(requirement(), Facts(), may_decide=False)


def test_a_call_that_does_not_fit_is_opened_but_may_be_in_a_table() -> None:
    fixed = len('refund(note="")')
    fits = requirement(arguments={"note": "x" * (ROW_LENGTH - fixed)})
    longer = requirement(arguments={"note": "x" * (ROW_LENGTH - fixed + 1)})
    assert can_approve_on_row(fits, Facts(), may_decide=True)
    assert not can_approve_on_row(longer, Facts(), may_decide=True)
    assert missing_on_row(longer, Facts()) == 1
    assert can_approve_in_group(longer, Facts(), may_decide=True)
