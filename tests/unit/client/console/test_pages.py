"""Whole pages: hostile texts, forms without the script, fragments, and what a frame shows."""

from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kern.client.console import pages
from kern.client.console.frame import Theme
from kern.client.console.static_files import static_url
from tests.support import console_samples as samples
from tests.support.console_places import place_pages
from tests.support.shown_text import misread_in

# Characters of every kind that is spelled out, beside what pages are made of.
TEXTS = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from(
            "\u200b\u202e\u2066\x00\x1b\x7f\u00ad\u3164\ud800\u0430\uff21\u0301<>\"'&{%"
        ),
    ),
    min_size=1,
    max_size=30,
)


class Page(HTMLParser):
    """Collects the texts, attributes, forms and elements of a page."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.texts: list[str] = []
        self.values: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.values += [value for _, value in attrs if value]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")


def hidden(text: str) -> set[str]:
    """Return what of a text should have been spelled out."""
    return misread_in(text, "\n\t") - OWN


# Signs that the console itself writes: an ellipsis reads as three points.
OWN = {"\u2026"}


def all_pages(text: str) -> dict[str, str]:
    return {**samples.sample_pages(text), **place_pages(text)}


def check(text: str) -> Page:
    text.encode()
    page = Page(text)
    for part in [*page.texts, *page.values]:
        assert not hidden(part), ascii(part)
    return page


@settings(max_examples=8)
@given(TEXTS)
def test_no_page_holds_a_character_that_should_have_been_spelled_out(text: str) -> None:
    ordinary = ELEMENTS
    for name, html in all_pages(text).items():
        page = check(html)
        # A text never becomes an element of its own.
        assert {tag for tag, _ in page.elements} <= ordinary[name] | {"wbr", "span"}, name


def test_the_worst_texts_stay_texts() -> None:
    for html in all_pages(samples.HOSTILE).values():
        page = check(html)
        assert [tag for tag, _ in page.elements].count("script") == 2
        assert "img" not in {tag for tag, _ in page.elements}
        assert "49" not in "".join(page.texts).split()


PAGES = all_pages("Which one?")
ELEMENTS = {name: {tag for tag, _ in Page(html).elements} for name, html in PAGES.items()}


@pytest.mark.parametrize("name", ELEMENTS)
def test_every_form_works_without_the_script(name: str) -> None:
    page = Page(PAGES[name])
    for tag, attributes in page.elements:
        if tag == "form" and attributes.get("method") != "dialog":
            assert (attributes.get("action") or "").startswith("/desk/")
            assert attributes.get("method") in {"get", "post"}
            # The script sends what the browser would send.
            assert attributes.get("hx-post", attributes["action"]) == attributes["action"]
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("name", ELEMENTS)
def test_every_page_has_one_heading_and_no_inline_code(name: str) -> None:
    page = Page(PAGES[name])
    assert [tag for tag, _ in page.elements].count("h1") == 1
    assert not [tag for tag, _ in page.elements if tag == "style"]
    scripts = [attributes.get("src") for tag, attributes in page.elements if tag == "script"]
    assert scripts == [static_url("htmx.min.js"), static_url("desk.js")]
    names = {key for _, attributes in page.elements for key in attributes}
    assert not {key for key in names if key.startswith("on") or key == "style"}


def test_a_fragment_is_the_content_with_its_title() -> None:
    view = samples.dangerous_view()
    whole = pages.requirement_page(samples.FRAME, view)
    part = pages.requirement_page(replace(samples.FRAME, is_fragment=True), view)
    assert part.startswith("<title>Refund 12,500.00 EUR to Nordlicht Versand")
    assert "<main" not in part
    assert part.split("</title>", 1)[1].strip() in whole


def test_the_frame_shows_who_looks_and_what_waits() -> None:
    page = Page(samples.inbox_sample())
    attributes = dict(page.elements)["html"]
    assert attributes["data-theme"] == "auto"
    assert attributes["data-now"] == "2026-11-26T14:20:12Z"
    body = dict(page.elements)["body"]
    assert body["data-feed"] == "/desk/feed"
    text = " ".join(page.texts)
    for part in ("Dana Whitfield", "finance-leads, support-leads", "halden", "single sign-on"):
        assert part in text
    counts = {a["data-counts"]: a["class"] for _, a in page.elements if "data-counts" in a}
    assert counts == {"inbox": "count hot", "stuck": "count bad"}
    here = [
        a["data-go"] for _, a in page.elements if a.get("aria-current") == "page" and "data-go" in a
    ]
    assert here == ["inbox"]


def test_a_local_desk_says_so_and_a_theme_is_the_cookies() -> None:
    frame = replace(samples.FRAME, is_local=True, theme=Theme.dark, feed_url=None)
    text = pages.requirement_page(frame, samples.dangerous_view())
    assert "local, unauthenticated" in text
    assert 'data-theme="dark"' in text
    assert "data-feed" not in text
    assert "data-live" not in text
