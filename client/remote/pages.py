"""Pages as long as a caller wants, of the shorter ones that the API gives."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from kern.client.api.pages import Page
from kern.contracts.reports import LONGEST_PAGE
from kern.values.validation import require_count

Item = TypeVar("Item")

_LONGEST = 100


async def collect(
    read: Callable[[int, str | None], Awaitable[Page[Item]]], limit: int, cursor: str | None
) -> Page[Item]:
    """Return up to `limit` items; `read` reads so many of them at most after a cursor.

    Raises:
        InvalidInput: the limit makes no sense.
        KernError: as `read` does.
    """
    require_count("limit", limit, most=LONGEST_PAGE)
    items: list[Item] = []
    while True:
        page = await read(min(_LONGEST, limit - len(items)), cursor)
        items += page.items
        cursor = page.next
        if cursor is None or len(items) >= limit:
            return Page(items=items, next=cursor)
