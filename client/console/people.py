"""Who can decide about a requirement, who has, who may not, and who is away."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Literal

from kern.client.console.times import moment
from kern.requirements import Requirement
from kern.values.deciders import REQUESTER, group_of, is_group
from kern.values.names import name_key


@dataclass(frozen=True)
class PersonRow:
    """A person or a group, and how they stand to a decision."""

    name: str
    note: str = ""
    mark: Literal["", "yes", "not"] = ""


NOBODY: Mapping[str, str] = MappingProxyType({})


def away_notes(until: Mapping[str, datetime], now: datetime) -> dict[str, str]:
    """Return what is said of people who are away, by the keys of their names."""
    return {key: f"away until {moment(at, now)} UTC" for key, at in until.items()}


def people_of(
    requirement: Requirement, viewer_name: str, away: Mapping[str, str] = NOBODY
) -> list[PersonRow]:
    """Return who has approved, who can decide, and who is excluded.

    `away` has what is said of those who are away, by the keys of their names.
    """
    approvers = [name for item in requirement.proposals for name in item.by]
    rows = [PersonRow(name, "approved", "yes") for name in dict.fromkeys(approvers)]
    keys = {name_key(name) for name in approvers}
    for entry in requirement.candidates or (["anybody"] if not approvers else []):
        name = _name(entry, requirement)
        if name_key(name) not in keys:
            note = "you" if name_key(name) == name_key(viewer_name) else _note(entry)
            rows.append(PersonRow(name, _joined(note, _absence(entry, requirement, away))))
    rows += [
        PersonRow(
            _name(item.to, requirement),
            _joined(f"by delegation of {item.by.name}", _absence(item.to, requirement, away)),
        )
        for item in requirement.delegations
        if name_key(item.to) not in keys
    ]
    for entry in requirement.excluded:
        note = "excluded: requester" if entry == REQUESTER else "excluded"
        rows.append(PersonRow(_name(entry, requirement), note, "not"))
    return rows


def waiting_for(requirement: Requirement, *, may_decide: bool) -> str:
    """Return for whom a requirement waits, as in `Waiting for you`."""
    if may_decide:
        return "you"
    names = [_bare(entry, requirement) for entry in requirement.candidates]
    match names:
        case []:
            return "somebody"
        case [name]:
            return name
        case _:
            return f"{', '.join(names[:-1])} or {names[-1]}"


def _name(entry: str, requirement: Requirement) -> str:
    if entry == "anybody":
        return "Anybody"
    if is_group(entry):
        return f"Anyone in {group_of(entry)}"
    return _bare(entry, requirement)


def _bare(entry: str, requirement: Requirement) -> str:
    if entry == REQUESTER:
        return requirement.user_id or "the requester"
    return group_of(entry) if is_group(entry) else entry


def _note(entry: str) -> str:
    return "requester" if entry == REQUESTER else ""


def _absence(entry: str, requirement: Requirement, away: Mapping[str, str]) -> str:
    return "" if is_group(entry) else away.get(name_key(_bare(entry, requirement)), "")


def _joined(*notes: str) -> str:
    return ", ".join(note for note in notes if note)
