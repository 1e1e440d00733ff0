"""Builds requirements from their rows: however many, with one statement for each table."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import bindparam, select
from sqlmodel import Session

from kern.contracts.presentation import Presentation
from kern.contracts.viewer import OPERATOR, Viewer
from kern.db.engine.plain_rows import execute, rows
from kern.db.engine.records import DecisionRecord, RequirementRecord
from kern.db.engine.typed_tables import DECISIONS, TOOL_CALLS
from kern.db.journal import votes
from kern.db.journal.audit_chain import principal_of_row
from kern.db.reading.executed_calls import earlier_calls
from kern.process.clock import utc_now
from kern.requirements import Requirement, Resolution, UserInputField, bind_reader
from kern.values.attempts import UnknownAttempt, is_executing, may_be_executing
from kern.values.decisions import EarlierCall
from kern.values.states import OnExpiry, RequirementKind, RequirementStatus, Risk, Verdict
from kern.values.triage import Claim, Delegation

_decisions, _calls = (DECISIONS.table, TOOL_CALLS.table)
_DECISIONS = (
    _decisions.select()
    .where(_decisions.c.requirement_id.in_(bindparam("ids", expanding=True)))
    .order_by(_decisions.c.requirement_id, _decisions.c.position)
)
_BEATS = select(_calls.c.id, _calls.c.beat_at, _calls.c.leased_until).where(
    _calls.c.id.in_(bindparam("ids", expanding=True))
)
# A statement may have some 32,000 parameters.
_BATCH = 10_000


class _Beat(NamedTuple):
    """When a call was last known to be executing, and until when it may go on."""

    at: datetime
    leased_until: datetime | None


def requirement_of(tx: Session, row: RequirementRecord, viewer: Viewer = OPERATOR) -> Requirement:
    """Build a requirement for a viewer."""
    return requirements_of(tx, [row], viewer)[0]


def requirements_of(
    tx: Session, records: Sequence[RequirementRecord], viewer: Viewer
) -> list[Requirement]:
    """Build requirements for a viewer, in the order of their rows.

    They speak for their owner if the viewer is the owner; what an operator read speaks for nobody.
    """
    requirements: list[Requirement] = []
    for start in range(0, len(records), _BATCH):
        batch = records[start : start + _BATCH]
        decisions, beats = _decisions_of(tx, batch), _beats_of(tx, batch)
        earlier = earlier_calls(tx, batch)
        requirements += [
            _requirement(
                row, decisions.get(row.id, []), beats.get(row.tool_call_id or ""), executed
            )
            for row, executed in zip(batch, earlier, strict=True)
        ]
    return [
        bind_reader(requirement, viewer.user_id if viewer.user_id == requirement.user_id else None)
        for requirement in requirements
    ]


def _decisions_of(
    tx: Session, records: Sequence[RequirementRecord]
) -> Mapping[str, list[DecisionRecord]]:
    """Return the decisions about those requirements whose decisions are shown."""
    ids = [row.id for row in records if row.quorum > 1 or row.verdict is not None]
    by_requirement: dict[str, list[DecisionRecord]] = {}
    if ids:
        for decision in rows(tx, DECISIONS, _DECISIONS, ids=ids):
            by_requirement.setdefault(decision.requirement_id, []).append(decision)
    return by_requirement


def _beats_of(tx: Session, records: Sequence[RequirementRecord]) -> Mapping[str, _Beat]:
    """Return when the calls were last known to be executing whose outcome is asked for."""
    ids = [row.tool_call_id for row in records if row.tool_call_id and row.attempt is not None]
    if not ids:
        return {}
    calls = execute(tx, _BEATS, ids=ids)
    return {call.id: _Beat(call.beat_at, call.leased_until) for call in calls if call.beat_at}


def _requirement(
    row: RequirementRecord,
    decisions: Sequence[DecisionRecord],
    beat: _Beat | None,
    executed: Sequence[EarlierCall],
) -> Requirement:
    proposals = votes.proposals(row, decisions) if row.quorum > 1 else []
    presentation = Presentation.model_validate(row.presentation)
    is_pending = row.status == RequirementStatus.pending.value
    edited = row.current_arguments
    return Requirement(
        id=row.id,
        run_id=row.run_id,
        session_id=row.session_id,
        tenant=row.tenant,
        user_id=row.user_id,
        kind=RequirementKind(row.kind),
        status=RequirementStatus(row.status),
        path=list(row.path),
        tool_call_id=row.tool_call_id,
        tool_name=row.tool_name,
        arguments=dict(row.arguments),
        digest=row.digest,
        current_arguments=dict(row.arguments if edited is None else edited),
        current_digest=row.current_digest or row.digest,
        edited_by=row.edited_by,
        question=row.question,
        title=row.title,
        risk=Risk(row.risk),
        consequence=presentation.consequence,
        confirm_value=row.confirm_value,
        bounds=presentation.edit_bounds,
        subject=row.subject,
        amount=row.amount,
        unit=row.unit,
        shape=row.shape,
        where_to_look=presentation.where_to_look,
        attempt=_attempt_of(row, beat),
        fields=[UserInputField.model_validate(item) for item in row.fields],
        choices=list(row.choices),
        multiple=row.multiple,
        candidates=list(row.candidates),
        excluded=list(row.excluded),
        quorum=row.quorum,
        # Approvals of other arguments do not add up.
        approvals=max((proposal.approvals for proposal in proposals), default=0),
        proposals=proposals,
        created_at=row.created_at,
        due_at=row.due_at,
        on_expiry=OnExpiry(row.on_expiry),
        resolution=_resolution(row, decisions),
        earlier_calls=list(executed),
        delivered_at=None if is_pending else row.delivered_at,
        not_executed=row.not_executed,
        claim=claim_of(row, utc_now()),
        delegations=delegations_of(row),
    )


def claim_of(row: RequirementRecord, now: datetime) -> Claim | None:
    """Return the claim of a requirement that is not over."""
    if row.claimed_by is None or row.claimed_until is None or row.claimed_until <= now:
        return None
    return Claim(by=row.claimed_by, until=row.claimed_until)


def delegations_of(row: RequirementRecord) -> list[Delegation]:
    """Return who has handed a requirement to whom, the oldest first."""
    return [Delegation.model_validate(item) for item in row.delegations or ()]


def _attempt_of(row: RequirementRecord, beat: _Beat | None) -> UnknownAttempt | None:
    """Return what is known of the attempt whose outcome is asked for."""
    if row.attempt is None:
        return None
    facts = UnknownAttempt.model_validate(row.attempt)
    if beat is None or row.status != RequirementStatus.pending.value:
        return facts
    leased_until, now = beat.leased_until, utc_now()
    is_leased = may_be_executing(facts.reason, leased_until, now)
    return facts.model_copy(
        update={
            "beat_at": beat.at,
            "is_executing": is_executing(facts.reason, beat.at, leased_until, row.created_at, now),
            "leased_until": leased_until if is_leased else None,
        }
    )


def _resolution(row: RequirementRecord, decisions: Sequence[DecisionRecord]) -> Resolution | None:
    if row.verdict is None or row.resolved_at is None:
        return None
    last = decisions[-1] if decisions else None
    return Resolution(
        verdict=Verdict(row.verdict),
        by=row.resolved_by or "",
        note=row.resolved_note,
        at=row.resolved_at,
        edit=None if last is None or last.edit is None else dict(last.edit),
        principal=None if last is None else principal_of_row(last),
    )
