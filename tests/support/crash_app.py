"""The agent whose runs are killed: tools of every effect, and the conversations that call them."""

import os
import threading
from datetime import timedelta
from pathlib import Path

from kern.agent import Agent
from kern.models.openai import OpenAIResponses
from kern.models.scripted import Call
from kern.process.checkpoints import reach
from kern.team import Team
from kern.tools import Approval, RunContext, Tool
from kern.values.states import OnExpiry
from kern.workflow import Condition, StepInput, Workflow
from kern.workflow import Step as WorkflowStep
from tests.support.crash_spec import Line, Place
from tests.support.model_server import Asked, Step

SCRIPTS: dict[str, list[Step]] = {
    "once": [Call("refund", order_id="1"), "Done."],
    "idempotent": [Call("transfer", order_id="1"), "Done."],
    "read": [Call("lookup", order_id="1"), "Done."],
    "many": [
        [
            Call("refund", order_id="1"),
            Call("notify", order_id="2"),
            Call("refund", order_id="3"),
        ],
        "Done.",
    ],
    "twice": [Call("refund", order_id="1"), Call("refund", order_id="2"), "Done."],
    "flaky": [Call("flaky", order_id="1"), "Done."],
    "slow": [Call("slow", order_id="1"), "Done."],
    "late": [Call("late", order_id="1"), "Done."],
    "silent": [Call("silent", order_id="1"), "Done."],
    "remember": [Call("remember", order_id="1"), "Done."],
    "plain": ["Done."],
    # In a pipeline, the step before the agent outlives its timeout.
    "hasty": ["Done."],
    # The leader of a team, whose member is told to do this.
    "lead-once": ["(gives it to the member)", "Done."],
}
ONCE = frozenset({"refund", "notify", "slow", "late", "silent"})
GATED = frozenset({"refund", "transfer", "lookup", "late", "silent"})
SUMMARY = "They said it, and it was done."
_LEAD = "lead-"
_SOON = timedelta(milliseconds=300)


def member_of(component: str) -> str:
    """Return the id of the only member of a team."""
    return f"{component}-member"


def is_summary(asked: Asked) -> bool:
    """Whether it is asked for a summary, in which the texts of the run stand."""
    return str(asked.body.get("instructions", "")).startswith("Sum up")


def user_text(name: str, scenario: str) -> str:
    """Return what the user says, by which the model server tells runs and their scripts apart."""
    return f"[{name}] {scenario}"


def script(asked: Asked) -> Step:
    """Answer as the model, for the run that asks, or for the summary after it."""
    if is_summary(asked):
        return SUMMARY
    told, _, scenario = asked.user_text.rpartition(" ")
    steps = SCRIPTS[scenario]
    if scenario.startswith(_LEAD) and asked.turn == 0:
        task = f"{told} {scenario.removeprefix(_LEAD)}"
        member = member_of(f"crash-{told.strip('[]')}")
        return Call("delegate_task_to_member", member_id=member, task=task)
    return steps[min(asked.turn, len(steps) - 1)]


class Tools:
    """What the agent can do: each tool writes a line into the ledger, and nothing else."""

    def __init__(self, ledger: Path) -> None:
        self._ledger = ledger

    def refund(self, order_id: str, run_context: RunContext) -> str:
        return self._act("refund", order_id, run_context)

    def transfer(self, order_id: str, run_context: RunContext) -> str:
        return self._act("transfer", order_id, run_context)

    def lookup(self, order_id: str, run_context: RunContext) -> str:
        return self._act("lookup", order_id, run_context)

    async def notify(self, order_id: str, run_context: RunContext) -> str:
        return self._act("notify", order_id, run_context)

    def remember(self, order_id: str, run_context: RunContext) -> str:
        done = self._act("remember", order_id, run_context)
        state, own = run_context.session_state, run_context.run_id
        state.append("log", own)
        state.increment("count")
        state[own] = run_context.attempt
        return done

    def flaky(self, order_id: str, run_context: RunContext) -> str:
        done = self._act("flaky", order_id, run_context)
        if run_context.attempt == 1:
            message = "not at once"
            raise ConnectionError(message)
        return done

    def slow(self, order_id: str, run_context: RunContext) -> str:
        done = self._act("slow", order_id, run_context)
        # It outlives its timeout, and ends only with its worker.
        threading.Event().wait()
        return done

    def late(self, order_id: str, run_context: RunContext) -> str:
        return self._act("late", order_id, run_context)

    def silent(self, order_id: str, run_context: RunContext) -> str:
        return self._act("silent", order_id, run_context)

    def _act(self, tool: str, order_id: str, context: RunContext) -> str:
        reach("tool.before_effect")
        line = Line(
            tool=tool,
            tool_call_id=context.tool_call_id,
            key=context.idempotency_key,
            attempt=context.attempt,
            order_id=order_id,
        )
        write(self._ledger, line)
        reach("tool.after_effect")
        return f"{tool} of {order_id} done"


