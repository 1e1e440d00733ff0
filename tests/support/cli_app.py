"""An app for the command line's tests: each agent ends another way."""

from pathlib import Path

from kern.agent import Agent
from kern.models.base import ProviderError
from kern.models.scripted import Call, ScriptedModel
from kern.tools import ask_user, tool
from tests.support.speaking import Speaking


@tool(requires_confirmation=True)
def refund(order_id: str, amount: float) -> str:
    """Pay the customer back."""
    return f"refunded {amount:g} for {order_id}"


@tool(requires_user_input=True, user_input_fields=["zip_code"])
def ship(item: str, zip_code: str) -> str:
    """Send something."""
    return f"{item} to {zip_code}"


answers = Agent(id="answers", model=ScriptedModel(["Forty-two."]))
asks = Agent(
    id="asks",
    model=ScriptedModel(
        [
            Call("refund", order_id="1042", amount=40.0),
            [
                Call("ship", item="a book"),
                Call("ask_user", question="Which?", options=["red", "blue"]),
            ],
            "All done.",
        ]
    ),
    tools=[refund, ship, ask_user],
)
fails = Agent(
    id="fails",
    model=ScriptedModel([ProviderError("no such model", code="refused", retryable=False)]),
)
# What it says second waits for a file in the folder in which the command runs.
tells = Agent(id="tells", model=Speaking([["Once upon ", Path("go"), "a time."]]))
