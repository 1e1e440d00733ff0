"""Every error says what happened, what changed, and what to do."""

import pytest

from kern.client.console.problems import problem, problem_of
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


def test_a_code_alone_says_what_to_do() -> None:
    assert problem("stale_form", 403).text == (
        "Nothing was decided. Reload, review, and send again."
    )
    assert problem("no_such_code", 500).style == "stop"
