"""Agents for tests, each under an id of its own, and a ledger that counts what their tools did."""

import threading
from collections.abc import Sequence
from pathlib import Path

from kern.agent import Agent
from kern.models.scripted import Script, ScriptedModel
from kern.tools import Approval, Function, Tool, tool
from kern.values.ids import new_id


def scripted(script: Script, tools: Sequence[Tool | Function] = (), **options: object) -> Agent:
    """Return an agent that answers from a script, under an id that no other test uses."""
    return Agent(
        id=f"agent-{new_id()}",
        model=ScriptedModel(script),
        tools=tools,
        **options,  # type: ignore[arg-type]
    )


class Ledger:
    """A file with one line for each thing that was done."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, line: str) -> None:
        """Note that something was done."""
        with self.path.open("a") as file:
            file.write(line + "\n")

    @property
    def lines(self) -> list[str]:
        """What was done so far."""
        return self.path.read_text().splitlines() if self.path.exists() else []


def paying(ledger: Ledger, approval: Approval | None = None) -> Tool:
    """Return a gated tool that notes what it paid."""

    @tool(requires_confirmation=True, approval=approval or Approval())
    def pay(amount: int) -> str:
        """Pay."""
        ledger.add(f"paid {amount}")
        return f"paid {amount}"

    return pay


def held(ledger: Ledger, free: threading.Event) -> Tool:
    """Return a tool that notes that it began, and works until it is let go."""

    @tool
    def work() -> str:
        """Work until it is let go."""
        ledger.add("began")
        free.wait()
        return "done"

    return work
