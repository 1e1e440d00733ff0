"""Runs of every release, completed and paused, replay on the present workflow code."""

from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from kern.client.temporal.connection import KernPlugin

HISTORIES = {
    f"{path.parent.name}/{path.stem}": path.read_text()
    for path in sorted((Path(__file__).parent / "histories").glob("*/*.json"))
}


def replayer() -> Replayer:
    return Replayer(workflows=[], plugins=[KernPlugin()])


@pytest.mark.parametrize("name", HISTORIES)
async def test_the_history_replays(name: str) -> None:
    history = WorkflowHistory.from_json(name, HISTORIES[name])

    result = await replayer().replay_workflow(history, raise_on_replay_failure=False)

    assert result.replay_failure is None


def test_there_are_paused_and_completed_ones() -> None:
    states = {name.partition("/")[2].partition("_")[0] for name in HISTORIES}
    assert states == {"paused", "completed"}


async def test_a_history_of_another_workflow_would_be_refused() -> None:
    recorded = HISTORIES["0.1.0/completed_approved"]
    text = recorded.replace('"name": "tool_call"', '"name": "another"')
    assert text != recorded

    altered = WorkflowHistory.from_json("altered", text)
    result = await replayer().replay_workflow(altered, raise_on_replay_failure=False)

    assert result.replay_failure is not None
