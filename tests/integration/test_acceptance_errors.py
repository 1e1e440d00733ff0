"""An error around an acceptance says what was kept, and names the run."""

from collections.abc import Callable, Generator
from contextlib import contextmanager

import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from kern import inbox
from kern.client.processes.runtime import Runtime
from kern.client.temporal.courier import Courier
from kern.contracts.viewer import OPERATOR
from kern.db.engine import store as engine
from kern.errors import DatabaseFailure, KernError, Unavailable
from kern.models.scripted import Call
from kern.process import checkpoints
from kern.tools import tool
from kern.values.states import RequirementStatus, RunStatus
from tests.support.agents import scripted


@tool(requires_confirmation=True)
def pay(amount: int) -> str:
    """Pay."""
    return f"paid {amount}"


@pytest.fixture(autouse=True)
def _short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_REFUSED_SECONDS", -1.0)


@contextmanager
def without_database(runtime: Runtime) -> Generator[None]:
    """Refuse every transaction at its beginning, as a server does that only reads."""

    def refuse(_: object) -> None:
        raise OperationalError("BEGIN", None, ConnectionError("session is read-only"))

    event.listen(runtime.services.db.engine, "begin", refuse)
    try:
        yield
    finally:
        event.remove(runtime.services.db.engine, "begin", refuse)


@contextmanager
def losing_the_database(after: str) -> Generator[None]:
    """From a point in the acceptance on, every transaction of the caller fails."""
    points: list[str] = []

    def fail(point: str) -> None:
        points.append(point)
        if after in points and point.startswith("write."):
            raise OperationalError("COMMIT", None, ConnectionError("reset"))

    checkpoints.arm(fail)
    try:
        yield
    finally:
        checkpoints.arm(None)


def unreadable(*_: object) -> object:
    message = "The database does not answer: away."
    raise Unavailable(message)


def failing(action: Callable[[], object]) -> KernError:
    with pytest.raises((Unavailable, DatabaseFailure)) as caught:
        action()
    return caught.value


def test_a_run_whose_acceptance_is_in_doubt_is_named_and_started_once(runtime: Runtime) -> None:
    agent = scripted(["Hello."])
    with losing_the_database("accept.before_store"):
        error = failing(lambda: agent.run("Hi"))
    assert error.run_id is not None
    assert f"not known whether run {error.run_id!r} was accepted" in str(error)
    assert "safe to try again" not in str(error)
    assert agent.run("Hi", run_id=error.run_id).status is RunStatus.completed
    page = runtime.call(lambda service: service.runs.page(OPERATOR, limit=10))
    assert [item.run_id for item in page.runs] == [error.run_id]


def test_an_error_after_the_acceptance_says_so_and_names_the_run(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = scripted(["Hello."])
    with monkeypatch.context() as patched:
        patched.setattr(type(runtime.service.runs), "read", unreadable)
        errors = [
            failing(lambda: agent.run("Hi")),
            failing(lambda: agent.run("Hi", background=True)),
        ]
        for error in errors:
            assert error.run_id is not None
            assert f"The run was accepted, and run {error.run_id!r} continues" in str(error)
            assert "do not repeat it" in str(error)
    assert agent.continue_run(str(errors[-1].run_id)).status is RunStatus.completed


def test_a_kept_decision_is_not_answered_as_if_it_were_lost(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = scripted([Call("pay", amount=1), "Done."], [pay])
    paused = agent.run("Pay")
    paused.active_requirements[0].confirm(by="dana")
    with monkeypatch.context() as patched:
        patched.setattr(type(runtime.service.runs), "read", unreadable)
        error = failing(lambda: agent.continue_run(paused))
    assert (error.run_id, "The decision was accepted" in str(error)) == (paused.run_id, True)
    assert agent.continue_run(paused.run_id).status is RunStatus.completed


def test_a_decision_in_doubt_is_named(runtime: Runtime) -> None:
    agent = scripted([Call("pay", amount=1), "Done."], [pay])
    paused = agent.run("Pay")
    (requirement,) = paused.active_requirements
    with losing_the_database("resolve.before_store"):
        error = failing(lambda: inbox.decide(requirement.confirm(by="dana")))
    assert requirement.id in str(error)
    assert "Read it again" in str(error)
    stands = inbox.get(requirement.id).status
    assert stands in {RequirementStatus.resolved, RequirementStatus.pending}


def test_a_run_that_cannot_be_continued_is_named_and_nothing_was_decided(
    runtime: Runtime,
) -> None:
    agent = scripted([Call("pay", amount=1), "Done."], [pay])
    paused = agent.run("Pay")
    (requirement,) = paused.active_requirements
    filled = paused.model_copy(deep=True)
    filled.active_requirements[0].confirm(by="dana")
    calls: list[Callable[[], object]] = [
        lambda: agent.continue_run(str(paused.run_id)),
        lambda: agent.continue_run(filled),
        lambda: list(agent.continue_run(filled, stream=True)),
    ]
    for call in calls:
        with without_database(runtime):
            error = failing(call)
        assert error.run_id == paused.run_id
        assert str(error).startswith("Nothing was decided about ")
        assert repr(paused.run_id) in str(error)
        assert "only reads at the moment (as during a failover): session is read-only." in str(
            error
        )
    with without_database(runtime):
        error = failing(lambda: inbox.decide(requirement.confirm(by="dana")))
    assert f"Nothing was decided about requirement {requirement.id!r}: " in str(error)
    assert inbox.get(requirement.id).status is RequirementStatus.pending
    assert agent.continue_run(filled).status is RunStatus.completed


def test_a_decision_in_doubt_names_the_run_that_it_continues(runtime: Runtime) -> None:
    agent = scripted([Call("pay", amount=1), "Done."], [pay])
    paused = agent.run("Pay")
    (requirement,) = paused.active_requirements
    requirement.confirm(by="dana")
    with losing_the_database("resolve.before_store"):
        error = failing(lambda: agent.continue_run(paused))
    assert error.run_id == paused.run_id
    about = f"the decision about requirement {requirement.id!r} of run {paused.run_id!r}"
    assert f"It is not known whether {about} was kept" in str(error)


async def test_a_delivery_that_fails_in_any_way_fails_no_acceptance(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> bool:
        message = "no statement succeeds"
        raise DatabaseFailure(message)

    agent = scripted([Call("pay", amount=1), "Done."], [pay])
    with monkeypatch.context() as patched:
        patched.setattr(Courier, "deliver_accepted", broken)
        accepted = await agent.arun("Pay", background=True)
    paused = await agent.acontinue_run(accepted.run_id)
    (requirement,) = paused.active_requirements
    with monkeypatch.context() as patched:
        patched.setattr(Courier, "deliver_accepted", broken)
        assert inbox.decide(requirement.confirm(by="dana")).delivered is False
    assert (await agent.acontinue_run(paused.run_id)).status is RunStatus.completed
