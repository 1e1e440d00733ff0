"""Hash chains: the hash of each row covers its content and the hash of the row before.

The content is written as canonical JSON (`kern.values.canonical`): keys sorted by code point, no
spaces, UTF-8, numbers as Python writes them, a time in UTC as ISO 8601. `kern audit export` writes
the same content, so that a program without Kern computes the same hashes.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol, TypeVar, cast

from pydantic import JsonValue

from kern.errors import AuditBroken

# What the first row of a chain follows from.
GENESIS = "0" * 64


class HashedRow(Protocol):
    """A row of a chain: its version says which columns its hash covers beside the time."""

    @property
    def version(self) -> int:
        """Which columns its hash covers."""
        ...

    @property
    def at(self) -> datetime:
        """When it was written."""
        ...


Row = TypeVar("Row", bound=HashedRow)


def content_of(
    row: Row, columns: Mapping[int, Sequence[str]], title_of: Callable[[Row], str]
) -> dict[str, JsonValue]:
    """Return what the hash of a row covers: the columns of its version, and the time.

    Raises:
        AuditBroken: this code does not know the version; the message has the row's title.
    """
    if row.version not in columns:
        message = (
            f"This version of Kern cannot verify {title_of(row)}: it has the version "
            f"{row.version}. Verify the log with the newest version that writes to it; if that is "
            "this one, somebody changed the row."
        )
        raise AuditBroken(message)
    # Of a row that somebody tampered with, the time may be none, which no hash covers.
    at = cast("object", row.at)
    written = at.isoformat() if isinstance(at, datetime) else cast("JsonValue", at)
    content: dict[str, JsonValue] = {name: getattr(row, name) for name in columns[row.version]}
    return {**content, "at": written}
