"""Calls of unknown outcome: when a call is one, and what its reconciler answers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeGuard

from pydantic import JsonValue

from kern.errors import InvalidDefinition, OutcomeUnknown
from kern.process.foreign_errors import is_one_of
from kern.tools.ambiguous_errors import exceptions_in, leaves_open
from kern.values.states import Effect
from kern.values.validation import described


@dataclass(frozen=True)
class Happened:
    """The call has happened.

    Attributes:
        result: What it gave, as the tool would have returned it.
    """

    result: JsonValue = None


@dataclass(frozen=True)
class DidNotHappen:
    """The call has not happened, and will not any more: it may be executed."""


@dataclass(frozen=True)
class StillUnknown:
    """It cannot be said now.

    Attributes:
        why: What a person should know of it.
    """

    why: str = ""


Reconciled = Happened | DidNotHappen | StillUnknown
# Takes the idempotency key and the arguments, by the names `key` and `arguments`; sync or async.
Reconciler = Callable[..., object]


def reconciled(value: object) -> Reconciled:
    """Return what a reconciler answered; anything else than the three answers is none."""
    if isinstance(value, Happened | DidNotHappen | StillUnknown):
        return value
    return StillUnknown(f"the reconciler returned a value of type {type(value).__name__!r}")


@dataclass(frozen=True)
class OutcomeRules:
    """When the outcome of a tool's or step's execution is unknown, and whom to ask first.

    Attributes:
        unknown_on: Exceptions of the author's that leave it open, besides those that do by nature.
        reconcile: The author's code that looks up whether a call has happened.
    """

    unknown_on: tuple[type[BaseException], ...] = ()
    reconcile: Reconciler | None = None

    def are_open(self, error: BaseException) -> bool:
        """Whether an exception leaves open if the code had its effect."""
        classes: tuple[type[BaseException], ...] = (OutcomeUnknown, *self.unknown_on)
        return any(is_one_of(part, classes) for part in exceptions_in(error)) or leaves_open(error)


NO_RULES = OutcomeRules()


def outcome_rules(
    owner: str, effect: Effect, unknown_on: object, reconcile: object
) -> OutcomeRules:
    """Return the rules that an author declared.

    Raises:
        InvalidDefinition: they are none, or the effect may be repeated, so that nobody need ask.
    """
    candidates = list(unknown_on) if isinstance(unknown_on, tuple | list) else [unknown_on]
    classes = [item for item in candidates if isinstance(item, type) and _is_error(item)]
    wrong = [item for item in candidates if item not in classes]
    problem = None
    if wrong:
        problem = f"has unknown_on={described(wrong[0])}: use exception classes"
    elif reconcile is not None and not callable(reconcile):
        problem = f"has reconcile={described(reconcile)}: use a function of key and arguments"
    elif (candidates or reconcile is not None) and effect is not Effect.once:
        problem = (
            f"has the effect {effect.value!r}, which may be repeated: unknown_on= and reconcile= "
            "are for effect='once'"
        )
    if problem is not None:
        message = f"The {owner} {problem}."
        raise InvalidDefinition(message)
    return OutcomeRules(tuple(classes), reconcile if callable(reconcile) else None)


def _is_error(cls: type) -> TypeGuard[type[BaseException]]:
    return issubclass(cls, BaseException)
