"""Follows a decision that was accepted, stage by stage as rows say, for a bounded time."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from kern.client.cli.printing import show_length
from kern.client.console.facts import Facts
from kern.client.console.states import State, state_of
from kern.client.service.operations import OperatorService
from kern.contracts.decision_states import StateName
from kern.contracts.viewer import Viewer
from kern.errors import NotFound
from kern.requirements import Requirement
from kern.run import RunOutput, ToolExecution
from kern.values.visible_text import plain, spelled

# From these on nothing more happens to the decision's call.
_LAST: frozenset[StateName] = frozenset(
    {
        "done", "error", "not_executed", "unknown", "recorded", "rejected", "expired", "withdrawn",
        "cancelled",
    }
)  # fmt: skip
_FOLLOW_SECONDS = 10.0
_POLL_SECONDS = 0.2
_LONGEST = 2_000
_ARROW = " → "


@dataclass(frozen=True)
class Progress:
    """How far a decision has come.

    Attributes:
        requirement: The requirement as it stands.
        state: Where its call stands.
        seconds: How long it took from the decision to the end of the call, in words.
    """

    requirement: Requirement
    state: State
    seconds: str = ""

    @property
    def is_last(self) -> bool:
        """Whether nothing more happens."""
        return self.state.name in _LAST


async def read_progress(service: OperatorService, viewer: Viewer, requirement_id: str) -> Progress:
    """Read a requirement, and how far it has come."""
    return await progress_of(service, viewer, await service.inbox.read(viewer, requirement_id))


async def progress_of(service: OperatorService, viewer: Viewer, item: Requirement) -> Progress:
    """Read how far a requirement has come that was just read."""
    call = None
    if item.resolution is not None:
        try:
            call = call_of(await service.runs.read(viewer, item.run_id), item)
        except NotFound:
            call = None
    state = state_of(item, Facts(delivered_at=item.delivered_at), call, waits_for="somebody")
    return Progress(item, state, _length(item, call))


def call_of(run: RunOutput, item: Requirement) -> ToolExecution | None:
    """Return the call that a requirement is about."""
    return next((call for call in run.tools if call.id == item.tool_call_id), None)


def follow(
    read: Callable[[], Progress],
    write: Callable[[str], None],
    is_interrupted: Callable[[float], bool],
    *,
    is_delivered: bool = False,
) -> Progress:
    """Write each stage as it is reached, until the last one or for some seconds.

    Args:
        read: Reads how far it has come.
        write: Writes without an end of line.
        is_interrupted: Waits for so many seconds; whether the person went on.
        is_delivered: Whether it is known to be delivered; its row may say so a moment later.
    """
    deadline = time.monotonic() + _FOLLOW_SECONDS
    written: set[StateName] = {"undelivered"}
    if is_delivered:
        written.add("delivered")
        write(f"{_ARROW}delivered")
    while True:
        progress = read()
        for name in _stages(progress):
            if name not in written:
                written.add(name)
                write(f"{_ARROW}{stage_text(progress, name)}")
        if progress.is_last or time.monotonic() > deadline or is_interrupted(_POLL_SECONDS):
            return progress


def _stages(progress: Progress) -> list[StateName]:
    name = progress.state.name
    was_delivered = progress.requirement.delivered_at is not None
    return ["delivered", name] if was_delivered and name != "delivered" else [name]


def stage_text(progress: Progress, name: StateName) -> str:
    """Return a stage as the line of stages names it, with what came of the call at its end."""
    state = progress.state
    result = f": {_cut(state.result)}" if state.result else ""
    match name:
        case "undelivered":
            return "accepted, not delivered yet"
        case "delivered":
            return "delivered"
        case "executing":
            return "executing" if state.attempt <= 1 else f"executing, attempt {state.attempt}"
        case "done":
            return f"done{progress.seconds}{result}"
        case "error":
            return f"done, with an error{progress.seconds}{result}"
        case _:
            return f"{state.label[:1].lower()}{state.label[1:]}{result}"


def _length(item: Requirement, call: ToolExecution | None) -> str:
    if call is None or item.resolution is None:
        return ""
    if call.started_at is None or call.finished_at is None:
        return ""
    if call.started_at < item.resolution.at:
        # It was executed before, or elsewhere: nothing took that long.
        return ""
    return f" in {show_length(call.finished_at - item.resolution.at)}"


def _cut(text: str) -> str:
    if len(text) <= _LONGEST:
        return plain(text)
    return f"{spelled(text[:_LONGEST], is_escaped=True)}… ({len(text):,} characters)"


def ending_text(item: Requirement, person: str, now: Callable[[datetime], str]) -> str:
    """Return in one sentence how a requirement was closed, and that nothing was changed now."""
    resolution = item.resolution
    if resolution is None:
        return f"It is {item.status.value}, and takes no decision. Nothing was changed."
    verdict = resolution.verdict.value.replace("_", " ")
    note = f", with the note {plain(resolution.note, ',')}" if resolution.note else ""
    at = f"at {now(resolution.at)} UTC"
    if item.status.value != "resolved":
        return f"It {item.status.value} {at}: {verdict}{note}. Nothing was changed."
    name = "You" if resolution.by == person else plain(resolution.by, ",:")
    return f"{name} decided first: {verdict}, {at}{note}. Nothing was changed."
