"""How long a call was executed, and how long people were asked, whatever lies over what."""

from datetime import UTC, datetime, timedelta

import pytest

from kern.client.cli import durations
from kern.requirements import Requirement, Resolution
from kern.run import RunOutput, ToolExecution
from kern.values.states import RequirementKind, RunStatus, ToolCallStatus, Verdict

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def at(second: int) -> datetime:
    return BEGIN + timedelta(seconds=second)


def asked(begin: int, end: int | None, call: str = "call") -> Requirement:
    resolution = None if end is None else Resolution(verdict=Verdict.happened, by="d", at=at(end))
    return Requirement(
        id=f"{begin}",
        run_id="run",
        session_id="session",
        kind=RequirementKind.unknown_outcome,
        tool_call_id=call,
        created_at=at(begin),
        resolution=resolution,
    )


def executed(begin: int | None, end: int | None) -> ToolExecution:
    return ToolExecution(
        id="call",
        tool_name="send",
        turn=1,
        status=ToolCallStatus.done,
        started_at=None if begin is None else at(begin),
        finished_at=None if end is None else at(end),
    )


@pytest.mark.parametrize(
    ("requirements", "worked", "waited"),
    [
        ([], 100, 0),
        # Approved before it began.
        ([asked(0, 10)], 100, 0),
        # The worker died after 20 seconds, and a person said at the end that it happened.
        ([asked(0, 10), asked(30, 110)], 20, 80),
        # Asked about twice.
        ([asked(30, 60), asked(80, 100)], 50, 50),
        # Another call's question is none of this one's.
        ([asked(30, 110, "other")], 100, 0),
    ],
)
def test_waiting_for_people_is_no_execution(
    requirements: list[Requirement], worked: int, waited: int
) -> None:
    call = executed(10, 110)

    assert durations.execution(call, requirements) == timedelta(seconds=worked)
    assert durations.waiting(call, requirements) == timedelta(seconds=waited)


def test_what_never_began_took_no_time() -> None:
    assert durations.execution(executed(None, 50), [asked(0, 50)]) is None
    assert durations.waiting(executed(None, 50), [asked(0, 50)]) == timedelta(0)


def test_questions_that_are_open_at_once_count_once() -> None:
    run = RunOutput(
        run_id="run",
        session_id="session",
        component_id="agent",
        status=RunStatus.completed,
        requirements=[asked(10, 50), asked(20, 30), asked(40, 60), asked(90, None)],
        created_at=at(0),
        finished_at=at(100),
    )

    assert durations.asking(run) == timedelta(seconds=60)
    assert durations.asking(run.model_copy(update={"finished_at": None})) == timedelta(0)
