"""A call is approved from a list only where a glance at it is enough."""

from datetime import UTC, datetime

import pytest

from kern.contracts.short_path import Obstacle, obstacle_of
from kern.requirements import Requirement, RequirementKind, RequirementStatus, Risk
from kern.values.decisions import EarlierCall, Proposal
from kern.values.states import Verdict

AT = datetime(2026, 11, 26, tzinfo=UTC)
ARGUMENTS = {"order_id": "88-22130", "amount": 24.9}


def requirement(**changes: object) -> Requirement:
    values: dict[str, object] = {
        "id": "r1",
        "run_id": "run-1",
        "session_id": "session-1",
        "kind": RequirementKind.confirmation,
        "tool_name": "refund",
        "arguments": ARGUMENTS,
        "current_arguments": ARGUMENTS,
        "created_at": AT,
    }
    return Requirement.model_validate(values | changes)


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
    "changes",
    [{}, {"risk": Risk.low}, {"quorum": 2, "approvals": 1}, {"title": "Refund 24.90 EUR"}],
)
def test_a_harmless_call_may_be_approved_at_a_glance(changes: dict[str, object]) -> None:
    assert obstacle_of(requirement(**changes)) is None


@pytest.mark.parametrize(
    ("changes", "obstacle"),
    [
        ({"kind": RequirementKind.output_review}, Obstacle.not_confirmation),
        ({"status": RequirementStatus.cancelled}, Obstacle.closed),
        ({"risk": Risk.high}, Obstacle.high_risk),
        ({"confirm_value": "24.9"}, Obstacle.typed_confirmation),
        ({"quorum": 2}, Obstacle.more_approvals),
        (
            {"earlier_calls": [EarlierCall(run_id="x", outcome="result", at=AT)]},
            Obstacle.earlier_calls,
        ),
        ({"current_arguments": {**ARGUMENTS, "amount": 5}}, Obstacle.edited),
        ({"quorum": 2, "approvals": 1, "proposals": [EDITED]}, Obstacle.edited),
        ({"title": "Refund\u202e"}, Obstacle.misleading_text),
        ({"tool_name": "ref\u00adund"}, Obstacle.misleading_text),
        (
            {"arguments": {"a": [{"b\u200b": 1}]}, "current_arguments": {"a": [{"b\u200b": 1}]}},
            Obstacle.misleading_text,
        ),
    ],
)
def test_everything_else_says_why_it_is_opened(
    changes: dict[str, object], obstacle: Obstacle
) -> None:
    assert obstacle_of(requirement(**changes)) is obstacle
    assert obstacle.sentence
