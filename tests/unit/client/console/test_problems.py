"""Every error says what happened, what changed, and what to do."""

import pytest

from kern.client.console.problems import problem, problem_of
from kern.client.web.problems import ProblemError
from kern.errors import AlreadyResolved, KernError, NotFound, Unavailable


@pytest.mark.parametrize("kind", [AlreadyResolved, NotFound, Unavailable, KernError])
def test_an_error_has_its_title_code_and_status(kind: type[KernError]) -> None:
    found = problem_of(kind("Ravi approved it."))
    assert (found.code, found.status, found.text) == (
        kind.code,
        kind.http_status,
        "Ravi approved it.",
    )
    assert found.title


def test_a_refusal_with_a_code_of_its_own_says_its_detail() -> None:
    found = problem_of(ProblemError(401, "fresh_sign_in_required", "Sign in again."))
    assert (found.code, found.status) == ("fresh_sign_in_required", 401)
    assert found.text == problem("fresh_sign_in_required", 401, "Sign in again.").text


def test_a_code_alone_says_what_to_do() -> None:
    assert problem("stale_form", 403).text == (
        "Nothing was decided. Reload, review, and send again."
    )
    assert problem("no_such_code", 500).style == "stop"
