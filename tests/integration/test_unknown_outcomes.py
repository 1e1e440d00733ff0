"""A call that may or may not have happened: what leaves it open, and who is asked about it."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlmodel import col, select

from kern.activities import reconciliation
from kern.agent import Agent
from kern.client.processes.runtime import Runtime
from kern.db.engine.stores import SqliteStore
from kern.db.engine.tables import ToolCallRow
from kern.db.turns import calls
from kern.db.turns.attempts import Claim
from kern.errors import InvalidDefinition, OutcomeUnknown
from kern.models.scripted import Call
from kern.process.clock import utc_now
from kern.requirements import Requirement, UnknownReason
from kern.run import RunOutput
from kern.tools import DidNotHappen, Happened, RunContext, StillUnknown, tool
from kern.tools.reconciling import Reconciler
from kern.values.ids import new_id
from kern.values.states import RequirementKind, RunStatus, ToolOutcome
from kern.workflow import Step, Workflow
from tests.support.agents import Ledger, held, scripted
from tests.support.hostile_errors import BankOutcomeUnknown, hostile
from tests.support.waiting import wait_until


class BankError(Exception):
    """An error of a bank's own client."""


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciliation, "_PAUSES", (0.0, 0.0))


def by_agent(pay: Callable[[], str], **options: object) -> RunOutput:
    paying = tool(name="pay", **options)(pay)  # type: ignore[call-overload]
    return scripted([Call("pay"), "Done."], [paying]).run("Pay")


def by_step(pay: Callable[[], str], **options: object) -> RunOutput:
    step = Step("pay", pay, **options)  # type: ignore[arg-type]
    return Workflow(id=f"pays-{id(pay)}", steps=[step]).run("Pay")


RUNS = pytest.mark.parametrize("run", [by_agent, by_step])
Run = Callable[..., RunOutput]


def raising(error: BaseException, ledger: Ledger) -> Callable[[], str]:
    def pay() -> str:
        ledger.add("paid?")
        raise error

    return pay


