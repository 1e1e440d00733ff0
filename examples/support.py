"""A support agent that looks orders up by itself, and asks a person before a large refund.

Run it with `python examples/support.py`, or execute its runs with
`kern up --app examples/support.py:agent`.
"""

import os

from kern.agent import Agent
from kern.models.base import Model
from kern.models.openai import OpenAIResponses
from kern.models.scripted import Call, ScriptedModel, Step
from kern.tools import RunContext, tool

SMALL = 20


@tool(effect="read")
def find_order(order_id: str) -> dict[str, str]:
    """Look an order up."""
    return {"order_id": order_id, "state": "delivered", "paid": "40.00 EUR"}


def is_large(amount: float) -> bool:
    """Say which refunds need a person."""
    return amount > SMALL


@tool(requires_confirmation=is_large, effect="idempotent", retries=3)
def refund(order_id: str, amount: float, run_context: RunContext) -> str:
    """Pay the customer back.

    Args:
        order_id: The order, as on the invoice.
        amount: How much, in EUR.
    """
    return f"Refunded {amount:.2f} EUR for {order_id} (key {run_context.idempotency_key})."


def model() -> Model:
    """Return a real model if one is configured, else a script that plays it."""
    if os.environ.get("OPENAI_API_KEY") or os.environ.get("OPENAI_BASE_URL"):
        return OpenAIResponses(id=os.environ.get("MODEL", "gpt-5.2"))
    script: list[Step] = [
        Call("find_order", order_id="1042"),
        Call("refund", order_id="1042", amount=40),
        "The refund is on its way.",
    ]
    return ScriptedModel(script)


agent = Agent(
    id="support",
    model=model(),
    instructions="You help the customers of a shop. Look an order up before you refund it.",
    tools=[find_order, refund],
)

if __name__ == "__main__":
    response = agent.run("Please refund order 1042, the lamp arrived broken.", user_id="ann")
    for requirement in response.active_requirements:
        print("Approving", requirement.tool_name, requirement.arguments)
        requirement.confirm(by="dana", note="The picture shows it.")
    response = agent.continue_run(response.run_id, response.requirements)
    print(response.content)