class Steps:
    """What a pipeline does beside asking the agent: each step writes a line into the ledger."""

    def __init__(self, ledger: Path) -> None:
        self._ledger = ledger

    def prepare(self, told: StepInput) -> str:
        self._act("prepare", told)
        if told.input.endswith("hasty"):
            # It outlives its timeout, and ends only with its worker.
            threading.Event().wait()
        return told.input

    def finish(self, told: StepInput) -> str:
        self._act("finish", told)
        if told.attempt == 1:
            message = "not at once"
            raise ConnectionError(message)
        return str(told.previous_content)

    def _act(self, name: str, told: StepInput) -> None:
        reach("tool.before_effect")
        line = Line(
            tool=name,
            tool_call_id=told.idempotency_key,
            key=told.idempotency_key,
            attempt=told.attempt,
            order_id="",
        )
        write(self._ledger, line)
        reach("tool.after_effect")


def _pipeline(place: Place) -> Workflow:
    does = Steps(Path(place.ledger))
    agent = _agent(place, member_of(place.component))
    finish = WorkflowStep("finish", does.finish, retries=1, backoff=0.01, effect="idempotent")
    steps = [
        WorkflowStep("prepare", does.prepare, timeout=4),
        Condition(lambda: True, [agent]),
        finish,
    ]
    return Workflow(id=place.component, steps=steps)


def build(place: Place) -> Agent | Team | Workflow:
    """Make the agent, with tools that write into the place's ledger, or what has it inside."""
    if place.piped:
        return _pipeline(place)
    if place.led:
        member = _agent(place, member_of(place.component))
        return Team(id=place.component, members=[member], model=_model(place))
    return _agent(place, place.component)


def _model(place: Place) -> OpenAIResponses:
    return OpenAIResponses(id="scripted", base_url=place.model_url, api_key="none")


def _agent(place: Place, name: str) -> Agent:
    tools = Tools(Path(place.ledger))
    silence = Approval(due=_SOON, on_expiry=OnExpiry.approve)
    return Agent(
        id=name,
        model=OpenAIResponses(id="scripted", base_url=place.model_url, api_key="none"),
        enable_session_summaries=place.summarises,
        tools=[
            Tool(tools.refund, requires_confirmation=True),
            Tool(tools.transfer, requires_confirmation=True, effect="idempotent"),
            Tool(tools.lookup, requires_confirmation=True, effect="read"),
            Tool(tools.notify),
            Tool(tools.remember, effect="idempotent"),
            Tool(tools.flaky, effect="idempotent", retries=1),
            Tool(tools.slow, timeout=0.2),
            Tool(tools.late, requires_confirmation=True, approval=Approval(due=_SOON)),
            Tool(tools.silent, requires_confirmation=True, approval=silence),
        ],
    )


def write(ledger: Path, line: Line) -> None:
    """Add a line that survives the process, in one write so that none is cut by another."""
    descriptor = os.open(ledger, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, f"{line.model_dump_json()}\n".encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read(ledger: Path) -> list[Line]:
    """Return what tools did so far."""
    if not ledger.exists():
        return []
    return [Line.model_validate_json(line) for line in ledger.read_text("utf-8").splitlines()]
