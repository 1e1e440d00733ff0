"""Counts the transactions and statements of a run."""

from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Engine, event

# These are the statements that begin a transaction in the embedded database.
_KINDS = {"BEGIN": "reads", "BEGIN IMMEDIATE": "writes"}


@dataclass
class Usage:
    """Transactions that read, transactions that wrote, and the statements in both."""

    reads: int = 0
    writes: int = 0
    statements: int = 0


async def database_usage(engine: Engine, run: Callable[[], Awaitable[object]]) -> Usage:
    """Run once and count; the relay's occasional reads may be included."""
    with _counting(engine) as usage:
        await run()
    return usage


@contextmanager
def _counting(engine: Engine) -> Generator[Usage]:
    usage = Usage()

    def count(_connection: object, _cursor: object, statement: str, *_arguments: object) -> None:
        kind = _KINDS.get(statement)
        if kind is None:
            usage.statements += 1
        else:
            setattr(usage, kind, getattr(usage, kind) + 1)

    event.listen(engine, "before_cursor_execute", count)
    try:
        yield usage
    finally:
        event.remove(engine, "before_cursor_execute", count)
