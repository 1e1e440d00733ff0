"""History: whatever a window cuts, every call keeps its result, and no result lacks its call."""

# What is sent is looked at without a server: hypothesis asks hundreds of times.
# pyright: reportPrivateUsage=false

from collections.abc import Iterator, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from kern.context.history_window import Waiting, fitted, paused_line
from kern.models.base import ModelRequest
from kern.models.openai.chat import OpenAIChat
from kern.models.openai.responses import PROVIDER, OpenAIResponses
from kern.run import Message, RequestedCall
from kern.values.states import RequirementKind

# Servers number calls anew in each answer, so that one id means several calls of a session.
IDS = st.lists(st.sampled_from(["c1", "c2", "c3"]), max_size=3, unique=True)


def answer(ids: Sequence[str], content: str, number: int) -> list[Message]:
    """Return an answer with calls, as OpenAI's protocol has it, and the results of the calls."""
    asked: list[dict[str, JsonValue]] = [
        {"type": "function_call", "call_id": i, "name": "f", "arguments": "{}"} for i in ids
    ]
    items: list[dict[str, JsonValue]] = [
        {"type": "reasoning", "id": f"r{number}", "encrypted_content": "x"},
        *asked,
    ]
    if not ids or content:
        items.append({"type": "message", "id": f"m{number}", "role": "assistant"})
    calls = [RequestedCall(id=i, name="f", arguments="{}") for i in ids]
    head = Message(
        role="assistant", content=content, tool_calls=calls, provider=PROVIDER, items=items
    )
    return [head, *(Message(role="tool", content=f"{number}", tool_call_id=i) for i in ids)]


@st.composite
def histories(draw: st.DrawFn) -> list[Message]:
    """Make the messages of a few completed runs."""
    messages: list[Message] = []
    for _ in range(draw(st.integers(1, 3))):
        messages.append(Message(role="user", content="Hi"))
        for ids in draw(st.lists(IDS.filter(bool), max_size=4)):
            content = draw(st.sampled_from(["", "Let me see."]))
            messages += answer(ids, content, len(messages))
        messages += answer([], "Done.", len(messages))
    return messages


def calls_in(messages: Sequence[Message]) -> int:
    return sum(len(message.tool_calls) for message in messages)


def check_pairs(messages: Sequence[Message]) -> None:
    """Each answer is followed by the results of its calls, in their order, and by no others."""
    expected: list[str] = []
    for message in messages:
        if message.role == "tool":
            assert expected, "a result without its call"
            assert message.tool_call_id == expected.pop(0)
            continue
        assert not expected, "a call without its result"
        expected = [call.id for call in message.tool_calls]
    assert not expected, "a call without its result"


@given(histories(), st.data())
def test_every_call_has_its_result_and_every_result_its_call(
    messages: list[Message], data: st.DataObject
) -> None:
    kept = messages[data.draw(st.integers(0, len(messages))) :]
    most = data.draw(st.none() | st.integers(0, 6))
    seen = fitted(kept, most)
    check_pairs(seen)
    assert most is None or calls_in(seen) <= most
    assert all(message.content or message.tool_calls for message in seen)


@given(histories(), st.data())
def test_no_call_is_left_alone_whatever_is_missing(
    messages: list[Message], data: st.DataObject
) -> None:
    missing = data.draw(st.sets(st.integers(0, len(messages) - 1)))
    check_pairs(fitted([one for n, one in enumerate(messages) if n not in missing]))


@given(histories())
def test_a_history_that_is_whole_stays_as_it_is(messages: list[Message]) -> None:
    assert fitted(messages) == messages
    assert fitted(messages, calls_in(messages)) == messages


@given(histories(), st.integers(0, 6))
def test_the_latest_calls_are_those_that_stay(messages: list[Message], most: int) -> None:
    results = [message for message in messages if message.role == "tool"]
    seen = [message for message in fitted(messages, most) if message.role == "tool"]
    assert seen == results[len(results) - min(most, len(results)) :]
    said = [message.content for message in messages if message.role != "tool" and message.content]
    assert said == [m.content for m in fitted(messages, most) if m.role != "tool" and m.content]


@given(histories(), st.data())
def test_what_a_provider_is_sent_names_no_call_that_was_cut(
    messages: list[Message], data: st.DataObject
) -> None:
    kept = messages[data.draw(st.integers(0, len(messages))) :]
    request = ModelRequest(messages=fitted(kept, data.draw(st.none() | st.integers(0, 6))))
    sent = OpenAIResponses("m")._body(request)["input"]
    assert isinstance(sent, list)
    items = [item for item in sent if isinstance(item, dict)]
    check_calls(items, "function_call", "function_call_output")
    for item, following in pairwise([*items, {}]):
        if item.get("type") == "reasoning":
            assert following.get("type") in {"function_call", "message"}
    chat = OpenAIChat("m")._body(request)["messages"]
    assert isinstance(chat, list)
    check_calls(list(flat(chat)), "call", "tool")


def flat(chat: list[JsonValue]) -> Iterator[dict[str, JsonValue]]:
    """Yield the calls and results of a chat as the other protocol has them."""
    for message in chat:
        assert isinstance(message, dict)
        calls = message.get("tool_calls")
        for call in calls if isinstance(calls, list) else []:
            assert isinstance(call, dict)
            yield {"type": "call", "call_id": call["id"]}
        if message["role"] == "tool":
            yield {"type": "tool", "call_id": message["tool_call_id"]}


def check_calls(items: Sequence[dict[str, JsonValue]], call: str, result: str) -> None:
    """The results that follow calls are theirs, and nobody else's."""
    waiting: list[JsonValue] = []
    answering = False
    for item in items:
        if item.get("type") == call:
            assert not (answering and waiting), "a call without its result"
            answering = False
            waiting.append(item["call_id"])
        elif item.get("type") == result:
            answering = True
            assert waiting.pop(0) == item["call_id"]
    assert not waiting


LINES = {
    RequirementKind.confirmation: 'waiting for approval of ship(to="Main Street", n=2)',
    RequirementKind.user_input: 'waiting for values for size of ship(to="Main Street", n=2)',
    RequirementKind.user_feedback: 'waiting for an answer to "Which size?"',
    RequirementKind.external_execution: "waiting for the result of ship(",
    RequirementKind.output_review: "waiting for a review of the output of ship(",
    RequirementKind.error: "waiting for a decision about ship(",
    RequirementKind.unknown_outcome: "waiting for word of what became of ship(",
}


@pytest.mark.parametrize("kind", RequirementKind)
def test_a_line_says_what_a_paused_run_waits_for(kind: RequirementKind) -> None:
    waiting = Waiting(kind, "ship", {"to": "Main Street", "n": 2}, "Which\nsize?", ["size"])
    line = paused_line('Ship "it"\nnow', [waiting])
    assert LINES[kind] in line
    assert '"Ship \\"it\\" now"' in line
    assert "\n" not in line


def test_a_line_is_bounded() -> None:
    waiting = [Waiting(RequirementKind.confirmation, "f", {"a": "x" * 5000})] * 50
    assert len(paused_line("y" * 5000, waiting)) < 1500
