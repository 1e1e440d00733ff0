"""Commits of which nobody hears: the connection breaks after them, and the store repeats them."""

import threading
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager

from sqlalchemy.exc import OperationalError

from kern.process import checkpoints


@contextmanager
def each_commit_unheard(times: int = 1) -> Generator[None]:
    """Within the block, each transaction in this process is committed, and its answer lost.

    That happens so many times for each; the repetition after that is heard of.
    """
    lost: Counter[int] = Counter()

    def lose(point: str) -> None:
        # A transaction is repeated in its own thread.
        thread = threading.get_ident()
        if point != "write.after_commit":
            return
        if lost[thread] < times:
            lost[thread] += 1
            raise OperationalError("COMMIT", None, ConnectionError("reset"))
        lost[thread] = 0

    checkpoints.arm(lose)
    try:
        yield
    finally:
        checkpoints.arm(None)
