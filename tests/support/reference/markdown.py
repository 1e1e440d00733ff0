"""Builds the Markdown of the reference pages: tables, and text taken from docstrings."""

import inspect
import re
from collections.abc import Iterable, Sequence

from docstring_parser import Docstring, DocstringStyle, parse


def docstring(value: object) -> Docstring:
    """Return an object's own docstring, parsed; an empty one where it has none."""
    text = value.__doc__ if inspect.isclass(value) else getattr(value, "__doc__", None)
    return parse(text or "", style=DocstringStyle.GOOGLE)


def summary(value: object) -> str:
    """Return the first paragraph of an object's docstring as one line."""
    return one_line(docstring(value).short_description or "")


def one_line(text: str) -> str:
    """Return a text with all white space folded."""
    return " ".join(text.split())


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; a bar inside a cell does not end the cell."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "".join(f"| {' | '.join(_cell(cell) for cell in line)} |\n" for line in lines)


def _cell(text: str) -> str:
    return re.sub(r"(?<!\\)\|", r"\\|", one_line(text))
