"""Waiting for what other processes do, without guessing how long they take."""

import time
from collections.abc import Callable

POLL_SECONDS = 0.05


def wait_until(condition: Callable[[], object], *, timeout: float = 60.0) -> None:
    """Return as soon as the condition holds.

    Raises:
        AssertionError: It did not within `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            text = f"not within {timeout:g} s: {getattr(condition, '__name__', condition)}"
            raise AssertionError(text)
        time.sleep(POLL_SECONDS)
