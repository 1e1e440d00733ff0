"""Tools: functions that a model may call, with the gates that people put before them."""

import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from math import inf
from typing import Literal, Unpack, overload

from kern.contracts.approval import Approval
from kern.contracts.presentation import Presentation, PresentationOptions, declared_presentation
from kern.errors import InvalidDefinition
from kern.models.base import ToolSpec
from kern.tools.reconciling import OutcomeRules, Reconciler, outcome_rules
from kern.tools.signature import Signature, without_fields
from kern.tools.suggestions import SUGGESTIONS, with_suggestions
from kern.values.deciders import is_group
from kern.values.names import name_key
from kern.values.states import Effect, OnExpiry, RequirementKind
from kern.values.validation import described, require_bools

Function = Callable[..., object]
Predicate = Callable[..., object]
MOST_RETRIES = 1_000_000

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, kw_only=True, eq=False)
class ToolDefinition:
    """What Kern itself reads of a tool, beside the options that it was declared with.

    Users never need it, so it is not among a tool's attributes: `tool_definition` returns it.

    Attributes:
        signature: What the function takes.
        kind: What a call may wait for; None if it never waits.
        confirm_when: Whether a person confirms: always, never, or when the predicate says so.
        input_fields: The arguments that a person fills in.
        takes_suggestions: Whether the model may suggest values for them.
        outcome_rules: When a call's outcome is unknown, and whom to ask first.
        presentation: What people are shown of a call beside its arguments.
        code: The objects of this process that a call executes, such as function and predicate.
    """

    name: str
    description: str
    signature: Signature
    kind: RequirementKind | None
    confirm_when: bool | Predicate
    input_fields: tuple[str, ...]
    takes_suggestions: bool
    outcome_rules: OutcomeRules
    presentation: Presentation
    code: tuple[object, ...]

    @cached_property
    def spec(self) -> ToolSpec:
        """The tool as the model sees it: without the arguments that a person fills in."""
        omit = with_suggestions if self.takes_suggestions else without_fields
        parameters = omit(self.signature.schema, self.input_fields)
        return ToolSpec(name=self.name, description=self.description, parameters=parameters)


