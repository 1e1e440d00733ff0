"""How a component leads its model through a run, where that is not simply turn after turn."""

from collections.abc import Collection, Sequence

from kern.models.base import ModelResponse
from kern.run import ToolExecution
from kern.tools.tool import Tool


class TurnPolicy:
    """Asks the model from the first turn on, with all tools, until it answers: as agents do."""

    def offered(self, tools: Collection[Tool]) -> Collection[Tool]:
        """Return those of the component's tools that the model may call."""
        return tools

    def opening(self) -> ModelResponse | None:
        """Return what replaces the model's first answer; None to ask the model."""
        return None

    def briefing(self, calls: Sequence[ToolExecution]) -> str | None:  # noqa: ARG002  for subclasses
        """Return what to add to the instructions, in view of the calls that the run has made."""
        return None

    def objection(self, calls: Sequence[ToolExecution]) -> str | None:  # noqa: ARG002  as above
        """Return why the run may not end with an answer yet; None if it may."""
        return None
