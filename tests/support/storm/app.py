"""What runs in the storm, in two versions: as it is, and as it was before it had any gates."""

import json
import os
import urllib.parse
import urllib.request
from datetime import timedelta
from typing import cast

import httpx2

from kern.agent import Agent
from kern.client.temporal import relay
from kern.components.runnable import Runnable
from kern.models.openai import OpenAIResponses
from kern.models.scripted import Call
from kern.team import Team
from kern.tools import Approval, DidNotHappen, Happened, RunContext, Tool
from kern.values.states import OnExpiry
from kern.workflow import HumanReview, Step, StepInput, Workflow
from tests.support.model_server import Asked
from tests.support.model_server import Step as Answer

GATED, BANK, MODELS = "KERN_STORM_GATED", "KERN_STORM_BANK", "KERN_STORM_MODELS"
PEOPLE, EXCLUDED = ("Ann", "Bob", "Cid"), "Mallory"
SOON = timedelta(seconds=3)
# What each scenario pays with; the last answer is the end.
SCENARIOS: dict[str, list[list[str]]] = {
    "pay": [["pay"]],
    "wire": [["wire"]],
    "charge": [["charge"]],
    "many": [["pay", "charge", "wire"], ["pay"]],
    "tip": [["tip"]],
    "late": [["late"]],
    "team": [["pay", "wire"]],
    "flow": [],
}
DONE = "Done."


def user_text(run_id: str, scenario: str, amount: int) -> str:
    """Return what the user says, by which the model tells runs and what they pay apart."""
    return f"[{run_id}] {scenario} {amount}"


def script(asked: Asked) -> Answer:
    """Answer as the model."""
    run_id, scenario, amount = asked.user_text.split(" ")
    if scenario == "lead":
        task = user_text(run_id.strip("[]"), "team", int(amount))
        steps: list[Answer] = [
            Call("delegate_task_to_member", member_id="member", task=task),
            DONE,
        ]
        return steps[min(asked.turn, 1)]
    turns = SCENARIOS[scenario]
    if asked.turn >= len(turns):
        return DONE
    return [Call(name, amount=int(amount) + asked.turn) for name in turns[asked.turn]]


def declare(*, gated: bool, bank: str, models: str) -> dict[str, Runnable]:
    """Return the components, by the scenarios that they take part in."""

    def pay(amount: int, run_context: RunContext) -> str:
        """Pay, and look it up if the answer is lost."""
        return _ask(bank, "pay", run_context.idempotency_key, run_context.run_id, amount)

    def wire(amount: int, run_context: RunContext) -> str:
        """Pay by a way that nobody can look up but a person."""
        body = {"key": run_context.idempotency_key, "run_id": run_context.run_id, "amount": amount}
        answer = httpx2.post(f"{bank}/wire", json=body, timeout=10)
        answer.raise_for_status()
        return str(answer.json()["receipt"])

    def charge(amount: int, run_context: RunContext) -> str:
        """Pay where each key is taken once."""
        return _ask(bank, "charge", run_context.idempotency_key, run_context.run_id, amount)

    def tip(amount: int, run_context: RunContext) -> str:
        """Pay unless somebody objects."""
        return _ask(bank, "pay", run_context.idempotency_key, run_context.run_id, amount)

    def late(amount: int, run_context: RunContext) -> str:
        """Pay if somebody approves in time."""
        return _ask(bank, "pay", run_context.idempotency_key, run_context.run_id, amount)

    def settle(step: StepInput) -> str:
        """Pay as a step."""
        amount = int(str(step.previous_content or step.input).rpartition(" ")[2])
        return _ask(bank, "pay", step.idempotency_key, step.run_id, amount)

    def look_up(key: str, arguments: dict[str, object]) -> object:
        """Look a payment up."""
        assert arguments
        name = urllib.parse.quote(key)
        with urllib.request.urlopen(f"{bank}/payments/{name}", timeout=10) as answer:  # noqa: S310  our own
            paid = bool(json.load(answer)["paid"])
        return Happened(key) if paid else DidNotHappen()

    def gate(approval: Approval | None = None) -> dict[str, object]:
        return {"requires_confirmation": True, "approval": approval} if gated else {}

    two = Approval(quorum=2, candidates=PEOPLE, excluded=(EXCLUDED,))
    silence = Approval(due=SOON, on_expiry=OnExpiry.approve, excluded=(EXCLUDED,))
    tools = [
        _tool(pay, reconcile=look_up, **gate(Approval(excluded=(EXCLUDED,)))),
        _tool(wire, **gate(two)),
        _tool(charge, effect="idempotent", retries=20, **gate()),
        _tool(tip, reconcile=look_up, **gate(silence)),
        _tool(late, **gate(Approval(due=SOON))),
    ]
    model = OpenAIResponses(id="scripted", base_url=models, api_key="none")
    payer = Agent(id="payer", model=model, tools=tools)
    member = Agent(id="member", model=model, tools=tools)
    team = Team(id="team", model=model, members=[member])
    review = HumanReview(requires_confirmation=True, approval=two) if gated else HumanReview()
    flow = Workflow(id="flow", steps=[Step("settle", settle, human_review=review)])
    agents = dict.fromkeys(set(SCENARIOS) - {"team", "flow"}, payer)
    return {**agents, "lead": team, "flow": flow}


def _tool(function: object, **options: object) -> Tool:
    return Tool(function, **options)  # type: ignore[arg-type]


def _ask(bank: str, way: str, key: str, run_id: str, amount: int) -> str:
    body = json.dumps({"key": key, "run_id": run_id, "amount": amount}).encode()
    request = urllib.request.Request(f"{bank}/{way}", body)  # noqa: S310  our own
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  our own
        return str(cast("dict[str, object]", json.load(answer))["receipt"])


def components() -> list[Runnable]:
    """Return what a worker of this environment executes."""
    # As if minutes had passed: a storm is too short to wait for what has not changed for a minute.
    setattr(relay, "_STALE_AFTER", timedelta(seconds=5))  # noqa: B010  private to its module
    setattr(relay, "_SEARCH_SECONDS", 2.0)  # noqa: B010  as above
    environment = os.environ
    declared = declare(
        gated=environment[GATED] == "1", bank=environment[BANK], models=environment[MODELS]
    )
    return list({id(item): item for item in declared.values()}.values())


declared = components() if GATED in os.environ else []