class Tool:
    """A function that a model may call.

    `tool` makes one; a plain function in `tools=[…]` becomes one as well.
    """

    def __init__(
        self,
        function: Function,
        *,
        name: str | None = None,
        description: str | None = None,
        requires_confirmation: bool | Predicate = False,
        requires_user_input: bool = False,
        user_input_fields: Sequence[str] = (),
        agent_suggests: bool = False,
        requires_user_feedback: bool = False,
        external_execution: bool = False,
        effect: Effect | Literal["once", "idempotent", "read"] = Effect.once,
        retries: int = 0,
        timeout: float | None = None,
        approval: Approval | None = None,
        unknown_on: Sequence[type[BaseException]] = (),
        reconcile: Reconciler | None = None,
        **presentation: Unpack[PresentationOptions],
    ) -> None:
        require_bools(
            requires_confirmation=callable(requires_confirmation) or requires_confirmation,
            requires_user_input=requires_user_input,
            agent_suggests=agent_suggests,
            requires_user_feedback=requires_user_feedback,
            external_execution=external_execution,
        )
        self.function = function
        self.name: str = name or str(getattr(function, "__name__", type(function).__name__))
        signature = Signature(function, self.name)
        self.description = description or signature.description
        self.user_input_fields = tuple(user_input_fields)
        self.agent_suggests = agent_suggests
        self.effect = _effect(effect, self.name)
        self.retries = retries
        self.timeout = timeout
        self.approval = _approval(approval)
        rules = outcome_rules(f"tool {self.name!r}", self.effect, unknown_on, reconcile)
        self.unknown_on, self.reconcile = rules.unknown_on, rules.reconcile
        kinds = _kinds(
            confirmation=requires_confirmation is not False,
            user_input=requires_user_input or bool(user_input_fields),
            user_feedback=requires_user_feedback,
            external=external_execution,
        )
        display = declared_presentation(
            f"The tool {self.name!r}", signature.names, self.effect, **presentation
        )
        self._definition = self._define(signature, kinds, requires_confirmation, rules, display)
        self._check(kinds, has_approval=approval is not None)

    def __call__(self, *args: object, **kwargs: object) -> object:
        """Call the function itself, as tests of it do; no gate applies."""
        return self.function(*args, **kwargs)

    def _define(
        self,
        signature: Signature,
        kinds: Sequence[RequirementKind],
        confirm_when: bool | Predicate,  # noqa: FBT001  an option of the tool, passed on
        outcome_rules: OutcomeRules,
        presentation: Presentation,
    ) -> ToolDefinition:
        input_fields: tuple[str, ...] = ()
        if RequirementKind.user_input in kinds:
            input_fields = self.user_input_fields or signature.names
        return ToolDefinition(
            name=self.name,
            description=self.description,
            signature=signature,
            kind=kinds[0] if kinds else None,
            confirm_when=confirm_when,
            input_fields=input_fields,
            takes_suggestions=self.agent_suggests,
            outcome_rules=outcome_rules,
            presentation=presentation,
            code=(self.function, confirm_when, self.unknown_on, self.reconcile),
        )

    def _check(self, kinds: Sequence[RequirementKind], *, has_approval: bool) -> None:
        kind = kinds[0] if kinds else None
        signature = self._definition.signature
        for is_wrong, problem in (
            (not _NAME.fullmatch(self.name), "needs a name of up to 64 letters, digits, - and _"),
            (len(kinds) > 1, f"asks for {', '.join(kinds)} at once: choose one"),
            (self.retries < 0, "has negative retries"),
            (self.retries > MOST_RETRIES, f"has more than {MOST_RETRIES:,} retries"),
            (
                inspect.isasyncgenfunction(self.function),
                "is an async generator, whose body nobody would run: return a value instead",
            ),
            (not _is_timeout(self.timeout), "needs a number of seconds above 0 as its timeout"),
            (
                has_approval and not kinds,
                "has an approval= but waits for nobody: add requires_confirmation=True",
            ),
            (
                self._definition.presentation.edit_bounds is not None and not kinds,
                "has edit_bounds= but waits for nobody: add requires_confirmation=True",
            ),
            (
                self.retries > 0 and self.effect is Effect.once,
                "may not be repeated (effect='once'): retries= needs effect='idempotent' or 'read'",
            ),
            (
                kind is RequirementKind.user_feedback and "options" not in signature.names,
                "asks a person to choose, so it needs an argument `options: list[str]`",
            ),
            (
                bool(set(self.user_input_fields) - set(signature.names)),
                f"asks for {', '.join(self.user_input_fields)}, not all of which it takes",
            ),
            (
                self.agent_suggests and kind is not RequirementKind.user_input,
                "has agent_suggests=True but asks nobody for values: add requires_user_input=True",
            ),
            (
                self.agent_suggests and SUGGESTIONS in signature.names,
                f"has agent_suggests=True, and takes {SUGGESTIONS!r} itself: rename that argument",
            ),
            *self._approval_problems(kind),
        ):
            if is_wrong:
                message = f"The tool {self.name!r} {problem}."
                raise InvalidDefinition(message)

    def _approval_problems(self, kind: RequirementKind | None) -> Iterator[tuple[bool, str]]:
        deciders = {name_key(name) for name in self.approval.candidates}
        allowed = deciders - {name_key(name) for name in self.approval.excluded}
        yield from (
            (self.approval.quorum < 1, "needs a quorum of at least 1"),
            (
                self.approval.quorum > 1 and kind is not RequirementKind.confirmation,
                "can only have a quorum above 1 where it waits for a confirmation",
            ),
            (
                bool(deciders)
                and self.approval.quorum > len(allowed)
                and not any(is_group(entry) for entry in allowed),
                "asks for more approvals than it has candidates who are not excluded",
            ),
            (
                self.approval.due is not None and self.approval.due <= timedelta(0),
                "needs a deadline in the future",
            ),
            (
                self.approval.on_expiry is OnExpiry.approve
                and kind is not RequirementKind.confirmation,
                "can only approve on expiry what waits for a confirmation",
            ),
        )


@overload
def tool(
    function: Function,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    requires_confirmation: bool | Predicate = False,
    requires_user_input: bool = False,
    user_input_fields: Sequence[str] = (),
    agent_suggests: bool = False,
    requires_user_feedback: bool = False,
    external_execution: bool = False,
    effect: Effect | Literal["once", "idempotent", "read"] = Effect.once,
    retries: int = 0,
    timeout: float | None = None,
    approval: Approval | None = None,
    unknown_on: Sequence[type[BaseException]] = (),
    reconcile: Reconciler | None = None,
    **presentation: Unpack[PresentationOptions],
) -> Tool: ...


