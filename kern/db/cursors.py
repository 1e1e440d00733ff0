"""Where a page of a listing ends, as one word that callers hand back.

It holds what the listing is ordered by, not only an id: the row may have moved or be gone since.
"""

import base64
import binascii
import json
from datetime import datetime
from typing import NamedTuple

from kern.errors import InvalidInput


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
        place = Place(datetime.fromisoformat(at), str(key))
    except (binascii.Error, ValueError, TypeError) as error:
        message = f"{cursor!r} is no cursor: pass the one that came with the page before."
        raise InvalidInput(message) from error
    if place.at.tzinfo is None:
        message = f"{cursor!r} is no cursor: its time has no zone."
        raise InvalidInput(message)
    return place
