"""The list of tasks that a team's leader keeps, derived from the tool calls of its run.

It is stored nowhere else: a task is done when the member's run that it was assigned to has
completed, and the leader cannot mark it as done by itself.
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
        """Whether it is done or dropped."""
        return self.status in (TaskStatus.done, TaskStatus.dropped)


def tasks_of(calls: Sequence[ToolExecution]) -> list[Task]:
    """Return the list that results from the calls of a run, in their order."""
    tasks: list[Task] = []
    for call in calls:
        if call.tool_name == ADD and call.outcome is ToolOutcome.result:
            tasks += [
                Task(len(tasks) + number, new_task.title)
                for number, new_task in enumerate(_added(call), start=1)
            ]
            continue
        index = _number(call) - 1
        if call.tool_name not in (ASSIGN, DROP) or not 0 <= index < len(tasks):
            continue
        status, task = _status_after(call), tasks[index]
        if status is not None:
            member_id = call.arguments.get("member_id")
            member = member_id if isinstance(member_id, str) else task.member
            tasks[index] = Task(task.number, task.title, status, member)
    return tasks


def listed(tasks: Sequence[Task]) -> str:
    """Return the list as its leader reads it, one line for each task."""
    lines = [
        f"{task.number}. [{task.status.value}{f', {task.member}' if task.member else ''}] "
        f"{task.title}"
        for task in tasks
    ]
    return "\n".join(lines) or "(no tasks yet)"


def check_undone(calls: Sequence[ToolExecution], number: int) -> None:
    """Refuse to assign or drop a task that is neither open nor failed.

    Raises:
        ValueError: there is no such task, or it is in progress or settled; the message is for the
            model.
    """
    tasks = tasks_of(calls)
    if not 1 <= number <= len(tasks):
        numbers = f"the tasks are numbered 1 to {len(tasks)}" if tasks else "there are no tasks yet"
        message = f"there is no task {number}: {numbers}"
        raise ValueError(message)
    status = tasks[number - 1].status
    if status not in (TaskStatus.open, TaskStatus.failed):
        message = f"task {number} is {status.value} already"
        raise ValueError(message)


def _added(call: ToolExecution) -> list[NewTask]:
    tasks = call.arguments.get("tasks")
    return [NewTask.model_validate(task) for task in tasks] if isinstance(tasks, list) else []


def _number(call: ToolExecution) -> int:
    number = call.arguments.get("task_number")
    return number if isinstance(number, int) else 0


def _status_after(call: ToolExecution) -> TaskStatus | None:
    """Return the status that a call gives its task; None if it was refused and changes nothing."""
    is_done = call.status is ToolCallStatus.done
    if call.tool_name == DROP:
        return TaskStatus.dropped if is_done and call.outcome is ToolOutcome.result else None
    if call.child_run_id is None:
        return None
    if not is_done:
        return TaskStatus.in_progress
    return TaskStatus.done if call.outcome is ToolOutcome.result else TaskStatus.failed