@RUNS
@pytest.mark.parametrize(
    "error",
    [TimeoutError("no answer"), ConnectionResetError(), OutcomeUnknown("ask"), BankError("504")],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.usefixtures("runtime")
def test_an_error_that_leaves_it_open_asks_a_person(
    run: Run, ledger: Ledger, error: BaseException
) -> None:
    paused = run(raising(error, ledger), unknown_on=(BankError,))
    assert paused.status is RunStatus.paused
    [requirement] = paused.active_requirements
    assert requirement.kind is RequirementKind.unknown_outcome
    assert requirement.attempt is not None
    assert requirement.attempt.reason is UnknownReason.raised
    assert (requirement.attempt.error or "").startswith(type(error).__name__)
    assert f"It raised {type(error).__name__}" in requirement.attempt.sentence
    assert requirement.attempt.begun_at is not None
    assert utc_now() - requirement.attempt.begun_at < timedelta(minutes=5)
    assert not requirement.attempt.is_executing
    assert ledger.lines == ["paid?"]


@RUNS
@pytest.mark.parametrize("effect", ["once", "idempotent", "read"])
@pytest.mark.usefixtures("runtime")
def test_an_error_whose_own_code_raises_is_a_failure(run: Run, ledger: Ledger, effect: str) -> None:
    error = hostile(Exception, everything=True)("no funds")
    output = run(raising(error, ledger), effect=effect)
    assert "BankError" in str(output.tools[0].result if output.tools else output.error)
    assert output.requirements == []
    assert ledger.lines == ["paid?"]


@RUNS
@pytest.mark.usefixtures("runtime")
def test_an_open_error_whose_own_code_raises_asks_a_person(run: Run, ledger: Ledger) -> None:
    [requirement] = run(raising(BankOutcomeUnknown("ask"), ledger)).active_requirements
    assert requirement.attempt is not None
    assert requirement.attempt.reason is UnknownReason.raised
    assert requirement.attempt.error == "BankError"


@RUNS
@pytest.mark.parametrize(
    ("why", "expected"),
    [("bank \ud800\x00", "(bank ?\ufffd)"), (5, "(5)"), (BankOutcomeUnknown(), "unknown")],
    ids=["surrogate", "number", "hostile"],
)
@pytest.mark.usefixtures("runtime")
def test_a_reconcilers_words_are_evidence_whatever_they_are(
    run: Run, ledger: Ledger, why: str, expected: str
) -> None:
    def look_up(key: str, arguments: dict[str, object]) -> StillUnknown:
        del key, arguments
        return StillUnknown(why)

    [requirement] = run(raising(TimeoutError(), ledger), reconcile=look_up).active_requirements
    assert requirement.attempt is not None
    assert requirement.attempt.evidence[0].endswith(expected)


@RUNS
@pytest.mark.parametrize("error", [ConnectionRefusedError(), ValueError(), BankError()], ids=repr)
@pytest.mark.usefixtures("runtime")
def test_an_error_that_does_not_is_a_failure(
    run: Run, ledger: Ledger, error: BaseException
) -> None:
    ended = run(raising(error, ledger))
    assert ended.requirements == []
    assert ended.status is (RunStatus.completed if ended.tools else RunStatus.error)
    assert [call.outcome for call in ended.tools] in ([], [ToolOutcome.error])


@RUNS
@pytest.mark.usefixtures("runtime")
def test_what_changes_nothing_is_in_no_doubt(run: Run, ledger: Ledger) -> None:
    ended = run(raising(TimeoutError(), ledger), effect="read")
    assert ended.requirements == []


def raising_each(errors: list[BaseException], ledger: Ledger) -> Callable[[], str]:
    def pay() -> str:
        ledger.add("paid?")
        if errors:
            raise errors.pop(0)
        return "paid"

    return pay


@RUNS
@pytest.mark.parametrize(
    ("errors", "told"),
    [
        ([TimeoutError()], "It raised TimeoutError"),
        ([ValueError(), OutcomeUnknown("504")], "It raised OutcomeUnknown"),
        ([ConnectionResetError(), ValueError("no such order")], "It raised ValueError"),
    ],
    ids=["only", "last", "earlier"],
)
@pytest.mark.usefixtures("runtime")
def test_what_may_be_repeated_and_may_have_happened_is_asked_when_all_attempts_have_failed(
    run: Run, ledger: Ledger, errors: list[BaseException], told: str
) -> None:
    count, pending = len(errors), list(errors)
    paused = run(raising_each(pending, ledger), effect="idempotent", retries=count - 1)
    [requirement] = paused.active_requirements
    assert requirement.kind is RequirementKind.unknown_outcome
    assert requirement.attempt is not None
    assert told in requirement.attempt.sentence
    earlier = isinstance(errors[0], ConnectionResetError)
    assert [line.startswith("An earlier attempt") for line in requirement.attempt.evidence] == (
        [True] * earlier
    )
    assert ledger.lines == ["paid?"] * count


@RUNS
@pytest.mark.usefixtures("runtime")
def test_what_may_be_repeated_and_has_happened_at_last_asks_nobody(
    run: Run, ledger: Ledger
) -> None:
    ended = run(raising_each([TimeoutError()], ledger), effect="idempotent", retries=1)
    assert (ended.status, ended.requirements) == (RunStatus.completed, [])


@RUNS
@pytest.mark.usefixtures("runtime")
def test_what_may_be_repeated_and_certainly_failed_each_time_is_a_failure(
    run: Run, ledger: Ledger
) -> None:
    errors: list[BaseException] = [ConnectionRefusedError(), ValueError()]
    ended = run(raising_each(errors, ledger), effect="idempotent", retries=1)
    assert ended.requirements == []
    assert ended.status is (RunStatus.completed if ended.tools else RunStatus.error)


@pytest.mark.usefixtures("runtime")
def test_what_may_be_repeated_and_timed_out_is_run_again_with_its_key(ledger: Ledger) -> None:
    free = threading.Event()

    @tool(effect="idempotent", timeout=0.1)
    def pay(run_context: RunContext) -> str:
        ledger.add(run_context.idempotency_key)
        free.wait()
        return "paid"

    agent = scripted([Call("pay"), "Done."], [pay])
    paused = agent.run("Pay")
    [requirement] = paused.active_requirements
    assert requirement.attempt is not None
    assert requirement.attempt.reason is UnknownReason.timed_out
    free.set()
    requirement.run_again(by="dana", even_if_running=True)
    ended = agent.continue_run(paused.run_id, [requirement])
    assert [call.result for call in ended.tools] == ["paid"]
    [first, second] = ledger.lines
    assert first == second


@RUNS
@pytest.mark.usefixtures("runtime")
def test_a_reconciler_that_finds_it_spares_the_question(run: Run, ledger: Ledger) -> None:
    keys: list[tuple[str, object]] = []

    async def look_up(key: str, arguments: dict[str, object]) -> object:
        keys.append((key, arguments))
        return StillUnknown("not booked yet") if len(keys) < 3 else Happened("receipt 4711")

    ended = run(raising(TimeoutError(), ledger), reconcile=look_up)
    assert ended.status is RunStatus.completed
    assert "receipt 4711" in str(ended.tools or ended.content)
    assert ended.requirements == []
    assert len({key for key, _ in keys}) == 1
    assert ledger.lines == ["paid?"]


@RUNS
@pytest.mark.usefixtures("runtime")
def test_a_reconciler_that_finds_nothing_makes_it_a_failure(run: Run, ledger: Ledger) -> None:
    def look_up(key: str, arguments: dict[str, object]) -> object:
        assert key
        assert isinstance(arguments, dict)
        return DidNotHappen()

    ended = run(raising(TimeoutError("no answer"), ledger), reconcile=look_up)
    assert ended.requirements == []
    assert "no answer" in str(ended.tools or ended.error)


def nonsense(key: str, arguments: dict[str, object]) -> object:
    return (key, arguments)


def broken(key: str, arguments: dict[str, object]) -> object:
    message = f"no connection for {len(key)} {len(arguments)}"
    raise ConnectionError(message)


def unsure(key: str, arguments: dict[str, object]) -> object:
    return StillUnknown(f"the bank is closed {bool(key)} {bool(arguments)}")


@RUNS
@pytest.mark.parametrize("look_up", [nonsense, broken, unsure])
@pytest.mark.usefixtures("runtime")
def test_what_a_reconciler_says_is_evidence(run: Run, ledger: Ledger, look_up: Reconciler) -> None:
    [requirement] = run(raising(TimeoutError(), ledger), reconcile=look_up).active_requirements
    assert requirement.attempt is not None
    assert len(requirement.attempt.evidence) == 3
    expected = {"nonsense": "tuple", "broken": "ConnectionError", "unsure": "closed"}
    assert expected[look_up.__name__] in requirement.attempt.evidence[0]


@RUNS
@pytest.mark.usefixtures("runtime")
def test_a_reconciler_is_asked_about_what_timed_out(run: Run, ledger: Ledger) -> None:
    free = threading.Event()

    def pay() -> str:
        ledger.add("paid")
        free.wait()
        return "late"

    def look_up(key: str, arguments: dict[str, object]) -> object:
        return Happened("receipt 4711")

    ended = run(pay, timeout=0.2, reconcile=look_up)
    free.set()
    assert ended.status is RunStatus.completed
    assert "receipt 4711" in str(ended.tools or ended.content)


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("answer", [Happened("receipt"), DidNotHappen(), StillUnknown("closed")])
@pytest.mark.parametrize("kind", ["agent", "step"])
def test_a_reconciler_is_asked_about_what_a_lost_worker_left(
    tmp_path: Path, ledger: Ledger, answer: object, kind: str
) -> None:
    free, paid_at = threading.Event(), list[datetime]()

    def pay() -> str:
        ledger.add("paid")
        paid_at.append(utc_now())
        return "paid"

    def look_up(key: str, arguments: dict[str, object]) -> object:
        ledger.add(f"looked up {bool(key)} {type(arguments).__name__}")
        return answer

    component: Agent | Workflow = scripted(
        [Call("pay"), "Done."], [tool(name="pay", reconcile=look_up)(pay)]
    )
    if kind == "step":
        component = Workflow(id=f"lost-{id(free)}", steps=[Step("pay", pay, reconcile=look_up)])
    scripted([Call("work"), "Done."], [held(ledger, free)]).run("Work", background=True)
    wait_until(lambda: ledger.lines == ["began"])
    run_id = component.run("Pay", background=True).run_id
    of_run = select(ToolCallRow.id).where(col(ToolCallRow.run_id) == run_id)
    database = SqliteStore(tmp_path / "kern.db")
    wait_until(lambda: database.read_now(lambda tx: tx.exec(of_run).first()))
    # While it waits for a place, another worker takes it, and is lost.
    call_id = database.read_now(lambda tx: tx.exec(of_run).one())
    lease, lost_at = timedelta(seconds=3), utc_now()
    lost = Claim("lost", "9@gone", lease=lease)
    database.write_now(lambda tx: calls.begin(tx, call_id, lost, lost_at))
    database.write_now(lambda tx: calls.may_begin(tx, call_id, "lost", lost_at, lease))
    database.close()
    free.set()
    output = component.continue_run(run_id)
    assert "looked up True dict" in ledger.lines
    assert ledger.lines.count("paid") == isinstance(answer, DidNotHappen)
    # The lost worker may be frozen: while it may wake up, nothing is paid in its place.
    assert all(at >= lost_at + lease for at in paid_at)
    if isinstance(answer, StillUnknown):
        [requirement] = output.active_requirements
        assert requirement.attempt is not None
        assert (requirement.attempt.reason, requirement.attempt.worker) == (
            UnknownReason.worker_lost,
            "9@gone",
        )
        assert "closed" in requirement.attempt.evidence[-1]
        return
    assert output.status is RunStatus.completed
    assert output.requirements == []


def test_a_person_says_that_it_happened(runtime: Runtime, ledger: Ledger) -> None:
    assert runtime is not None
    pay = tool(name="pay")(raising(TimeoutError(), ledger))
    agent = scripted([Call("pay"), "Done."], [pay])
    paused = agent.run("Pay")
    happened = paused.active_requirements[0].mark_happened("receipt 1", by="dana")
    assert agent.continue_run(paused.run_id, [happened]).content == "Done."
    assert ledger.lines == ["paid?"]


@pytest.mark.parametrize("refuse", [Requirement.fail, Requirement.reject], ids=["fail", "reject"])
@pytest.mark.usefixtures("runtime")
def test_a_retried_step_that_may_have_happened_is_asked_about_anew(
    ledger: Ledger, refuse: Callable[..., Requirement]
) -> None:
    workflow = Workflow(
        id=f"pays-{new_id()}", steps=[Step("pay", raising(OutcomeUnknown("504"), ledger))]
    )
    paused = workflow.run("Pay")
    failed = workflow.continue_run(
        paused.run_id, [refuse(paused.active_requirements[0], by="dana")]
    )
    assert failed.status is RunStatus.error
    [requirement] = workflow.retry_run(paused.run_id).active_requirements
    assert requirement.kind is RequirementKind.unknown_outcome
    assert requirement.attempt is not None
    assert requirement.attempt.reason is UnknownReason.raised
    assert "504" in requirement.attempt.sentence
    assert ledger.lines == ["paid?"]
    happened = requirement.mark_happened({"content": "receipt 1"}, by="dana")
    assert workflow.continue_run(paused.run_id, [happened]).status is RunStatus.completed
    assert ledger.lines == ["paid?"]


@pytest.mark.usefixtures("runtime")
def test_a_retried_step_that_may_have_happened_is_looked_up_first(ledger: Ledger) -> None:
    answers: list[object] = [*[StillUnknown()] * 4, Happened("receipt 1")]

    def look_up(key: str, arguments: object) -> object:
        return answers.pop(0)

    pay = raising(OutcomeUnknown("504"), ledger)
    workflow = Workflow(id=f"pays-{new_id()}", steps=[Step("pay", pay, reconcile=look_up)])
    paused = workflow.run("Pay")
    workflow.continue_run(paused.run_id, [paused.active_requirements[0].fail(by="dana")])
    ended = workflow.retry_run(paused.run_id)
    assert (ended.status, ended.content) == (RunStatus.completed, "receipt 1")
    assert ledger.lines == ["paid?"]


@RUNS
@pytest.mark.usefixtures("runtime")
def test_a_reconciler_may_say_what_no_database_keeps(run: Run, ledger: Ledger) -> None:
    pay = raising(OutcomeUnknown("ask"), ledger)
    paused = run(pay, reconcile=lambda key, arguments: StillUnknown(f"bank \ud800\x00 {key[:0]}"))
    [requirement] = paused.active_requirements
    assert requirement.attempt is not None
    assert requirement.attempt.evidence
    assert "still unknown (bank ?" in requirement.attempt.evidence[0]


@pytest.mark.usefixtures("runtime")
def test_an_error_that_comes_late_leaves_the_question_open(ledger: Ledger) -> None:
    free = threading.Event()

    def pay() -> str:
        ledger.add("paid?")
        free.wait()
        raise ConnectionResetError

    paying = tool(name="pay", timeout=0.2)(pay)
    agent = scripted([Call("pay"), "Done."], [paying])
    paused = agent.run("Pay")
    free.set()
    done = paused.active_requirements[0].mark_happened("receipt", by="dana")
    assert agent.continue_run(paused.run_id, [done]).status is RunStatus.completed
    wait_until(lambda: agent.get_run_output(paused.run_id).status is RunStatus.completed)


@pytest.mark.parametrize(
    "options",
    [
        {"unknown_on": (str,)},
        {"unknown_on": "TimeoutError"},
        {"reconcile": "look_up"},
        {"effect": "idempotent", "reconcile": unsure},
        {"effect": "read", "unknown_on": (BankError,)},
    ],
    ids=["no error", "a text", "no function", "repeatable", "only read"],
)
@RUNS
@pytest.mark.usefixtures("runtime")
def test_declarations_that_cannot_work_are_refused(
    run: Run, ledger: Ledger, options: dict[str, object]
) -> None:
    with pytest.raises(InvalidDefinition, match=r"unknown_on|reconcile"):
        run(raising(ValueError(), ledger), **options)
    assert ledger.lines == []
