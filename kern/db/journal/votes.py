"""The votes about a requirement: which of its decisions count, and the proposals that they make.

The log keeps every decision. What counts is the latest of each person: whoever decides again
replaces what they had decided, and whoever withdraws has no vote until they decide again.
"""

from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from kern.db.engine.records import DecisionRecord, RequirementRecord
from kern.db.journal.audit_chain import NewDecision
from kern.requirements import Proposal
from kern.values.canonical import canonical_json
from kern.values.principals import KERN, Principal, is_one_person, principal_of
from kern.values.states import Verdict

# Verdicts that let something happen: they take as many people as the quorum says. What reports a
# fact (`result`, `happened`) or lets nothing happen takes one.
PROPOSING = frozenset({Verdict.approve, Verdict.answer, Verdict.choose, Verdict.run_again})

_Vote = DecisionRecord | NewDecision


def standing(decisions: Sequence[DecisionRecord]) -> list[DecisionRecord]:
    """Return the decision of each person that counts, the oldest first."""
    return [vote for vote in _latest(decisions) if vote.verdict != Verdict.withdraw.value]


def vote_of(decisions: Sequence[DecisionRecord], person: _Vote) -> DecisionRecord | None:
    """Return the vote of the person who makes a decision; None without one that counts."""
    return next((vote for vote in standing(decisions) if is_of_one_person(vote, person)), None)


def is_of_one_person(vote: _Vote, other: _Vote) -> bool:
    """Whether two decisions are one person's."""
    return is_one_person(_person_of(vote), _person_of(other))


def is_same_content(vote: _Vote, other: _Vote) -> bool:
    """Whether two decisions would let the same happen, to the character."""
    return _content(vote) == _content(other)


def supporters(decisions: Sequence[DecisionRecord], proposal: _Vote) -> list[DecisionRecord]:
    """Return the votes that count for what a decision would let happen."""
    return [vote for vote in standing(decisions) if is_same_content(vote, proposal)]


def spoke_only_for(decisions: Sequence[DecisionRecord], digest: str) -> bool:
    """Whether all who decided at all approve the arguments with this digest, and no others.

    Somebody who has withdrawn has spoken, and approves nothing.
    """
    agreed = (Verdict.approve.value, digest)
    return all((vote.verdict, vote.digest) == agreed for vote in _latest(decisions))


def proposed_arguments(
    row: RequirementRecord,
    verdict: Verdict,
    edit: Mapping[str, JsonValue] | None,
    values: dict[str, JsonValue] | None,
) -> dict[str, JsonValue] | None:
    """Return the arguments that replace the frozen ones; None if a decision keeps those."""
    if verdict is Verdict.approve and edit is not None:
        return {**row.arguments, **edit}
    if verdict is not Verdict.answer:
        return None
    filled_in = values or {}
    defaults = {
        str(field["name"]): field.get("default")
        for field in row.fields
        if isinstance(field, dict) and "default" in _schema_of(field)
    }
    names = {str(field["name"]) for field in row.fields if isinstance(field, dict)}
    filled = {name: value for name, value in filled_in.items() if name in names}
    return {**row.arguments, **defaults, **filled}


def proposals(row: RequirementRecord, decisions: Sequence[DecisionRecord]) -> list[Proposal]:
    """Return what people have proposed so far, the oldest proposal first."""
    groups: dict[str, list[DecisionRecord]] = {}
    for vote in standing(decisions):
        if Verdict(vote.verdict) in PROPOSING:
            groups.setdefault(_content(vote), []).append(vote)
    return [_proposal(row, votes) for votes in groups.values()]


def _latest(decisions: Sequence[DecisionRecord]) -> list[DecisionRecord]:
    """Return the latest decision of each person, withdrawals included."""
    latest: list[DecisionRecord] = []
    for decision in decisions:
        if decision.actor != KERN:
            latest = [vote for vote in latest if not is_of_one_person(vote, decision)]
            latest.append(decision)
    return latest


def _person_of(vote: _Vote) -> Principal:
    if isinstance(vote, NewDecision):
        return vote.principal or principal_of(vote.actor)
    # What else the row says of them does not matter, and may be anything in a row that was forged.
    return Principal.model_construct(issuer=vote.issuer, subject=vote.subject, name=vote.actor)


def _proposal(row: RequirementRecord, votes: Sequence[DecisionRecord]) -> Proposal:
    first = votes[0]
    verdict = Verdict(first.verdict)
    values = first.given if isinstance(first.given, dict) else None
    arguments = proposed_arguments(row, verdict, first.edit, values)
    return Proposal(
        verdict=verdict,
        arguments=dict(row.arguments) if arguments is None else arguments,
        edit=None if first.edit is None else dict(first.edit),
        choices=[str(choice) for choice in first.given] if isinstance(first.given, list) else [],
        digest=first.digest,
        by=[vote.actor for vote in votes],
        approvals=len(votes),
        quorum=row.quorum,
    )


def _content(vote: _Vote) -> str:
    # The digest covers the arguments with edits and values; choices are beside them.
    chosen = vote.given if vote.verdict == Verdict.choose.value else None
    return canonical_json([str(vote.verdict), vote.digest, chosen])


def _schema_of(field: dict[str, JsonValue]) -> dict[str, JsonValue]:
    schema = field.get("json_schema")
    return schema if isinstance(schema, dict) else {}
