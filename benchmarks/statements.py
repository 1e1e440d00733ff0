"""Counts what a run asks of the database."""

from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Engine, event

# The statement comes back from the embedded database as the driver was given it.
_BEGINNINGS = {"BEGIN": "reads", "BEGIN IMMEDIATE": "writes"}


@dataclass
class Asked:
    """Transactions that read, transactions that wrote, and the statements in both."""

    reads: int = 0
    writes: int = 0
    statements: int = 0


async def asked_by(engine: Engine, run: Callable[[], Awaitable[object]]) -> Asked:
    """Run once and count; the relay's rare looks may be among it."""
    with _counting(engine) as asked:
        await run()
    return asked


@contextmanager
def _counting(engine: Engine) -> Generator[Asked]:
    asked = Asked()

    def count(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        kind = _BEGINNINGS.get(statement)
        if kind is None:
            asked.statements += 1
        else:
            setattr(asked, kind, getattr(asked, kind) + 1)

    event.listen(engine, "before_cursor_execute", count)
    try:
        yield asked
    finally:
        event.remove(engine, "before_cursor_execute", count)
