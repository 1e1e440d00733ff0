"""The context of the run that a tool call belongs to, as its function receives it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import (
    JsonValue,
)

from kern.requirements import Vote
from kern.session_state import SessionState


class ReadOnlyFields:
    """A base for dataclasses that code of users gets."""

    def __setattr__(self, name: str, value: object) -> None:
        """Set a field once; `session_state |= {…}`, which changes what is there, sets it again."""
        attributes = vars(self)
        if name in attributes and value is attributes[name]:
            return
        if name not in attributes and name in getattr(self, "__dataclass_fields__", ()):
            super().__setattr__(name, value)
            return
        hint = ": change its keys, as in session_state['key'] = value" * (name == "session_state")
        message = f"{name} of a {type(self).__name__} cannot be set{hint}."
        raise AttributeError(message)


@dataclass
class RunContext(ReadOnlyFields):
    """What a tool may know of the run that calls it; taken by a parameter named `run_context`.

    Attributes:
        idempotency_key: The same for every execution of this call, whatever crashes: hand it to the
            receiver.
        attempt: 1 for the first execution of this call.
        session_state: Changes to it are stored with the call's result.
        approvals: Who let the call run as it does, the earliest first: those who approved exactly
            these arguments, or Kern for a deadline that passed. Empty for a call that is not gated.
        tenant: The tenant that the run belongs to; the default one is empty.
    """

    run_id: str
    session_id: str
    user_id: str | None
    tool_call_id: str
    idempotency_key: str
    attempt: int = 1
    session_state: SessionState = field(default_factory=lambda: SessionState({}))
    dependencies: Mapping[str, JsonValue] = field(default_factory=dict)
    metadata: Mapping[str, JsonValue] = field(default_factory=dict)
    approvals: Sequence[Vote] = ()
    tenant: str = ""
