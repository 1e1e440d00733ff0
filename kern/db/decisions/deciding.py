"""Deciding.

One transaction checks a decision, appends it to the chain, and does what follows from it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from pydantic import JsonValue
from sqlalchemy import bindparam, select
from sqlmodel import Session

from kern.contracts.messages import ExpiryOutcome
from kern.contracts.viewer import OPERATOR, Viewer
from kern.db.decisions import reminders
from kern.db.decisions.requirements import close
from kern.db.decisions.verdicts import (
    approved_arguments,
    check_fit,
    cleaned,
    happened_text,
    outcome_text,
)
from kern.db.engine.plain_rows import table_of
from kern.db.engine.tables import DecisionRow, RequirementRow, RunRow, ToolCallRow
from kern.db.engine.unit_of_work import hold
from kern.db.journal import audit_chain, outbox
from kern.db.journal.audit_chain import KERN, Decided
from kern.db.journal.events import record
from kern.db.journal.outbox import Delivery, DeliveryKind
from kern.db.reading.run_outputs import check, no_requirement, requirement_of, runs_with
from kern.db.reading.run_trees import is_within
from kern.db.runs import lifecycle
from kern.db.runs.step_waits import steps_on
from kern.errors import AlreadyResolved, ArgumentsChanged, InvalidDecision, NotAllowed
from kern.requirements import DecisionDraft, Requirement, closed_message
from kern.values.canonical import arguments_digest
from kern.values.ids import new_id
from kern.values.states import (
    OnExpiry,
    RequirementStatus,
    RunStatus,
    ToolCallStatus,
    ToolOutcome,
    Verdict,
)

_requirements = table_of(RequirementRow)
_REQUIREMENT = _requirements.select().where(_requirements.c.id == bindparam("requirement_id"))
_RUN_OF = lifecycle.locking(
    select(_requirements.c.run_id)
    .where(_requirements.c.id == bindparam("requirement_id"))
    .scalar_subquery()
)
# What lets nothing run needs no arguments to agree on.
_EXECUTING = frozenset({Verdict.approve, Verdict.answer, Verdict.run_again})
_REFUSING = frozenset({Verdict.reject, Verdict.fail})


@dataclass(frozen=True)
class Submission:
    """A decision on its way in: about which requirement, seen with which arguments, by whom.

    `id` becomes the decision's: a submission whose acknowledgement was lost is known by it.
    """

    requirement_id: str
    digest: str
    draft: DecisionDraft
    actor: str
    id: str = field(default_factory=new_id)


@dataclass(frozen=True)
class Accepted:
    """A decision that was stored.

    `delivery` is there when it resolved the requirement and its run goes on. `run_ids` names that
    run and those above it, from the root on. `stands_still`: the run waits for people all the same.
    """

    requirement: Requirement
    delivery: Delivery | None
    run_ids: tuple[str, ...] = ()
    stands_still: bool = False


def resolve(
    tx: Session,
    submission: Submission,
    viewer: Viewer,
    now: datetime,
    *,
    within: str | None = None,
) -> Accepted:
    """Accept a decision: the first valid one wins.

    `within` is the run in which, or in the runs inside which, the requirement has to be.

    Raises:
        NotFound: there is no such requirement.
        NotAllowed: it belongs to somebody else, or this person may not decide it.
        AlreadyResolved: somebody was first; the message says who.
        ArgumentsChanged: what the person saw is not what was frozen.
        InvalidDecision: the decision does not fit, or the requirement is another run's.
    """
    submission = replace(submission, draft=cleaned(submission.draft))
    run, row, call = _lock(tx, submission.requirement_id, viewer)
    if within is not None and not is_within(run, within):
        message = f"Requirement {row.id!r} belongs to run {row.run_id!r}, not to {within!r}."
        raise InvalidDecision(message)
    earlier = audit_chain.decisions_of(tx, row.id)
    if any(decision.id == submission.id for decision in earlier):
        return _accepted(tx, run, row, outbox.find(tx, row.id))
    _check(tx, row, call, submission, earlier)
    arguments = approved_arguments(row, submission.draft)
    decided = _decided(row, submission, arguments)
    audit_chain.append(tx, row, decided, earlier, now)
    delivery = None
    if _is_enough(row, decided, earlier):
        close(row, RequirementStatus.resolved, decided, now)
        _act(tx, run, row, call, decided=decided, now=now, arguments=arguments)
        delivery = outbox.enqueue(tx, run, DeliveryKind.resolved, now, requirement_id=row.id)
    _tell(tx, run, row, decided, now)
    # An approved call waits for nobody any more.
    is_closed = delivery is not None
    goes_on = is_closed and (steps_on(tx, call) or decided.verdict in _EXECUTING)
    lifecycle.update_status(tx, run, now, paused=False if goes_on else None)
    return _accepted(tx, run, row, delivery)


def _accepted(tx: Session, run: RunRow, row: RequirementRow, delivery: Delivery | None) -> Accepted:
    return Accepted(
        requirement_of(tx, row),
        delivery,
        (*run.ancestors, run.id),
        RunStatus(run.status).is_idle,
    )


def expire(tx: Session, requirement_id: str, now: datetime) -> ExpiryOutcome:
    """Close a requirement whose deadline has passed, unless somebody decided before.

    Before the deadline, people are reminded and others asked, when it is time for that.
    """
    run, row, call = _lock(tx, requirement_id, OPERATOR)
    if RunStatus(run.status).is_final:
        return ExpiryOutcome(run_ended=True)
    if row.status != RequirementStatus.pending.value:
        return ExpiryOutcome()
    if row.due_at is None or now < row.due_at:
        reminders.look(tx, run, row, now)
        return ExpiryOutcome(gate=reminders.gate_of(row))
    decided = _silence(row)
    audit_chain.append(tx, row, decided, audit_chain.decisions_of(tx, row.id), now)
    close(row, RequirementStatus.expired, decided, now)
    _act(tx, run, row, call, decided=decided, now=now)
    record(
        tx, run, "requirement_expired", now, requirement_id=row.id, verdict=decided.verdict.value
    )
    lifecycle.update_status(tx, run, now, paused=False if steps_on(tx, call) else None)
    return ExpiryOutcome(run_ended=RunStatus(run.status).is_final)


def _lock(
    tx: Session, requirement_id: str, viewer: Viewer
) -> tuple[RunRow, RequirementRow, ToolCallRow]:
    run = hold(tx, RunRow, _RUN_OF, requirement_id=requirement_id)
    row = hold(tx, RequirementRow, _REQUIREMENT, requirement_id=requirement_id)
    if run is None or row is None:
        raise no_requirement(requirement_id)
    check(tx, viewer, f"Requirement {requirement_id!r}", run)
    call = lifecycle.hold_call(tx, row.tool_call_id)
    if call is None:
        raise no_requirement(requirement_id)
    return run, row, call


def _check(
    tx: Session,
    row: RequirementRow,
    call: ToolCallRow,
    submission: Submission,
    earlier: Sequence[DecisionRow],
) -> None:
    if row.status != RequirementStatus.pending.value:
        raise AlreadyResolved(closed_message(requirement_of(tx, row)))
    actor = submission.actor
    _check_person(row, actor, earlier)
    frozen = runs_with(call)
    shown = arguments_digest(row.tool_name or "", row.arguments)
    frozen_digest = arguments_digest(call.name, frozen)
    refuses = submission.draft.verdict in _REFUSING
    if not refuses and not submission.digest == row.digest == shown == frozen_digest:
        message = (
            f"The arguments of requirement {row.id!r} ({row.tool_name}) are not those that were "
            "frozen when the run paused. Nothing was decided. Read the requirement again, and use "
            "edit() to change arguments. If they still differ, somebody changed the rows: reject "
            "it, or cancel the run."
        )
        raise ArgumentsChanged(message)
    check_fit(row, submission.draft)


def _check_person(row: RequirementRow, actor: str, earlier: Sequence[DecisionRow]) -> None:
    if actor == KERN:
        message = f"{KERN!r} is Kern itself, in whose name nobody decides. Give the person's name."
        raise NotAllowed(message)
    if actor in row.excluded:
        message = f"{actor!r} is excluded from deciding requirement {row.id!r}."
        raise NotAllowed(message)
    if row.candidates and actor not in row.candidates:
        message = (
            f"{actor!r} may not decide requirement {row.id!r}: its candidates are "
            f"{', '.join(row.candidates)}."
        )
        raise NotAllowed(message)
    if any(decision.actor == actor for decision in earlier):
        message = (
            f"{actor!r} has already decided requirement {row.id!r}; it needs {row.quorum} "
            "different people."
        )
        raise AlreadyResolved(message)


def _decided(
    row: RequirementRow, submission: Submission, arguments: dict[str, JsonValue] | None
) -> Decided:
    draft = submission.draft
    given: JsonValue = draft.result
    if draft.values is not None:
        given = draft.values
    elif draft.choices is not None:
        given = list(draft.choices)
    digest = row.digest if arguments is None else arguments_digest(row.tool_name or "", arguments)
    return Decided(
        verdict=draft.verdict,
        actor=submission.actor,
        note=draft.note,
        digest=digest,
        edit=draft.edit,
        given=given,
        id=submission.id,
    )


def _is_enough(row: RequirementRow, decided: Decided, earlier: Sequence[DecisionRow]) -> bool:
    """Whether the requirement closes now: everything but an approval closes it alone."""
    if decided.verdict is not Verdict.approve:
        return True
    same = [
        decision
        for decision in earlier
        if decision.verdict == Verdict.approve.value and decision.digest == decided.digest
    ]
    return len(same) + 1 >= row.quorum


def _act(
    tx: Session,
    run: RunRow,
    row: RequirementRow,
    call: ToolCallRow,
    *,
    decided: Decided,
    now: datetime,
    arguments: dict[str, JsonValue] | None = None,
) -> None:
    match decided.verdict:
        case Verdict.approve | Verdict.answer:
            call.approved_digest = decided.digest
            call.approved_arguments = arguments
        case Verdict.run_again:
            call.status = ToolCallStatus.waiting.value
        case Verdict.fail | Verdict.skip if call.step_id is not None:
            lifecycle.finish_call(tx, call, ToolOutcome.error, outcome_text(row, decided), now)
        case Verdict.happened if call.step_id is not None:
            lifecycle.finish_call(tx, call, ToolOutcome.result, happened_text(decided.given), now)
        case Verdict.fail | Verdict.skip:
            reason = outcome_text(row, decided)
            lifecycle.fail(tx, run, "decided_to_fail", reason, now)
        case Verdict.reject:
            lifecycle.finish_call(tx, call, ToolOutcome.rejected, outcome_text(row, decided), now)
        case Verdict.choose | Verdict.result | Verdict.happened:
            # What was done elsewhere, or by an attempt that died, was done too.
            run.tool_calls += decided.verdict is not Verdict.choose and call.step_id is None
            lifecycle.finish_call(tx, call, ToolOutcome.result, outcome_text(row, decided), now)


def _tell(tx: Session, run: RunRow, row: RequirementRow, decided: Decided, now: datetime) -> None:
    kind = (
        "requirement_approved"
        if row.status == RequirementStatus.pending.value
        else "requirement_resolved"
    )
    record(
        tx, run, kind, now, requirement_id=row.id, verdict=decided.verdict.value, by=decided.actor
    )


def _silence(row: RequirementRow) -> Decided:
    due = row.due_at.isoformat(timespec="seconds") if row.due_at else ""
    verdict = {
        OnExpiry.approve: Verdict.approve,
        OnExpiry.reject: Verdict.reject,
        OnExpiry.fail: Verdict.fail,
    }[OnExpiry(row.on_expiry)]
    return Decided(
        verdict=verdict, actor=KERN, note=f"Nobody decided until {due}.", digest=row.digest
    )
