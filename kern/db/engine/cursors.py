"""Where a page of a listing ends, as one word that callers hand back.

It holds what the listing is ordered by, not only an id: the row may have moved or be gone since.
"""

import base64
import binascii
import json
from datetime import UTC, datetime
from typing import NamedTuple

from kern.errors import InvalidInput
from kern.values.ids import require_id
from kern.values.validation import described


class Place(NamedTuple):
    """A place in a listing that is ordered by a time and an id."""

    at: datetime
    id: str


def written(place: Place) -> str:
    """Return a place as a word without characters that a shell or a URL reads."""
    text = json.dumps([place.at.isoformat(), place.id])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read(cursor: str) -> Place:
    """Return the place that a word tells.

    Raises:
        InvalidInput: no listing gave it.
    """
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        at, key = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        moment = datetime.fromisoformat(at)
        if moment.tzinfo is None:
            raise _no_cursor(cursor)
        return Place(moment.astimezone(UTC), require_id("cursor", key))
    except (binascii.Error, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise _no_cursor(cursor) from error
    except InvalidInput:
        raise _no_cursor(cursor) from None


def _no_cursor(given: object) -> InvalidInput:
    return InvalidInput(
        f"{described(given)} is no cursor: pass the one that came with the page before."
    )
