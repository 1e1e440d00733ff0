"""Who may decide about a requirement."""

from collections.abc import Sequence

from kern.db.engine.records import DecisionRecord, RequirementRecord
from kern.db.journal import votes
from kern.db.journal.audit_chain import NewDecision
from kern.errors import AlreadyResolved, NotAllowed
from kern.values.names import looks_like, name_key
from kern.values.principals import KERN, Principal
from kern.values.states import PrincipalKind


def check_person(
    row: RequirementRecord, principal: Principal, earlier: Sequence[DecisionRecord]
) -> None:
    """Check that a person may decide.

    Raises:
        NotAllowed: they may not, are no person, or their name passes for that of somebody else.
    """
    actor, keys = principal.name, {name_key(principal.name), name_key(principal.subject)}
    if name_key(KERN) in keys:
        message = f"{KERN!r} is Kern itself, in whose name nobody decides. Give the person's name."
        raise NotAllowed(message)
    if principal.kind is not PrincipalKind.person:
        message = (
            f"{actor!r} is of the kind {principal.kind.value!r} ({principal.subject!r} of "
            f"{principal.issuer!r}): requirement {row.id!r} asks for a person."
        )
        raise NotAllowed(message)
    others = (KERN, *row.candidates, *row.excluded, *(decision.actor for decision in earlier))
    alike = next(
        (
            (own, name)
            for own in (principal.name, principal.subject)
            for name in others
            if looks_like(own, name)
        ),
        None,
    )
    if alike is not None:
        own, name = alike
        message = (
            f"{own!a} looks like {name!r} and is spelled otherwise, so it may not decide "
            f"requirement {row.id!r}. Give the name as it is spelled there."
        )
        raise NotAllowed(message)
    if keys & {name_key(name) for name in row.excluded}:
        message = f"{actor!r} is excluded from deciding requirement {row.id!r}."
        raise NotAllowed(message)
    if row.candidates and not keys & {name_key(name) for name in row.candidates}:
        message = (
            f"{actor!r} may not decide requirement {row.id!r}: its candidates are "
            f"{', '.join(row.candidates)}."
        )
        raise NotAllowed(message)


def check_repetition(
    row: RequirementRecord, decision: NewDecision, earlier: Sequence[DecisionRecord]
) -> None:
    """Refuse a decision that repeats the person's own.

    Another one replaces it, until the requirement is resolved.

    Raises:
        AlreadyResolved: the person has decided exactly this.
    """
    vote = votes.vote_of(earlier, decision)
    if vote is not None and votes.is_same_content(vote, decision):
        message = (
            f"{decision.actor!r} has already decided requirement {row.id!r} exactly so; it needs "
            f"{row.quorum} different people. Edit, reject or withdraw to decide otherwise."
        )
        raise AlreadyResolved(message)
