"""Writes the reference pages from the code: `python -m tests.support.reference`, or `make docs`."""

from collections.abc import Callable
from pathlib import Path

from tests.support.reference import api, cli, errors, events, settings

FOLDER = Path(__file__).parents[3] / "docs" / "reference"
NOTE = "<!-- Generated from the code by `make docs`. Change the code, not this page. -->\n\n"
PAGES: dict[str, Callable[[], str]] = {
    "api.md": api.page,
    "cli.md": cli.page,
    "errors.md": errors.page,
    "events.md": events.page,
    "settings.md": settings.page,
}


def current(name: str) -> str:
    """Return a page as the code describes it now."""
    return NOTE + PAGES[name]().rstrip() + "\n"


def write() -> None:
    """Write every page."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in PAGES:
        (FOLDER / name).write_text(current(name), encoding="utf-8")
