"""A sign-in continues on a page of the console, and nowhere else."""

import pytest

from kern.client.console.entry import SignInView, local_path


@pytest.mark.parametrize(
    "path",
    [None, "", "https://evil.example", "//evil.example", "/other", "/desk//evil.example",
     "/desk/\\evil", "/desk/\u202e", "/desk/\r\nx", "/deskx"],
)  # fmt: skip
def test_other_places_become_the_inbox(path: str | None) -> None:
    assert local_path(path) == "/desk/inbox"


def test_a_page_of_the_console_is_kept_and_named() -> None:
    path = "/desk/requirements/r1?x=1"
    assert local_path(path) == path
    assert SignInView(None, path).destination == "a decision"
    assert SignInView(None).destination == ""
