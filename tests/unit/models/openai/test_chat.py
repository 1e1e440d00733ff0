"""OpenAIChat against a server that speaks the protocol, over real HTTP."""

import json
import time
from typing import cast

import pytest
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionMessageParam
from pydantic import JsonValue

from kern.errors import InvalidDefinition
from kern.models.base import ModelRequest, ModelResponse, OutputSpec, ProviderError, ToolSpec, Usage
from kern.models.openai import OpenAIChat
from kern.run import Message, RequestedCall
from tests.support.model_server import Answer, Call, Failure, ModelServer, Raw, Step

USER = Message(role="user", content="Refund order 1042")
NUMBER: dict[str, JsonValue] = {
    "type": "object",
    "properties": {"n": {"type": "integer"}},
    "required": ["n"],
    "additionalProperties": False,
}


@pytest.fixture(params=[False, True], ids=["whole", "streamed"])
def streamed(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


class Asking:
    """One call of the model: what came back, what was streamed, and what was posted."""

    def __init__(self, answer: ModelResponse, streamed: str, body: dict[str, JsonValue]) -> None:
        self.answer = answer
        self.streamed = streamed
        self.body = body


async def ask(
    step: Step,
    *messages: Message,
    streamed: bool = False,
    request: ModelRequest | None = None,
    failure: Failure | None = None,
    reasoning: dict[str, JsonValue] | None = None,
    max_output_tokens: int | None = None,
) -> Asking:
    pieces = list[str]()
    with ModelServer([step]) as server:
        server.fail(*([failure] if failure else []))
        model = OpenAIChat(
            "m",
            base_url=server.base_url,
            reasoning=reasoning,
            max_output_tokens=max_output_tokens,
        )
        asked = request or ModelRequest(messages=messages or [USER])
        answer = await model.respond(asked, pieces.append if streamed else None)
    return Asking(answer, "".join(pieces), server.requests[0].body)


def replied(answer: ModelResponse) -> Message:
    return Message(role="assistant", **answer.model_dump(exclude={"usage"}))


async def test_text_calls_and_usage(*, streamed: bool) -> None:
    step = Answer("Let me see.", [Call("refund", order="1042"), Call("log", n=1)])
    asking = await ask(step, streamed=streamed)
    assert asking.answer.content == "Let me see."
    assert asking.answer.tool_calls == [
        RequestedCall(id="call_0_0", name="refund", arguments='{"order": "1042"}'),
        RequestedCall(id="call_0_1", name="log", arguments='{"n": 1}'),
    ]
    expected = Usage(input_tokens=11, output_tokens=7, cached_tokens=3, reasoning_tokens=2)
    assert asking.answer.usage == expected
    assert asking.streamed == ("Let me see." if streamed else "")


async def test_the_message_goes_back_with_fields_that_only_its_server_knows(
    *, streamed: bool
) -> None:
    step = Answer("So.", [Call("refund", n=1)], reasoning="hm hm hm", fields={"seal": {"a": [1]}})
    first = (await ask(step, streamed=streamed)).answer
    result = Message(role="tool", content="paid", tool_call_id="call_0_0", tool_name="refund")
    second = await ask("done", USER, replied(first), result)
    function: JsonValue = {"name": "refund", "arguments": '{"n": 1}'}
    assert second.body["messages"] == [
        {"role": "user", "content": "Refund order 1042"},
        {
            "role": "assistant",
            "content": "So.",
            "tool_calls": [{"id": "call_0_0", "type": "function", "function": function}],
            "reasoning_content": "hm hm hm",
            "seal": {"a": [1]},
        },
        {"role": "tool", "tool_call_id": "call_0_0", "content": "paid"},
    ]


async def test_answers_of_another_protocol_are_rebuilt() -> None:
    call = RequestedCall(id="c1", name="refund", arguments='{"broken')
    foreign = Message(
        role="assistant", content="So.", tool_calls=[call], provider="x", items=[{"a": 1}]
    )
    messages = cast(
        "list[dict[str, JsonValue]]", (await ask("done", USER, foreign)).body["messages"]
    )
    sendable = json.dumps({"invalid_json": '{"broken'})
    function: JsonValue = {"name": "refund", "arguments": sendable}
    assert messages[1] == {
        "role": "assistant",
        "content": "So.",
        "tool_calls": [{"id": "c1", "type": "function", "function": function}],
    }


async def test_settings_are_spelled_as_this_protocol_does() -> None:
    request = ModelRequest(instructions="Be kind.", messages=[USER])
    asking = await ask("a", request=request, reasoning={"effort": "low"}, max_output_tokens=9)
    assert asking.body == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": "Refund order 1042"},
        ],
        "max_completion_tokens": 9,
        "reasoning_effort": "low",
    }


