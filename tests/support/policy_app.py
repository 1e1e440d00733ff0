"""Two versions of one app: with gates before what it does, and as it was before they were added."""

import json
import os
from pathlib import Path

from kern.agent import Agent
from kern.components.runnable import Runnable
from kern.models.scripted import Call, ScriptedModel
from kern.team import Team
from kern.tools import RunContext, tool
from kern.workflow import HumanReview, Step, StepInput, Workflow
from tests.support.agents import Ledger
from tests.support.apps import FOLDER, LEDGER

GATED = "KERN_TEST_GATED"
# How often each pays: the step has an agent before it, whose own tool is gated as well.
PAYMENTS = {"agent": 1, "leader": 1, "member": 1, "step": 2, "nested": 1}


def declare(*, gated: bool) -> dict[str, Runnable]:
    """Return one component for each place that a gate may be in, by the kind of that place."""

    @tool(requires_confirmation=gated)
    def refund(amount: int, run_context: RunContext) -> str:
        """Pay the customer back."""
        note(run_context.run_id)
        return f"refunded {amount}"

    def pay(step: StepInput) -> str:
        note(step.run_id)
        return "paid"

    def agent(name: str) -> Agent:
        return Agent(id=name, model=refunds(), tools=[refund])

    def refunds() -> ScriptedModel:
        return ScriptedModel([Call("refund", amount=100), "done"])

    delegates = ScriptedModel(
        [Call("delegate_task_to_member", member_id="refunder", task="Refund."), "done"]
    )
    review = HumanReview(requires_confirmation=gated)
    paying = Workflow(id="paying", steps=[Step("pay", pay, human_review=review)])
    asker = Agent(id="asker", model=ScriptedModel(["asked"]))
    return {
        "agent": agent("support"),
        "leader": Team(id="leading", model=refunds(), members=[asker], tools=[refund]),
        "member": Team(id="team", model=delegates, members=[agent("refunder")]),
        "step": Workflow(
            id="flow",
            steps=[Step("ask", agent("clerk")), Step("pay", pay, human_review=review)],
        ),
        "nested": Workflow(id="outer", steps=[Step("inner", paying)]),
    }


def note(run_id: str) -> None:
    """Note an effect."""
    line = {"what": "paid", "run_id": run_id, "pid": os.getpid()}
    Ledger(Path(os.environ[FOLDER]) / LEDGER).add(json.dumps(line))


components = [*declare(gated=os.environ[GATED] == "1").values()] if GATED in os.environ else []
