"""A script whose main thread ends while others wait for runs.

It comes to its end while a thread of its own waits, or fails while one of a pool does.
"""

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from kern.agent import Agent
from kern.models.scripted import Call, ScriptedModel
from kern.tools import tool


@tool(requires_confirmation=True)
def work() -> str:
    """Work for longer than the main thread lasts."""
    time.sleep(0.3)
    return "done"


agent = Agent(
    id="leaving", model=ScriptedModel([Call("work"), Call("work"), "Done."]), tools=[work]
)


def wait() -> None:
    """Wait for a run in several calls."""
    begun.set()
    output = agent.run("Work")
    while output.is_paused:
        for requirement in output.active_requirements:
            requirement.confirm(by="dana")
        output = agent.continue_run(output.run_id, output.requirements)
    print(output.content, flush=True)  # noqa: T201  what the test reads


if __name__ == "__main__":
    begun = threading.Event()
    if sys.argv[1] == "thread":
        threading.Thread(target=wait).start()
    else:
        ThreadPoolExecutor(1).submit(wait)
    begun.wait()
    while not agent.get_sessions().sessions:
        time.sleep(0.01)
    if sys.argv[1] == "pool":
        message = "The main thread fails."
        raise RuntimeError(message)
