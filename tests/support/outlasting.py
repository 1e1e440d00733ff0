"""A script whose tool outlasts every patience."""

import threading

from kern.agent import Agent
from kern.models.scripted import Call, ScriptedModel
from kern.tools import tool


@tool
def work() -> str:
    """Work for ever."""
    print("began", flush=True)  # noqa: T201  what the test reads
    threading.Event().wait()
    return "done"


if __name__ == "__main__":
    Agent(id="outlasting", model=ScriptedModel([Call("work"), "Done."]), tools=[work]).run("Work")
