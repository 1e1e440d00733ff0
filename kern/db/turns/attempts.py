"""What an attempt brings to a call, and what it gets: the call to execute, or why it must not."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import JsonValue

from kern.contracts.messages import Gate
from kern.contracts.policy import Policy
from kern.requirements import Vote
from kern.values.attempts import DEFAULT_LEASE
from kern.values.states import Effect


def none_alive(token: str) -> bool:  # noqa: ARG001  the signature of `is_alive`
    """Know of no attempt that is alive."""
    return False


# Clocks of two machines may differ by so much.
_SKEW = timedelta(minutes=1)


@dataclass(frozen=True)
class Claim:
    """What an attempt brings in order to take a call.

    Attributes:
        token: Its id.
        worker: The process that it is in.
        scheduled_at: When Temporal scheduled it, which orders attempts; None: after all others.
        is_alive: Tells by its token whether an attempt is executing in this process.
        effect_of: Returns the effect that this process declares for a component's tool. The
            stricter of that and of the call's own applies.
        lease: For how long after a beat nothing may be executed in its place.
    """

    token: str
    worker: str | None = None
    scheduled_at: datetime | None = None
    is_alive: Callable[[str], bool] = none_alive
    effect_of: Callable[[str, str], Effect] = lambda _component_id, _name: Effect.read
    lease: timedelta = DEFAULT_LEASE

    def is_older(self, scheduled_at: datetime | None, now: datetime) -> bool:
        """Whether a newer attempt than this one, scheduled then, has taken the call already.

        An attempt that was frozen before it took the call wakes up after others have come and gone.
        Temporal's clock orders them. Where that clock was set back, the order of before means
        nothing, and nobody would ever be new enough: a time that is yet to come orders nothing.
        """
        if self.scheduled_at is None or scheduled_at is None:
            return False
        return self.scheduled_at < scheduled_at <= now + _SKEW


@dataclass(frozen=True)
class Execution:
    """A call that this attempt holds and has to execute.

    `gate` is what it waited for, and `policy` is what was pinned on its run. `may_have_happened`:
    an earlier attempt did not tell whether it had its effect.
    """

    component_id: str
    name: str
    arguments: dict[str, JsonValue]
    run_id: str
    session_id: str
    tenant: str
    user_id: str | None
    tool_call_id: str
    idempotency_key: str
    attempt: int
    timeout: float | None
    retries: int
    effect: Effect
    may_have_happened: bool = False
    state: dict[str, JsonValue] = field(default_factory=dict)
    dependencies: dict[str, JsonValue] = field(default_factory=dict)
    metadata: dict[str, JsonValue] = field(default_factory=dict)
    gate: str | None = None
    policy: Policy | None = None
    approvals: tuple[Vote, ...] = ()


@dataclass(frozen=True)
class LeftOpen:
    """A call that an attempt, with this token, has begun and not ended: it may have happened.

    Until the end of its lease (`leased_until`), it may also happen yet.
    """

    execution: Execution
    token: str | None
    leased_until: datetime | None = None


@dataclass(frozen=True)
class Settled:
    """There is nothing to execute, because the call is done or something else comes first.

    Attributes:
        gate: The requirement that the call waits for.
        run_ended: The run has ended, and the call with it.
        child_is_active: The run that executes the call has not ended.
        active_token: The token of another attempt, which is alive and executing.
        is_superseded: A newer attempt has taken the call.
        left_open: An attempt left the call open, and its reconciler is to be asked what happened.
        needs_place: The call has to be executed, and the attempt came without a claim.
    """

    gate: Gate | None = None
    run_ended: bool = False
    child_is_active: bool = False
    active_token: str | None = None
    is_superseded: bool = False
    left_open: LeftOpen | None = None
    needs_place: bool = False


class Storing(StrEnum):
    """Whether a result was stored.

    It is fenced off when another attempt holds the call, or a person has decided its outcome.
    """

    stored = "stored"
    fenced = "fenced"
