"""What is typed is the value that would run, and what is submitted the one under review."""

import pytest

from kern.client.cli.typed_confirmation import drafted_value, submitted_confirmation, typed_value
from kern.requirements import Requirement, RequirementKind, Risk, Verdict
from tests.support.walk_samples import ARGUMENTS, edited_refund, requirement

DIGEST = "7f3ac1d0"


def refund() -> Requirement:
    return requirement(confirm_value="14250")


def test_of_a_call_as_it_stands_it_is_the_value_under_review() -> None:
    item = refund().confirm(by="dana")
    assert drafted_value(item, DIGEST) == submitted_confirmation(item) == "14250"


def test_of_an_edited_call_it_is_the_new_value() -> None:
    item = refund().edit({"amount": 12000}, by="dana")
    assert drafted_value(item, DIGEST) == "12000"
    assert submitted_confirmation(item) == "12000"


def test_of_an_argument_that_is_not_clear_it_is_the_value_under_review() -> None:
    item = requirement(arguments={**ARGUMENTS, "fee": 14250}, confirm_value="14250")
    assert drafted_value(item.edit({"fee": 1}, by="dana"), DIGEST) == "14250"


def test_the_digest_says_which_of_several_versions_it_is_about() -> None:
    item = edited_refund().confirm(by="dana")
    assert drafted_value(item, "5c55e5f8") == "12500"
    assert drafted_value(item, DIGEST) == "14250"
    assert submitted_confirmation(item) == "12500"


@pytest.mark.parametrize("verdict", Verdict)
def test_what_may_do_much_harm_takes_the_name_of_the_tool(verdict: Verdict) -> None:
    lets_run = verdict in {Verdict.approve, Verdict.answer, Verdict.choose, Verdict.run_again}
    assert typed_value(requirement(risk=Risk.high), verdict) == ("refund" if lets_run else None)
    assert typed_value(requirement(), verdict) is None


def test_who_refuses_or_reports_types_nothing() -> None:
    item = refund().reject("No.", by="dana")
    assert drafted_value(item, DIGEST) is None
    assert submitted_confirmation(item) is None
    torn = requirement(RequirementKind.unknown_outcome)
    assert drafted_value(torn.mark_happened("paid", by="dana"), DIGEST) is None
    torn = requirement(RequirementKind.unknown_outcome)
    assert drafted_value(torn.run_again(by="dana"), DIGEST) == "refund"
