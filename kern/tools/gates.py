"""Decides whether a tool call waits for a person before it may run."""

import inspect
from collections.abc import Mapping

from pydantic import JsonValue

from kern.contracts.approval import Approval
from kern.contracts.presentation import Presentation, default_risk
from kern.process.logs import warn_raised
from kern.tools.policy import AppliedPolicy, applied_policy
from kern.tools.tool import Predicate, Tool, tool_definition
from kern.values.states import RequirementKind


def tool_declaration(tool: Tool) -> dict[str, JsonValue]:
    """Return a tool's declaration as JSON: what the model sees, its gate, how it executes."""
    definition = tool_definition(tool)
    declaration: dict[str, JsonValue] = {
        "spec": definition.spec.model_dump(mode="json"),
        "kind": definition.kind,
        "asks": "sometimes" if callable(definition.confirm_when) else "always",
        "fields": list(definition.input_fields),
        "effect": tool.effect.value,
        "retries": tool.retries,
        "timeout": tool.timeout,
        "approval": tool.approval.model_dump(mode="json", exclude=_later_fields(tool.approval)),
    }
    presentation = definition.presentation.model_dump(mode="json", exclude_defaults=True)
    if presentation != _default_presentation(tool):
        declaration["presentation"] = presentation
    return declaration


def _default_presentation(tool: Tool) -> dict[str, JsonValue]:
    return Presentation(risk=default_risk(tool.effect)).model_dump(
        mode="json", exclude_defaults=True
    )


def _later_fields(approval: Approval) -> set[str]:
    """Return the unused fields that were added later: an id made from a declaration stays as is."""
    return {name for name in ("remind", "escalate") if getattr(approval, name) is None}


def gate_of(
    tool: Tool, arguments: Mapping[str, object], applied: AppliedPolicy | None = None
) -> RequirementKind | None:
    """Return what a call with these validated arguments waits for; None if it may run at once.

    `applied` is the policy that applies to the tool in its run; default: what it declares. Only
    False from a predicate lets the call run: any other result, an exception or a coroutine
    included, gates it.
    """
    applied = applied or applied_policy(tool, None)
    confirm_when = tool_definition(tool).confirm_when
    if not applied.is_conditional or not callable(confirm_when):
        return applied.kind
    is_free = _returns_false(confirm_when, arguments, tool.name)
    return None if is_free else RequirementKind.confirmation


def _returns_false(predicate: Predicate, arguments: Mapping[str, object], name: str) -> bool:
    try:
        answer = _call(predicate, arguments)
    except BaseException as error:  # noqa: BLE001  the user's code, and the gate fails closed
        warn_raised("predicate", name, error)
        return False
    if inspect.iscoroutine(answer):
        # Nobody awaits an async predicate here; closing it prevents Python's warning.
        answer.close()
    return answer is False


def _call(predicate: Predicate, arguments: Mapping[str, object]) -> object:
    """Call the predicate with the arguments that it names, or with all of them as one dict."""
    parameters = inspect.signature(predicate).parameters
    names = {key for key in parameters if key in arguments}
    takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    if takes_all:
        return predicate(**arguments)
    if names:
        return predicate(**{key: arguments[key] for key in names})
    return predicate(_Arguments(arguments))


class _Arguments(dict[str, object]):
    """All arguments as one dict, which cannot be mistaken for one of them.

    A predicate whose only parameter is misspelled gets this dict instead of a value. Comparing it
    raises, so the gate closes. Were it merely unequal to everything, the gate would open.
    """

    __hash__ = None

    def __eq__(self, value: object) -> bool:
        message = f"the arguments as a whole were compared with {value!r}"
        raise TypeError(message)

    def __ne__(self, value: object) -> bool:
        return self == value
