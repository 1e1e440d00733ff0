"""A process that uses Kern and forks, as a pool of web workers does: `python -m … SCENE`."""

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable

from kern import inbox
from kern.agent import Agent
from kern.client.processes.process_runtime import close_runtime
from kern.db import InMemoryDb
from kern.errors import KernError
from kern.models.scripted import Call, ScriptedModel
from kern.run import RunOutput
from kern.tools import tool


@tool(requires_confirmation=True)
def pay(amount: int) -> str:
    """Pay."""
    return f"paid {amount}"


agent = Agent(id="payer", model=ScriptedModel([Call("pay", amount=5), "Paid."]), tools=[pay])


def note(*parts: object) -> None:
    """Print a line at once, in one piece: parent and child share the output."""
    os.write(1, (" ".join(map(str, parts)) + "\n").encode())


def in_fork(act: Callable[[], object]) -> None:
    """Do something in a forked child that ends as a program does, and wait for it."""
    pid = os.fork()
    if pid == 0:
        note("child:", act())
        sys.exit(0)
    _, status = os.waitpid(pid, 0)
    note("ended:", os.waitstatus_to_exitcode(status))


def listed() -> int:
    return len(inbox.pending().requirements)


def decide_all() -> str:
    items = inbox.pending().requirements
    return ",".join(inbox.decide(item.confirm(), by="dana").requirement.status for item in items)


def run_and_finish() -> object:
    paused = agent.run("Pay")
    inbox.decide(paused.active_requirements[0].confirm(), by="dana")
    return agent.continue_run(paused.run_id).content


def inbox_scene() -> None:
    """The operators' connection, used before and after the fork, by both."""
    note("parent:", listed())
    in_fork(decide_all)
    note("parent:", listed())


def agent_scene() -> None:
    """A runtime, used before and after the fork, by both."""
    note("parent:", run_and_finish())
    in_fork(run_and_finish)
    in_fork(run_and_finish)
    note("parent:", run_and_finish())


def multiprocessing_scene() -> None:
    """As `agent_scene`, with Python's own way to fork."""
    note("parent:", run_and_finish())
    child = multiprocessing.get_context("fork").Process(
        target=lambda: note("child:", run_and_finish())
    )
    child.start()
    child.join()
    note("ended:", child.exitcode)


def outliving_scene() -> None:
    """A child that goes on after its parent has closed everything."""
    agent.run("Pay")
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(writer)
        note("child:", listed())
        os.read(reader, 1)
        note("child:", decide_all())
        sys.exit(0)
    close_runtime()
    os.close(writer)
    _, status = os.waitpid(pid, 0)
    note("ended:", os.waitstatus_to_exitcode(status))
    note("parent:", listed())


def busy_scene() -> None:
    """Forks while other threads use the database all the time."""
    is_over = threading.Event()

    def use() -> None:
        while not is_over.is_set():
            inbox.runs()

    run: RunOutput = agent.run("Pay")
    threads = [threading.Thread(target=use, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        in_fork(listed)
    is_over.set()
    for thread in threads:
        thread.join()
    note("parent:", run.status, listed())


def memory_scene() -> None:
    """A database in memory, which is not shared."""
    own = Agent(id="own", model=ScriptedModel(["ok"]), db=InMemoryDb())
    note("parent:", own.run("hi").content)

    def use() -> str:
        try:
            own.run("hi")
        except KernError as error:
            return f"{type(error).__name__} {error}"
        return "no error"

    in_fork(use)
    note("parent:", own.run("hi").content)


if __name__ == "__main__":
    globals()[f"{sys.argv[1]}_scene"]()