async def test_reasoning_that_this_protocol_cannot_say_is_refused() -> None:
    with pytest.raises(InvalidDefinition, match="summary"):
        await ask("a", reasoning={"effort": "low", "summary": "auto"})


async def test_tools_are_offered_and_calls_can_be_forbidden() -> None:
    tool = ToolSpec(name="pay", description="Pay.", parameters=NUMBER)
    body = (await ask("a", request=ModelRequest(messages=[USER], tools=[tool]))).body
    function: JsonValue = {
        "name": "pay",
        "description": "Pay.",
        "parameters": NUMBER,
        "strict": True,
    }
    assert body["tools"] == [{"type": "function", "function": function}]
    assert "tool_choice" not in body
    forbidden = ModelRequest(messages=[USER], tools=[tool], may_call_tools=False)
    assert (await ask("a", request=forbidden)).body["tool_choice"] == "none"


async def test_the_output_schema_is_the_response_format() -> None:
    output = OutputSpec(name="Number", json_schema=NUMBER)
    body = (await ask("{}", request=ModelRequest(messages=[USER], output=output))).body
    assert body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "Number", "schema": NUMBER, "strict": True},
    }


async def test_a_stream_without_numbers_keeps_calls_apart() -> None:
    step = Answer("So.", [Call("a", x=1), Call("b", y="zzzzzzzz")], bare=True)
    answer = (await ask(step, streamed=True)).answer
    calls = [(call.id, call.name, call.arguments) for call in answer.tool_calls]
    assert calls == [("call_0_0", "a", '{"x": 1}'), ("call_0_1", "b", '{"y": "zzzzzzzz"}')]


def piece(**call: JsonValue) -> JsonValue:
    return {"choices": [{"delta": {"tool_calls": [call]}}]}


async def test_calls_that_are_all_numbered_zero_are_kept_apart() -> None:
    events: list[JsonValue] = [
        piece(index=0, id="c1", function={"name": "a", "arguments": '{"x":'}),
        piece(index=0, id="c1", function={"name": "a", "arguments": "1}"}),
        piece(index=0, id="c2", function={"name": "b", "arguments": "{}"}),
        {"choices": [{"delta": {}, "finish_reason": "tool_calls"}]},
    ]
    answer = (await ask(Raw(events=events), streamed=True)).answer
    calls = [(call.id, call.name, call.arguments) for call in answer.tool_calls]
    assert calls == [("c1", "a", '{"x":1}'), ("c2", "b", "{}")]


async def test_interleaved_calls_are_put_together_by_number() -> None:
    events: list[JsonValue] = [
        piece(index=0, id="c1", function={"name": "a", "arguments": "{"}),
        piece(index=1, id="c2", function={"name": "b", "arguments": '{"y"'}),
        piece(index=0, function={"arguments": "}"}),
        piece(index=1, function={"arguments": ":2}"}),
        {"choices": [], "usage": {"prompt_tokens": 5}},
    ]
    answer = (await ask(Raw(events=events), streamed=True)).answer
    calls = [(call.id, call.name, call.arguments) for call in answer.tool_calls]
    assert calls == [("c1", "a", "{}"), ("c2", "b", '{"y":2}')]
    assert answer.usage.input_tokens == 5


async def test_a_stream_without_its_end_is_no_answer() -> None:
    with pytest.raises(ProviderError, match="stream ended") as caught:
        await ask(Answer("A long ans", final=False), streamed=True)
    assert (caught.value.code, caught.value.retryable) == ("connection", True)


async def test_a_stream_that_is_cut_is_no_answer() -> None:
    with pytest.raises(ProviderError) as caught:
        await ask("A long answer", streamed=True, failure=Failure(cut_after=2))
    assert (caught.value.code, caught.value.retryable) == ("connection", True)


