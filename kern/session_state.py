"""Session state as tools see it: a dict that records its changes."""

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, Self, cast

from pydantic import (
    BaseModel,
    ConfigDict,
    JsonValue,
    ModelWrapValidatorHandler,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from kern.errors import InvalidInput
from kern.values.canonical import canonical_json, clean_json, clean_text, digest, storable
from kern.values.validation import described

__all__ = ["SessionState", "StateChange"]

_Op = Literal["set", "delete", "increment", "append"]
_Items = Mapping[str, JsonValue] | Iterable[tuple[str, JsonValue]]
_HOW = (
    "give a dict of the keys to set, or a list of changes such as StateChange(op='append', "
    "key='cart', value='lamp') of kern.session_state, whose op is 'set', 'delete', 'increment' or "
    "'append'."
)
_JSON: TypeAdapter[JsonValue] = TypeAdapter(JsonValue)


class StateChange(BaseModel):
    """One change of one key.

    `increment` and `append` commute, so concurrent runs lose none of them.

    Attributes:
        seen: The value that a set or delete was based on: the digest of the key's value when it was
            read, "" if there was none; None if nothing was read.
    """

    model_config = ConfigDict(frozen=True)

    op: _Op
    key: str
    value: JsonValue = None
    seen: str | None = None

    @model_validator(mode="wrap")
    @classmethod
    def _validate(cls, values: object, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(values)
        except ValidationError as error:
            raise InvalidInput(_misfit(error)) from None


class SessionState(dict[str, JsonValue]):
    """The session's state when the tool call began, with the tool's changes to it.

    The changes are stored when the call ends, in the same transaction as its result. Use
    `increment` and `append` for values that several runs may change at the same time.
    """

    def __init__(self, values: Mapping[str, JsonValue]) -> None:
        super().__init__(copy.deepcopy(dict(values)))
        self._before: dict[str, JsonValue] = copy.deepcopy(dict(values))
        self._commuting: list[StateChange] = []
        # Keys in the order in which they were set or deleted, even to the value that they had.
        self._assigned: dict[str, None] = {}

    def __reduce__(self) -> tuple[type["SessionState"], tuple[dict[str, JsonValue]]]:
        """Have a copy begin with the present values, as if they had just been read."""
        return SessionState, (dict(self),)

    def __setitem__(self, key: str, value: JsonValue) -> None:
        """Set a key."""
        super().__setitem__(key, value)
        self._assigned[key] = None

    def __delitem__(self, key: str) -> None:
        """Delete a key."""
        super().__delitem__(key)
        self._assigned[key] = None

    def __ior__(self, other: object, /) -> Self:  # type: ignore[override, misc]
        """Set several keys."""
        self.update(cast("_Items", other))
        return self

    def update(self, values: _Items = (), /, **named: JsonValue) -> None:  # type: ignore[override]
        """Set several keys."""
        for key, value in dict(values, **named).items():
            self[key] = value

    def setdefault(  # type: ignore[override]
        self, key: str, default: JsonValue = None, /
    ) -> JsonValue:
        """Set a key that is not there; return its value."""
        if key not in self:
            self[key] = default
        return self[key]

    def pop(self, key: str, /, *default: JsonValue) -> JsonValue:  # type: ignore[override]
        """Delete a key and return its value; without the key, the default."""
        if key in self:
            self._assigned[key] = None
        return super().pop(key, *default)

    def popitem(self) -> tuple[str, JsonValue]:
        """Delete the last key, and return it with its value."""
        key, value = super().popitem()
        self._assigned[key] = None
        return key, value

    def clear(self) -> None:
        """Delete all keys."""
        self._assigned.update(dict.fromkeys(self))
        super().clear()

    def increment(self, key: str, by: float = 1) -> None:
        """Add `by` to a number; an absent key counts as 0."""
        self._commute(StateChange(op="increment", key=clean_text(key), value=by))

    def append(self, key: str, value: JsonValue) -> None:
        """Add `value` at the end of a list; an absent key counts as an empty list."""
        change = StateChange(op="append", key=clean_text(key), value=value)
        self._commute(change.model_copy(update={"value": storable(change.value)}))

    def changes(self) -> list[StateChange]:
        """Return the changes, in an order that leads to the present values.

        A key that was both incremented or appended to and set or deleted is set as a whole. Setting
        a key to the value that it has is a change, since another run may change it meanwhile.

        Raises:
            InvalidInput: a key is no text, or a value is not JSON.
        """
        commuting: list[StateChange] = []
        plain: list[StateChange] = []
        steps_of: dict[str, list[StateChange]] = {}
        for change in self._commuting:
            steps_of.setdefault(change.key, []).append(change)
        for key in map(_name, dict.fromkeys([*self, *self._before, *self._assigned])):
            steps = steps_of.get(key, [])
            if key not in self._assigned and self._explains(key, steps):
                commuting += steps
            elif key in self:
                plain.append(self._plain("set", key, self._storable(key)))
            else:
                plain.append(self._plain("delete", key))
        return [*commuting, *plain]

    def _explains(self, key: str, steps: list[StateChange]) -> bool:
        """Whether these changes alone lead from the earlier value to the present one."""
        before = {key: self._before[key]} if key in self._before else {}
        try:
            after = apply_changes(before, steps)
        except InvalidInput:
            return False
        if key not in self or key not in after:
            return key not in self and key not in after
        # Compared as JSON, since True, 1 and 1.0 are equal in Python.
        return canonical_json(clean_json(after[key])) == canonical_json(self._json(key))

    def _plain(
        self, op: Literal["set", "delete"], key: str, value: JsonValue = None
    ) -> StateChange:
        key = clean_text(key)
        return StateChange(op=op, key=key, value=value, seen=_digest_of(self._before, key))

    def _json(self, key: str) -> JsonValue:
        try:
            value = clean_json(_JSON.validate_python(self[key]))
            canonical_json(value)
        except (ValidationError, InvalidInput, RecursionError) as error:
            message = f"The session state's {key!r} holds what is not JSON: {described(self[key])}."
            raise InvalidInput(message) from error
        return value

    def _storable(self, key: str) -> JsonValue:
        value = self._json(key)
        try:
            return storable(value)
        except InvalidInput as error:
            message = f"The session state's {key!r} cannot be kept. {error}"
            raise InvalidInput(message) from error

    def _commute(self, change: StateChange) -> None:
        if change.op == "append" and change.key in self:
            # In place: a copy for each item would cost the square of their number.
            _items(self, change.key).append(change.value)
        else:
            now = {change.key: self[change.key]} if change.key in self else {}
            super().update(apply_changes(now, [change]))
        self._commuting.append(change.model_copy(deep=True))


def apply_changes(
    state: Mapping[str, JsonValue], changes: list[StateChange]
) -> dict[str, JsonValue]:
    """Return a copy of `state` with `changes` applied in their order.

    Raises:
        InvalidInput: a value cannot be incremented or appended to.
    """
    editor = StateEditor(state)
    for change in changes:
        editor.apply(change)
    return copy.deepcopy(editor.state)


class StateEditor:
    """A state to which changes are applied one by one, each at the cost of the change alone.

    Attributes:
        state: The state so far. Values that no change touched are those of the original.
    """

    def __init__(self, state: Mapping[str, JsonValue]) -> None:
        self.state = dict(state)
        # Keys whose list was made here, so that it may grow in place.
        self._own_lists: set[str] = set()

    def apply(self, change: StateChange) -> None:
        """Apply a change.

        Raises:
            InvalidInput: its value cannot be incremented or appended to; nothing was changed.
        """
        key = change.key
        match change.op:
            case "set":
                self.state[key] = change.value
            case "delete":
                self.state.pop(key, None)
            case "increment":
                self.state[key] = _sum(self.state, change)
            case "append":
                items = _items(self.state, key)
                if key not in self._own_lists:
                    items = self.state[key] = [*items]
                    self._own_lists.add(key)
                items.append(change.value)
        if change.op != "append":
            self._own_lists.discard(key)


def changes_of(value: Mapping[str, JsonValue] | Sequence[StateChange]) -> list[StateChange]:
    """Return the changes from a caller; a mapping sets each of its keys.

    Raises:
        InvalidInput: it is neither a mapping of JSON values nor a list of changes.
    """
    if isinstance(value, Mapping):
        return [_change("set", key, item) for key, item in value.items()]
    changes: list[StateChange] = []
    for item in _require_sequence(value):
        if not isinstance(item, StateChange):
            message = f"{described(item)} changes no state: {_HOW}"
            raise InvalidInput(message)
        changes.append(_change(item.op, item.key, item.value))
    return changes


def _require_sequence(value: object) -> Sequence[object]:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return value
    message = f"{described(value)} changes no state: {_HOW}"
    raise InvalidInput(message)


def _change(op: _Op, key: str, value: JsonValue) -> StateChange:
    change = StateChange(op=op, key=key, value=value)
    try:
        cleaned = {"key": clean_text(change.key), "value": storable(change.value)}
    except (ValueError, InvalidInput, RecursionError) as error:
        message = f"The session state's {key!r} would hold what cannot be kept as JSON: {error}"
        raise InvalidInput(message) from error
    return change.model_copy(update=cleaned)


def _misfit(error: ValidationError) -> str:
    """Return one sentence that says why a value is no change of the state."""
    first = error.errors(include_url=False, include_context=False)[0]
    value, location = described(first["input"]), first["loc"][:1]
    if location == ("value",):
        return f"A session's state cannot hold {value}: use JSON (texts, numbers, lists, …)."
    if location == ("key",):
        return f"{value} is no key of a session's state: use a text."
    return f"{value} changes no state: {_HOW}"


def overwrites(state: Mapping[str, JsonValue], change: StateChange) -> bool:
    """Whether a set or delete replaces a value that was stored since the key was read."""
    if change.op not in {"set", "delete"} or change.seen is None:
        return False
    now = _digest_of(state, change.key)
    after = digest(change.value) if change.op == "set" else ""
    return now not in {change.seen, after}


def _name(key: object) -> str:
    if not isinstance(key, str):
        message = f"The session state's key {described(key)} is no text."
        raise InvalidInput(message)
    return key


def _digest_of(state: Mapping[str, JsonValue], key: str) -> str:
    return digest(state[key]) if key in state else ""


def _sum(state: dict[str, JsonValue], change: StateChange) -> float:
    before, by = _number(state, change.key), _amount(change)
    try:
        after = before + by
        canonical_json(after)
    except (InvalidInput, OverflowError, ValueError) as error:
        message = (
            f"The session state's {change.key!r} cannot be incremented so far: the sum is no "
            "number that can be kept."
        )
        raise InvalidInput(message) from error
    return after


def _number(state: dict[str, JsonValue], key: str) -> float:
    value = state.get(key, 0)
    if isinstance(value, bool) or not isinstance(value, int | float):
        message = (
            f"The session state's {key!r} is {value!r}, which is no number. Set it to one before "
            "incrementing."
        )
        raise InvalidInput(message)
    return value


def _amount(change: StateChange) -> float:
    by = change.value
    if isinstance(by, bool) or not isinstance(by, int | float):
        message = f"{change.key!r} cannot be incremented by {by!r}: give a number."
        raise InvalidInput(message)
    return by


def _items(state: dict[str, JsonValue], key: str) -> list[JsonValue]:
    value = state.get(key, [])
    if not isinstance(value, list):
        message = (
            f"The session state's {key!r} is {value!r}, which is no list. Set it to one before "
            "appending."
        )
        raise InvalidInput(message)
    return value
