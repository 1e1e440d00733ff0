"""Deciding: one transaction checks a decision, appends it to the log, and acts on it.

Locks are taken in the order run, its ancestors, session, chain. Two transactions that took them in
different orders would wait for each other. The run's row comes first, and everything in the run is
read under it: its holder sees every decision that was committed before, and nobody can add another
one until the transaction ends. Three checks rest on that:

- *the first valid resolution wins*: the status is read under the lock, so the second of two people
  finds the requirement resolved, and learns by whom;
- *the quorum*: earlier approvals are counted under the lock. Counted before it, two people who
  approve at once would each see one approval too few, and nobody would resolve the requirement.
  The latest decision of each person counts, and only approvals of the same arguments add up: an
  edit is another proposal (`kern.db.journal.votes`);
- *the frozen arguments*: the digest that the person saw is compared with those of the call and of
  the requirement, and none of them can change before the commit (`display_checks`).

The end of the chain is one row for all runs of a tree, so it is locked last: a transaction that
held it while it waited for an ancestor's row would deadlock with a decision about that ancestor.
The decision reaches the workflow after the commit, through the outbox.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from pydantic import JsonValue
from sqlmodel import Session

from kern.contracts.messages import ExpiryOutcome
from kern.contracts.viewer import OPERATOR, Viewer
from kern.db.decisions import (
    current_version,
    display_checks,
    entitlement,
    reminders,
    withdrawals,
)
from kern.db.decisions.locking import lock_requirement
from kern.db.decisions.repetition import check_not_executing
from kern.db.decisions.requirements import close
from kern.db.decisions.verdicts import (
    approved_arguments,
    check_fit,
    cleaned,
    happened_text,
    outcome_text,
)
from kern.db.engine.mutable_rows import MutableRequirement, MutableRun, MutableToolCall
from kern.db.engine.records import DecisionRecord, RequirementRecord, RunRecord, ToolCallRecord
from kern.db.journal import audit_chain, feed, outbox, votes
from kern.db.journal.audit_chain import NewDecision
from kern.db.journal.events import record
from kern.db.journal.outbox import Delivery, DeliveryKind
from kern.db.reading.requirement_outputs import requirement_of
from kern.db.reading.run_trees import is_within
from kern.db.reading.visibility import no_requirement
from kern.db.runs import lifecycle, model_questions
from kern.db.runs.step_waits import resume_step
from kern.errors import AlreadyResolved, InvalidDecision
from kern.requirements import DecisionDraft, Requirement, closed_message
from kern.values.canonical import arguments_digest
from kern.values.feed import FeedKind
from kern.values.ids import new_id
from kern.values.principals import KERN, Principal, principal_of
from kern.values.states import (
    OnExpiry,
    RequirementStatus,
    RunStatus,
    ToolOutcome,
    Verdict,
)

# A refusal lets nothing run, so it is accepted even where the arguments were tampered with.
_EXECUTING = frozenset({Verdict.approve, Verdict.answer, Verdict.run_again, Verdict.unknown})
_REFUSING = frozenset({Verdict.reject, Verdict.fail})


@dataclass(frozen=True)
class Submission:
    """A decision before it is accepted: the requirement, the arguments as seen, and the person.

    `id` becomes the decision's id. A submission that is repeated, because its acknowledgement was
    lost, is recognised by it and accepted once. An `actor` who is only named is a local claim.
    """

    requirement_id: str
    digest: str
    draft: DecisionDraft
    actor: str | Principal
    id: str = field(default_factory=new_id)

    @property
    def principal(self) -> Principal:
        """Who decides."""
        return principal_of(self.actor)


@dataclass(frozen=True)
class Accepted:
    """A decision that was stored.

    `delivery` is set when the decision resolved the requirement. `run_ids` are the ids of the
    requirement's run and its ancestors, from the root on. `stands_still` says that the run still
    waits for people.
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

    `within` is a run: the requirement has to belong to it or to one of its descendants.

    Raises:
        NotFound: there is no such requirement in the tenant of the viewer, or of the principal.
        NotAllowed: it belongs to somebody else, or this person may not decide it.
        AlreadyResolved: somebody was first; the message says who.
        ArgumentsChanged: what the person saw is not what was frozen.
        InvalidDecision: the decision does not fit, or the requirement belongs to another run.
    """
    run, row, call = _lock(tx, submission.requirement_id, viewer.acting_as(submission.actor))
    # Who is only named claims to belong to the tenant of what they decide.
    actor = principal_of(submission.actor, row.tenant)
    submission = replace(submission, draft=cleaned(row, submission.draft), actor=actor)
    if within is not None and not is_within(run, within):
        message = f"Requirement {row.id!r} belongs to run {row.run_id!r}, not to {within!r}."
        raise InvalidDecision(message)
    earlier = audit_chain.decisions_of(tx, row.id)
    if any(decision.id == submission.id for decision in earlier):
        return _accepted(tx, run, row, outbox.find(tx, reminders.gate_id_of(row)))
    if submission.draft.verdict is Verdict.withdraw:
        return _withdraw(tx, submission, run, row, call, earlier=earlier, now=now)
    _check(tx, run, row, call, submission=submission, earlier=earlier)
    check_not_executing(row, call, submission.draft, now)
    draft = display_checks.displayed(row, submission.draft, earlier)
    submission = replace(submission, draft=draft)
    arguments = approved_arguments(row, draft)
    decision = _new_decision(row, submission, arguments)
    entitlement.check_repetition(row, decision, earlier)
    delivery = None
    if _is_enough(row, decision, earlier):
        close(tx, row, RequirementStatus.resolved, decision, now)
        _apply(tx, run, row, call, decision=decision, now=now, arguments=arguments)
        gate_id = reminders.gate_id_of(row)
        delivery = outbox.enqueue(tx, run, DeliveryKind.resolved, now, requirement_id=gate_id)
    facts: dict[str, JsonValue] = {"verdict": decision.verdict.value, "by": decision.actor}
    is_open = row.status == RequirementStatus.pending.value
    event = "requirement_approved" if is_open else "requirement_resolved"
    record(tx, run, event, now, requirement_id=row.id, **facts)
    # A call that may run needs nobody's answer, so its run is active again. In all other cases the
    # status is derived from what else is open.
    is_closed = delivery is not None
    continues = is_closed and (resume_step(tx, call) or decision.verdict in _EXECUTING)
    lifecycle.update_status(tx, run, now, paused=False if continues else None)
    current_version.update(row, [*earlier, audit_chain.append(tx, row, decision, earlier, now)])
    # The feed says what it is about as it was decided.
    kind = FeedKind.approved if is_open else FeedKind.resolved
    feed.announce(tx, row, run.component_id, kind, now, **facts)
    return _accepted(tx, run, row, delivery)


def _accepted(
    tx: Session, run: RunRecord, row: RequirementRecord, delivery: Delivery | None
) -> Accepted:
    return Accepted(
        requirement_of(tx, row),
        delivery,
        (*run.ancestors, run.id),
        RunStatus(run.status).is_idle,
    )


def _withdraw(
    tx: Session,
    submission: Submission,
    run: MutableRun,
    row: MutableRequirement,
    call: MutableToolCall,
    *,
    earlier: Sequence[DecisionRecord],
    now: datetime,
) -> Accepted:
    entitlement.check_person(
        run, row, submission.principal, submission.draft.verdict, earlier=earlier
    )
    decision = _new_decision(row, submission, None)
    vote = withdrawals.check(tx, run, row, call, decision=decision, earlier=earlier)
    # The log says of which proposal the vote was.
    decision = replace(decision, digest=vote.digest)
    is_reopened = row.status != RequirementStatus.pending.value
    if is_reopened:
        withdrawals.reopen(tx, row, call)
    details: dict[str, JsonValue] = {"by": decision.actor, "reopened": is_reopened}
    record(tx, run, "requirement_withdrawn", now, requirement_id=row.id, **details)
    lifecycle.update_status(tx, run, now)
    current_version.update(row, [*earlier, audit_chain.append(tx, row, decision, earlier, now)])
    feed.announce(tx, row, run.component_id, FeedKind.withdrawn, now, **details)
    return _accepted(tx, run, row, None)


def expire(tx: Session, gate_id: str, now: datetime) -> ExpiryOutcome:
    """Close a requirement whose deadline has passed, unless somebody has decided.

    Before the deadline it reminds people and escalates, when that is due. Calling it early, late
    or twice does no harm: the row says what is due. `gate_id` is the id under which the workflow
    waits: it may be that of an earlier resolution, and the answer has the present one.
    """
    run, row, call = _lock(tx, reminders.requirement_id_of(gate_id), OPERATOR)
    if RunStatus(run.status).is_final:
        return ExpiryOutcome(run_ended=True)
    if row.status != RequirementStatus.pending.value:
        return ExpiryOutcome()
    if row.due_at is None or now < row.due_at:
        reminders.look(tx, run, row, now)
        return ExpiryOutcome(gate=reminders.gate_of(row))
    earlier = audit_chain.decisions_of(tx, row.id)
    decision = _decision_of_deadline(row, earlier)
    close(tx, row, RequirementStatus.expired, decision, now)
    _apply(tx, run, row, call, decision=decision, now=now)
    record(
        tx, run, "requirement_expired", now, requirement_id=row.id, verdict=decision.verdict.value
    )
    verdict = decision.verdict.value
    feed.announce(tx, row, run.component_id, FeedKind.expired, now, verdict=verdict)
    lifecycle.update_status(tx, run, now, paused=False if resume_step(tx, call) else None)
    audit_chain.append(tx, row, decision, earlier, now)
    return ExpiryOutcome(run_ended=RunStatus(run.status).is_final)


def _lock(
    tx: Session, requirement_id: str, viewer: Viewer
) -> tuple[MutableRun, MutableRequirement, MutableToolCall]:
    run, row = lock_requirement(tx, requirement_id, viewer)
    call = lifecycle.hold_call(tx, row.tool_call_id)
    if call is None:
        raise no_requirement(requirement_id)
    return run, row, call


def _check(
    tx: Session,
    run: RunRecord,
    row: RequirementRecord,
    call: ToolCallRecord,
    *,
    submission: Submission,
    earlier: Sequence[DecisionRecord],
) -> None:
    if row.status != RequirementStatus.pending.value:
        raise AlreadyResolved(closed_message(requirement_of(tx, row)))
    entitlement.check_person(
        run, row, submission.principal, submission.draft.verdict, earlier=earlier
    )
    if submission.draft.verdict not in _REFUSING:
        display_checks.check_frozen(row, call, submission.digest)
    check_fit(row, submission.draft)


def _new_decision(
    row: RequirementRecord, submission: Submission, arguments: dict[str, JsonValue] | None
) -> NewDecision:
    draft = submission.draft
    value: JsonValue = draft.result
    if draft.values is not None:
        value = draft.values
    elif draft.choices is not None:
        value = list(draft.choices)
    digest = row.digest if arguments is None else arguments_digest(row.tool_name or "", arguments)
    return NewDecision(
        verdict=draft.verdict,
        actor=submission.principal.name,
        principal=submission.principal,
        note=draft.note,
        digest=digest,
        edit=draft.edit,
        given=value,
        id=submission.id,
    )


def _is_enough(
    row: RequirementRecord, decision: NewDecision, earlier: Sequence[DecisionRecord]
) -> bool:
    """Whether the decision resolves the requirement; one that lets nothing happen always does."""
    if decision.verdict not in votes.PROPOSING:
        return True
    others = [
        vote
        for vote in votes.supporters(earlier, decision)
        if not votes.is_of_one_person(vote, decision)
    ]
    return len(others) + 1 >= row.quorum


def _apply(
    tx: Session,
    run: MutableRun,
    row: RequirementRecord,
    call: MutableToolCall,
    *,
    decision: NewDecision,
    now: datetime,
    arguments: dict[str, JsonValue] | None = None,
) -> None:
    if model_questions.is_about_model(call):
        verdict, actor = decision.verdict, decision.actor
        model_questions.apply(tx, run, call, verdict=verdict, actor=actor, now=now)
        return
    match decision.verdict:
        case Verdict.approve | Verdict.answer:
            call.approved_digest = decision.digest
            call.approved_arguments = arguments
        case Verdict.run_again | Verdict.unknown:
            report_id = decision.id if decision.verdict is Verdict.unknown else None
            lifecycle.reopen_call(call, report_id, now)
        case Verdict.fail | Verdict.skip if call.step_id is not None:
            lifecycle.finish_call(tx, call, ToolOutcome.error, outcome_text(row, decision), now)
        case Verdict.happened if call.step_id is not None:
            lifecycle.finish_call(tx, call, ToolOutcome.result, happened_text(decision.given), now)
        case Verdict.fail | Verdict.skip:
            reason = outcome_text(row, decision)
            lifecycle.fail(tx, run, "decided_to_fail", reason, now)
        case Verdict.reject:
            lifecycle.finish_call(tx, call, ToolOutcome.rejected, outcome_text(row, decision), now)
        case Verdict.withdraw:
            # It closes nothing; what it opens again is the affair of `withdrawals`.
            pass
        case Verdict.choose | Verdict.result | Verdict.happened:
            # A call that was executed elsewhere, or by an attempt that died, counts as executed.
            run.tool_calls += decision.verdict is not Verdict.choose and call.step_id is None
            lifecycle.finish_call(tx, call, ToolOutcome.result, outcome_text(row, decision), now)


def _decision_of_deadline(row: RequirementRecord, earlier: Sequence[DecisionRecord]) -> NewDecision:
    """Return what the deadline decides: it lets nothing run that somebody who spoke did not want.

    Silence alone means what `on_expiry` says. Where somebody has edited the call or withdrawn,
    `approve` would let run what they did not approve, so it becomes a rejection.
    """
    due = row.due_at.isoformat(timespec="seconds") if row.due_at else ""
    note = f"{'Too few people agreed' if earlier else 'Nobody decided'} until {due}."
    verdict = {
        OnExpiry.approve: Verdict.approve,
        OnExpiry.reject: Verdict.reject,
        OnExpiry.fail: Verdict.fail,
    }[OnExpiry(row.on_expiry)]
    if verdict is Verdict.approve and not votes.spoke_only_for(earlier, row.digest):
        verdict = Verdict.reject
        note += " Somebody had edited or withdrawn, so silence approves nothing."
    kern = principal_of(KERN, row.tenant)
    return NewDecision(verdict=verdict, actor=KERN, note=note, digest=row.digest, principal=kern)
