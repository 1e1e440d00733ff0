"""Who may decide about a call, how many must agree, and what silence means."""

from datetime import timedelta
from typing import Literal, Self

from pydantic import (
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from kern.errors import InvalidDefinition, InvalidInput
from kern.values.deciders import decider
from kern.values.names import name_key
from kern.values.states import OnExpiry
from kern.values.validation import Declaration

# Longer than anybody waits, and within what dates can express.
_LONGEST = timedelta(days=36_525)


def _deciders(field: str, entries: str | tuple[str, ...]) -> tuple[str, ...]:
    several = (entries,) if isinstance(entries, str) else entries
    try:
        return tuple(decider(f"a name in {field}", entry) for entry in several)
    except InvalidInput as error:
        raise InvalidDefinition(str(error)) from None


class Escalation(Declaration):
    """Whom else to ask when nobody has decided for a while.

    Attributes:
        after: Time from when the run paused.
        to: Who may then decide, beside the candidates: people, and groups as `"group:finance"`.
    """

    after: timedelta = Field(gt=timedelta(0), le=_LONGEST)
    to: str | tuple[str, ...] = Field(min_length=1)

    @field_validator("to")
    @classmethod
    def _names(cls, names: str | tuple[str, ...]) -> tuple[str, ...]:
        return _deciders("to", names)


class Approval(Declaration):
    """Who may decide about a call, how many must agree, and what happens if nobody does.

    Attributes:
        candidates: Who may decide; empty for anybody. Names are compared without regard to case,
            surrounding blanks and compatibility forms. `"group:finance"` stands for those whose
            principal is in that group: a name alone is in none. `Requester` stands for whoever
            asked for the run: the run's `user_id`, and the principal who was authenticated.
        excluded: Who may not, even if a candidate: names, groups and `Requester`. With `Requester`,
            a run without a `user_id` can only be rejected.
        quorum: How many different people must approve the same arguments, fill in the same values,
            make the same choices, or have a call with an unknown outcome run again. The latest
            decision of each counts. One rejection is enough to reject.
        due: Time until the deadline, counted from when the run paused; None for no deadline.
        remind: How often to remind while nobody has decided, 100 times at most: each reminder is
            an event of the run, `requirement_reminded`. At least a second.
        escalate: Whom else to ask, and when; it needs candidates, since without any everybody may
            decide. The event is `requirement_escalated`.
        on_expiry: What silence until the deadline means: `reject` (the default), `approve` or
            `fail` (the run ends). `approve` rejects if somebody has edited the call or withdrawn:
            it lets nothing run that not all who spoke approved.
    """

    candidates: str | tuple[str, ...] = ()
    excluded: str | tuple[str, ...] = ()
    quorum: int = 1
    due: timedelta | None = Field(default=None, le=_LONGEST)
    remind: timedelta | None = Field(default=None, ge=timedelta(seconds=1), le=_LONGEST)
    escalate: Escalation | None = None
    on_expiry: OnExpiry | Literal["reject", "approve", "fail"] = OnExpiry.reject

    @field_validator("candidates", "excluded")
    @classmethod
    def _names(cls, names: str | tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        return _deciders(str(info.field_name), names)

    @field_validator("on_expiry")
    @classmethod
    def _as_member(cls, value: str) -> OnExpiry:
        return OnExpiry(value)

    @model_validator(mode="after")
    def _can_escalate(self) -> Self:
        if self.escalate is None:
            return self
        if not self.candidates:
            message = "escalate needs candidates: without any, everybody may decide already."
            raise InvalidDefinition(message)
        excluded_keys = {name_key(name) for name in self.excluded}
        excluded_too = [name for name in self.escalate.to if name_key(name) in excluded_keys]
        if excluded_too:
            message = (
                f"escalate asks {excluded_too[0]!r}, who is excluded: leave one of the two out."
            )
            raise InvalidDefinition(message)
        return self
