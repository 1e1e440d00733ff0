"""Hash chains: the hash of each row covers its content and the hash of the row before.

The content is written as canonical JSON (`kern.values.canonical`): keys sorted by code point, no
spaces, UTF-8, numbers as Python writes them, a time in UTC as ISO 8601. `kern audit export` writes
the same content, so that a program without Kern computes the same hashes.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol, cast

from pydantic import JsonValue

# What the first row of a chain follows from.
GENESIS = "0" * 64


class Dated(Protocol):
    """A row that was written at a time."""

    @property
    def at(self) -> datetime:
        """When it was written."""
        ...


def content_of(row: Dated, columns: Sequence[str]) -> dict[str, JsonValue]:
    """Return what the hash of a row covers: these columns, and the time."""
    # Of a row that somebody tampered with, the time may be none, which no hash covers.
    at = cast("object", row.at)
    written = at.isoformat() if isinstance(at, datetime) else cast("JsonValue", at)
    content: dict[str, JsonValue] = {name: getattr(row, name) for name in columns}
    return {**content, "at": written}
