"""Measures how long a model takes until its first word."""

import time

from kern.models.base import Delta
from kern.process.live_text import LiveText
from kern.values.canonical import clean_text


class FirstToken:
    """A watch that starts when it is made and stops at the first piece of text.

    Args:
        text: Where the pieces go; None when nobody may read them, and the model does not stream.
    """

    def __init__(self, text: LiveText | None) -> None:
        self._text = text
        self._began = time.monotonic()
        self._first: float | None = None

    @property
    def delta(self) -> Delta | None:
        """What takes the pieces; None for a model that is not to stream."""
        return None if self._text is None else self._add

    @property
    def seconds(self) -> float:
        """The time to the first piece; to now, if none has come."""
        return self._first if self._first is not None else time.monotonic() - self._began

    def _add(self, piece: str) -> None:
        if self._first is None:
            self._first = time.monotonic() - self._began
        if self._text is not None:
            self._text.add(clean_text(piece))
