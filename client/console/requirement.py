"""The page of one decision, of any kind, open or closed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from pydantic import JsonValue

from kern.client.console.addresses import requirement_url, run_url, session_url
from kern.client.console.decision_form import DecisionForm, Draft, decision_form
from kern.client.console.facts import Facts, arguments_of, digest_of, is_edited
from kern.client.console.history import Event, Speech, history_of, messages_of
from kern.client.console.people import NOBODY, PersonRow, people_of, waiting_for
from kern.client.console.problems import Problem
from kern.client.console.similar import similar_text
from kern.client.console.states import Stage, State, call_of, stages_of, state_of
from kern.client.console.text import path_text, spelled_count
from kern.contracts.reports import Decision, RunReport, SimilarDecisions
from kern.requirements import Requirement, Resolution, UnknownAttempt
from kern.run import ToolExecution
from kern.values.decisions import EarlierCall
from kern.values.names import name_key
from kern.values.states import Effect, RequirementKind, RequirementStatus

# Of a call or a step whose author wrote none.
_TITLES = {
    RequirementKind.confirmation: "{} asks for approval",
    RequirementKind.user_input: "{} needs values",
    RequirementKind.user_feedback: "{} needs a choice",
    RequirementKind.external_execution: "Execute {} and give its result",
    RequirementKind.output_review: "Review the output of {}",
    RequirementKind.error: "The step {} failed",
    RequirementKind.unknown_outcome: "Did {} happen?",
}
Ending = Literal["open", "yours", "theirs", "nobody"]


@dataclass(frozen=True)
class Position:
    """Where a decision stands in the list that it was opened from."""

    index: int | None = None
    total: int | None = None
    previous_url: str | None = None
    next_url: str | None = None
    remaining: int | None = None


@dataclass(frozen=True)
class ArgumentRow:
    """An argument: what would run, and what the agent asked for."""

    name: str
    value: JsonValue
    original: JsonValue = None
    is_changed: bool = False


@dataclass(frozen=True)
class ToolUse:
    """A call inside a failed step, and what trying again would do with it."""

    name: str
    effect: Effect
    outcome: str
    at: datetime | None
    has_happened: bool


@dataclass(frozen=True)
class Triage:
    """Who has taken it on, and for how long it is put off.

    Attributes:
        claimed_by: Who works on it; None for nobody.
        is_mine: Whether that is who looks.
        comment_id: A new id for a comment: posted twice, it is added once.
    """

    claimed_by: str | None = None
    is_mine: bool = False
    comment_id: str = ""


@dataclass(frozen=True)
class RequirementView:
    """What the page of a decision shows; templates read it and nothing else."""

    requirement: Requirement
    facts: Facts
    url: str
    title: str
    state: State
    stages: list[Stage]
    arguments: list[ArgumentRow]
    is_edited: bool
    digest: str
    spelled_count: int
    caller: str
    run_url: str
    session_url: str
    history: list[Event]
    messages: list[Speech]
    message_count: int
    people: list[PersonRow]
    earlier: list[EarlierCall]
    uses: list[ToolUse]
    attempt: UnknownAttempt | None
    output: JsonValue
    position: Position
    ending: Ending
    resolution: Resolution | None
    decision: Decision | None
    form: DecisionForm | None
    problem: Problem | None = None
    triage: Triage | None = None
    similar: str | None = None

    @property
    def kind(self) -> RequirementKind:
        """The kind of the requirement."""
        return self.requirement.kind

    @property
    def arguments_now(self) -> dict[str, JsonValue]:
        """The arguments under review."""
        return arguments_of(self.requirement, self.facts)


def requirement_view(
    requirement: Requirement,
    report: RunReport | None,
    viewer_name: str,
    csrf: str,
    decision_id: str,
    *,
    facts: Facts | None = None,
    may_decide: bool = True,
    position: Position | None = None,
    events: Sequence[Event] = (),
    draft: Draft | None = None,
    problem: Problem | None = None,
    triage: Triage | None = None,
    similar: SimilarDecisions | None = None,
    away: Mapping[str, str] = NOBODY,
) -> RequirementView:
    """Return what the page of a decision shows.

    Args:
        requirement: What waits, or was decided.
        report: The report of its run, for the call's state, the messages and the decisions.
        viewer_name: Who looks.
        csrf: The token of their session.
        decision_id: A new id: the form that carries it counts once.
        facts: How its author presents it, and how far it has come.
        may_decide: Whether who looks may decide.
        position: Where it stands in the list.
        events: Reminders, escalations and comments.
        draft: What was posted and refused.
        problem: Why it was refused.
        triage: Who has claimed it; None where nobody can.
        similar: What people decided about calls like it.
        away: What is said of those who are away, by the keys of their names.
    """
    facts = facts or Facts()
    url = requirement_url(requirement.id)
    call = call_of(requirement, report)
    waits_for = waiting_for(requirement, may_decide=may_decide)
    state = state_of(requirement, facts, call, waits_for=waits_for)
    messages, message_count = messages_of(report)
    decisions = [] if report is None else report.decisions
    view = RequirementView(
        requirement=requirement,
        facts=facts,
        url=url,
        title=title_of(requirement, facts),
        state=state,
        stages=stages_of(requirement, facts, state),
        arguments=argument_rows(requirement, facts),
        is_edited=is_edited(requirement, facts),
        digest=digest_of(requirement, facts),
        spelled_count=spelled_count(arguments_of(requirement, facts)),
        caller=path_text(requirement.path) or "a run",
        run_url=run_url(requirement.run_id),
        session_url=session_url(requirement.session_id),
        history=history_of(requirement, report, events),
        messages=messages,
        message_count=message_count,
        people=people_of(requirement, viewer_name, away),
        earlier=requirement.earlier_calls,
        uses=_uses(report) if requirement.kind is RequirementKind.error else [],
        attempt=requirement.attempt,
        output=requirement.arguments.get("output"),
        position=position or Position(),
        ending=_ending(requirement, viewer_name),
        resolution=requirement.resolution,
        decision=_last_decision(requirement, decisions),
        form=None,
        problem=problem,
        triage=triage,
        similar=None if similar is None else similar_text(similar),
    )
    if not may_decide or requirement.status is not RequirementStatus.pending:
        return view
    effect = Effect.once if call is None else call.effect
    return replace(view, form=_form(view, viewer_name, (csrf, decision_id), effect, draft))


def _form(
    view: RequirementView,
    person: str,
    tokens: tuple[str, str],
    effect: Effect,
    draft: Draft | None,
) -> DecisionForm:
    csrf, decision_id = tokens
    return decision_form(
        view.requirement,
        view.facts,
        url=view.url,
        csrf=csrf,
        decision_id=decision_id,
        person=person,
        effect=effect,
        draft=draft,
    )


def title_of(requirement: Requirement, facts: Facts) -> str:
    """Return the title of a decision: what its author wrote, or the call as text."""
    if facts.title:
        return facts.title
    # Of what failed or is unknown, the question says why, not what is asked.
    has_question = requirement.kind not in {RequirementKind.error, RequirementKind.unknown_outcome}
    if requirement.question and has_question:
        return requirement.question
    return _TITLES[requirement.kind].format(requirement.tool_name or "a step")


def argument_rows(requirement: Requirement, facts: Facts) -> list[ArgumentRow]:
    """Return every argument that would run, beside what the agent asked for."""
    original = requirement.arguments
    return [
        ArgumentRow(
            name, value, original.get(name), name not in original or original[name] != value
        )
        for name, value in arguments_of(requirement, facts).items()
    ]


def _ending(requirement: Requirement, viewer_name: str) -> Ending:
    if requirement.status is RequirementStatus.pending:
        return "open"
    resolution = requirement.resolution
    if resolution is None or requirement.status is not RequirementStatus.resolved:
        return "nobody"
    return "yours" if name_key(resolution.by) == name_key(viewer_name) else "theirs"


def _last_decision(requirement: Requirement, decisions: Sequence[Decision]) -> Decision | None:
    about = [item for item in decisions if item.requirement_id == requirement.id]
    return about[-1] if about else None


def _uses(report: RunReport | None) -> list[ToolUse]:
    if report is None:
        return []
    calls = [
        *report.run.tools,
        *(call for run in report.children.values() for call in run.run.tools),
    ]
    return [_use(call) for call in calls]


def _use(call: ToolExecution) -> ToolUse:
    outcome = call.outcome.value if call.outcome else call.status.value
    happened = outcome == "result"
    return ToolUse(call.tool_name, call.effect, outcome, call.finished_at, happened)
