"""An app whose runs wait for people in every way that the walk of the inbox knows."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from kern.agent import Agent
from kern.models.scripted import Call, ScriptedModel
from kern.tools import Approval, Bounds, ask_user, tool
from kern.workflow import HumanReview, Step, StepInput, Workflow


@tool(requires_confirmation=True, title="Refund {amount} EUR for order {order_id}", risk="low")
def refund(order_id: str, amount: float) -> str:
    """Pay the customer back."""
    return f"refunded {amount:g} for {order_id}"


@tool(
    requires_confirmation=True,
    approval=Approval(candidates=("dana", "eli")),
    title="Pay back {amount} {currency}",
    risk="high",
    consequence="The customer is paid at once.",
    confirm="amount",
    edit_bounds={"amount": Bounds(only="down")},
    amount="amount",
    unit="currency",
)
def pay_back(order_id: str, amount: int, currency: str = "EUR") -> str:
    """Pay a large amount back."""
    return f"paid {amount} {currency} for {order_id}"


@tool(requires_user_input=True, user_input_fields=["floor", "pin"])
def deliver(
    item: str,
    floor: Annotated[int, Field(ge=0, le=9)],
    pin: Annotated[str, Field(min_length=4, json_schema_extra={"writeOnly": True})],
) -> str:
    """Send something to a floor."""
    return f"{item} to floor {floor} with a pin of {len(pin)}"


@tool(external_execution=True)
def look_up(name: str) -> str:
    """Ask another system."""
    return name


@tool(
    requires_confirmation=True, approval=Approval(candidates=("dana", "eli"), quorum=2), risk="low"
)
def publish(version: str) -> str:
    """Publish a version."""
    return f"published {version}"


def write_letter(step_input: StepInput) -> str:
    """Write a letter, which gets shorter each time it is sent back."""
    return "Dear Mia," if step_input.feedback else "My very dear Mia,"


def post(step_input: StepInput) -> str:
    """Post a letter, once the office is open."""
    if not Path("open").exists():
        raise RuntimeError("the office is closed")
    return f"posted: {step_input.previous_content}"


def _agent(name: str, call: Call) -> Agent:
    return Agent(
        id=name,
        model=ScriptedModel([call, "All done."]),
        tools=[refund, pay_back, deliver, look_up, publish, ask_user],
    )


refunds = _agent("refunds", Call("refund", order_id="1042", amount=40.0))
payments = _agent("payments", Call("pay_back", order_id="88-10423", amount=12500))
deliveries = _agent("deliveries", Call("deliver", item="a book"))
look_ups = _agent("look_ups", Call("look_up", name="Nordlicht"))
releases = _agent("releases", Call("publish", version="1.4"))
questions = _agent("questions", Call("ask_user", question="Which?", options=["red", "blue"]))
letters = Workflow(
    id="letters",
    steps=[
        Step("write", write_letter, human_review=HumanReview(requires_output_review=True)),
        Step("post", post, on_error="pause"),
    ],
)
