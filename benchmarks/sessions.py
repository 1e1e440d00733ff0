"""Long sessions, written by the functions that runs are stored with, without running them."""

from datetime import UTC, datetime
from functools import partial

from sqlmodel import Session

from benchmarks.engine import TALKING
from kern.db import Database, runs, turns
from kern.db.turns import Answer
from kern.ids import new_id
from kern.models.base import ModelResponse
from kern.runner import RunRequest

_AT_ONCE = 100


async def session_with(db: Database, completed: int) -> str:
    """Store a session with that many completed runs; return its id."""
    session_id = new_id()
    for first in range(0, completed, _AT_ONCE):
        count = min(_AT_ONCE, completed - first)
        await db.write(partial(_store, session_id=session_id, count=count))
    return session_id


def _store(tx: Session, *, session_id: str, count: int) -> None:
    for _ in range(count):
        run_id, now = new_id(), datetime.now(UTC)
        runs.accept(
            tx,
            RunRequest(component_id=TALKING.id, input="What is the answer?", session_id=session_id),
            component_kind=TALKING.kind,
            initial_state={},
            now=now,
            run_id=run_id,
            session_id=session_id,
        )
        response = ModelResponse(content="Here is your answer.", provider="scripted")
        turns.store(tx, run_id, 1, Answer(response), now)
