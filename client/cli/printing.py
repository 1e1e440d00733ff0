"""Prints for people and for programs, and lets no text from elsewhere steer the terminal."""

import json
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING

from kern.values.invisible import is_invisible
from kern.values.visible_text import call_text, exact

if TYPE_CHECKING:
    from pydantic import JsonValue
    from rich.console import Console
    from rich.text import Text

    from kern.run import RunOutput

# Between two columns, and what the last one has at least.
_GAP, _NARROWEST = 2, 10
_PIPE_WIDTH = 200
_SHORT = 8
_WIDE = 120
# From here on seconds are shown without fractions.
_WHOLE = 10
_indent: ContextVar[int] = ContextVar("indent", default=0)


def safe(text: str) -> str:
    """Return a text in which what steers a terminal or is invisible is spelled out.

    Lines and tabs stay.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        ascii(char)[1:-1] if char not in "\n\t" and is_invisible(char) else char for char in text
    )


def one_line(text: str, limit: int | None = None) -> str:
    """Return a text as one safe line, cut at `limit` characters."""
    line = safe(" ".join(text.split()))
    return line if limit is None or len(line) <= limit else f"{line[: limit - 1]}…"


@cache
def console() -> "Console":
    """Return the console for standard output. It reads no markup in what it is given."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else _PIPE_WIDTH
    return Console(markup=False, highlight=False, emoji=False, width=width)


def say(*parts: "str | Text", style: str | None = None, exact_blanks: bool = False) -> None:
    """Print parts on one or more lines; texts are made safe.

    With `exact_blanks` the terminal breaks long lines itself, character by character: lines that
    are broken at words lose the blanks at their ends.
    """
    from rich.text import Text

    line = Text(" " * _indent.get())
    for part in parts:
        line.append_text(part if isinstance(part, Text) else Text(safe(part)))
    if style is not None:
        line.stylize(style)
    console().print(line, soft_wrap=exact_blanks or not sys.stdout.isatty())
    # Whoever follows a pipe sees each step when it happens.
    sys.stdout.flush()


@contextmanager
def indented(width: int) -> Generator[None]:
    """Have what `say` prints inside begin further to the right."""
    token = _indent.set(_indent.get() + width)
    try:
        yield
    finally:
        _indent.reset(token)


def styled(text: str, style: str) -> "Text":
    """Return a safe text with a style."""
    from rich.text import Text

    return Text(safe(text), style)


def say_json(value: Mapping[str, object]) -> None:
    """Print one JSON document, in ASCII, so that no terminal reads anything into it."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def say_table(
    headings: Sequence[str], rows: Sequence[Sequence[str]], *, wraps: bool = False
) -> None:
    """Print a table; the last column takes the room that is left, and the others are whole.

    With `wraps` the last column is whole too, on as many lines as it takes, blank for blank: where
    a line is broken at blanks, they begin the next one.
    """
    from rich.cells import cell_len
    from rich.table import Table

    lines = [
        [*map(one_line, row[:-1]), safe(row[-1]) if wraps else one_line(row[-1])] for row in rows
    ]
    widths = [
        max(cell_len(cell) for cell in (heading, *(line[index] for line in lines)))
        for index, heading in enumerate(headings)
    ]
    room = console().width - sum(_GAP + width for width in widths[:-1])
    # Otherwise what is too wide is taken from all of them.
    widths[-1] = max(_NARROWEST, min(widths[-1], room))
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading, width in zip(headings, widths, strict=True):
        table.add_column(heading, no_wrap=True, overflow="ellipsis", width=width)
    for line in lines:
        last = "\n".join(broken(line[-1], widths[-1])) if wraps else line[-1]
        table.add_row(*line[:-1], last)
    console().print(table, soft_wrap=False)


def broken(text: str, width: int) -> list[str]:
    """Break a text into lines that lose nothing, before blanks where there are any."""
    from rich.cells import cell_len

    lines: list[str] = []
    for whole in text.split("\n"):
        line = ""
        for char in whole:
            line += char
            if cell_len(line) > width:
                words = line[: line.rfind(" ") + 1].rstrip(" ")
                head = words or line[:-1]
                lines.append(head)
                line = line[len(head) :]
        lines.append(line)
    return lines


def with_tenants(
    headings: Sequence[str], rows: Sequence[Sequence[str]], tenants: Sequence[str]
) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    """Return a table with the tenant of each row as a second column, where any is named."""
    if not any(tenants):
        return headings, rows
    wider = [
        (row[0], tenant or ("-" if row[0] else ""), *row[1:])
        for row, tenant in zip(rows, tenants, strict=True)
    ]
    return (headings[0], "TENANT", *headings[1:]), wider


def show_id(identifier: str) -> str:
    """Return an id whole where there is room, else its end, which commands take too."""
    whole = console().width >= _WIDE or len(identifier) <= _SHORT
    return identifier if whole else f"…{identifier[-_SHORT:]}"


def show_time(at: datetime) -> str:
    """Return a time as people read it."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def show_age(since: datetime, until: datetime | None = None) -> str:
    """Return how long something took, or has lasted until now."""
    return show_length((until or datetime.now(UTC)) - since)


def show_length(length: timedelta) -> str:
    """Return a length of time in the unit that fits it."""
    seconds = max(length.total_seconds(), 0)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= _WHOLE else f"{seconds:.1f} s"


def show_value(value: "JsonValue") -> str:
    """Return a JSON value as one line."""
    return exact(value)


def show_call(name: str | None, arguments: "dict[str, JsonValue]", limit: int | None = None) -> str:
    """Return a call as it would be written; `limit` shortens each of its values."""
    return call_text(name, arguments, limit=limit)


def count(number: int, noun: str, plural: str | None = None) -> str:
    """Return a number with its noun in the right form."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def status_text(run: "RunOutput") -> str:
    """Return a run's status, and whether it waits for another run of its session."""
    return f"{run.status.value}, queued" if run.is_queued else run.status.value
