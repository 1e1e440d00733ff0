"""Calls that are executed outside Kern, after somebody reported not to know what became of them.

Kern never executes such a call: it waits for its result, and asks for it. A report that nobody
knows is treated as an attempt that was lost. The tool's reconciler is asked first, then a person.
If it has not happened, or is to be done again, it is asked for once more, under the same key.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlmodel import Session

from kern.contracts.answers import Question
from kern.contracts.approval import Approval, Escalation
from kern.contracts.messages import Gate
from kern.contracts.presentation import Presentation
from kern.db.decisions.opening import open_requirement
from kern.db.decisions.reminders import gate_of
from kern.db.engine.mutable_rows import MutableRun, MutableToolCall
from kern.db.engine.records import RequirementRecord, ToolCallRecord
from kern.db.runs import lifecycle
from kern.db.turns import unknown_outcomes
from kern.db.turns.external_reports import is_external
from kern.values.attempts import UnknownAttempt, UnknownReason
from kern.values.canonical import arguments_digest
from kern.values.states import OnExpiry, RequirementKind, ToolCallStatus


def is_reported(call: ToolCallRecord, token: str) -> bool:
    """Whether a call is open because of the report with this id."""
    is_open = call.status == ToolCallStatus.unknown.value
    return is_external(call) and is_open and call.token == token


def following(
    tx: Session,
    run: MutableRun,
    call: MutableToolCall,
    requirements: Sequence[RequirementRecord],
    now: datetime,
) -> Gate | str | None:
    """Return the requirement that is opened about a call that waits for nobody.

    The id of the report about it, if its reconciler is to be asked first; None if somebody changed
    the rows. `requirements` are those about the call.
    """
    if not requirements or arguments_digest(call.name, call.arguments) != call.digest:
        return None
    if call.status != ToolCallStatus.unknown.value:
        return _ask_for_result(tx, run, call, requirements, now)
    if call.has_reconciler and call.token is not None:
        return call.token
    return unknown_outcomes.ask(tx, run, call, UnknownReason.reported, now)


def _ask_for_result(
    tx: Session,
    run: MutableRun,
    call: MutableToolCall,
    requirements: Sequence[RequirementRecord],
    now: datetime,
) -> Gate:
    """Ask once more for the result of a call, of those who were asked at first."""
    first, last = requirements[0], requirements[-1]
    question = Question(
        kind=RequirementKind.external_execution,
        arguments_schema=dict(first.arguments_schema),
        question=first.question,
        approval=_approval_of(first),
        # What was found not to have happened leaves nothing open.
        attempt=None if last.attempt is None else UnknownAttempt.model_validate(last.attempt),
        presentation=Presentation.model_validate(first.presentation),
    )
    call.status, call.token = ToolCallStatus.waiting.value, None
    row = open_requirement(tx, run, call, question, now)
    lifecycle.update_status(tx, run, now)
    return gate_of(row)


def _approval_of(row: RequirementRecord) -> Approval:
    escalate = None
    if row.escalate_to and row.escalate_at is not None:
        after = row.escalate_at - row.created_at
        escalate = Escalation(to=tuple(row.escalate_to), after=after)
    return Approval(
        candidates=tuple(row.candidates),
        excluded=tuple(row.excluded),
        quorum=row.quorum,
        due=None if row.due_at is None else row.due_at - row.created_at,
        remind=None if row.remind_seconds is None else timedelta(seconds=row.remind_seconds),
        escalate=escalate,
        on_expiry=OnExpiry(row.on_expiry),
    )
