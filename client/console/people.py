"""Who can decide about a requirement, who has, and who may not."""

from dataclasses import dataclass
from typing import Literal

from kern.requirements import Requirement
from kern.values.deciders import REQUESTER, group_of, is_group
from kern.values.names import name_key


@dataclass(frozen=True)
class PersonRow:
    """A person or a group, and how they stand to a decision."""

    name: str
    note: str = ""
    mark: Literal["", "yes", "not"] = ""


def people_of(requirement: Requirement, viewer_name: str) -> list[PersonRow]:
    """Return who has approved, who can decide, and who is excluded."""
    approvers = [name for item in requirement.proposals for name in item.by]
    rows = [PersonRow(name, "approved", "yes") for name in dict.fromkeys(approvers)]
    keys = {name_key(name) for name in approvers}
    for entry in requirement.candidates or (["anybody"] if not approvers else []):
        name = _name(entry, requirement)
        if name_key(name) not in keys:
            note = "you" if name_key(name) == name_key(viewer_name) else _note(entry)
            rows.append(PersonRow(name, note))
    rows += [
        PersonRow(_name(item.to, requirement), f"by delegation of {item.by.name}")
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
