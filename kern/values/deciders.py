"""Who a rule lets decide, or keeps from deciding: people, groups, and whoever asked for the run."""

from collections.abc import Collection

from kern.values.names import name_key, person_name
from kern.values.principals import Principal, keys_of
from kern.values.states import PersonKind

# Stands for whoever asked for the run. No name of a person begins so.
REQUESTER = "@requester"
_GROUP = "group:"


def decider(what: str, value: str) -> str:
    """Return an entry of a rule as it is stored: a name, `group:` and a name, or `REQUESTER`.

    Raises:
        InvalidInput: it has what no name may have.
    """
    entry = person_name(what, value)
    if name_key(entry) == REQUESTER:
        return REQUESTER
    if is_group(entry):
        return f"{_GROUP}{person_name(what, entry[len(_GROUP) :])}"
    return entry


def is_name(entry: str) -> bool:
    """Whether an entry is the name of a person."""
    return name_key(entry) != REQUESTER and not name_key(entry).startswith(_GROUP)


def is_group(entry: str) -> bool:
    """Whether an entry names a group, of which nobody knows here how many people it has."""
    return name_key(entry).startswith(_GROUP)


def group_of(entry: str) -> str:
    """Return the name of the group that an entry stands for."""
    return entry[len(_GROUP) :]


def is_about(entry: str, principal: Principal, requester: Collection[str]) -> bool:
    """Whether an entry is about a principal; `requester` has the names of who asked."""
    keys = keys_of(principal)
    if name_key(entry) == REQUESTER:
        return any(name_key(name) in keys for name in requester)
    if is_group(entry):
        return name_key(group_of(entry)) in {name_key(group) for group in principal.groups}
    return name_key(entry) in keys


def entries_about(principal: Principal) -> list[tuple[str, str]]:
    """Return the kinds and keys of the entries that are about a principal, as they are stored."""
    keys = keys_of(principal)
    groups = sorted({name_key(group) for group in principal.groups})
    return [
        (PersonKind.anybody.value, ""),
        *((PersonKind.person.value, key) for key in keys),
        *((PersonKind.requester.value, key) for key in keys),
        *((PersonKind.group.value, group) for group in groups),
    ]
