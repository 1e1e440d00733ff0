"""The theme of a page is that of the cookie, if it is one."""

import pytest

from kern.client.console.frame import Theme, theme_of


@pytest.mark.parametrize(
    ("cookie", "theme"),
    [("dark", Theme.dark), ("light", Theme.light), (None, Theme.auto), ("x", Theme.auto)],
)
def test_the_cookie_names_the_theme(cookie: str | None, theme: Theme) -> None:
    assert theme_of(cookie) is theme
