"""Decides whether a tool call waits for a person before it may run."""

import inspect
from collections.abc import Mapping

from pydantic import JsonValue

from kern.contracts.approval import Approval
from kern.tools.tool import Predicate, Tool
from kern.values.states import RequirementKind


def declared(tool: Tool) -> dict[str, JsonValue]:
    """Return what a tool's declaration says: what the model sees, its gate, how it executes."""
    return {
        "spec": tool.spec.model_dump(mode="json"),
        "kind": tool.kind,
        "asks": "sometimes" if callable(tool.confirm_when) else "always",
        "fields": list(tool.asked_fields),
        "effect": tool.effect.value,
        "retries": tool.retries,
        "timeout": tool.timeout,
        "approval": tool.approval.model_dump(mode="json", exclude=_unsaid(tool.approval)),
    }


def _unsaid(approval: Approval) -> set[str]:
    """Return what the first version could not say: without it, an agent keeps its id."""
    return {name for name in ("remind", "escalate") if getattr(approval, name) is None}


def gate_of(tool: Tool, arguments: Mapping[str, object]) -> RequirementKind | None:
    """Return what a call with these validated arguments waits for; None if it may run at once.

    A predicate is trusted only when it returns False: whatever else it does, raising or returning a
    coroutine included, gates the call.
    """
    if tool.kind is not RequirementKind.confirmation:
        return tool.kind
    if not callable(tool.confirm_when):
        return RequirementKind.confirmation
    return None if _says_no(tool.confirm_when, arguments) else RequirementKind.confirmation


def _says_no(predicate: Predicate, arguments: Mapping[str, object]) -> bool:
    try:
        answer = _ask(predicate, arguments)
    except BaseException:  # noqa: BLE001  the user's code, and the gate fails closed
        return False
    if inspect.iscoroutine(answer):
        # An async predicate cannot be asked here; closed, it leaves no warning behind.
        answer.close()
    return answer is False


def _ask(predicate: Predicate, arguments: Mapping[str, object]) -> object:
    """Call the predicate with the arguments that it names, or with all of them as one dict."""
    parameters = inspect.signature(predicate).parameters
    named = {key for key in parameters if key in arguments}
    takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    if takes_all:
        return predicate(**arguments)
    if named:
        return predicate(**{key: arguments[key] for key in named})
    return predicate(_Arguments(arguments))


class _Arguments(dict[str, object]):
    """All arguments as one dict, which cannot be taken for one of them.

    A predicate whose only parameter is misspelled gets this instead of a value. Comparing it
    raises, so the gate closes instead of finding the value unequal to everything.
    """

    __hash__ = None

    def __eq__(self, other: object) -> bool:
        message = f"the arguments as a whole were compared with {other!r}"
        raise TypeError(message)

    def __ne__(self, other: object) -> bool:
        return self == other
