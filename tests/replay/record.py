"""Records histories of runs in every state: `python -m tests.replay.record VERSION`.

Run it once for each release and commit what it writes. Never record over an older release's files:
runs that paused under that release are still waiting somewhere.
"""

import json
import os
import re
import sys
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from kern.agent import Agent
from kern.client.runtime import isolated
from kern.models.base import ProviderError
from kern.models.scripted import Call, Script, ScriptedModel
from kern.run import RunOutput
from kern.tools import Approval, Tool, tool
from tests.support.waiting import wait_until

HISTORIES = Path(__file__).parent / "histories"
# Who wrote an event, and where, is nobody's business and of no use to a replay.
_PLACE = re.compile(r'"identity": "[^"]*"')
_STICKY = re.compile(r'"name": "[^"]*-[0-9a-f]{32}"')


@tool(requires_confirmation=True)
def pay(order_id: str = "1") -> str:
    """Pay."""
    return f"paid {order_id}"


@tool(requires_confirmation=True, approval=Approval(due=timedelta(milliseconds=100)))
def hurry() -> str:
    """Pay soon or never."""
    return "paid"


@tool(requires_confirmation=True, approval=Approval(due=timedelta(days=30)))
def consider() -> str:
    """Pay within a month."""
    return "paid"


@tool(timeout=0.05)
def hang() -> str:
    """Pay slowly."""
    wait_until(lambda: False, timeout=2)
    return "never"


@tool(effect="read")
def look(order_id: str = "1") -> str:
    """Look."""
    return f"seen {order_id}"


TOOLS = [pay, hurry, consider, hang, look]


def agent(name: str, script: Script, tools: list[Tool] = TOOLS) -> Agent:
    """Return an agent for one history."""
    return Agent(name=name, model=ScriptedModel(script), tools=tools)


def completed_plain() -> RunOutput:
    """A run that only answers."""
    return agent("plain", ["Hello."]).run("Hi")


def paused() -> RunOutput:
    """A run that waits."""
    return agent("paused", [Call("pay"), "Done."]).run("Pay")


def paused_with_a_deadline() -> RunOutput:
    """A run whose timer runs, with an ungated call beside it: their order is in the history."""
    return agent("deadline", [[Call("consider"), Call("look")], "Done."]).run("Pay")


def completed_approved() -> RunOutput:
    """A run whose call was approved."""
    payer = agent("approved", [Call("pay"), "Done."])
    output = payer.run("Pay")
    return payer.continue_run(output.run_id, [output.requirements[0].confirm()])


def paused_after_one_of_three() -> RunOutput:
    """A run with an ungated call, a resolved requirement and an open one."""
    calls = [Call("pay", order_id="1"), Call("look"), Call("pay", order_id="2")]
    payer = agent("several", [calls, "Done."])
    output = payer.run("Pay")
    return payer.continue_run(output.run_id, [output.requirements[1].reject()])


def completed_expired() -> RunOutput:
    """A run whose deadline passed."""
    return _until_final(agent("expired", [Call("hurry"), "Too late."]), "Pay")


def paused_unknown_outcome() -> RunOutput:
    """A run that asks what became of a call."""
    return agent("unknown", [Call("hang"), "Done."]).run("Pay")


def completed_cancelled() -> RunOutput:
    """A run that was cancelled while it waited."""
    payer = agent("cancelled", [Call("pay"), "Done."])
    return payer.cancel_run(payer.run("Pay").run_id)


def completed_failed() -> RunOutput:
    """A run whose provider refused."""
    refusal = ProviderError("refused", code="refused", retryable=False)
    return agent("failed", [refusal]).run("Hi")


def paused_moved() -> RunOutput:
    """A run that continued as new before it paused."""
    return agent("moved", [Call("look"), Call("look"), Call("look"), Call("pay"), "Done."]).run(
        "Go"
    )


STORIES: list[Callable[[], RunOutput]] = [
    completed_plain,
    paused,
    paused_with_a_deadline,
    completed_approved,
    paused_after_one_of_three,
    completed_expired,
    paused_unknown_outcome,
    completed_cancelled,
    completed_failed,
    paused_moved,
]


def _until_final(payer: Agent, text: str) -> RunOutput:
    run_id = payer.run(text).run_id
    wait_until(lambda: payer.get_run_output(run_id).status.is_final)
    return payer.get_run_output(run_id)


def record(version: str) -> None:
    """Write one file for each story."""
    folder = HISTORIES / version
    folder.mkdir(parents=True, exist_ok=False)
    os.environ["KERN_TURNS_PER_HISTORY"] = "2"
    with tempfile.TemporaryDirectory(prefix="kern") as home, isolated(Path(home), None) as runtime:
        for story in STORIES:
            run_id = story().run_id
            handle = runtime.services.temporal.get_workflow_handle(run_id)
            history = runtime.call(handle.fetch_history())
            text = json.dumps(json.loads(history.to_json()), indent=1)
            text = _STICKY.sub('"name": "sticky"', _PLACE.sub('"identity": "recorder"', text))
            (folder / f"{story.__name__}.json").write_text(text + "\n")


if __name__ == "__main__":
    record(sys.argv[1])
    sys.stdout.flush()
    os._exit(0)
