"""Delegations: who has handed a decision to whom, and for whom somebody speaks.

A delegation adds somebody who may decide, and no voice. Whoever is named by the rule has one voice,
and whoever took a decision over uses that of who handed it on: of a quorum of two, one of the two
candidates cannot make two by naming a colleague. So before an approval counts, it is seen that
every standing approval, and this one, can have a voice of its own. Where the rule names nobody,
everybody has their own voice anyway.
"""

from collections.abc import Sequence

from kern.db.engine.records import DecisionRecord, RequirementRecord
from kern.db.journal import votes
from kern.db.journal.audit_chain import principal_of_row
from kern.db.reading.requirement_outputs import delegations_of
from kern.errors import NotAllowed
from kern.values.deciders import is_about
from kern.values.principals import Principal, is_one_person
from kern.values.states import Verdict


def entries_of(row: RequirementRecord) -> list[str]:
    """Return to whom a requirement was handed."""
    return [item.to for item in delegations_of(row)] if row.delegations else []


def voices_of(
    row: RequirementRecord, principal: Principal, requester: Sequence[str]
) -> tuple[Principal, ...]:
    """Return for whom a principal speaks: for themselves, or for who handed it to them."""
    is_candidate = any(is_about(entry, principal, requester) for entry in row.candidates)
    if is_candidate or not row.candidates:
        return (principal.model_copy(update={"groups": ()}),)
    return tuple(
        voice
        for item in delegations_of(row)
        if is_about(item.to, principal, requester)
        for voice in item.voices
    )


def check_voice(
    row: RequirementRecord,
    principal: Principal,
    requester: Sequence[str],
    earlier: Sequence[DecisionRecord],
) -> None:
    """Refuse an approval for whom somebody else has approved already.

    Raises:
        NotAllowed: every voice that the principal could use was used.
    """
    if not row.delegations or not row.candidates or not earlier:
        return
    voters = [
        voter
        for vote in votes.standing(earlier)
        if Verdict(vote.verdict) in votes.PROPOSING
        and not is_one_person(voter := principal_of_row(vote), principal)
    ]
    choices = [voices_of(row, voter, requester) for voter in (*voters, principal)]
    if _all_have_one(choices):
        return
    names = ", ".join(repr(voice.name) for voice in choices[-1])
    message = (
        f"{principal.name!r} would decide requirement {row.id!r} for {names}, for whom "
        f"{', '.join(repr(voter.name) for voter in voters)} decided already: whoever hands a "
        "decision on still has one voice. Reject it, or have that approval withdrawn first."
    )
    raise NotAllowed(message)


def _all_have_one(choices: Sequence[Sequence[Principal]]) -> bool:
    """Whether each can have a voice that no other has: a matching, by augmenting paths."""
    voices: list[Principal] = []
    for voice in (item for options in choices for item in options):
        if not any(is_one_person(voice, present) for present in voices):
            voices.append(voice)
    options_of = [
        [
            place
            for place, voice in enumerate(voices)
            if any(is_one_person(voice, item) for item in items)
        ]
        for items in choices
    ]
    owners: dict[int, int] = {}

    def find(voter: int, tried: set[int]) -> bool:
        for place in options_of[voter]:
            if place in tried:
                continue
            tried.add(place)
            if place not in owners or find(owners[place], tried):
                owners[place] = voter
                return True
        return False

    return all(find(voter, set()) for voter in range(len(choices)))
