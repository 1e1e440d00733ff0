"""The question for the outcome of a call that may or may not have happened."""

from datetime import datetime

from sqlalchemy import bindparam
from sqlmodel import Session

from kern.contracts.answers import Question
from kern.contracts.approval import Approval
from kern.contracts.presentation import Presentation
from kern.db.decisions.requirements import requirements_of_call
from kern.db.engine.mutable_rows import MutableRun
from kern.db.engine.plain_rows import rows
from kern.db.engine.records import RequirementRecord, ToolCallRecord
from kern.db.engine.step_records import StepRecord
from kern.db.engine.typed_tables import REQUIREMENTS, TOOL_CALLS
from kern.db.runs import policies
from kern.db.runs.frames import StoredFrames, path_within
from kern.values.states import RequirementKind

_calls, _requirements = (TOOL_CALLS.table, REQUIREMENTS.table)
_OF_STEP = (
    _requirements.select()
    .join(_calls, _calls.c.id == _requirements.c.tool_call_id)
    .where(_calls.c.step_id == bindparam("step_id"))
    .order_by(_requirements.c.id)
    .limit(1)
)


def outcome_question(tx: Session, run: MutableRun, call: ToolCallRecord, now: datetime) -> Question:
    """Return the question for a call's outcome, to those who may decide about the call.

    Executing it again takes as many people as the call took.
    """
    requirement = next(iter(requirements_of_call(tx, call.id)), None)
    path: list[str] = []
    presentation = _presentation_of(tx, run, call, requirement)
    if call.step_id is not None:
        frames = StoredFrames(tx, run, now)
        frame = frames.get(call.step_id)
        # The name of a step alone may not be unique.
        path = path_within(frames, frame)
        presentation = frames.shape.by_id[frame.node].presentation
        requirement = requirement or _gate_above(frames, frame)
    approval = Approval()
    if requirement is not None:
        approval = Approval(
            candidates=tuple(requirement.candidates),
            excluded=tuple(requirement.excluded),
            quorum=requirement.quorum,
        )
    return Question(
        kind=RequirementKind.unknown_outcome,
        approval=approval,
        where=path,
        presentation=presentation,
    )


def _presentation_of(
    tx: Session, run: MutableRun, call: ToolCallRecord, requirement: RequirementRecord | None
) -> Presentation:
    """Return how the call was shown to people, or what the run pinned for one that was not."""
    if requirement is not None:
        return Presentation.model_validate(requirement.presentation)
    component = policies.component_policy(tx, run.policy, run.component_id)
    tool = None if component is None else component.tools.get(call.name)
    return Presentation() if tool is None else tool.presentation


def _gate_above(frames: StoredFrames, frame: StepRecord) -> RequirementRecord | None:
    """Return what people were asked before a step, or before the innermost gated container."""
    for container in (frame, *frames.above(frame)):
        requirement = next(rows(frames.tx, REQUIREMENTS, _OF_STEP, step_id=container.id), None)
        if requirement is not None:
            return requirement
    return None
