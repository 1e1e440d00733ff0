"""What has happened in a run: turns, calls, decisions and steps, and everything inside it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from pydantic import JsonValue

from kern.client.console.addresses import requirement_url, run_url
from kern.client.console.facts import Facts
from kern.client.console.history import Mark
from kern.client.console.requirement import title_of
from kern.client.console.states import verdict_word
from kern.contracts.reports import Decision, RunReport
from kern.requirements import Requirement, RequirementStatus
from kern.run import Message, StepExecution, ToolExecution
from kern.values.states import ToolCallStatus, ToolOutcome

# Deeper ones are opened on a page of their own.
_LEVELS = 8


@dataclass(frozen=True)
class Part:
    """A line of a story below its heading.

    Attributes:
        kind: `said` for what a model or a person wrote, `note` for what Kern says.
        link: Where more of it is.
    """

    kind: Literal["said", "user", "note", "muted"]
    text: str
    link: str | None = None
    link_text: str = ""


@dataclass(frozen=True)
class Scene:
    """An entry of it: a turn, a call, a decision, a step or a run inside."""

    title: str
    about: str = ""
    mark: Mark = "done"
    at: datetime | None = None
    took: timedelta | None = None
    tool: str | None = None
    arguments: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    parts: tuple[Part, ...] = ()
    inner: tuple["Scene", ...] = ()


def story_of(report: RunReport, *, levels: int = _LEVELS) -> list[Scene]:
    """Return what has happened in a run, in order: turns of a model, or steps of a workflow."""
    if report.run.progress is not None:
        return [_step(step, report) for step in report.steps]
    return _turns(report, levels)


def _turns(report: RunReport, levels: int) -> list[Scene]:
    scenes: list[Scene] = []
    turn = 0
    for message in report.run.messages:
        if message.role == "user":
            name = report.run.user_id or "Input"
            scenes.append(
                Scene(name, at=message.created_at, parts=(Part("user", message.content),))
            )
        elif message.role == "assistant":
            turn += 1
            scenes.append(_turn(turn, message, report, levels))
    unanswered = {call.turn for call in report.run.tools if call.turn > turn}
    silent = Message(role="assistant")
    return [*scenes, *(_turn(number, silent, report, levels) for number in sorted(unanswered))]


def _turn(turn: int, message: Message, report: RunReport, levels: int) -> Scene:
    calls = [call for call in report.run.tools if call.turn == turn]
    inner = tuple(_call(call, report, levels) for call in calls)
    waits = any(scene.mark in {"wait", "bad"} for scene in inner)
    parts = (Part("said", message.content),) if message.content else ()
    mark: Mark = "wait" if waits else "done"
    return Scene(f"Turn {turn}", "", mark, message.created_at, parts=parts, inner=inner)


def _call(call: ToolExecution, report: RunReport, levels: int) -> Scene:
    requirements = [item for item in report.run.requirements if item.tool_call_id == call.id]
    scenes = [_decision(item, requirements) for item in _about(report.decisions, requirements)]
    parts = [_open(item) for item in requirements if item.status is RequirementStatus.pending]
    parts += [
        Part("note", f"An earlier attempt ended too late, and was not kept: {late.result}")
        for late in report.late_results
        if late.tool_call_id == call.id
    ]
    if call.result is not None:
        parts.append(Part("note", call.result))
    child = report.children.get(call.child_run_id or "")
    if child is not None and levels:
        scenes += story_of(child, levels=levels - 1)
    elif call.child_run_id:
        link = run_url(call.child_run_id)
        parts.append(Part("muted", "It is executed by a run of its own.", link, "Open"))
    return Scene(
        call.tool_name,
        _call_about(call),
        _call_mark(call, requirements),
        call.started_at,
        _took(call.started_at, call.finished_at),
        call.tool_name,
        call.arguments,
        tuple(parts),
        tuple(scenes),
    )


def _call_about(call: ToolExecution) -> str:
    attempts = f", attempt {call.attempts}" if call.attempts > 1 else ""
    outcome = call.outcome.value if call.outcome is not None else call.status.value
    return f"effect {call.effect.value}, {outcome}{attempts}"


def _call_mark(call: ToolExecution, requirements: Sequence[Requirement]) -> Mark:
    if any(item.status is RequirementStatus.pending for item in requirements):
        return "wait"
    if call.status is ToolCallStatus.unknown:
        return "bad"
    if call.status is ToolCallStatus.done:
        return "done" if call.outcome is ToolOutcome.result else "bad"
    return "now" if call.status is ToolCallStatus.running else ""


def _about(decisions: Sequence[Decision], requirements: Sequence[Requirement]) -> list[Decision]:
    ids = {item.id for item in requirements}
    return [item for item in decisions if item.requirement_id in ids]


def _decision(decision: Decision, requirements: Sequence[Requirement]) -> Scene:
    about = next(item for item in requirements if item.id == decision.requirement_id)
    parts = [Part("note", f"“{decision.note}”")] if decision.note else []
    parts.append(
        Part(
            "muted",
            f"decision {decision.seq} of its run, digest {about.digest[:12]}",
            requirement_url(about.id),
            "Open",
        )
    )
    return Scene(
        verdict_word(decision.verdict), f"by {decision.by}", at=decision.at, parts=tuple(parts)
    )


def _open(item: Requirement) -> Part:
    title = title_of(item, Facts())
    return Part("note", f"Waiting for a person: {title}", requirement_url(item.id), "Open")


def _step(step: StepExecution, report: RunReport) -> Scene:
    requirements = [
        item
        for item in report.run.requirements
        if item.status is RequirementStatus.pending and step.name in item.path
    ]
    parts = [_open(item) for item in requirements] if step.is_waiting else []
    if step.error:
        parts.append(Part("note", step.error))
    if step.child_run_id:
        link = run_url(step.child_run_id)
        parts.append(Part("muted", "", link, "Open its run"))
    inside = f"inside {step.depth} others" if step.depth > 1 else ""
    state = step.outcome or step.phase
    return Scene(
        step.name,
        ", ".join(part for part in (state, inside) if part),
        _step_mark(step),
        step.started_at,
        _took(step.started_at, step.finished_at),
        parts=tuple(parts),
    )


def _step_mark(step: StepExecution) -> Mark:
    if step.is_waiting:
        return "wait"
    match step.outcome:
        case "completed" | "skipped":
            return "done"
        case None:
            return "now" if step.started_at else ""
        case _:
            return "bad"


def _took(start: datetime | None, end: datetime | None) -> timedelta | None:
    return None if start is None or end is None else end - start
