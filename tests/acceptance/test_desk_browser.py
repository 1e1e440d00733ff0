"""The desk as a person opens it: one link, a browser, two keys, an amount that is typed."""

import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import Tab, chromium, settle, violations
from tests.support.cli import COMMAND, Said, command, environment
from tests.support.processes import Process
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(300)

LINK = re.compile(r"http://\S+/desk/link/\S+")
# Of the answer to the form, or of the feed, which may be faster.
APPROVED = re.compile("Approved by dana|dana approved it")
FIRST, SECOND = "Refund 40 EUR for order 1042", "Refund 12,500 EUR for order 2077"


class Demonstration:
    """`kern demo --desk` in a folder."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._log = home / "demo.log"
        options = environment(KERN_HOME=str(home), KERN_BY="dana", KERN_PORT="0")
        self.process = Process([*COMMAND[1:], "demo", "--desk"], options, self._log)
        wait_until(lambda: LINK.search(self._log.read_text()), timeout=90)

    @property
    def link(self) -> str:
        """The link that it has printed."""
        match = LINK.search(self._log.read_text())
        assert match is not None
        return match[0]

    def command(self, *arguments: str) -> Said:
        """Run a command in its folder."""
        return command(*arguments, cwd=self.home.parent, KERN_HOME=str(self.home))

    @property
    def ledger(self) -> list[str]:
        """What was paid."""
        path = self.home / "demo-refunds.jsonl"
        return path.read_text().splitlines() if path.exists() else []


@contextmanager
def demonstration(home: Path) -> Generator[Demonstration]:
    home.mkdir(parents=True)
    made = Demonstration(home)
    try:
        yield made
    finally:
        made.process.terminate()


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demonstration]:
    with demonstration(tmp_path / ".kern") as made:
        yield made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as made:
        yield made


def shows(page: Page, text: str | re.Pattern[str]) -> None:
    expect(page.locator("main")).to_contain_text(text, timeout=30_000)


def inbox(tab: Tab, demo: Demonstration) -> None:
    tab.page.goto(demo.link)
    shows(tab.page, "2 decisions are waiting for you")
    expect(tab.page.locator("[data-live]")).to_have_text("Live", timeout=30_000)


def test_two_keys_decide_what_is_harmless_and_typing_what_is_not(
    browser: Browser, demo: Demonstration
) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    tab = Tab(context)
    page = tab.page
    inbox(tab, demo)

    settle(page)
    page.keyboard.press("j")
    page.keyboard.press("a")
    shows(page, APPROVED)
    wait_until(lambda: len(demo.ledger) == 1)
    # The header hears of it.
    expect(page.locator('[data-counts="inbox"]')).to_have_text("1", timeout=30_000)

    page.keyboard.press("j")
    page.keyboard.press("Enter")
    shows(page, "This moves money and cannot be undone")
    approve = page.locator("button[value=approve]")
    expect(approve).to_be_disabled()
    settle(page)
    page.keyboard.press("a")
    page.keyboard.type("12,500")
    expect(approve).to_be_enabled()
    approve.click()
    shows(page, f"You approved: {SECOND}")
    # The page says that it is done when the tool has reported it, without being reloaded.
    shows(page, "Refunded 12500.00 EUR for order 2077")
    expect(page.locator("main .tag").first).to_have_text("Done")
    expect(page.locator('[data-counts="inbox"]')).to_have_text("0", timeout=30_000)

    page.goto(demo.link.partition("/desk/")[0] + "/desk/audit")
    shows(page, "refund_large")
    page.click("text=Verify now")
    shows(page, "Intact: 2 decisions")
    context.close()
    assert len(demo.ledger) == 2
    assert not tab.reports


def test_without_a_script_a_row_is_approved_and_a_form_is_sent(
    browser: Browser, demo: Demonstration
) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(demo.link)
    shows(page, "2 decisions are waiting for you")
    page.click("button[value=approve]")
    shows(page, "1 decision is waiting for you")
    page.click(f"text={SECOND}")
    page.fill("#typed", "12500")
    page.click("button[value=approve]")
    shows(page, f"You approved: {SECOND}")
    context.close()
    wait_until(lambda: len(demo.ledger) == 2)


def test_what_somebody_else_decides_closes_in_place(browser: Browser, demo: Demonstration) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    tab = Tab(context)
    inbox(tab, demo)
    listed = demo.command("pending", "--json").json["requirements"]
    (waiting,) = [item["id"] for item in listed if item["title"] == FIRST]
    said = demo.command("reject", waiting, "--note", "A fraud.", "--by", "ravi")
    assert said.code == 0, said.err
    row = tab.page.locator(f"#r-{waiting}")
    expect(row).to_have_class(re.compile("closed"), timeout=30_000)
    expect(row).to_contain_text("ravi")
    expect(row.locator("form")).to_have_count(0)
    context.close()
    assert not tab.reports
    assert demo.ledger == []


def test_the_page_of_a_decision_closes_when_somebody_else_decides(
    browser: Browser, demo: Demonstration
) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    tab = Tab(context)
    inbox(tab, demo)
    waiting = demo.command("pending", "--json").json["requirements"]
    (item,) = [item for item in waiting if item["title"] == FIRST]
    base = demo.link.partition("/desk/")[0]
    tab.page.goto(f"{base}/desk/requirements/{item['id']}")
    shows(tab.page, "Decide as")
    expect(tab.page.locator("[data-live]")).to_have_text("Live", timeout=30_000)
    said = demo.command("approve", item["id"], "--digest", item["digest"][:8], "--by", "ravi")
    assert said.code == 0, said.err
    shows(tab.page, "ravi decided first")
    expect(tab.page.locator("main button[value=approve]")).to_have_count(0)
    context.close()
    assert not tab.reports


def test_the_page_of_a_run_follows_it_and_keeps_what_is_typed(
    browser: Browser, demo: Demonstration
) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    tab = Tab(context)
    inbox(tab, demo)
    waiting = demo.command("pending", "--json").json["requirements"]
    (item,) = [item for item in waiting if item["title"] == FIRST]
    base = demo.link.partition("/desk/")[0]
    tab.page.goto(f"{base}/desk/runs/{item['run_id']}")
    shows(tab.page, "Paused")
    why = tab.page.get_by_label("Why, for people")
    why.fill("A duplicate")
    demo.command("comment", item["id"], "A look at it.", "--by", "ravi")
    # It has looked again at least once by the time at which it shows the end.
    tab.page.wait_for_event("response", lambda answer: answer.request.resource_type == "fetch")
    expect(why).to_have_value("A duplicate")
    expect(why).to_be_focused()
    demo.command("approve", item["id"], "--digest", item["digest"][:8], "--by", "ravi")
    shows(tab.page, "Completed")
    shows(tab.page, "Approved")
    context.close()
    assert not tab.reports


@pytest.mark.parametrize("width", [1280, 390])
def test_the_pages_are_accessible_in_both_themes(
    browser: Browser, demo: Demonstration, width: int
) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": 900}, has_touch=width < 720, reduced_motion="reduce"
    )
    tab = Tab(context)
    page = tab.page
    inbox(tab, demo)
    base = demo.link.partition("/desk/")[0]
    places = [f"/desk/{name}" for name in ("inbox", "runs", "sessions", "stuck", "audit")]
    places += [href for href in _links(page) if href.startswith("/desk/requirements/")]
    page.goto(f"{base}/desk/runs")
    places += [href for href in _links(page) if href.startswith("/desk/runs/")][:1]
    found: dict[str, object] = {}
    for place in places:
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme="light" if scheme == "light" else "dark")
            page.goto(base + place)
            wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            broken = violations(page)
            if broken or page.evaluate(wide):
                found[f"{place} {scheme}"] = (broken, page.evaluate(wide))
    context.close()
    assert not found
    assert not tab.reports


def _links(page: Page) -> list[str]:
    hrefs: list[str] = page.eval_on_selector_all("a", "all => all.map(a => a.getAttribute('href'))")
    return hrefs
