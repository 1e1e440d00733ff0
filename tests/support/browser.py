"""A real browser for tests, whose pages note everything that they report."""

from collections.abc import Generator
from contextlib import contextmanager

from axe_playwright_python.sync_playwright import Axe  # pyright: ignore[reportMissingTypeStubs]
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.support.waiting import wait_until


@contextmanager
def chromium() -> Generator[Browser]:
    """Run Debian's Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox"]
        )
        try:
            yield browser
        finally:
            browser.close()


class Tab:
    """A page of a browser, and what it reports: errors, refusals of its policy, dialogs."""

    def __init__(self, context: BrowserContext) -> None:
        self.page: Page = context.new_page()
        self.reports: list[str] = []
        self.page.on("console", lambda message: self.note(message.text))
        self.page.on("pageerror", lambda error: self.note(str(error)))
        self.page.on("dialog", lambda dialog: self.note(f"dialog: {dialog.message}"))

    def note(self, text: str) -> None:
        """Keep a report."""
        # Browsers ask for an icon that nobody has named.
        if "404" not in text:
            self.reports.append(text)


def settle(page: Page) -> None:
    """Wait until the page listens to keys: one that is pressed before it was seen does nothing.

    `Page.wait_for_function` would look once past the page's policy, and break it at the second
    look, which has the page evaluate text.
    """
    wait_until(lambda: page.evaluate("performance.now() > 400"))


def violations(page: Page, options: dict[str, object] | None = None) -> list[str]:
    """Return the rules of accessibility that a page breaks."""
    results = Axe().run(page, options=options)
    return [violation["id"] for violation in results.response["violations"]]
