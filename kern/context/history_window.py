"""What a model sees of a session's earlier runs, cut so that every call keeps its result."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pydantic import JsonValue

from kern.run import Message, RequestedCall
from kern.values.canonical import canonical_json
from kern.values.states import RequirementKind

_LONGEST_LINE = 1000
_LONGEST_INPUT = 200


@dataclass(frozen=True)
class Window:
    """How much of a session's past an agent asked for, counted in runs or in messages.

    Attributes:
        runs: So many completed runs; None where messages are counted.
        messages: So many messages of completed runs; None where runs are counted.
        tool_calls: How many calls, the latest ones, keep their messages; None for all.
    """

    runs: int | None = None
    messages: int | None = None
    tool_calls: int | None = None


@dataclass(frozen=True)
class Waiting:
    """What a paused run waits for, as its requirement says."""

    kind: RequirementKind
    tool_name: str | None = None
    arguments: dict[str, JsonValue] = field(default_factory=dict)
    question: str | None = None
    fields: Sequence[str] = ()


def fitted(messages: Sequence[Message], tool_calls: int | None = None) -> list[Message]:
    """Return messages of ended runs with only the latest calls, and no call or result alone.

    A message from which a call was cut loses the provider's own items, which would name it.
    """
    left = tool_calls
    groups: list[list[Message]] = []
    for group in reversed(list(_groups(messages))):
        groups.append(_fitted(group, left))
        if left is not None:
            left -= sum(message.role == "tool" for message in groups[-1])
    return _said_once([message for group in reversed(groups) for message in group])


def paused_line(given: str, waiting: Sequence[Waiting]) -> str:
    """Say in one line what a paused run waits for, and how it began."""
    what = "; ".join(f"waiting for {_awaited(one)}" for one in waiting)
    began = canonical_json(_cut(_one_line(given), _LONGEST_INPUT))
    return f"[An earlier request, {began}, is paused: {_cut(what, _LONGEST_LINE)}]"


def _said_once(messages: Sequence[Message]) -> list[Message]:
    """Leave out an answer that was handed on as it was, where the result that it was is shown."""
    before: Sequence[Message | None] = [None, *messages]
    return [
        message
        for message, last in zip(messages, before, strict=False)
        if not (
            last is not None
            and (last.role, message.role, message.provider) == ("tool", "assistant", None)
            and last.content == message.content
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
    kept = pairs if most is None else pairs[max(0, len(pairs) - most) :]
    calls, answers = [call for call, _ in kept], [answer for _, answer in kept]
    if len(calls) == len(head.tool_calls):
        return [head, *answers]
    if not calls and not head.content:
        return []
    cut = {"tool_calls": calls, "items": [], "provider": None}
    return [head.model_copy(update=cut), *answers]


def _pairs(head: Message, results: list[Message]) -> list[tuple[RequestedCall, Message]]:
    """Join calls to results; ids are a provider's own, and may repeat in another answer."""
    left = list(results)
    pairs: list[tuple[RequestedCall, Message]] = []
    for call in head.tool_calls:
        answer = next((one for one in left if one.tool_call_id == call.id), None)
        if answer is not None:
            left.remove(answer)
            pairs.append((call, answer))
    return pairs


def _awaited(waiting: Waiting) -> str:
    given = ", ".join(f"{key}={canonical_json(value)}" for key, value in waiting.arguments.items())
    call = f"{waiting.tool_name or 'a step'}({given})"
    asked = canonical_json(_one_line(waiting.question or call))
    return {
        RequirementKind.confirmation: f"approval of {call}",
        RequirementKind.user_input: f"values for {', '.join(waiting.fields)} of {call}",
        RequirementKind.user_feedback: f"an answer to {asked}",
        RequirementKind.external_execution: f"the result of {call} from elsewhere",
        RequirementKind.output_review: f"a review of the output of {call}",
        RequirementKind.error: f"a decision about {call}, which failed",
        RequirementKind.unknown_outcome: f"word of what became of {call}",
    }[waiting.kind]


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
