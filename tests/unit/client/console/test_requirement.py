"""The page of one decision says what runs, who can decide, and how it ended."""

import pytest

from kern.client.console import pages
from kern.client.console.decision_form import Draft
from kern.client.console.facts import Facts
from kern.client.console.form_values import read_input
from kern.client.console.problems import problem
from kern.client.console.requirement import requirement_view, title_of
from kern.requirements import RequirementKind, RequirementStatus, Verdict
from kern.run import ToolCallStatus, ToolOutcome
from tests.support.console_samples import (
    FRAME,
    PERSON,
    closed_view,
    dangerous_view,
    kinds,
    requirement,
    tool_call,
)


def page_of(name: str) -> str:
    return pages.requirement_page(FRAME, kinds()[name])


def test_every_argument_stands_beside_what_was_asked_for() -> None:
    view = dangerous_view()
    assert [(row.name, row.is_changed) for row in view.arguments] == [
        ("order_id", False),
        ("amount", True),
        ("currency", False),
        ("account", False),
        ("reference", False),
    ]
    page = pages.requirement_page(FRAME, view)
    assert "<ins>12500</ins>" in page
    assert "<del>14250</del>" in page
    assert "U+200B zero width space" in page
    assert "1 character that cannot be seen" in page
    assert "as edited by Sam Okafor" in page


def test_danger_has_no_key_that_approves() -> None:
    page = pages.requirement_page(FRAME, dangerous_view())
    assert 'value="approve" data-needs-typed' in page
    assert 'data-equals="12500"' in page
    assert 'value="approve" data-key="a"' not in page


@pytest.mark.parametrize(
    ("name", "verdicts"),
    [
        ("confirmation", {"approve", "reject"}),
        ("user_input", {"answer", "reject"}),
        ("user_feedback", {"choose", "reject"}),
        ("external_execution", {"result", "unknown", "reject"}),
        ("output_review", {"approve", "reject", "fail"}),
        ("error", {"run_again", "skip", "fail"}),
        ("unknown_outcome", {"happened", "run_again", "reject", "fail"}),
    ],
)
def test_each_kind_offers_its_verdicts(name: str, verdicts: set[str]) -> None:
    page = page_of(name)
    offered = {
        verdict.value for verdict in Verdict if f'name="verdict" value="{verdict.value}"' in page
    }
    assert offered == verdicts
    assert page.count('name="decision_id" value="019ac0fc-27f7-709b-a3d3-11362c9c6013"') == 1


def test_nothing_is_preselected_about_an_unknown_outcome() -> None:
    page = page_of("unknown_outcome")
    assert "checked" not in page.split("<form", 2)[2].split("</form>")[0]
    assert "kern-9f2c41d7e0b3-pay-1" in page
    assert "If the first one went through, it happens twice." in page


def test_whoever_may_not_decide_sees_no_form() -> None:
    view = requirement_view(requirement(), None, "Mia", "c", "d", may_decide=False)
    page = pages.requirement_page(FRAME, view)
    assert view.form is None
    assert "You cannot decide this one" in page
    assert 'name="verdict"' not in page


def test_the_one_who_decided_sees_that_it_is_recorded() -> None:
    page = pages.requirement_page(
        FRAME, closed_view("dana whitfield", tool_call(ToolCallStatus.running))
    )
    assert "You approved: Refund 31.00 EUR" in page
    assert "Your decision is recorded" in page
    assert "Executing since" in page
    assert 'name="verdict"' not in page


def test_being_second_is_an_ending() -> None:
    done = tool_call(ToolCallStatus.done, ToolOutcome.result, "Refunded 31.00 EUR.")
    page = pages.requirement_page(FRAME, closed_view("Ravi Pillai", done))
    assert "Ravi Pillai decided first" in page
    assert "Your decision is not needed, and nothing was changed." in page
    assert "Refunded 31.00 EUR." in page


def test_silence_is_an_ending_too() -> None:
    page = pages.requirement_page(
        FRAME, closed_view("kern", None, status=RequirementStatus.expired)
    )
    assert "This closed without a decision" in page
    assert "Rejected by deadline" in page


def test_only_an_own_approval_that_has_not_begun_can_be_withdrawn() -> None:
    waiting, running = (
        tool_call(status) for status in (ToolCallStatus.waiting, ToolCallStatus.running)
    )
    offered = [
        "/withdraw" in pages.requirement_page(FRAME, closed_view(by, call))
        for by, call in ((PERSON.name, waiting), ("Ravi Pillai", waiting), (PERSON.name, running))
    ]
    assert offered == [True, False, False]


def test_a_refused_form_keeps_everything_and_names_each_field() -> None:
    item = kinds()["user_input"].requirement
    posted = {"values.legal_name": ["Roche"], "values.credit_limit": ["1.000,5"], "note": ["why"]}
    result = read_input(item.fields, posted)
    view = requirement_view(
        item,
        None,
        PERSON.name,
        "c",
        "d",
        draft=Draft(posted, tuple(result.fields), tuple(result.problems)),
        problem=problem("invalid_input", 422, "Nothing was sent."),
    )
    page = pages.requirement_page(FRAME, view)
    assert 'value="1.000,5"' in page
    assert '<a href="#v3">credit_limit: Enter a number' in page
    assert 'aria-invalid="true"' in page
    assert "why</textarea>" in page


@pytest.mark.parametrize("kind", list(RequirementKind))
def test_every_kind_has_a_title(kind: RequirementKind) -> None:
    item = requirement(kind, question=None)
    assert "refund" in title_of(item, Facts())
    assert title_of(item, Facts(title="A title")) == "A title"
