"""How a component leads its model through a run, where that is not simply turn after turn."""

from collections.abc import Collection, Sequence

from kern.models.base import ModelResponse
from kern.run import ToolExecution
from kern.tools.tool import Tool


class Conduct:
    """Asks the model from the first turn on, with all tools, until it answers: as agents do."""

    def offered(self, tools: Collection[Tool]) -> Collection[Tool]:
        """Return the tools of which the model is told, of all that the component has."""
        return tools

    def opening(self) -> ModelResponse | None:
        """Return what takes the place of the model's first answer; None to ask the model."""
        return None

    def briefing(self, made: Sequence[ToolExecution]) -> str | None:  # noqa: ARG002  for those that have one
        """Return what the model is told in each turn of the calls that the run has made."""
        return None

    def objection(self, made: Sequence[ToolExecution]) -> str | None:  # noqa: ARG002  as above
        """Return why the run may not end with an answer yet; None if it may."""
        return None
