"""An app for workers in processes of their own; a ledger tells what its tools did, and where."""

import json
import os
from pathlib import Path

from kern.agent import Agent
from kern.models.scripted import Call, ScriptedModel
from kern.tools import RunContext, tool
from tests.support.agents import Ledger
from tests.support.speaking import Speaking, Spoken
from tests.support.waiting import wait_until

FOLDER = "KERN_TEST_FOLDER"
LEDGER = "ledger.jsonl"
RELEASE = "release"
SECRET = "sk-model-text-and-secrets-stay-out-of-logs"


@tool(requires_confirmation=True)
def refund(order_id: str, amount: float, run_context: RunContext) -> str:
    """Pay the customer back."""
    _note("refund", run_context)
    return f"refunded {amount:g} for {order_id}"


@tool
def transfer(run_context: RunContext) -> str:
    """Do something that may not be repeated, until the test releases it."""
    _note("transfer", run_context)
    _wait_for_release()
    _note("transferred", run_context)
    return "transferred"


@tool(effect="idempotent")
def publish(run_context: RunContext) -> str:
    """Do something that may be repeated, until the test releases it."""
    _note("publish", run_context)
    _wait_for_release()
    return "published"


@tool(effect="idempotent", retries=1)
def break_down() -> str:
    """Fail with words that belong into no log."""
    raise RuntimeError(SECRET)


def _folder() -> Path:
    return Path(os.environ[FOLDER])


def _note(what: str, run_context: RunContext) -> None:
    line = {"what": what, "pid": os.getpid(), "key": run_context.idempotency_key}
    Ledger(_folder() / LEDGER).add(json.dumps(line))


def _wait_for_release() -> None:
    wait_until((_folder() / RELEASE).exists, timeout=100)


refunds = Agent(
    id="refunds",
    model=ScriptedModel([Call("refund", order_id="1042", amount=40.0), "Refunded."]),
    tools=[refund],
)
transfers = Agent(
    id="transfers", model=ScriptedModel([Call("transfer"), "Transferred."]), tools=[transfer]
)
publishing = Agent(
    id="publishing", model=ScriptedModel([Call("publish"), "Published."]), tools=[publish]
)
breaking = Agent(
    id="breaking", model=ScriptedModel([Call("break_down"), SECRET]), tools=[break_down]
)


def _story(_asked: int) -> Spoken:
    Ledger(_folder() / LEDGER).add(json.dumps({"what": "tells", "pid": os.getpid()}))
    return [["Once upon ", _folder() / RELEASE, "a time."]]


stories = Agent(id="stories", model=Speaking(_story))
agents = [refunds, transfers, publishing, breaking, stories]
nothing: list[Agent] = []
number = 42
