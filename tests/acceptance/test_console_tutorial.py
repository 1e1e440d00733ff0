"""The tutorial of the console, walked through in a browser; its pictures are made here.

`UPDATE_SCREENSHOTS=1 pytest tests/acceptance/test_console_tutorial.py` makes them anew.
"""

import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.acceptance.test_desk_browser import APPROVED, demonstration
from tests.support.browser import Tab, chromium, settle
from tests.support.documents import ROOT
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(300)

IMAGES = ROOT / "docs" / "images"
TUTORIAL = ROOT / "docs" / "tutorial-console.md"
PNG = b"\x89PNG\r\n\x1a\n"


def picture(page: Page, name: str, folder: Path) -> None:
    page.screenshot(path=folder / f"{name}.png", full_page=True)


def shows(page: Page, text: str | re.Pattern[str]) -> None:
    expect(page.locator("main")).to_contain_text(text, timeout=30_000)


def test_the_tutorial_can_be_walked_through(tmp_path: Path) -> None:
    folder = IMAGES if os.environ.get("UPDATE_SCREENSHOTS") else tmp_path
    with demonstration(tmp_path / ".kern") as demo, chromium() as browser:
        context = browser.new_context(viewport={"width": 1100, "height": 560})
        tab = Tab(context)
        page, base = tab.page, demo.link.partition("/desk/")[0]
        page.goto(demo.link)
        shows(page, "2 decisions are waiting for you")
        expect(page.locator("[data-live]")).to_have_text("Live", timeout=30_000)
        picture(page, "inbox", folder)

        settle(page)
        page.keyboard.press("j")
        page.keyboard.press("a")
        shows(page, APPROVED)
        wait_until(lambda: len(demo.ledger) == 1)

        page.click("text=Refund 12,500 EUR for order 2077")
        shows(page, "This moves money and cannot be undone")
        picture(page, "decision", folder)
        page.fill("#typed", "12,500")
        page.click("button[value=approve]")
        shows(page, "Refunded 12500.00 EUR for order 2077")
        picture(page, "done", folder)

        page.goto(f"{base}/desk/audit")
        page.click("text=Verify now")
        shows(page, "Intact: 2 decisions")
        picture(page, "log", folder)
        context.close()
    assert not tab.reports


def test_every_picture_that_a_page_shows_is_there_and_is_described() -> None:
    shown: set[str] = set()
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        for text, target in re.findall(r"!\[([^\]]*)\]\(([^)]+\.png)\)", page.read_text("utf-8")):
            path = (page.parent / target).resolve()
            assert len(text) > 10, f"{page}: {target} is not described"
            assert path.read_bytes().startswith(PNG), target
            shown.add(path.name)
    assert shown == {path.name for path in IMAGES.iterdir()}
    assert "make demo" in TUTORIAL.read_text("utf-8")