@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    requires_confirmation: bool | Predicate = False,
    requires_user_input: bool = False,
    user_input_fields: Sequence[str] = (),
    agent_suggests: bool = False,
    requires_user_feedback: bool = False,
    external_execution: bool = False,
    effect: Effect | Literal["once", "idempotent", "read"] = Effect.once,
    retries: int = 0,
    timeout: float | None = None,
    approval: Approval | None = None,
    unknown_on: Sequence[type[BaseException]] = (),
    reconcile: Reconciler | None = None,
    **presentation: Unpack[PresentationOptions],
) -> Callable[[Function], Tool]: ...


def tool(
    function: Function | None = None, /, **options: object
) -> Tool | Callable[[Function], Tool]:
    """Make a function a tool; its schema comes from its signature and docstring.

    Args:
        function: The function, when used without parentheses, or called with it. It may be sync or
            async.
        **options: The options of a `Tool`. `requires_confirmation`: True, or a predicate on the
            arguments, which takes a dict of them, or some of them by name, and is no coroutine
            function; only if it returns False does the call run without a person.
            `requires_user_input`, `user_input_fields`: a person fills in these arguments;
            `agent_suggests`: the agent may suggest values for them, and say where it found each.
            `requires_user_feedback`: a person answers instead of the function; see `ask_user`.
            `external_execution`: a person or a program gives the result; the function never runs.
            `effect`: what a repetition would do: `once` (default; never repeated blindly),
            `idempotent`, `read`. `retries`: how often to try again when the function raises; it
            needs an effect that allows it. `timeout`: seconds that one execution may take.
            `approval`: who decides, until when, and what silence means. `unknown_on`: exceptions
            that leave open whether a call happened, besides timeouts and lost connections, which
            do by nature. `reconcile`: a function of `key` (the idempotency key) and `arguments`,
            which looks up a call of unknown outcome, before a person is asked, and returns
            `Happened(result)`, `DidNotHappen()` or `StillUnknown(why)`.
            What people are shown of a call, in which options that name arguments have to name some
            that the function takes: `title`: a line with names in braces, as
            `"Refund {amount} {currency}"`. `risk`: `low`, `normal` (default; `low` with
            `effect="read"`) or `high`. `consequence`: what happens once it is approved. `confirm`:
            the argument whose value a person types to approve. `edit_bounds`: how each argument may
            be edited, as `Bounds`; others may not, and without it all may. `where_to_look`: where
            a person finds out whether a call happened. `subject`, `amount`, `unit`: the arguments
            that say what it is about, how much it moves, and of what.

    Raises:
        InvalidDefinition: the options contradict each other, or the signature cannot be described.
    """
    if function is not None:
        return Tool(function, **options)  # type: ignore[arg-type]
    return lambda decorated: Tool(decorated, **options)  # type: ignore[arg-type]


def tool_definition(tool: Tool) -> ToolDefinition:
    """Return a tool's definition, which is made once: this is the door for Kern's own code."""
    # The one place that reads it.
    return tool._definition  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


def as_tool(candidate: Tool | Function) -> Tool:
    """Return a tool as it is, and a plain function as a tool without gates."""
    return candidate if isinstance(candidate, Tool) else Tool(candidate)


def _effect(effect: str, name: str) -> Effect:
    try:
        return Effect(effect)
    except ValueError:
        message = (
            f"The tool {name!r} has the effect {effect!r}: use 'once', 'idempotent' or 'read'."
        )
        raise InvalidDefinition(message) from None


def _is_timeout(value: object) -> bool:
    if value is None:
        return True
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < inf


def _approval(value: object) -> Approval:
    if value is None or isinstance(value, Approval):
        return value or Approval()
    raise InvalidDefinition(f"approval is {described(value)}: use an Approval(…).")


def _kinds(
    *, confirmation: bool, user_input: bool, user_feedback: bool, external: bool
) -> tuple[RequirementKind, ...]:
    options = {
        RequirementKind.confirmation: confirmation,
        RequirementKind.user_input: user_input,
        RequirementKind.user_feedback: user_feedback,
        RequirementKind.external_execution: external,
    }
    return tuple(kind for kind, is_set in options.items() if is_set)


@tool(requires_user_feedback=True)
def ask_user(question: str, options: list[str], *, multiple: bool = False) -> None:
    """Ask the user to choose among options, and wait for the answer.

    Args:
        question: What to ask.
        options: The answers to choose from.
        multiple: Whether several may be chosen.
    """
