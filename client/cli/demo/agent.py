"""The demonstration's agent: it refunds orders once a person has approved.

`kern up --app kern.client.cli.demo.agent:agent` executes its runs.
"""

import json
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from pydantic import Field

from kern.agent import Agent
from kern.client.cli.demo.options import model_name, uses_openai
from kern.models.base import Model, ModelRequest
from kern.models.openai import OpenAIResponses
from kern.models.scripted import Call, ScriptedModel, Step
from kern.process.settings import read_settings
from kern.tools import RunContext, tool

APP = f"{__name__}:agent"

_LEDGER = "demo-refunds.jsonl"
_NUMBER = r"\d[\d.,]*\d|\d"
_SIGNS = {"€": "EUR", "euro": "EUR", "$": "USD", "dollar": "USD", "£": "GBP"}
_CURRENCY = r"EUR|USD|GBP|CHF|euros?|dollars?|€|\$|£"
_ORDER = re.compile(
    r"\border\b\W*(?:(?:no|number|nr|id)\b\W*)?(?P<id>[\w-]*\d[\w-]*)", re.IGNORECASE
)
_AMOUNT = re.compile(
    rf"(?P<before>{_CURRENCY})\s*(?P<first>{_NUMBER})|(?P<second>{_NUMBER})\s*(?P<after>{_CURRENCY})(?!\w)",
    re.IGNORECASE,
)
_REJECTED = "This call was rejected"


def ledger() -> Path:
    """Return the file that has one line for each refund that was paid."""
    return read_settings().home / _LEDGER


def entries(order_id: str | None = None, key: str | None = None) -> list[dict[str, object]]:
    """Return the refunds that were paid: all, or those of one order or one call."""
    path = ledger()
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    refunds = [dict(json.loads(line)) for line in lines]
    return [
        entry
        for entry in refunds
        if order_id in (None, entry["order_id"]) and key in (None, entry["key"])
    ]


_TITLE = "Refund {amount} {currency} for order {order_id}"
Amount = Annotated[float, Field(gt=0, description="How much, in units of the currency.")]
# From here on somebody types the amount before they approve it.
LARGE = 1_000


@tool(
    requires_confirmation=True,
    title=_TITLE,
    risk="low",
    subject="order_id",
    amount="amount",
    unit="currency",
)
def refund(order_id: str, amount: Amount, run_context: RunContext, currency: str = "EUR") -> str:
    """Pay a customer back, up to 1,000.

    Args:
        order_id: The order's number.
        amount: How much, in units of the currency.
        run_context: The call's own key, by which the ledger shows that it happened.
        currency: The currency's code.
    """
    pay(order_id, amount, currency, key=run_context.idempotency_key)
    return receipt(order_id, amount, currency)


@tool(
    requires_confirmation=True,
    title=_TITLE,
    risk="high",
    consequence="This moves money and cannot be undone.",
    confirm="amount",
    where_to_look="The ledger of the demonstration, by the call's key",
    subject="order_id",
    amount="amount",
    unit="currency",
)
def refund_large(
    order_id: str, amount: Amount, run_context: RunContext, currency: str = "EUR"
) -> str:
    """Pay a customer back more than 1,000.

    Args:
        order_id: The order's number.
        amount: How much, in units of the currency.
        run_context: The call's own key, by which the ledger shows that it happened.
        currency: The currency's code.
    """
    pay(order_id, amount, currency, key=run_context.idempotency_key)
    return receipt(order_id, amount, currency)


def pay(order_id: str, amount: float, currency: str, *, key: str) -> None:
    """Append a line to the ledger; it is on disk when this returns."""
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    paid = {"at": at, "order_id": order_id, "amount": amount, "currency": currency, "key": key}
    path = ledger()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(paid) + "\n")
        file.flush()
        os.fsync(file.fileno())


def receipt(order_id: str, amount: float, currency: str) -> str:
    """Return the tool's result for a refund that was paid."""
    return f"Refunded {amount:.2f} {currency} for order {order_id}."


def answer(request: ModelRequest) -> Step:
    """Play the model: read order and amount, request the refund, and report its result."""
    last = request.messages[-1]
    if last.role == "tool":
        return _closing(last.content)
    text = last.content
    order, amount = read_order(text), read_amount(text)
    if order is None and amount is None:
        return (
            "I refund orders. Tell me which one and how much, such as: Refund order 1042, 40 EUR."
        )
    if order is None:
        return "Which order is it? Tell me all in one, such as: Refund order 1042, 40 EUR."
    if amount is None:
        return f"How much of order {order} do I refund? Such as: Refund order {order}, 40 EUR."
    number, currency = amount
    name = "refund_large" if number > LARGE else "refund"
    return Call(name, order_id=order, amount=number, currency=currency)


def read_order(text: str) -> str | None:
    """Return the order's number: the one after "order", else a number that is not an amount."""
    match = _ORDER.search(text)
    if match is not None:
        return match["id"]
    without_amount = _AMOUNT.sub(" ", text)
    number = re.search(r"\b\d{2,}\b", without_amount)
    return number[0] if number else None


def read_amount(text: str) -> tuple[float, str] | None:
    """Return the amount and its currency: EUR for a number that has none and is not the order's."""
    amount = _AMOUNT.search(text)
    if amount is not None:
        sign = (amount["before"] or amount["after"]).lower()
        number = _number(amount["first"] or amount["second"])
        return (
            None if number is None else (number, _SIGNS.get(sign.removesuffix("s"), sign.upper()))
        )
    order = _ORDER.search(text)
    without_order = text[: order.start()] + " " + text[order.end() :] if order else ""
    bare = re.search(_NUMBER, without_order)
    number = _number(bare[0]) if bare else None
    return None if number is None else (number, "EUR")


def _number(text: str) -> float | None:
    """Read a number with either separator for thousands and for decimals."""
    groups = re.split(r"[.,]", text)
    has_decimals = len(groups) > 1 and len(groups[-1]) != 3  # noqa: PLR2004  a thousand has three
    whole = "".join(groups[:-1] if has_decimals else groups)
    value = float(f"{whole}.{groups[-1]}" if has_decimals else whole)
    return value if value > 0 else None


def _closing(result: str) -> str:
    if result.startswith(_REJECTED):
        note = re.search(r"Their note: (.*?) Do not repeat it", result, re.DOTALL)
        why = f" The reason given: {note[1]}" if note else ""
        return f"I have not refunded anything: the refund was rejected.{why}"
    if result.startswith("Refunded"):
        return f"Done. {result} The money is on its way."
    return f"I could not refund it: {result}"


def _model() -> Model:
    return OpenAIResponses(id=model_name()) if uses_openai() else ScriptedModel(answer)


agent = Agent(
    id="kern-demo",
    name="Support",
    model=_model(),
    instructions=(
        "You are a support agent of a shop. When a customer wants money back, call the tool "
        "refund, or refund_large for more than 1,000, with the order's number, the amount and the "
        "currency (EUR unless another is named). Do not ask for permission first: a person "
        "approves each refund. If the order or the amount is missing, ask for it. Answer in one "
        "or two sentences."
    ),
    tools=[refund, refund_large],
)
