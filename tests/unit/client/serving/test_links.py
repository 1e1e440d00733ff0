"""The address at which people reach the console."""

import pytest

from kern.client.serving.links import site
from kern.process.settings import Settings


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        (None, "http://127.0.0.1:8420"),
        ("localhost", "http://localhost:8420"),
        ("::1", "http://[::1]:8420"),
    ],
)
def test_an_address_is_one_that_a_browser_takes(host: str | None, expected: str) -> None:
    assert site(Settings(), 8420, host) == expected


def test_a_public_address_is_named_wherever_it_listens() -> None:
    settings = Settings(public_url="https://kern.example")
    assert site(settings, 8420, "0.0.0.0") == "https://kern.example"  # noqa: S104  nothing listens
