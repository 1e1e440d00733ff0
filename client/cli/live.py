"""Prints a run's text on a terminal while it is being written."""

import sys
from collections.abc import Iterable

from kern.client.cli.printing import safe, say, styled
from kern.components.component import definition_of
from kern.components.runnable import Runnable
from kern.errors import KernError
from kern.events import (
    RunCancelled,
    RunCompleted,
    RunContent,
    RunContentReset,
    RunEvent,
    RunFailed,
    RunPaused,
)
from kern.run import RunOutput
from kern.values.states import RunStatus


class Screen:
    """A terminal, and what of the present turn's text is on it."""

    def __init__(self) -> None:
        self._turn = 0
        self._printed = ""
        self._is_mid_line = False

    @staticmethod
    def is_of_use_for(component: Runnable) -> bool:
        """Whether somebody sees text come, and wants to: pieces of JSON are not for people."""
        return sys.stdout.isatty() and definition_of(component).output_schema is None

    def follow(self, events: Iterable[RunEvent]) -> RunOutput:
        """Print text as it comes, and return the run as it stands at the end."""
        output = None
        for event in events:
            match event:
                case RunContent():
                    self._add(event)
                case RunContentReset():
                    self._end_line()
                    say(styled("The answer was interrupted and begins anew:", "yellow"))
                    self._printed = ""
                case RunPaused() | RunCompleted() | RunFailed() | RunCancelled():
                    output = event.output
                case _:
                    pass
        self._end_line()
        if output is None:
            raise KernError("The stream ended before the run stopped.")
        return output

    def shows_answer_of(self, output: RunOutput) -> bool:
        """Whether the run's answer is what was printed last."""
        is_text = isinstance(output.content, str) and output.content == self._printed
        return output.status is RunStatus.completed and is_text

    def _add(self, event: RunContent) -> None:
        if event.turn != self._turn:
            self._end_line()
            self._turn, self._printed = event.turn, ""
        self._printed += event.content
        self._is_mid_line = not event.content.endswith("\n")
        sys.stdout.write(safe(event.content))
        sys.stdout.flush()

    def _end_line(self) -> None:
        if self._is_mid_line:
            self._is_mid_line = False
            sys.stdout.write("\n")
            sys.stdout.flush()
