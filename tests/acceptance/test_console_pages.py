"""The console's pages in a real browser, under the policy that they are served with."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.support.browser import Tab, chromium, violations
from tests.support.console_places import place_pages
from tests.support.console_samples import HOSTILE, inbox_sample, sample_pages
from tests.support.console_server import ConsoleServer, serving

ORDINARY = "Which one?"
# Whoever renders this page has run what somebody wrote.
CHECKS = """() => ({
  overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  scripts: document.scripts.length,
  images: document.images.length,
})"""


def all_pages(text: str) -> dict[str, str]:
    return {**sample_pages(text), **place_pages(text)}


@pytest.fixture(scope="module")
def site() -> Iterator[ConsoleServer]:
    pages = {f"/ordinary/{name}": page for name, page in all_pages(ORDINARY).items()}
    pages |= {f"/hostile/{name}": page for name, page in all_pages(HOSTILE).items()}
    with serving(pages) as made:
        yield made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as made:
        yield made


@pytest.fixture
def wide(browser: Browser) -> Iterator[Tab]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    yield Tab(context)
    context.close()


CONTRAST: dict[str, object] = {"runOnly": {"type": "rule", "values": ["color-contrast"]}}


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("kind", "width"), [("ordinary", 1280), ("ordinary", 390), ("hostile", 1280), ("hostile", 390)]
)
def test_every_page_is_accessible_and_keeps_to_the_policy(
    site: ConsoleServer, browser: Browser, kind: str, width: int
) -> None:
    # Colours are looked at once they have changed, not on their way.
    context = browser.new_context(
        viewport={"width": width, "height": 900}, has_touch=width < 720, reduced_motion="reduce"
    )
    tab = Tab(context)
    found: dict[str, object] = {}
    for path in [path for path in site.pages if path.startswith(f"/{kind}/")]:
        tab.page.emulate_media(color_scheme="light")
        tab.page.goto(f"{site.url}{path}")
        facts = tab.page.evaluate(CHECKS)
        # Hostile texts have no other structure on a narrow page than ordinary ones.
        problems = violations(tab.page) if kind == "ordinary" or width > 720 else []
        if kind == "ordinary" and width > 720:
            tab.page.emulate_media(color_scheme="dark")
            problems += violations(tab.page, CONTRAST)
        if problems or facts != {"overflow": 0, "scripts": 2, "images": 0}:
            found[path] = (problems, facts)
    context.close()
    assert not found
    assert not tab.reports
    assert not site.missing


def test_without_the_script_a_row_is_approved_by_its_button(
    site: ConsoleServer, browser: Browser
) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site.url}/ordinary/inbox")
    row = page.locator("#r-019ac0b0-b0c2-75ed-a74b-8a49d189806c")
    assert row.locator("time").inner_text() == "14:17"
    before = len(site.posted)
    row.get_by_role("button", name="Approve").click()
    page.get_by_role("heading", name="Stored").wait_for()
    path, fields = site.posted[before]
    assert path == "/desk/requirements/019ac0b0-b0c2-75ed-a74b-8a49d189806c/decisions"
    assert fields["verdict"] == ["approve"]
    assert fields["decision_id"] == ["019ac0c7-774d-7fcd-aecb-a8ee9a6658e1"]
    assert {len(fields["digest"][0]), len(fields["csrf"][0])} == {64, 32}
    context.close()


@pytest.mark.parametrize(
    ("name", "button", "verdict"),
    [
        ("requirement", "Approve 12,500.00 EUR", "approve"),
        ("confirmation", "Reject", "reject"),
        ("user_input", "Decline", "reject"),
        ("user_feedback", "None of these", "reject"),
        ("external_execution", "Record the result", "result"),
        ("output_review", "Send back", "reject"),
    ],
)
def test_without_the_script_each_kind_is_decided_by_a_form(
    site: ConsoleServer, browser: Browser, name: str, button: str, verdict: str
) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site.url}/ordinary/{name}")
    before = len(site.posted)
    page.get_by_role("button", name=button).click()
    page.get_by_role("heading", name="Stored").wait_for()
    path, fields = site.posted[before]
    assert path.endswith("/decisions")
    assert fields["verdict"] == [verdict]
    context.close()


@pytest.mark.parametrize("name", ["error", "unknown_outcome"])
def test_nothing_is_recorded_before_something_is_chosen(
    site: ConsoleServer, browser: Browser, name: str
) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site.url}/ordinary/{name}")
    before = len(site.posted)
    if name == "unknown_outcome":
        page.get_by_label("What did you check?").fill("The bank's portal.")
    page.get_by_role("button", name="Record").click()
    assert page.locator("input[name=verdict]:invalid").count() > 1
    page.get_by_label("Fail" if name == "error" else "End the run").check()
    page.get_by_role("button", name="Record").click()
    page.get_by_role("heading", name="Stored").wait_for()
    page.get_by_role("heading", name="Stored").wait_for()
    assert [fields["verdict"] for _, fields in site.posted[before:]] == [["fail"]]
    context.close()


def test_the_typed_value_opens_the_button(site: ConsoleServer, wide: Tab) -> None:
    wide.page.goto(f"{site.url}/ordinary/requirement")
    button = wide.page.get_by_role("button", name="Approve 12,500.00 EUR")
    assert button.is_disabled()
    wide.page.get_by_label("Type 12500 to approve").fill("12,500")
    assert button.is_enabled()
    wide.page.get_by_label("Type 12500 to approve").fill("14250")
    assert button.is_disabled()


def test_a_decision_from_a_row_is_swapped_into_its_place(
    site: ConsoleServer, wide: Tab, monkeypatch: pytest.MonkeyPatch
) -> None:
    row_id = "r-019ac0b0-b0c2-75ed-a74b-8a49d189806c"
    path = "/desk/requirements/019ac0b0-b0c2-75ed-a74b-8a49d189806c/decisions"
    closed = f'<li class="item closed" data-row id="{row_id}"><h3><a href="#">Gone</a></h3></li>'
    monkeypatch.setitem(site.answers, path, (409, closed))
    wide.page.goto(f"{site.url}/ordinary/inbox")
    wide.page.locator(f"#{row_id}").get_by_role("button", name="Approve").click()
    wide.page.locator(f"#{row_id}.closed").wait_for()
    assert wide.page.locator(f"#{row_id}").inner_text() == "Gone"
    assert wide.page.get_by_role("heading", level=1).is_visible()
    assert site.posted[-1][1]["verdict"] == ["approve"]
    assert not [text for text in wide.reports if "409" not in text]


def test_keys_move_and_open(site: ConsoleServer, wide: Tab) -> None:
    wide.page.goto(f"{site.url}/ordinary/inbox")
    wide.page.keyboard.press("j")
    wide.page.keyboard.press("j")
    assert wide.page.evaluate("document.activeElement.closest('[data-row]').id").endswith("0f8a27e")
    wide.page.keyboard.press("?")
    assert wide.page.locator("#help").is_visible()
    wide.page.keyboard.press("Escape")
    assert wide.page.locator("#help").is_hidden()


def test_cancelling_asks_once(site: ConsoleServer, wide: Tab) -> None:
    wide.page.goto(f"{site.url}/ordinary/run")
    before = len(site.posted)
    wide.page.get_by_role("button", name="Cancel run").click()
    dialog = wide.page.locator("#confirm")
    assert "What has already happened stays" in dialog.inner_text()
    dialog.get_by_role("button", name="Leave it open").click()
    dialog.wait_for(state="hidden")
    assert len(site.posted) == before
    wide.page.get_by_role("button", name="Cancel run").click()
    dialog.get_by_role("button", name="Cancel the run").click()
    wide.page.get_by_role("heading", name="Stored").wait_for()
    assert [path for path, _ in site.posted[before:]] == [
        "/desk/runs/019ac007-90d1-7382-abaf-2435c3fc8ee9/cancel"
    ]


def test_a_form_posts_an_argument_exactly_as_it_was(site: ConsoleServer, wide: Tab) -> None:
    wide.page.goto(f"{site.url}/hostile/edit")
    before = len(site.posted)
    wide.page.get_by_role("button", name="Compare").click()
    wide.page.get_by_role("heading", name="Stored").wait_for()
    posted = site.posted[before][1]
    assert posted["edit.amount"] == ["12500"]
    assert "\\u202egnp.exe\\u200b" in posted["edit.reference"][0]
    assert posted["edit.reference"][0].isascii()


def test_the_theme_is_the_cookies(site: ConsoleServer, wide: Tab) -> None:
    wide.page.goto(f"{site.url}/ordinary/inbox-empty")
    wide.page.get_by_text("Dana Whitfield halden").click()
    wide.page.get_by_role("button", name="Dark").click()
    assert wide.page.locator("html").get_attribute("data-theme") == "dark"
    cookies = {cookie["name"]: cookie["value"] for cookie in wide.page.context.cookies()}  # pyright: ignore[reportTypedDictNotRequiredAccess]
    assert cookies == {"desk_theme": "dark"}


def test_a_page_of_25_rows_is_small() -> None:
    rows = inbox_sample().count("data-row")
    assert rows
    assert len(inbox_sample().encode()) / rows < 60_000 / 25