async def test_a_refusal_is_text(*, streamed: bool) -> None:
    asking = await ask(Answer(refusal="I will not."), streamed=streamed)
    assert asking.answer.content == "I will not."
    assert asking.streamed == ("I will not." if streamed else "")


async def test_content_in_parts_is_text() -> None:
    parts: JsonValue = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    answer = (await ask(Raw({"choices": [{"message": {"content": parts}}]}))).answer
    assert answer.content == "ab"


@pytest.mark.parametrize("reason", ["length", "content_filter"])
async def test_an_answer_cut_before_it_began_is_final(*, reason: str, streamed: bool) -> None:
    with pytest.raises(ProviderError, match=reason) as caught:
        await ask(Answer(reasoning="hm", cut=reason), streamed=streamed)
    assert (caught.value.code, caught.value.retryable) == ("refused", False)


async def test_an_answer_cut_later_is_kept(*, streamed: bool) -> None:
    assert (
        await ask(Answer("Half an", cut="length"), streamed=streamed)
    ).answer.content == "Half an"


async def test_an_empty_answer_is_empty(*, streamed: bool) -> None:
    answer = (await ask(Answer(), streamed=streamed)).answer
    assert (answer.content, answer.tool_calls) == ("", [])
    assert answer.items == [{"role": "assistant", "content": ""}]


async def test_what_cannot_be_stored_is_cleaned_everywhere(*, streamed: bool) -> None:
    step = Answer("a\ud800b\x00", [Call("t", x="\udfff")], fields={"note": "\ud801"})
    asking = await ask(step, Message(role="user", content="\ud800"), streamed=streamed)
    whole = asking.answer.model_dump_json() + asking.streamed
    whole.encode()
    assert "\x00" not in whole
    assert asking.answer.content.startswith("a?b")


async def test_missing_usage_counts_as_zero(*, streamed: bool) -> None:
    assert (await ask(Answer("a", usage=False), streamed=streamed)).answer.usage == Usage()


async def test_broken_arguments_stay_raw_and_go_back_as_json(*, streamed: bool) -> None:
    step = Answer(calls=[Call("a", arguments_text='{"x": '), Call("b", arguments_text="")])
    answer = (await ask(step, streamed=streamed)).answer
    assert [call.arguments for call in answer.tool_calls] == ['{"x": ', "{}"]
    calls = cast("list[dict[str, dict[str, str]]]", answer.items[0]["tool_calls"])
    assert json.loads(calls[0]["function"]["arguments"]) == {"invalid_json": '{"x": '}


async def test_calls_without_ids_get_ids_that_do_not_repeat() -> None:
    calls: list[JsonValue] = [{"function": {"name": "a", "arguments": {"x": 1}}} for _ in range(2)]
    answer = (await ask(Raw({"choices": [{"message": {"tool_calls": calls}}]}))).answer
    assert [call.id for call in answer.tool_calls] == ["call_1_0", "call_1_1"]
    sent = cast("list[dict[str, JsonValue]]", answer.items[0]["tool_calls"])
    assert [call["id"] for call in sent] == ["call_1_0", "call_1_1"]


async def test_a_long_conversation_costs_a_fraction_of_the_clients_own_way() -> None:
    messages = [Message(role="user", content=f"message {n}") for n in range(800)]
    items: list[JsonValue] = [{"role": "user", "content": m.content} for m in messages]
    given = cast("list[ChatCompletionMessageParam]", items)
    ours, theirs = list[float](), list[float]()
    with ModelServer(["hello"]) as server:
        model = OpenAIChat("m", base_url=server.base_url)
        client = AsyncOpenAI(base_url=server.base_url, api_key="none")
        await model.respond(ModelRequest(messages=messages[:1]))
        await client.chat.completions.create(model="m", messages=given[:1])
        for _ in range(3):
            start = time.thread_time()
            await model.respond(ModelRequest(messages=messages))
            ours.append(time.thread_time() - start)
            start = time.thread_time()
            await client.chat.completions.create(model="m", messages=given)
            theirs.append(time.thread_time() - start)
        await client.close()
        assert server.requests[-1].body["messages"] == server.requests[-2].body["messages"]
    assert min(ours) < min(theirs) / 5
