"""Records histories of runs in every state: `python -m tests.replay.record VERSION`.

Run it for each release and commit what it writes. It never writes over a file: runs that paused
under a release are still waiting somewhere.
"""

import json
import os
import re
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from temporalio.client import WorkflowHandle, WorkflowHistory

from kern.agent import Agent
from kern.client.processes.process_runtime import isolated
from kern.models.base import ProviderError
from kern.models.scripted import Call, Script, ScriptedModel
from kern.run import Message, RunOutput
from kern.team import Team
from kern.tools import Approval, Tool, tool
from kern.workflow import HumanReview, Loop, Parallel, Step, StepInput, Steps, Workflow
from tests.support.waiting import wait_until
from tests.support.workflow_handles import handle_of

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


def desk(name: str, member: Agent, *, times: int = 1) -> Team:
    """Return a team that gives its only member so many tasks, one after another."""
    give = Call("delegate_task_to_member", member_id=member.id, task="Pay")
    return Team(
        name=name,
        members=[member],
        model=ScriptedModel([*[give] * times, "Done."]),
        share_member_interactions=True,
    )


def paused_team() -> RunOutput:
    """A team whose member waits."""
    return desk("paused-team", agent("waiting-member", [Call("pay"), "Paid."])).run("Pay")


def paused_member() -> RunOutput:
    """The run of a member that waits."""
    member = agent("asking-member", [Call("pay"), "Paid."])
    (asked,) = desk("asking-team", member).run("Pay").active_requirements
    return member.get_run_output(asked.run_id)


def completed_team() -> RunOutput:
    """A team that went on when its member's call was approved."""
    team = desk("approved-team", agent("approved-member", [Call("pay"), "Paid."]))
    output = team.run("Pay")
    return team.continue_run(output.run_id, [output.requirements[0].confirm()])


def paused_team_moved() -> RunOutput:
    """A team that continued as new between its turns."""
    payer = agent("third-member", lambda request: _third(request.messages))
    return desk("moved-team", payer, times=3).run("Pay")


def _third(messages: Sequence[Message]) -> Call | str:
    before = messages[0].content.count("answered:")
    return Call("pay") if before > 1 and messages[-1].role == "user" else "Paid."


def flow(name: str) -> Workflow:
    """Return a pipeline with a gated step and, beside it, an agent whose tool is gated."""
    asked = Step("asked", noted, human_review=HumanReview(requires_confirmation=True))
    waiting = agent(f"{name}-agent", [Call("pay"), "Paid."])
    return Workflow(name=name, steps=[noted, Parallel(Steps([asked, noted]), waiting)])


def noted(told: StepInput) -> str:
    return str(told.previous_content)


def completed_pipeline() -> RunOutput:
    """A pipeline that nobody was asked about."""
    return Workflow(name="plain-flow", steps=[noted, Loop([noted], max_iterations=2)]).run("Go")


def paused_pipeline() -> RunOutput:
    """A pipeline of which two branches wait, one of them in a run inside it."""
    return flow("waiting-flow").run("Go")


def completed_pipeline_approved() -> RunOutput:
    """A pipeline that went on when both were approved."""
    workflow = flow("approved-flow")
    output = workflow.run("Go")
    for one in output.active_requirements:
        output = workflow.continue_run(output.run_id, [one.confirm()])
    return output


def completed_pipeline_retried() -> RunOutput:
    """A pipeline that failed, and went on when it was retried."""
    tries: list[int] = []

    def unlucky() -> str:
        tries.append(1)
        if len(tries) == 1:
            raise ConnectionError
        return "at last"

    workflow = Workflow(name="retried-flow", steps=[noted, unlucky])
    return workflow.retry_run(workflow.run("Go").run_id)


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
    paused_team,
    paused_member,
    completed_team,
    paused_team_moved,
    completed_pipeline,
    paused_pipeline,
    completed_pipeline_approved,
    completed_pipeline_retried,
]


def _until_final(payer: Agent, text: str) -> RunOutput:
    run_id = payer.run(text).run_id
    wait_until(lambda: payer.get_run_output(run_id).status.is_final)
    return payer.get_run_output(run_id)


def record(version: str) -> None:
    """Write a file for each story that has none."""
    folder = HISTORIES / version
    folder.mkdir(parents=True, exist_ok=True)
    missing = [one for one in STORIES if not _file(folder, one).exists()]
    os.environ["KERN_TURNS_PER_HISTORY"] = "2"
    with tempfile.TemporaryDirectory(prefix="kern") as home, isolated(Path(home), None) as runtime:
        for story in missing:
            run_id = story().run_id
            handle = handle_of(runtime, run_id)
            history = runtime.call(partial(_history_of, handle))
            text = json.dumps(json.loads(history.to_json()), indent=1)
            text = _STICKY.sub('"name": "sticky"', _PLACE.sub('"identity": "recorder"', text))
            _file(folder, story).write_text(text + "\n")


async def _history_of(handle: WorkflowHandle[Any, Any], _: object) -> WorkflowHistory:
    return await handle.fetch_history()


def _file(folder: Path, story: Callable[[], RunOutput]) -> Path:
    return folder / f"{story.__name__}.json"


if __name__ == "__main__":
    record(sys.argv[1])
    sys.stdout.flush()
    os._exit(0)
