"""Triage: people claim a requirement, hand it on, put it off, and comment on it.

Nothing of this decides, and nothing of it keeps anybody from deciding. Each act is one transaction
under the lock of the run, and one event in the requirement's history. Doing the same twice leaves
the rows as they are after the first time, and records nothing more: so a transaction is executed
again without harm when nobody heard of its commit.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from pydantic import JsonValue
from sqlalchemy import bindparam
from sqlmodel import Session

from kern.contracts.triage import Comment
from kern.db.decisions import comments, delegations, entitlement
from kern.db.engine.columns import UtcDateTime
from kern.db.engine.mutable_rows import MutableRequirement, MutableRun
from kern.db.engine.plain_rows import add, execute
from kern.db.engine.records import RequirementRecord, RunRecord
from kern.db.engine.typed_tables import SNOOZES
from kern.db.journal import audit_chain
from kern.db.journal.events import record
from kern.db.reading.requirement_outputs import claim_of, delegations_of, requirement_of
from kern.db.runs import people
from kern.db.runs.closing import release
from kern.errors import AlreadyResolved, Claimed, InvalidInput, NotAllowed
from kern.requirements import closed_message
from kern.values.deciders import REQUESTER, decider, is_about, is_group
from kern.values.names import looks_like, name_key
from kern.values.principals import KERN, Principal, is_one_person, keys_of
from kern.values.states import PrincipalKind, RequirementStatus, Verdict
from kern.values.triage import Delegation

# Of one requirement: each is read with it.
MOST_DELEGATIONS = 20
# What is due is not hidden.
_BEFORE_DUE = timedelta(hours=1)

_snoozes = SNOOZES.table
_OF_PERSON = (
    (_snoozes.c.requirement_id == bindparam("of_requirement"))
    & (_snoozes.c.issuer == bindparam("of_issuer"))
    & (_snoozes.c.subject == bindparam("of_subject"))
)
_SNOOZE = _snoozes.select().where(_OF_PERSON)
_PUT_OFF = _snoozes.update().where(_OF_PERSON).values(until=bindparam("to", type_=UtcDateTime))
_WAKE = _snoozes.delete().where(_OF_PERSON)


def claim(
    tx: Session,
    run: MutableRun,
    row: MutableRequirement,
    principal: Principal,
    *,
    until: datetime,
    now: datetime,
) -> None:
    """Note that a person takes care of a requirement; whoever has it already keeps it longer.

    Raises:
        AlreadyResolved: it is closed; the message says by whom.
        NotAllowed: this person may not decide it.
        Claimed: somebody else takes care of it; the message says who, and until when.
    """
    _check_may_decide(tx, run, row, principal)
    is_new = not _check_claim(row, principal, now)
    row.claimed_by, row.claimed_key = principal.name, name_key(principal.name)
    row.claimed_until = until
    if is_new:
        act = ("requirement_claimed", principal, now)
        _record(tx, run, row, act, until=until.isoformat())


def give_back(
    tx: Session, run: MutableRun, row: MutableRequirement, principal: Principal, now: datetime
) -> None:
    """End a person's claim; where there is none, nothing is changed.

    Raises:
        Claimed: it is somebody else's.
    """
    if _check_claim(row, principal, now):
        release(row)
        _record(tx, run, row, ("requirement_released", principal, now))


def delegate(
    tx: Session,
    run: MutableRun,
    row: MutableRequirement,
    principal: Principal,
    *,
    to: str,
    note: Comment | None,
    now: datetime,
) -> None:
    """Hand a decision to another person or group, who may decide it from now on.

    Whoever the rule excludes still may not, and whoever hands it on keeps one voice with those who
    take it over. It waits for them no longer, and their claim ends.

    Raises:
        AlreadyResolved: it is closed; the message says by whom.
        NotAllowed: this person may not decide it, or the other one is excluded.
        InvalidInput: `to` is no name, or the person's own; or it was handed on too often.
    """
    _check_may_decide(tx, run, row, principal)
    requester = people.names_of_requester(run)
    entry = _checked_entry(row, principal, to, requester)
    key = name_key(entry)
    present = delegations_of(row)
    is_new = not any(
        name_key(item.to) == key and is_one_person(item.by, principal) for item in present
    )
    if is_new and len(present) >= MOST_DELEGATIONS:
        message = (
            f"Requirement {row.id!r} was handed on {len(present)} times, which is as often as it "
            "may be. Nothing was changed. Decide it, or name people in its rule."
        )
        raise InvalidInput(message)
    is_noted = note is not None and comments.add_once(tx, row, note)
    if is_new:
        sender = principal.model_copy(update={"groups": ()})
        voices = delegations.voices_of(row, principal, requester)
        new = Delegation(by=sender, to=entry, at=now, voices=voices)
        row.delegations = [item.model_dump(mode="json") for item in (*present, new)]
        back_to = [item.by.subject for item in present if is_about(entry, item.by, ())]
        people.hand_over(tx, run, row, now, subject=sender.subject, to=entry, back_to=back_to)
        if claim_of(row, now) is not None and row.claimed_key == name_key(principal.name):
            release(row)
    if is_new or is_noted:
        act = ("requirement_delegated", principal, now)
        _record(tx, run, row, act, to=entry, comment=note.id if note else None)


def snooze(
    tx: Session,
    run: MutableRun,
    row: MutableRequirement,
    principal: Principal,
    *,
    until: datetime,
    now: datetime,
) -> datetime:
    """Put a requirement off for a person; return until when: an hour before it is due at most.

    Raises:
        AlreadyResolved: it is closed; the message says by whom.
        NotAllowed: a service or an agent has no list from which to hide it.
        InvalidInput: it is due within the hour.
    """
    _check_person(row, principal)
    _check_pending(tx, row)
    if row.due_at is not None:
        until = min(until, row.due_at - _BEFORE_DUE)
    if until <= now:
        message = (
            f"Requirement {row.id!r} is due at {row.due_at:%Y-%m-%d %H:%M:%S} UTC, within the "
            "hour: it cannot be put off. Decide it, or delegate it to somebody who can."
        )
        raise InvalidInput(message)
    present = _snooze_of(tx, row, principal)
    if present == until:
        return until
    if present is None:
        add(
            tx,
            SNOOZES,
            requirement_id=row.id,
            issuer=principal.issuer,
            subject=principal.subject,
            run_id=row.run_id,
            tenant=row.tenant,
            until=until,
        )
    else:
        execute(tx, _PUT_OFF, to=until, **_person_of(row, principal))
    act = ("requirement_snoozed", principal, now)
    _record(tx, run, row, act, until=until.isoformat())
    return until


def wake(
    tx: Session, run: MutableRun, row: MutableRequirement, principal: Principal, now: datetime
) -> None:
    """Show a requirement again that a person has put off; where they have not, nothing changes."""
    until = _snooze_of(tx, row, principal)
    if until is None:
        return
    execute(tx, _WAKE, **_person_of(row, principal))
    if until > now:
        _record(tx, run, row, ("requirement_woken", principal, now))


def comment(tx: Session, run: MutableRun, row: MutableRequirement, new: Comment) -> Comment:
    """Keep what somebody wrote about a requirement, open or closed.

    Returns:
        The comment; the one that was kept before under this id, if there is one.

    Raises:
        NotAllowed: agents and Kern itself write nothing.
    """
    if new.by.kind not in {PrincipalKind.person, PrincipalKind.service}:
        message = (
            f"{new.by.name!r} is of the kind {new.by.kind.value!r}: only people and services "
            f"comment on requirement {row.id!r}. Nothing was kept."
        )
        raise NotAllowed(message)
    entitlement.check_name(new.by)
    if comments.add_once(tx, row, new):
        _record(tx, run, row, ("requirement_commented", new.by, new.at), comment=new.id)
        return new
    return comments.find(tx, new.id) or new


def _check_may_decide(
    tx: Session, run: RunRecord, row: RequirementRecord, principal: Principal
) -> None:
    _check_pending(tx, row)
    # The votes say nothing here: whoever has approved may still take care of it.
    earlier = audit_chain.decisions_of(tx, row.id)
    entitlement.check_candidate(run, row, principal, Verdict.approve, earlier=earlier)


def _check_pending(tx: Session, row: RequirementRecord) -> None:
    if row.status != RequirementStatus.pending.value:
        raise AlreadyResolved(closed_message(requirement_of(tx, row)))


def _check_person(row: RequirementRecord, principal: Principal) -> None:
    entitlement.check_name(principal)
    if principal.kind is not PrincipalKind.person:
        message = (
            f"{principal.name!r} is of the kind {principal.kind.value!r}: only a person puts "
            f"requirement {row.id!r} off. Nothing was changed."
        )
        raise NotAllowed(message)


def _check_claim(row: RequirementRecord, principal: Principal, now: datetime) -> bool:
    """Return whether a person has claimed it; refuse what somebody else has."""
    present = claim_of(row, now)
    if present is None:
        return False
    if row.claimed_key in keys_of(principal):
        return True
    message = (
        f"{present.by!r} takes care of requirement {row.id!r} until "
        f"{present.until:%Y-%m-%d %H:%M:%S} UTC. Nothing was changed. Whoever may decide it still "
        "may; ask them, or wait until then."
    )
    raise Claimed(message)


def _checked_entry(
    row: RequirementRecord, principal: Principal, to: str, requester: Sequence[str]
) -> str:
    entry = decider("to", to)
    key = name_key(entry)
    if key == REQUESTER:
        message = f"{to!r} is no name: hand it to a person, or to 'group:' and a group's name."
        raise InvalidInput(message)
    if not is_group(entry) and is_about(entry, principal, ()):
        message = f"{principal.name!r} would hand requirement {row.id!r} to themselves."
        raise InvalidInput(message)
    excluded = {name_key(name) for name in row.excluded}
    if REQUESTER in excluded:
        excluded |= {name_key(name) for name in requester}
    if key in excluded or key == name_key(KERN):
        message = (
            f"{entry!r} is excluded from deciding requirement {row.id!r}: it cannot be handed to "
            "them. Nothing was changed."
        )
        raise NotAllowed(message)
    others = {KERN, principal.name, *row.candidates, *row.excluded, *delegations.entries_of(row)}
    alike = next(
        (name for name in sorted(others - {REQUESTER}) if looks_like(entry, name)),
        None,
    )
    if alike is not None:
        message = (
            f"{entry!a} looks like {alike!r} and is spelled otherwise, so requirement {row.id!r} "
            "is not handed to it. Give the name as it is spelled there."
        )
        raise NotAllowed(message)
    return entry


def _snooze_of(tx: Session, row: RequirementRecord, principal: Principal) -> datetime | None:
    present = execute(tx, _SNOOZE, **_person_of(row, principal)).first()
    if present is None:
        return None
    until: datetime = present.until
    return until


def _person_of(row: RequirementRecord, principal: Principal) -> dict[str, str]:
    return {
        "of_requirement": row.id,
        "of_issuer": principal.issuer,
        "of_subject": principal.subject,
    }


def _record(
    tx: Session,
    run: MutableRun,
    row: RequirementRecord,
    act: tuple[str, Principal, datetime],
    **details: JsonValue,
) -> None:
    kind, principal, now = act
    record(
        tx,
        run,
        kind,
        now,
        requirement_id=row.id,
        by=principal.name,
        issuer=principal.issuer,
        subject=principal.subject,
        **details,
    )
