"""Shows the steps of a workflow: as a bar while they are done, as a tree afterwards."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from kern.client.cli.printing import count, one_line, say, show_age, show_length, styled
from kern.errors import KernError
from kern.events import (
    RunCancelled,
    RunCompleted,
    RunEvent,
    RunFailed,
    RunPaused,
    StepCompleted,
    StepFailed,
    StepSkipped,
    StepStarted,
)
from kern.pipeline.frames import Phase
from kern.run import Progress, RunOutput, StepExecution

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

_COLOURS = {"completed": "green", "skipped": "yellow", "failed": "red", "cancelled": "red"}
_PHASE_TEXTS = {
    Phase.gate: "waits for a person, before it begins",
    Phase.review: "waits for a person, who reviews its output",
    Phase.trouble: "waits for a person, because it failed",
    Phase.pending: "has not begun",
}
_LONGEST_NAME = 40


class StepScreen:
    """A terminal with a bar on it that shows how many of the known steps are done."""

    def __init__(self) -> None:
        self._current: dict[str, str] = {}

    @staticmethod
    def is_of_use() -> bool:
        """Whether somebody sees it."""
        return sys.stdout.isatty()

    def follow(self, events: Iterable[RunEvent]) -> RunOutput:
        """Move the bar with what happens, and return the run as it stands at the end."""
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            TextColumn,
            TimeElapsedColumn,
        )
        from rich.progress import (
            Progress as Bar,
        )

        columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Bar(*columns, TextColumn("{task.description}", markup=False), transient=True) as bar:
            task = bar.add_task("", total=None)
            for event in events:
                match event:
                    case RunPaused() | RunCompleted() | RunFailed() | RunCancelled():
                        return event.output
                    case _:
                        self._move(bar, int(task), event)
        raise KernError("The stream ended before the run stopped.")

    def shows_answer_of(self, output: RunOutput) -> bool:
        """Whether the run's answer was printed: it never is."""
        del output
        return False

    def _move(self, bar: "Bar", task: int, event: RunEvent) -> None:
        from rich.progress import TaskID

        match event:
            case StepStarted():
                self._current[event.step_id] = event.step
            case StepCompleted() | StepSkipped() | StepFailed():
                self._current.pop(event.step_id, None)
                bar.update(TaskID(task), completed=event.done, total=event.known)
            case _:
                return
        latest = next(reversed(self._current.values()), "")
        bar.update(TaskID(task), description=one_line(latest, _LONGEST_NAME))


def print_steps(steps: Sequence[StepExecution], opened: int) -> None:
    """Print steps as a tree; `opened` is how many there are."""
    for step in _nested(steps):
        _print_step(step)
    if opened > len(steps):
        say(styled(f"  and {count(opened - len(steps), 'more step')}", "dim"))


def _nested(steps: Sequence[StepExecution]) -> Iterator[StepExecution]:
    """Yield all steps but the whole, each right after what holds it or what lies beside it."""
    children: dict[str | None, list[StepExecution]] = {}
    for step in steps:
        children.setdefault(step.parent_id, []).append(step)
    stack = children.get(steps[0].id, [])[::-1] if steps else []
    while stack:
        step = stack.pop()
        yield step
        stack.extend(children.get(step.id, [])[::-1])


def print_progress(progress: Progress) -> None:
    """Print how far a run has come."""
    now = ", ".join(one_line(name, _LONGEST_NAME) for name in progress.current[:5])
    at = f": {now}" if now else ""
    say(f"  {progress.done:,} of {count(progress.known, 'known step')} done{at}")


def _print_step(step: StepExecution) -> None:
    otherwise = "waits for a person" if step.is_waiting else "in progress"
    state = step.outcome or _PHASE_TEXTS.get(Phase(step.phase), otherwise)
    took = ""
    waited = timedelta(seconds=step.waiting_seconds)
    if step.started_at is not None and step.finished_at is not None:
        asking = f" ({show_length(waited)} waiting for people)" if waited else ""
        took = f" in {show_length(step.finished_at - step.started_at - waited)}{asking}"
    elif step.started_at is not None and step.outcome is None:
        took = f" since {show_age(step.started_at)}"
    why = f": {one_line(step.error, 200)}" if step.error else ""
    run = f"  run {step.child_run_id}" if step.child_run_id else ""
    say(
        "  " * step.depth,
        styled(f"{one_line(step.name)}  ", "bold"),
        styled(f"{state}{took}", _COLOURS.get(step.outcome or "", "cyan")),
        why,
        styled(run, "dim"),
    )
