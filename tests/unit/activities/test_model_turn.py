"""What a turn stores of itself, whichever attempt at it comes to its end."""

import dataclasses
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from temporalio.testing import ActivityEnvironment

from kern.activities.model_turn import ModelTurn
from kern.components.registry import Registry
from kern.contracts.messages import TurnInput
from kern.contracts.requests import RunRequest
from kern.contracts.viewer import OPERATOR
from kern.db.reading import run_outputs
from kern.db.runs import accepting
from kern.values.ids import new_id
from tests.support.agents import scripted
from tests.support.templates import sqlite_with_tables


async def test_what_a_worker_took_that_died_at_once_counts_as_work(tmp_path: Path) -> None:
    agent, registry = scripted(["Hello."]), Registry()
    registry.register(agent)
    run_id, session_id, now = new_id(), new_id(), datetime.now(UTC)
    with closing(sqlite_with_tables(tmp_path / "kern.db")) as db:
        await db.write(
            lambda tx: accepting.accept(
                tx,
                RunRequest(component_id=agent.id, input="Hi"),
                component_kind="agent",
                initial_state={},
                now=now - timedelta(seconds=40),
                run_id=run_id,
                session_id=session_id,
            )
        )
        again = ActivityEnvironment()
        begun = now - timedelta(seconds=30)
        again.info = dataclasses.replace(again.info, attempt=2, scheduled_time=begun)
        turn = ModelTurn(db, registry, 3, db.broadcaster)
        await again.run(turn.model_turn, TurnInput(run_id=run_id, turn=1))
        output = await db.read(lambda tx: run_outputs.run_output(tx, run_id, OPERATOR))
    assert output.content == "Hello."
    assert 30 <= output.metrics.working_seconds < 40
