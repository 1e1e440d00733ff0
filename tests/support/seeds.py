"""Runs that wait for people, written by Kern's own transactions; no server is needed for them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from kern.agent import Agent
from kern.components.agents.planning import RunSoFar, plan
from kern.contracts.messages import TurnOutcome
from kern.contracts.requests import RunRequest
from kern.db.engine.store import Store
from kern.db.runs import accepting
from kern.db.turns import calls, model_turns
from kern.db.turns.attempts import Claim
from kern.models.base import ModelResponse
from kern.models.scripted import Call, ScriptedModel
from kern.run import RequestedCall
from kern.tools import Approval, ask_user, tool
from kern.values.attempts import UnknownReason
from kern.values.ids import new_id


@tool(requires_confirmation=True)
def refund(order_id: str, amount: float) -> str:
    """Pay the customer back."""
    return f"{order_id} {amount}"


@tool(requires_confirmation=True, approval=Approval(candidates=("dana", "eli"), quorum=2))
def wire(amount: float) -> str:
    """Send money."""
    return f"{amount}"


@tool(requires_confirmation=True, risk="high", confirm="amount")
def dangerous(amount: int) -> str:
    """Send much money."""
    return f"{amount}"


@tool(requires_user_input=True)
def address(street: str, zip_code: str, floor: int, lift: bool = False) -> str:  # noqa: FBT001, FBT002
    """Note where somebody lives."""
    return f"{street} {zip_code} {floor} {lift}"


@tool(external_execution=True)
def look_up(name: str) -> str:
    """Ask another system."""
    return name


@tool
def send(text: str) -> str:
    """Do something that may not be repeated."""
    return text


agent = Agent(
    id="seeded",
    model=ScriptedModel(["Done."]),
    tools=[refund, wire, dangerous, address, look_up, send, ask_user],
)


@dataclass(frozen=True)
class Seeded:
    """A run, and the requirement that it waits for."""

    run_id: str
    requirement_id: str


def waiting(
    db: Store, call: Call, *, text: str = "Do it.", user_id: str | None = None, run_id: str = ""
) -> Seeded:
    """Store a run whose model asked for a call that waits for a person."""
    run_id = run_id or new_id()
    outcome = _asked(db, [call], text, user_id, run_id)
    gate = outcome.calls[0].gate
    assert gate is not None
    return Seeded(run_id, gate.requirement_id)


def waiting_for_two(db: Store) -> str:
    """Store a run whose model asked for two calls that wait for a person, and return its id."""
    run_id = new_id()
    _asked(db, [Call("refund", order_id=order, amount=1.0) for order in "ab"], "Do.", None, run_id)
    return run_id


def torn(db: Store, evidence: Sequence[str] = ()) -> Seeded:
    """Store a run whose worker died in the middle of a call that may not be repeated.

    `evidence` is what the call's reconciler has said.
    """
    run_id = new_id()
    call = _asked(db, [Call("send", text="hello")], "Send it.", None, run_id).calls[0]
    now = datetime.now(UTC)
    db.write_now(
        lambda tx: calls.begin(tx, call.tool_call_id, Claim("first", lease=timedelta(0)), now)
    )
    db.write_now(lambda tx: calls.may_begin(tx, call.tool_call_id, "first", now, timedelta(0)))
    lost = UnknownReason.worker_lost
    found = db.write_now(
        lambda tx: calls.ask_outcome(tx, call.tool_call_id, "first", lost, now, evidence=evidence)
    )
    assert found.gate is not None
    return Seeded(run_id, found.gate.requirement_id)


def _asked(
    db: Store, asked: Sequence[Call], text: str, user_id: str | None, run_id: str
) -> TurnOutcome:
    request = RunRequest(component_id=agent.id, input=text, user_id=user_id)
    requested = [
        RequestedCall(id=f"call_{number}", name=call.name, arguments=call.arguments_text)
        for number, call in enumerate(asked)
    ]
    answer = plan(agent, ModelResponse(provider="scripted", tool_calls=requested), RunSoFar())
    now = datetime.now(UTC)
    db.write_now(
        lambda tx: accepting.accept(
            tx,
            request,
            component_kind="agent",
            initial_state={},
            now=now,
            run_id=run_id,
            session_id=new_id(),
        )
    )
    return db.write_now(lambda tx: model_turns.store(tx, run_id, 1, answer, now))
