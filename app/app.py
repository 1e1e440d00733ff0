"""The agent that `docker compose up` serves: it looks orders up, and asks before it pays back.

Replace it with your own, or name another folder: `KERN_APP_DIR=./my-agents KERN_APP=my_agents`.
"""

import os
import re

from kern.agent import Agent
from kern.models.base import Model, ModelRequest
from kern.models.openai import OpenAIResponses
from kern.models.scripted import Call, ScriptedModel
from kern.tools import tool


@tool(effect="read")
def find_order(order_id: str) -> dict[str, str]:
    """Look an order up.

    Args:
        order_id: The order, as on the invoice.
    """
    return {"order_id": order_id, "state": "delivered", "paid": "40.00 EUR"}


@tool(requires_confirmation=True)
def refund(order_id: str, amount: float) -> str:
    """Pay the customer back.

    Args:
        order_id: The order, as on the invoice.
        amount: How much, in EUR.
    """
    return f"Refunded {amount:.2f} EUR for order {order_id}."


def answer(request: ModelRequest) -> str | Call:
    """Play the model where no account is configured: refund 40 EUR for the order that is named."""
    last = request.messages[-1]
    if last.role == "tool":
        return last.content
    order = re.search(r"\d+", last.content)
    if order is None:
        return "Which order is it? Ask for example: Refund order 1042."
    return Call("refund", order_id=order[0], amount=40)


def model() -> Model:
    """Return OpenAI's model, or that of another server, where the environment names one."""
    if os.environ.get("OPENAI_API_KEY") or os.environ.get("OPENAI_BASE_URL"):
        return OpenAIResponses(id=os.environ.get("MODEL") or "gpt-5.2")
    return ScriptedModel(answer)


agent = Agent(
    id="support",
    name="Support",
    model=model(),
    instructions="You help the customers of a shop. Look an order up before you refund it.",
    tools=[find_order, refund],
)
