"""Cuts the messages of a session's earlier runs so that every call keeps its result."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import JsonValue

from kern.run import Message, RequestedCall
from kern.values.canonical import canonical_json
from kern.values.states import RequirementKind

_LONGEST_LINE = 1000
_LONGEST_INPUT = 200


@dataclass(frozen=True)
class Window:
    """How many earlier runs or messages of its session an agent sees.

    Attributes:
        runs: The number of completed runs; None if messages are counted.
        messages: The number of messages of completed runs; None if runs are counted.
        tool_calls: The number of calls, the latest ones, that are shown; None for all.
    """

    runs: int | None = None
    messages: int | None = None
    tool_calls: int | None = None


@dataclass(frozen=True)
class Waiting:
    """What a paused run waits for, from its requirement."""

    kind: RequirementKind
    tool_name: str | None = None
    arguments: dict[str, JsonValue] = field(default_factory=dict)
    question: str | None = None
    fields: Sequence[str] = ()


@dataclass(frozen=True)
class ExecutedCall:
    """A call that was executed, in a run that did not complete."""

    tool_name: str
    arguments: dict[str, JsonValue]
    outcome: str
    result: str | None = None


def fitted(messages: Sequence[Message], tool_calls: int | None = None) -> list[Message]:
    """Return messages of ended runs with only the latest calls, each call with its result.

    If calls are removed from a message, the provider's own items go too, since they name the calls.
    """
    remaining = tool_calls
    groups: list[list[Message]] = []
    for group in reversed(list(_groups(messages))):
        groups.append(_fitted(group, remaining))
        if remaining is not None:
            remaining -= sum(message.role == "tool" for message in groups[-1])
    return _without_repeated_answers([message for group in reversed(groups) for message in group])


def paused_line(run_input: str, waiting: Sequence[Waiting]) -> str:
    """Return one line with a paused run's input and what it waits for."""
    reasons = "; ".join(f"waiting for {_describe(requirement)}" for requirement in waiting)
    request = canonical_json(_cut(_one_line(run_input), _LONGEST_INPUT))
    return f"[An earlier request, {request}, is paused: {_cut(reasons, _LONGEST_LINE)}]"


_ENDINGS = {"error": "failed", "cancelled": "was cancelled", "paused": "is paused"}


def executed_line(run_input: str, status: str, calls: Sequence[ExecutedCall]) -> str:
    """Return one line with the calls that a run has executed which has no answer."""
    request = canonical_json(_cut(_one_line(run_input), _LONGEST_INPUT))
    executed = "; ".join(_executed(call) for call in calls)
    return (
        f"[An earlier request, {request}, {_ENDINGS.get(status, 'is not done yet')}. These calls "
        f"were executed in it and have had their effects: {executed}]"
    )


def _executed(call: ExecutedCall) -> str:
    text = _call(call.tool_name, call.arguments)
    if call.outcome == "unknown":
        return f"{text}, whose outcome is unknown"
    result = canonical_json(_cut(_one_line(call.result or ""), _LONGEST_INPUT))
    return f"{_cut(text, _LONGEST_LINE)} with the {call.outcome} {result}"


def _without_repeated_answers(messages: Sequence[Message]) -> list[Message]:
    """Leave out an answer that repeats the result before it, as in a team that routes."""
    before: Sequence[Message | None] = [None, *messages]
    return [
        message
        for message, previous in zip(messages, before, strict=False)
        if not (
            previous is not None
            and (previous.role, message.role, message.provider) == ("tool", "assistant", None)
            and previous.content == message.content
        )
    ]


def _groups(messages: Sequence[Message]) -> Iterator[list[Message]]:
    """Yield each message with the results that follow it."""
    group: list[Message] = []
    for message in messages:
        if group and message.role != "tool":
            yield group
            group = []
        group.append(message)
    if group:
        yield group


def _fitted(group: list[Message], most: int | None) -> list[Message]:
    head, results = group[0], group[1:]
    if head.role == "tool":
        return []
    pairs = _pairs(head, results)
    selected = pairs if most is None else pairs[max(0, len(pairs) - most) :]
    calls, selected_results = [call for call, _ in selected], [result for _, result in selected]
    if len(calls) == len(head.tool_calls):
        return [head, *selected_results]
    if not calls and not head.content:
        return []
    shortened = {"tool_calls": calls, "items": [], "provider": None}
    return [head.model_copy(update=shortened), *selected_results]


def _pairs(head: Message, results: list[Message]) -> list[tuple[RequestedCall, Message]]:
    """Pair calls with results; a provider's ids may repeat in another answer."""
    unpaired = list(results)
    pairs: list[tuple[RequestedCall, Message]] = []
    for call in head.tool_calls:
        result = next((message for message in unpaired if message.tool_call_id == call.id), None)
        if result is not None:
            unpaired.remove(result)
            pairs.append((call, result))
    return pairs


def _describe(waiting: Waiting) -> str:
    call = _call(waiting.tool_name or "a step", waiting.arguments)
    question = canonical_json(_one_line(waiting.question or call))
    return {
        RequirementKind.confirmation: f"approval of {call}",
        RequirementKind.user_input: f"values for {', '.join(waiting.fields)} of {call}",
        RequirementKind.user_feedback: f"an answer to {question}",
        RequirementKind.external_execution: f"the result of {call} from elsewhere",
        RequirementKind.output_review: f"a review of the output of {call}",
        RequirementKind.error: f"a decision about {call}, which failed",
        RequirementKind.unknown_outcome: f"word of what became of {call}",
    }[waiting.kind]


def _call(name: str, arguments: Mapping[str, JsonValue]) -> str:
    values = (f"{key}={canonical_json(value)}" for key, value in arguments.items())
    return f"{name}({', '.join(values)})"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
