"""Compares the reference pages with what the generator makes of the code now.

`UPDATE_REFERENCE=1 pytest -n 0 tests/test_reference.py`, or `make docs`, writes them anew.
"""

import os

import pytest

from tests.support.reference import FOLDER, PAGES, current, write


@pytest.mark.parametrize("name", PAGES)
def test_the_page_describes_the_code_as_it_is(name: str) -> None:
    if os.environ.get("UPDATE_REFERENCE"):
        write()
    written = (FOLDER / name).read_text(encoding="utf-8")
    assert written == current(name), f"docs/reference/{name} is out of date: `make docs` writes it."
