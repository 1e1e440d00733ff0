"""Opens requirements: what people are asked about a call, with its arguments frozen in it."""

from datetime import datetime, timedelta

from pydantic import JsonValue
from sqlmodel import Session

from kern.contracts.answers import Question
from kern.db.engine.mutable_rows import MutableRun
from kern.db.engine.plain_rows import add_row, new_row
from kern.db.engine.records import RequirementRecord, ToolCallRecord
from kern.db.engine.typed_tables import REQUIREMENTS
from kern.db.journal import feed
from kern.db.journal.events import record
from kern.db.reading.run_outputs import effective_arguments
from kern.db.reading.run_trees import path_of, root_of
from kern.db.runs import people
from kern.values.canonical import arguments_digest, digest
from kern.values.feed import FeedKind
from kern.values.ids import new_id
from kern.values.states import RISK_RANKS, RequirementKind

# Those whose decisions may change the arguments, or fill them in.
_EDITABLE = frozenset(
    {RequirementKind.confirmation, RequirementKind.output_review, RequirementKind.user_input}
)


def open_requirement(
    tx: Session, run: MutableRun, call: ToolCallRecord, question: Question, now: datetime
) -> RequirementRecord:
    """Open a requirement about a call, with the call's arguments frozen in it."""
    approval = question.approval
    arguments = effective_arguments(call)
    presentation = question.presentation
    if question.kind not in _EDITABLE:
        presentation = presentation.model_copy(update={"edit_bounds": None})
    row = new_row(
        REQUIREMENTS,
        id=new_id(),
        run_id=run.id,
        root_run_id=root_of(run),
        path=[*path_of(run), *(question.where or [call.name])],
        session_id=run.session_id,
        tenant=run.tenant,
        user_id=run.user_id,
        tool_call_id=call.id,
        kind=question.kind.value,
        tool_name=call.name,
        arguments=arguments,
        digest=arguments_digest(call.name, arguments),
        arguments_schema=question.arguments_schema,
        question=question.question,
        presentation=presentation.model_dump(mode="json", exclude_defaults=True),
        risk=presentation.risk.value,
        risk_rank=RISK_RANKS[presentation.risk],
        shape=_shape(run, call, question),
        **presentation.values_for(arguments)._asdict(),
        attempt=None if question.attempt is None else question.attempt.model_dump(mode="json"),
        fields=[item.model_dump(mode="json") for item in question.fields],
        choices=list(question.choices),
        multiple=question.multiple,
        candidates=list(approval.candidates),
        excluded=list(approval.excluded),
        quorum=approval.quorum,
        on_expiry=str(approval.on_expiry),
        due_at=_later(now, approval.due),
        remind_seconds=approval.remind.total_seconds() if approval.remind else None,
        remind_at=_later(now, approval.remind),
        escalate_to=list(approval.escalate.to) if approval.escalate else None,
        escalate_at=_later(now, approval.escalate.after) if approval.escalate else None,
        created_at=now,
    )
    add_row(tx, REQUIREMENTS, row)
    people.add(tx, run, row, now)
    record(tx, run, "requirement_opened", now, requirement_id=row.id, tool=call.name, ask=row.kind)
    feed.announce(tx, row, run.component_id, FeedKind.opened, now)
    return row


def _later(now: datetime, after: timedelta | None) -> datetime | None:
    return None if after is None else now + after


def _shape(run: MutableRun, call: ToolCallRecord, question: Question) -> str:
    """Return what requirements that look alike have in common, whatever the values in them."""
    names: list[JsonValue] = [*sorted(effective_arguments(call))]
    title = question.presentation.title
    path: list[JsonValue] = [*path_of(run), run.component_id]
    return digest([path, call.name, question.kind.value, names, title])
