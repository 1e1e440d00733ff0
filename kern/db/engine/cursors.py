"""Cursors: where a page of a listing ended, as one opaque word that callers pass back.

A cursor has the values that the listing is ordered by, not only an id: the row may have moved in
the order since, or be deleted.
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


def encode(place: Place) -> str:
    """Return a place as a word that needs no quoting in a shell or a URL."""
    text = json.dumps([place.at.isoformat(), place.id])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode(cursor: str) -> Place:
    """Return the place that a cursor encodes.

    Raises:
        InvalidInput: no listing returned such a cursor.
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


def _no_cursor(cursor: object) -> InvalidInput:
    return InvalidInput(
        f"{described(cursor)} is no cursor: pass the one that came with the page before."
    )
