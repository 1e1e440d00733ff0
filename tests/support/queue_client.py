"""A script that asks for three runs in one session, or waits for them: `ask` or `finish`.

The first run's tool waits for a file `release`; what ran is noted in `ledger`, in order.
"""

import json
import sys
import time
from pathlib import Path

from kern.agent import Agent
from kern.models.base import ModelRequest
from kern.models.scripted import Call, ScriptedModel, Step
from kern.tools import tool

_TEXTS = ("wait", "two", "three")


def main(order: str, folder: Path) -> None:
    @tool(effect="idempotent")
    def wait_for_release() -> str:
        """Wait."""
        (folder / "entered").touch()
        while not (folder / "release").exists():
            time.sleep(0.05)
        return "released"

    def script(request: ModelRequest) -> Step:
        last = request.messages[-1].content
        if last == "wait":
            return Call("wait_for_release")
        with (folder / "ledger").open("a") as ledger:
            ledger.write(last + "\n")
        return f"heard {last}"

    agent = Agent(id="queue", model=ScriptedModel(script), tools=[wait_for_release])
    if order == "ask":
        for text in _TEXTS:
            agent.run(text, session_id="s", run_id=text, background=True)
        print("asked", flush=True)  # noqa: T201  what the test waits for
        time.sleep(600)
    ended = [agent.continue_run(run_id) for run_id in _TEXTS]
    print(json.dumps([run.content for run in ended]), flush=True)  # noqa: T201  the answer


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
