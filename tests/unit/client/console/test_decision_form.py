"""A form carries what it decides about, and asks for more where more is at stake."""

import pytest

from kern.client.console.decision_form import DecisionForm, Draft, decision_form
from kern.client.console.facts import Facts
from kern.requirements import Requirement, RequirementKind
from tests.support.console_samples import dangerous, kinds, requirement


def form_of(item: Requirement, facts: Facts | None = None) -> DecisionForm:
    return decision_form(
        item,
        facts or Facts(),
        url="/desk/requirements/r",
        csrf="c",
        decision_id="d",
        person="Dana",
    )


def test_it_carries_the_digest_of_the_version_under_review() -> None:
    item, facts = dangerous()
    form = form_of(item, facts)
    assert form.digest == facts.current_digest
    assert form.approve_text == "Approve 12,500.00 EUR"
    assert (form.confirm_value, form.typed_mode) == ("12500", "decimal")
    assert form.is_last_approval


def test_danger_without_a_value_has_its_tool_typed() -> None:
    assert form_of(requirement(), Facts(risk="high")).confirm_value == "refund"
    assert form_of(requirement(), Facts()).confirm_value is None
    unknown = kinds()["unknown_outcome"].requirement
    assert form_of(unknown).confirm_value == "refund"


def test_only_a_confirmation_with_arguments_is_edited() -> None:
    assert form_of(requirement()).edit_url == "/desk/requirements/r/edit"
    assert form_of(requirement(arguments={})).edit_url is None
    assert form_of(requirement(RequirementKind.error)).edit_url is None


@pytest.mark.parametrize("kind", list(RequirementKind))
def test_each_kind_has_its_partial(kind: RequirementKind) -> None:
    assert form_of(requirement(kind)).template == f"_decide_{kind.value}.html"


def test_a_draft_keeps_what_was_posted() -> None:
    draft = Draft({"note": ["why"], "choices": ["1", "3"]})
    assert draft.text("note") == "why"
    assert draft.text("typed") == ""
    assert draft.has("choices", "3")
    assert not draft.has("choices", "2")
