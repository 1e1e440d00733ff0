"""The documents as files: links lead somewhere, blocks are closed, lines and pages are short."""

from pathlib import Path

import pytest

from tests.support.documents import PAGES, ROOT, anchors_of, blocks_of, links_of

DOCS = ROOT / "docs"
# Generated ones are as long as what they list.
HAND_WRITTEN = [page for page in PAGES if page.parent != DOCS / "reference"]


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_to_a_file_and_a_heading_of_it(page: Path) -> None:
    for target in links_of(page):
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.is_relative_to(ROOT), target
        assert file.exists(), target
        assert not anchor or anchor in anchors_of(file), target


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_block_is_closed(page: Path) -> None:
    blocks_of(page)


@pytest.mark.parametrize("text", ["```python\nx = 1\n", "```python\nx = 1 ```\n", "text ```\n"])
def test_an_unclosed_block_is_refused(tmp_path: Path, text: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="does not stand on its own line"):
        blocks_of(page)


def test_the_index_names_every_page() -> None:
    index = DOCS / "index.md"
    linked = {(DOCS / target).resolve() for target in links_of(index)}
    pages = {page for page in PAGES if page.is_relative_to(DOCS)}
    assert pages - linked == {index}


@pytest.mark.parametrize("page", HAND_WRITTEN, ids=name)
def test_lines_are_wrapped(page: Path) -> None:
    lines = page.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if len(line) > 100 and not line.startswith("|")] == []


@pytest.mark.parametrize("page", [page for page in HAND_WRITTEN if DOCS in page.parents], ids=name)
def test_pages_are_short(page: Path) -> None:
    assert len(page.read_text(encoding="utf-8").splitlines()) <= 150
