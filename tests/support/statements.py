"""Counts the statements that reading or writing takes."""

from collections.abc import Callable

from sqlalchemy import event

from tests.support.stored_runs import Stored


def statements(stored: Stored, read: Callable[[], object]) -> int:
    """Return how many statements this takes."""
    count: list[str] = []

    def note(_c: object, _cursor: object, statement: str, *_rest: object) -> None:
        count.append(statement)

    event.listen(stored.database.engine, "before_cursor_execute", note)
    try:
        read()
    finally:
        event.remove(stored.database.engine, "before_cursor_execute", note)
    return len(count)
