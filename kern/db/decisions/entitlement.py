"""Who may decide about a requirement."""

from collections.abc import Sequence

from kern.db.decisions import delegations
from kern.db.engine.records import DecisionRecord, RequirementRecord, RunRecord
from kern.db.journal import votes
from kern.db.journal.audit_chain import NewDecision
from kern.db.runs.people import names_of_requester
from kern.errors import AlreadyDecided, NotAllowed
from kern.values.deciders import REQUESTER, is_about, is_group, is_name
from kern.values.names import looks_like, name_key
from kern.values.principals import KERN, LOCAL, Principal, keys_of
from kern.values.states import PrincipalKind, Verdict

# They let nothing run.
_HARMLESS = frozenset({Verdict.reject, Verdict.fail, Verdict.withdraw})


def check_person(
    run: RunRecord,
    row: RequirementRecord,
    principal: Principal,
    verdict: Verdict,
    *,
    earlier: Sequence[DecisionRecord],
) -> None:
    """Check that a person may decide so, beside those who have decided.

    Raises:
        NotAllowed: as `check_candidate`; or somebody else has decided for whom they would.
    """
    check_candidate(run, row, principal, verdict, earlier=earlier)
    if verdict in votes.PROPOSING:
        delegations.check_voice(row, principal, names_of_requester(run), earlier)


def check_candidate(
    run: RunRecord,
    row: RequirementRecord,
    principal: Principal,
    verdict: Verdict,
    *,
    earlier: Sequence[DecisionRecord],
) -> None:
    """Check that the rule lets a person decide, or that it was handed to them.

    Raises:
        NotAllowed: they may not, are no person, or their name passes for that of somebody else.
    """
    check_name(principal)
    actor = principal.name
    if principal.kind is not PrincipalKind.person:
        message = (
            f"{actor!r} is of the kind {principal.kind.value!r} ({principal.subject!r} of "
            f"{principal.issuer!r}): requirement {row.id!r} asks for a person."
        )
        raise NotAllowed(message)
    requester = names_of_requester(run)
    _check_likeness(row, principal, requester, earlier)
    _check_claim(row, principal, verdict, earlier)
    _check_excluded(row, principal, requester, verdict)
    entries = [*row.candidates, *delegations.entries_of(row)] if row.candidates else []
    if entries and not _is_any(entries, principal, requester):
        message = (
            f"{actor!r} may not decide requirement {row.id!r}: its candidates are "
            f"{', '.join(entries)}."
        )
        if principal.is_local and any(is_group(entry) for entry in entries):
            message += f" The name {actor!r} alone is in no group: pass a Principal with groups."
        raise NotAllowed(message)


def check_name(principal: Principal) -> None:
    """Check that somebody acts under a name of their own.

    Raises:
        NotAllowed: it is Kern's, or stands for a group or a role.
    """
    if name_key(KERN) in keys_of(principal):
        message = f"{KERN!r} is Kern itself, in whose name nobody acts. Give the person's name."
        raise NotAllowed(message)
    if not is_name(principal.name):
        message = f"{principal.name!r} stands for a group or a role. Give the person's name."
        raise NotAllowed(message)


def _check_likeness(
    row: RequirementRecord,
    principal: Principal,
    requester: Sequence[str],
    earlier: Sequence[DecisionRecord],
) -> None:
    """Refuse a name that is drawn like one that counts here, or that was used here before."""
    entries = (*row.candidates, *row.excluded, *delegations.entries_of(row))
    others = {KERN, *entries} - {REQUESTER}
    if REQUESTER in entries:
        others.update(requester)
    for decision in earlier:
        # Whoever is vouched for is the same under another name.
        if (decision.issuer, decision.subject) != (principal.issuer, principal.subject):
            others.add(decision.actor)
            # By a name alone, somebody may pass for an id too.
            others.update([decision.subject] if principal.is_local else [])
    alike = next(
        (
            (spelling, name)
            for spelling in (principal.name, principal.subject)
            for name in sorted(others)
            if looks_like(spelling, name)
        ),
        None,
    )
    if alike is not None:
        spelling, name = alike
        message = (
            f"{spelling!a} looks like {name!r} and is spelled otherwise, so it may not decide "
            f"requirement {row.id!r}. Give the name as it is spelled there."
        )
        raise NotAllowed(message)


def _check_claim(
    row: RequirementRecord,
    principal: Principal,
    verdict: Verdict,
    earlier: Sequence[DecisionRecord],
) -> None:
    """Refuse a name that nobody has checked in the place of somebody who authenticated.

    It would replace or take back their vote, or be a second voice of theirs. It may reject.
    """
    if not principal.is_local or verdict in {Verdict.reject, Verdict.fail}:
        return
    keys = set(keys_of(principal))
    vote = next(
        (
            vote
            for vote in votes.standing(earlier)
            if vote.issuer != LOCAL
            and not keys.isdisjoint(map(name_key, (vote.actor, vote.subject)))
        ),
        None,
    )
    if vote is not None:
        message = (
            f"{vote.actor!r} has decided requirement {row.id!r} as somebody who authenticated "
            f"({vote.subject!r} of {vote.issuer!r}), and the name {principal.name!r} alone proves "
            "nothing. Decide there, or reject."
        )
        raise NotAllowed(message)


def _check_excluded(
    row: RequirementRecord, principal: Principal, requester: Sequence[str], verdict: Verdict
) -> None:
    if _is_any(row.excluded, principal, requester):
        message = f"{principal.name!r} is excluded from deciding requirement {row.id!r}."
        raise NotAllowed(message)
    groups = [entry for entry in row.excluded if is_group(entry)]
    if groups and principal.is_local and not principal.groups and verdict not in _HARMLESS:
        message = (
            f"Requirement {row.id!r} excludes {', '.join(groups)}, and nobody knows in which "
            f"groups {principal.name!r} is: the name alone says nothing of it. Reject it, decide "
            "where people authenticate, or pass a Principal with the person's groups."
        )
        raise NotAllowed(message)
    if REQUESTER in row.excluded and not requester and verdict not in _HARMLESS:
        message = (
            f"Requirement {row.id!r} excludes whoever asked for the run, and nobody knows who that "
            "is: the run was begun without a user_id. Reject it, and begin the run with one."
        )
        raise NotAllowed(message)


def _is_any(entries: Sequence[str], principal: Principal, requester: Sequence[str]) -> bool:
    return any(is_about(entry, principal, requester) for entry in entries)


def check_repetition(
    row: RequirementRecord, decision: NewDecision, earlier: Sequence[DecisionRecord]
) -> None:
    """Refuse a decision that repeats the person's own.

    Another one replaces it, until the requirement is resolved.

    Raises:
        AlreadyDecided: the person has decided exactly this.
    """
    vote = votes.vote_of(earlier, decision)
    if vote is not None and votes.is_same_content(vote, decision):
        message = (
            f"{decision.actor!r} has already decided requirement {row.id!r} exactly so; it needs "
            f"{row.quorum} different people. Edit, reject or withdraw to decide otherwise."
        )
        raise AlreadyDecided(message)
