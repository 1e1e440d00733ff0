"""The list of tasks that a team's leader keeps, read from the calls that its run has made.

Nobody keeps it beside them: a task is done when the member's run that was given it has completed,
and the leader cannot say so of its own accord.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from kern.run import ToolExecution
from kern.values.states import ToolCallStatus, ToolOutcome

ADD, ASSIGN, DROP = "add_tasks", "assign_task", "drop_task"


class TaskStatus(StrEnum):
    """Where a task stands."""

    open = "open"
    in_progress = "in progress"
    done = "done"
    failed = "failed"
    dropped = "dropped"


class NewTask(BaseModel):
    """Something to be done by one member."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str = Field(min_length=1)
    details: str = ""


@dataclass(frozen=True)
class Task:
    """A task, with its number in the list from 1 on."""

    number: int
    title: str
    status: TaskStatus = TaskStatus.open
    member: str | None = None

    @property
    def is_settled(self) -> bool:
        """Whether nothing remains to be done about it."""
        return self.status in (TaskStatus.done, TaskStatus.dropped)


def tasks_of(made: Sequence[ToolExecution]) -> list[Task]:
    """Return the list as the calls of a run, in their order, have made it."""
    found: list[Task] = []
    for call in made:
        if call.name == ADD and call.outcome is ToolOutcome.result:
            found += [
                Task(len(found) + number, one.title)
                for number, one in enumerate(_added(call), start=1)
            ]
            continue
        place = _number(call) - 1
        if call.name not in (ASSIGN, DROP) or not 0 <= place < len(found):
            continue
        status, task = _came_to(call), found[place]
        if status is not None:
            member = call.arguments.get("member_id")
            named = member if isinstance(member, str) else task.member
            found[place] = Task(task.number, task.title, status, named)
    return found


def listed(tasks: Sequence[Task]) -> str:
    """Return the list as its leader reads it, a line each."""
    lines = [
        f"{task.number}. [{task.status.value}{f', {task.member}' if task.member else ''}] "
        f"{task.title}"
        for task in tasks
    ]
    return "\n".join(lines) or "(no tasks yet)"


def check_undone(made: Sequence[ToolExecution], number: int) -> None:
    """Refuse to give away or drop a task that is not there to be done.

    Raises:
        ValueError: there is no such task, or it is being done or settled; the message is for the
            model.
    """
    tasks = tasks_of(made)
    if not 1 <= number <= len(tasks):
        there = f"the tasks are numbered 1 to {len(tasks)}" if tasks else "there are no tasks yet"
        message = f"there is no task {number}: {there}"
        raise ValueError(message)
    status = tasks[number - 1].status
    if status not in (TaskStatus.open, TaskStatus.failed):
        message = f"task {number} is {status.value} already"
        raise ValueError(message)


def _added(call: ToolExecution) -> list[NewTask]:
    given = call.arguments.get("tasks")
    return [NewTask.model_validate(one) for one in given] if isinstance(given, list) else []


def _number(call: ToolExecution) -> int:
    number = call.arguments.get("task_number")
    return number if isinstance(number, int) else 0


def _came_to(call: ToolExecution) -> TaskStatus | None:
    """Say what a call has made of its task; None if it was refused and made nothing of it."""
    done = call.status is ToolCallStatus.done
    if call.name == DROP:
        return TaskStatus.dropped if done and call.outcome is ToolOutcome.result else None
    if call.child_run_id is None:
        return None
    if not done:
        return TaskStatus.in_progress
    return TaskStatus.done if call.outcome is ToolOutcome.result else TaskStatus.failed
