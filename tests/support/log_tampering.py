"""Transactions on the log of decisions that leave it empty for the next one."""

from collections.abc import Callable

import pytest
from sqlmodel import Session

from kern.db.engine.stores import MemoryStore
from kern.db.journal import verification
from kern.errors import AuditBroken


class _RolledBackError(Exception):
    """Ends a transaction without a trace."""


def rolled_back(store: MemoryStore, act: Callable[[Session], object]) -> None:
    """Execute a transaction, of which nothing stays."""

    def transaction(tx: Session) -> None:
        act(tx)
        raise _RolledBackError

    with pytest.raises(_RolledBackError):
        store.write_now(transaction)


def message_about(
    store: MemoryStore, write: Callable[[Session], object], tamper: Callable[[Session], object]
) -> str:
    """Return what `verify` says of a log that was written, and that somebody tampered with."""
    messages: list[str] = []

    def look(tx: Session) -> None:
        write(tx)
        tamper(tx)
        tx.flush()
        tx.expire_all()
        with pytest.raises(AuditBroken) as caught:
            verification.verify(tx)
        messages.append(str(caught.value))

    rolled_back(store, look)
    return messages[-1]
