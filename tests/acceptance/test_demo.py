"""The demonstration, as a person sees it at a terminal, as CI runs it, and through a crash."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kern.client.cli.demo import agent
from kern.client.cli.demo.agent import answer, read_amount, read_order
from kern.client.cli.demo.crash import settle
from kern.client.server.process import birth_of
from kern.models.base import ModelRequest
from kern.models.scripted import Call
from kern.requirements import Requirement, UnknownAttempt, UnknownReason
from kern.run import Message
from kern.values.states import RequirementKind, Verdict
from tests.support.cli import command, terminal
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(240)


@pytest.mark.parametrize(
    ("text", "order", "amount"),
    [
        ("Refund order 1042, 40 EUR", "1042", (40.0, "EUR")),
        ("please give me $12.50 back for order #A-77", "A-77", (12.5, "USD")),
        ("order no. 7: 1.234,50 €", "7", (1234.5, "EUR")),
        ("Refund 99 euros for 5512", "5512", (99.0, "EUR")),
        ("refund order 8 with 1,200 dollars", "8", (1200.0, "USD")),
        ("Refund order 1042", "1042", None),
        ("Refund order 1042, 0 EUR", "1042", None),
        ("Refund order 31, 15", "31", (15.0, "EUR")),
        ("I want 20 EUR", None, (20.0, "EUR")),
        ("Hello", None, None),
    ],
)
def test_the_built_in_model_reads_what_is_asked(
    text: str, order: str | None, amount: tuple[float, str] | None
) -> None:
    assert (read_order(text), read_amount(text)) == (order, amount)
    step = answer(ModelRequest(messages=[Message(role="user", content=text)]))
    if order and amount:
        name = "refund_large" if amount[0] > agent.LARGE else "refund"
        assert step == Call(name, order_id=order, amount=amount[0], currency=amount[1])
    else:
        assert isinstance(step, str)


def test_a_person_approves(folder: Path) -> None:
    with terminal("demo", "Refund order 77, 12.50 USD", cwd=folder) as screen:
        screen.expect("Model: a scripted one")
        screen.expect("OPENAI_API_KEY")
        screen.expect('amount=12.5, currency="USD", order_id="77"')
        screen.expect("a = approve, r = reject, e = edit the amount")
        screen.type("a")
        screen.expect("Refunded 12.50 USD for order 77")
        screen.expect("1 refund paid by this run")
        screen.expect("kern audit verify")
        assert screen.end() == 0
        assert screen.text.startswith("Model: ")


def test_a_person_rejects(folder: Path) -> None:
    with terminal("demo", cwd=folder) as screen:
        screen.expect("a = approve")
        screen.type("r")
        screen.expect("Why")
        screen.type("Not covered.")
        screen.expect("I have not refunded anything")
        screen.expect("Not covered.")
        screen.expect("0 refunds paid by this run")
        assert screen.end() == 0


def test_a_person_changes_the_amount_and_is_told_what_does_not_fit(folder: Path) -> None:
    with terminal("demo", cwd=folder) as screen:
        screen.expect("a = approve")
        screen.type("e")
        screen.expect("amount [40.0]:")
        screen.type("-3")
        screen.expect("amount: Input should be greater than 0 (got '-3')")
        screen.expect("amount [40.0]:")
        screen.type("")
        screen.expect("Nothing was changed.")
        screen.expect("a = approve")
        screen.type("e")
        screen.expect("amount [40.0]:")
        screen.type("much")
        screen.expect("amount [40.0]:")
        screen.type("30")
        screen.expect("Refunded 30.00 EUR for order 1042")
        assert screen.end() == 0


def test_off_a_terminal_it_takes_the_decision_as_an_option(folder: Path) -> None:
    said = command("demo", "--decision", "approve", "--amount", "5", cwd=folder)
    assert (said.code, said.err) == (0, "")
    assert "Refunded 5.00 EUR for order 1042" in said.out


def test_off_a_terminal_and_without_a_decision_the_run_waits(folder: Path) -> None:
    said = command("demo", cwd=folder)
    assert said.code == 10
    assert "--decision approve|reject" in said.out
    assert re.search(r"Run \S{36} waits for a person", said.out)
    assert "kern approve " in said.out


def test_options_that_would_have_no_effect_are_refused(folder: Path) -> None:
    said = command("demo", "--amount", "5", cwd=folder)
    assert (said.code, said.out) == (2, "")


def test_a_killed_worker_pays_once(folder: Path) -> None:
    said = command("demo", "--crash", "Refund order 5, 6 EUR", cwd=folder, timeout=200)
    assert said.code == 0, said.out + said.err
    assert "killed with SIGKILL" in said.out
    assert "The run is completed: Done. Refunded 6.00 EUR for order 5." in said.out
    assert "The ledger holds exactly 1 refund of this run" in said.out


def test_a_killed_demonstration_leaves_no_worker(folder: Path) -> None:
    with terminal("demo", "--crash", cwd=folder) as screen:
        screen.expect("A worker runs as process ")
        screen.expect(".")
        worker = int(re.findall(r"runs as process (\d+)\.", screen.text)[0])
        assert birth_of(worker)
        screen.process.kill()
        wait_until(lambda: birth_of(worker) is None, timeout=60)


@pytest.mark.parametrize("paid", [1, 0])
def test_a_torn_call_is_answered_from_the_ledger(
    paid: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERN_HOME", str(tmp_path))
    if paid:
        agent.pay("5", 6.0, "EUR", key="call-1")
    item = Requirement(
        id="r", run_id="run", session_id="s", kind=RequirementKind.unknown_outcome,
        attempt=UnknownAttempt(reason=UnknownReason.worker_lost, idempotency_key="call-1"),
        created_at=datetime.now(UTC),
    )  # fmt: skip
    settle(item)
    assert item.draft is not None
    if paid:
        assert item.draft.verdict is Verdict.happened
        assert item.draft.result == "Refunded 6.00 EUR for order 5."
    else:
        assert item.draft.verdict is Verdict.run_again
