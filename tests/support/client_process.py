"""A client that runs agents as it is told on its standard input, in one JSON object a line."""

import json
import os
import sys
from collections.abc import Generator

from kern.agent import Agent
from kern.client.processes.process_runtime import runtime_for
from kern.contracts.viewer import OPERATOR, Viewer
from kern.errors import KernError
from kern.events import RunEvent
from kern.run import RunOutput
from tests.support.apps import agents

_AGENTS = {agent.id: agent for agent in agents}
_streams: dict[str, Generator[RunEvent]] = {}


def main() -> None:
    for line in sys.stdin:
        order = json.loads(line)
        try:
            answer = _read(order) if order["do"] == "read" else _told(_obey(order))
        except KernError as error:
            answer = {"failed": error.code, "message": str(error)}
        print(json.dumps(answer), flush=True)  # noqa: T201  the answer
    os._exit(0)


def _read(order: dict[str, str]) -> dict[str, object]:
    """Go on with a stream, or begin one, until an event of some kind was read."""
    if order["agent"] not in _streams:
        agent = _AGENTS[order["agent"]]
        _streams[agent.id] = agent.run("please", stream=True, stream_events=True)
    events = list[object]()
    for event in _streams[order["agent"]]:
        events.append(event.model_dump(mode="json", exclude={"output"}))
        if event.kind == order["until"]:
            break
    return {"events": events}


def _obey(order: dict[str, str]) -> RunOutput:
    if order["do"] == "run":
        agent = _AGENTS[order["agent"]]
        return agent.run("please", background=bool(order["background"]))
    agent = _agent_of(order["run_id"])
    run = agent.get_run_output(order["run_id"])
    if order["do"] == "output":
        return run
    for requirement in run.active_requirements:
        requirement.confirm(by="dana")
    if order["do"] == "approve":
        return agent.continue_run(run.run_id, run.requirements)
    runtime = runtime_for(agent)
    runtime.call(lambda service: service.inbox.decide_all(Viewer(None), run.requirements))
    return agent.get_run_output(run.run_id)


def _agent_of(run_id: str) -> Agent:
    runtime = runtime_for(agents[0])
    run = runtime.call(lambda service: service.runs.read(OPERATOR, run_id))
    return _AGENTS[run.component_id]


def _told(run: RunOutput) -> dict[str, object]:
    return {
        "run_id": run.run_id,
        "session_id": run.session_id,
        "status": run.status.value,
        "content": run.content,
        "error": str(run.error) if run.error else None,
        "waits_for": [item.kind.value for item in run.active_requirements],
        "results": [call.result for call in run.tools],
    }


if __name__ == "__main__":
    main()
