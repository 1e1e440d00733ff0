"""Session state as tools see it: a dict that remembers how it was changed."""

import copy
from collections.abc import Mapping
from typing import Literal, cast

from pydantic import BaseModel, ConfigDict, JsonValue

from kern.errors import InvalidInput


class StateChange(BaseModel):
    """One change of one key.

    `increment` and `append` commute, so concurrent runs lose none of them.
    """

    model_config = ConfigDict(frozen=True)

    op: Literal["set", "delete", "increment", "append"]
    key: str
    value: JsonValue = None


class SessionState(dict[str, JsonValue]):
    """The session's state as it stood when the tool call began, with the tool's changes to it.

    What is changed is stored when the call ends, in the same transaction as its result. Use
    `increment` and `append`
    for values that several runs may change at once.
    """

    def __init__(self, values: Mapping[str, JsonValue]) -> None:
        super().__init__(copy.deepcopy(dict(values)))
        self._before: dict[str, JsonValue] = copy.deepcopy(dict(values))
        self._commuting: list[StateChange] = []

    def increment(self, key: str, by: float = 1) -> None:
        """Add `by` to a number; an absent key counts as 0."""
        self._commute(StateChange(op="increment", key=key, value=by))

    def append(self, key: str, value: JsonValue) -> None:
        """Add `value` at the end of a list; an absent key counts as an empty list."""
        self._commute(StateChange(op="append", key=key, value=value))

    def changes(self) -> list[StateChange]:
        """Return what was done, in an order that leads to the present value."""
        base = apply_changes(self._before, self._commuting)
        plain = [
            StateChange(op="set", key=key, value=value)
            for key, value in self.items()
            if key not in base or base[key] != value
        ]
        gone = [StateChange(op="delete", key=key) for key in base if key not in self]
        return [*self._commuting, *plain, *gone]

    def _commute(self, change: StateChange) -> None:
        self.update(
            apply_changes({change.key: self[change.key]} if change.key in self else {}, [change])
        )
        self._commuting.append(change)


def apply_changes(
    state: Mapping[str, JsonValue], changes: list[StateChange]
) -> dict[str, JsonValue]:
    """Return a copy of `state` with `changes` applied in their order.

    Raises:
        InvalidInput: a value cannot be incremented or appended to.
    """
    result = copy.deepcopy(dict(state))
    for change in changes:
        match change.op:
            case "set":
                result[change.key] = change.value
            case "delete":
                result.pop(change.key, None)
            case "increment":
                result[change.key] = _number(result, change.key) + cast("float", change.value)
            case "append":
                result[change.key] = [*_items(result, change.key), change.value]
    return result


def _number(state: dict[str, JsonValue], key: str) -> float:
    value = state.get(key, 0)
    if isinstance(value, bool) or not isinstance(value, int | float):
        message = (
            f"The session state's {key!r} is {value!r}, which is no number. Set it to one before "
            "incrementing."
        )
        raise InvalidInput(message)
    return value


def _items(state: dict[str, JsonValue], key: str) -> list[JsonValue]:
    value = state.get(key, [])
    if not isinstance(value, list):
        message = (
            f"The session state's {key!r} is {value!r}, which is no list. Set it to one before "
            "appending."
        )
        raise InvalidInput(message)
    return value
