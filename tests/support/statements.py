"""Counts the statements that reading or writing takes."""

from collections.abc import Callable, Generator
from contextlib import contextmanager

from sqlalchemy import event

from kern.db.engine.store import Store
from tests.support.stored_runs import Stored


def statements(stored: Stored, read: Callable[[], object]) -> int:
    """Return how many statements this takes."""
    with statements_of(stored.database) as executed:
        read()
    return len(executed)


@contextmanager
def statements_of(database: Store) -> Generator[list[str]]:
    """Collect the statements that are executed within the block."""
    executed: list[str] = []

    def note(_c: object, _cursor: object, statement: str, *_rest: object) -> None:
        executed.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    try:
        yield executed
    finally:
        event.remove(database.engine, "before_cursor_execute", note)
