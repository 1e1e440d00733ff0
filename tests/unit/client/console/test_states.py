"""The state of a decision comes from rows, and from nothing else."""

from datetime import UTC, datetime

import pytest

from kern.client.console.facts import Facts
from kern.client.console.states import call_of, stages_of, state_of
from kern.contracts.decision_states import StateName
from kern.requirements import OnExpiry, RequirementKind, RequirementStatus, Resolution, Verdict
from kern.run import ToolCallStatus, ToolExecution, ToolOutcome
from tests.support.console_samples import report, requirement, tool_call

AT = datetime(2026, 11, 26, 14, 0, tzinfo=UTC)
DELIVERED = Facts(delivered_at=AT)


def resolution(verdict: Verdict = Verdict.approve) -> Resolution:
    return Resolution(verdict=verdict, by="Ravi Pillai", at=AT)


RESOLVED: dict[str, object] = {"status": RequirementStatus.resolved, "resolution": resolution()}


@pytest.mark.parametrize(
    ("call", "facts", "name", "label"),
    [
        (None, Facts(), "undelivered", "Accepted, not delivered yet"),
        (None, DELIVERED, "recorded", "Recorded"),
        (tool_call(ToolCallStatus.waiting), Facts(), "undelivered", "Accepted, not delivered yet"),
        (tool_call(ToolCallStatus.waiting), DELIVERED, "delivered", "Delivered, not started"),
        (tool_call(ToolCallStatus.running), DELIVERED, "executing", "Executing"),
        (tool_call(ToolCallStatus.unknown), DELIVERED, "unknown", "Unknown"),
        (tool_call(ToolCallStatus.done, ToolOutcome.result), DELIVERED, "done", "Done"),
        (
            tool_call(ToolCallStatus.done, ToolOutcome.error),
            DELIVERED,
            "error",
            "Done, with an error",
        ),
        (
            tool_call(ToolCallStatus.done, ToolOutcome.cancelled),
            DELIVERED,
            "cancelled",
            "Cancelled with its run",
        ),
    ],
)
def test_an_approved_call_stands_where_its_row_says(
    call: ToolExecution | None, facts: Facts, name: StateName, label: str
) -> None:
    item = requirement(**RESOLVED)
    state = state_of(item, facts, call, waits_for="you")
    assert (state.name, state.label) == (name, label)
    marks = [stage.mark for stage in stages_of(item, facts, state)]
    assert marks[0] == "done"
    # What has not been reached follows what has.
    assert marks == sorted(marks, key=["done", "now", "bad", "open"].index)


def test_only_what_has_not_begun_can_be_withdrawn() -> None:
    item = requirement(**RESOLVED)
    states = {
        status: state_of(item, DELIVERED, tool_call(status), waits_for="you").can_withdraw
        for status in ToolCallStatus
    }
    assert [status for status, can_withdraw in states.items() if can_withdraw] == [
        ToolCallStatus.waiting
    ]


@pytest.mark.parametrize(
    ("changes", "label"),
    [
        ({}, "Waiting for finance-leads"),
        ({"approvals": 1, "quorum": 2}, "Waiting for one more"),
        ({"status": RequirementStatus.cancelled}, "Cancelled with its run"),
        ({"status": RequirementStatus.expired}, "Rejected by deadline"),
        (
            {"status": RequirementStatus.expired, "on_expiry": OnExpiry.approve},
            "Approved by deadline",
        ),
        ({"status": RequirementStatus.expired, "on_expiry": OnExpiry.fail}, "Failed by deadline"),
        (
            {"status": RequirementStatus.resolved, "resolution": resolution(Verdict.reject)},
            "Rejected",
        ),
        (
            {
                "status": RequirementStatus.resolved,
                "resolution": resolution(Verdict.reject),
                "kind": RequirementKind.user_input,
            },
            "Declined",
        ),
        (
            {"status": RequirementStatus.resolved, "resolution": resolution(Verdict.withdraw)},
            "Withdrawn",
        ),
        (RESOLVED | {"not_executed": "the tool needs a period"}, "Not executed"),
    ],
)
def test_other_states_have_their_words(changes: dict[str, object], label: str) -> None:
    state = state_of(requirement(**changes), Facts(), None, waits_for="finance-leads")
    assert state.label == label


def test_what_waits_for_whoever_looks_says_so() -> None:
    item = requirement(approvals=1, quorum=2)
    assert state_of(item, Facts(), None, waits_for="you").label == "Waiting for you"


def test_the_call_is_found_in_runs_inside() -> None:
    call = tool_call(ToolCallStatus.running)
    outer = report().model_copy(update={"children": {"child": report(call)}})
    assert call_of(requirement(), outer) == call
    assert call_of(requirement(), report()) is None
    assert call_of(requirement(tool_call_id=None), outer) is None
