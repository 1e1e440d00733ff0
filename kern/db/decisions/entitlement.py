"""Who may decide about a requirement."""

from collections.abc import Sequence

from kern.db.engine.records import DecisionRecord, RequirementRecord
from kern.db.journal import votes
from kern.db.journal.audit_chain import KERN, NewDecision
from kern.errors import AlreadyResolved, NotAllowed
from kern.values.names import looks_like, name_key


def check_person(row: RequirementRecord, actor: str, earlier: Sequence[DecisionRecord]) -> None:
    """Check that a person may decide.

    Raises:
        NotAllowed: they may not, or their name passes for that of somebody else.
    """
    key = name_key(actor)
    if key == name_key(KERN):
        message = f"{KERN!r} is Kern itself, in whose name nobody decides. Give the person's name."
        raise NotAllowed(message)
    others = (KERN, *row.candidates, *row.excluded, *(decision.actor for decision in earlier))
    alike = next((name for name in others if looks_like(actor, name)), None)
    if alike is not None:
        message = (
            f"{actor!a} looks like {alike!r} and is spelled otherwise, so it may not decide "
            f"requirement {row.id!r}. Give the name as it is spelled there."
        )
        raise NotAllowed(message)
    if key in {name_key(name) for name in row.excluded}:
        message = f"{actor!r} is excluded from deciding requirement {row.id!r}."
        raise NotAllowed(message)
    if row.candidates and key not in {name_key(name) for name in row.candidates}:
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
