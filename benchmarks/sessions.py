"""Long sessions, stored by Kern's own functions without executing any runs."""

from datetime import UTC, datetime
from functools import partial

from sqlmodel import Session

from kern.agent import Agent
from kern.components.component import definition_of
from kern.contracts.answers import Answer
from kern.contracts.requests import RunRequest
from kern.db.engine.store import Store
from kern.db.runs import accepting
from kern.db.turns import model_turns
from kern.models.base import ModelResponse
from kern.values.ids import new_id

_BATCH_SIZE = 100


async def session_with(db: Store, agent: Agent, completed: int) -> str:
    """Store a session with `completed` runs; return its id."""
    session_id = new_id()
    await _store_all(db, agent, [session_id] * completed)
    return session_id


async def many_sessions(db: Store, agent: Agent, count: int, runs_in_each: int) -> str:
    """Store `count` sessions of one user, with `runs_in_each` runs each; return the user's id."""
    user_id = new_id()
    ids = [new_id() for _ in range(count)]
    await _store_all(db, agent, ids * runs_in_each, user_id)
    return user_id


async def _store_all(
    db: Store, agent: Agent, session_ids: list[str], user_id: str | None = None
) -> None:
    for first in range(0, len(session_ids), _BATCH_SIZE):
        batch = session_ids[first : first + _BATCH_SIZE]
        await db.write(partial(_store, agent=agent, session_ids=batch, user_id=user_id))


def _store(tx: Session, *, agent: Agent, session_ids: list[str], user_id: str | None) -> None:
    for session_id in session_ids:
        run_id, now = new_id(), datetime.now(UTC)
        accepting.accept(
            tx,
            RunRequest(
                component_id=agent.id,
                input="What is the answer?",
                session_id=session_id,
                user_id=user_id,
            ),
            component_kind=definition_of(agent).kind,
            initial_state={},
            now=now,
            run_id=run_id,
            session_id=session_id,
        )
        response = ModelResponse(content="Here is your answer.", provider="scripted")
        model_turns.store(tx, run_id, 1, Answer(response), now)
