"""OpenAIResponses against a server that speaks the protocol, over real HTTP."""

import asyncio
import gc
import json
import subprocess
import sys
import time
from typing import cast

import pytest
from openai import AsyncOpenAI
from openai.types.responses import ResponseInputParam
from pydantic import BaseModel, JsonValue

from kern.models.base import ModelRequest, ModelResponse, OutputSpec, ProviderError, ToolSpec, Usage
from kern.models.openai import OpenAIChat, OpenAIResponses
from kern.run import Message, RequestedCall
from tests.support.model_server import Answer, Asked, Call, Failure, ModelServer, Raw, Step

USER = Message(role="user", content="Refund order 1042")
REFUND = ToolSpec(
    name="refund",
    description="Pay back.",
    parameters={"type": "object", "properties": {"order": {"type": "string"}}},
)


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(params=[False, True], ids=["whole", "streamed"])
def streamed(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


class Asking:
    """One call of the model: what came back, what was streamed, and what the server was asked."""

    answer: ModelResponse
    streamed: str
    asked: Asked

    @property
    def body(self) -> dict[str, JsonValue]:
        return self.asked.body


async def ask(
    step: Step,
    *messages: Message,
    streamed: bool = False,
    model: OpenAIResponses | None = None,
    request: ModelRequest | None = None,
    failure: Failure | None = None,
) -> Asking:
    asking, pieces = Asking(), list[str]()
    request = request or ModelRequest(messages=messages or [USER])
    with ModelServer([step]) as server:
        server.fail(*([failure] if failure else []))
        used = model or OpenAIResponses(id="gpt-5.2")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("OPENAI_BASE_URL", server.base_url)
            asking.answer = await used.respond(request, pieces.append if streamed else None)
    asking.streamed, asking.asked = "".join(pieces), server.requests[0]
    return asking


def replied(answer: ModelResponse) -> Message:
    return Message(role="assistant", **answer.model_dump(exclude={"usage"}))


async def test_neither_importing_nor_constructing_loads_openai() -> None:
    code = (
        "import sys; from kern.models.openai import OpenAIResponses; OpenAIResponses('m');"
        "sys.exit('openai' in sys.modules)"
    )
    done = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", code], check=False)
    assert done.returncode == 0


async def test_missing_key_is_final_and_names_the_variable() -> None:
    with pytest.raises(ProviderError, match="OPENAI_API_KEY") as caught:
        await OpenAIResponses("gpt-5.2").respond(ModelRequest(messages=[USER]))
    assert (caught.value.code, caught.value.retryable) == ("refused", False)


async def test_key_is_sent_stripped_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", " the-secret\n")
    model = OpenAIResponses("gpt-5.2")
    asking = await ask("hello", model=model)
    assert asking.asked.headers["authorization"] == "Bearer the-secret"
    assert "the-secret" not in repr(model)


async def test_a_local_server_needs_no_key() -> None:
    assert (await ask("hello")).answer.content == "hello"


async def test_text_calls_items_and_usage(*, streamed: bool) -> None:
    step = Answer("Let me see.", [Call("refund", order="1042"), Call("log", n=1)], reasoning="hm")
    asking = await ask(step, streamed=streamed)
    answer = asking.answer
    assert answer.content == "Let me see."
    assert answer.tool_calls == [
        RequestedCall(id="call_0_0", name="refund", arguments='{"order": "1042"}'),
        RequestedCall(id="call_0_1", name="log", arguments='{"n": 1}'),
    ]
    assert [item["type"] for item in answer.items] == [
        "reasoning",
        "message",
        "function_call",
        "function_call",
    ]
    expected = Usage(input_tokens=11, output_tokens=7, cached_tokens=3, reasoning_tokens=2)
    assert answer.usage == expected
    assert asking.streamed == ("Let me see." if streamed else "")


async def test_items_go_back_as_they_came(*, streamed: bool) -> None:
    step = Answer("So.", [Call("refund")], reasoning="hm", fields={"phase": "commentary"})
    first = (await ask(step, streamed=streamed)).answer
    result = Message(role="tool", content="paid", tool_call_id="call_0_0", tool_name="refund")
    second = await ask("done", USER, replied(first), result)
    assert second.body["input"] == [
        {"role": "user", "content": "Refund order 1042"},
        *first.items,
        {"type": "function_call_output", "call_id": "call_0_0", "output": "paid"},
    ]
    assert first.items[0]["encrypted_content"] == "sealed:hm"
    assert first.items[1]["phase"] == "commentary"


async def test_answers_of_another_protocol_are_rebuilt() -> None:
    call = RequestedCall(id="c1", name="refund", arguments='{"order": 1}')
    foreign = Message(
        role="assistant", content="So.", tool_calls=[call], provider="x", items=[{"a": 1}]
    )
    asking = await ask("done", USER, foreign)
    assert asking.body["input"] == [
        {"role": "user", "content": "Refund order 1042"},
        {"role": "assistant", "content": "So."},
        {
            "type": "function_call",
            "call_id": "c1",
            "name": "refund",
            "arguments": '{"order": 1}',
        },
    ]


async def test_reasoning_that_the_server_did_not_hand_over_is_not_referred_to() -> None:
    items: list[dict[str, JsonValue]] = [
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "message", "id": "msg_1", "role": "assistant", "content": []},
    ]
    before = Message(role="assistant", provider="openai.responses", items=items)
    asking = await ask("done", USER, before)
    conversation = cast("list[JsonValue]", asking.body["input"])
    assert conversation[1:] == [{"type": "message", "role": "assistant", "content": []}]


async def test_nothing_is_left_to_the_servers_memory() -> None:
    model = OpenAIResponses(
        "gpt-5.2", reasoning={"effort": "low"}, temperature=0.5, max_output_tokens=99
    )
    request = ModelRequest(instructions="Be kind.", messages=[USER])
    body = (await ask("hello", model=model, request=request)).body
    assert body == {
        "model": "gpt-5.2",
        "instructions": "Be kind.",
        "input": [{"role": "user", "content": "Refund order 1042"}],
        "store": False,
        "temperature": 0.5,
        "max_output_tokens": 99,
        "reasoning": {"effort": "low"},
        "include": ["reasoning.encrypted_content"],
    }


async def test_extra_adds_replaces_and_removes_fields() -> None:
    model = OpenAIResponses("gpt-5.2", extra={"top_p": 0.1, "store": None, "model": "other"})
    body = (await ask("hello", model=model)).body
    assert (body["top_p"], body["model"], "store" in body) == (0.1, "other", False)


@pytest.mark.parametrize("may_call", [True, False])
async def test_tools_are_offered_and_calls_can_be_forbidden(*, may_call: bool) -> None:
    request = ModelRequest(messages=[USER], tools=[REFUND], may_call_tools=may_call)
    body = (await ask("hello", request=request)).body
    assert body["tools"] == [
        {
            "type": "function",
            "name": "refund",
            "description": "Pay back.",
            "parameters": REFUND.parameters,
            "strict": False,
        }
    ]
    assert body.get("tool_choice") == (None if may_call else "none")


async def test_a_tool_whose_schema_is_strict_already_is_enforced() -> None:
    closed: dict[str, JsonValue] = {
        **REFUND.parameters,
        "required": ["order"],
        "additionalProperties": False,
    }
    tool = ToolSpec(name="refund", parameters=closed)
    body = (await ask("hello", request=ModelRequest(messages=[USER], tools=[tool]))).body
    assert cast("list[dict[str, JsonValue]]", body["tools"])[0]["strict"] is True


class Line(BaseModel):
    name: str
    amount: float = 1.0


class Bill(BaseModel):
    """A bill."""

    lines: list[Line]
    note: str | None = None


class Free(BaseModel):
    """Strict mode has no free keys."""

    values: dict[str, int]


class Open(BaseModel, extra="allow"):
    """Strict mode has no further keys."""

    name: str


async def test_an_output_schema_is_strict_where_strict_mode_can_express_it() -> None:
    output = OutputSpec(name="Bill[x]", json_schema=Bill.model_json_schema())
    body = (await ask("{}", request=ModelRequest(messages=[USER], output=output))).body
    format_ = cast("dict[str, dict[str, JsonValue]]", body["text"])["format"]
    schema = cast("dict[str, JsonValue]", format_["schema"])
    line = cast("dict[str, dict[str, JsonValue]]", schema["$defs"])["Line"]
    assert (format_["type"], format_["name"], format_["strict"]) == ("json_schema", "Bill_x_", True)
    assert schema["required"] == ["lines", "note"]
    assert schema["additionalProperties"] is False
    assert line["required"] == ["name", "amount"]
    assert "default" not in json.dumps(schema)


@pytest.mark.parametrize("model", [Free, Open])
async def test_an_output_schema_beyond_strict_mode_is_sent_unchanged(
    model: type[BaseModel],
) -> None:
    output = OutputSpec(name="Shape", json_schema=model.model_json_schema())
    body = (await ask("{}", request=ModelRequest(messages=[USER], output=output))).body
    assert cast("dict[str, JsonValue]", body["text"])["format"] == {
        "type": "json_schema",
        "name": "Shape",
        "schema": model.model_json_schema(),
        "strict": False,
    }


@pytest.mark.parametrize("bare", [True, False])
@pytest.mark.parametrize("final", [True, False])
async def test_streams_of_sloppy_servers_are_read(*, bare: bool, final: bool) -> None:
    step = Answer("Let me see.", [Call("a", x=1), Call("b", y="zzzzzzzz")], bare=bare, final=final)
    asking = await ask(step, streamed=True)
    assert (asking.answer.content, asking.streamed) == ("Let me see.", "Let me see.")
    calls = [(call.id, call.name, call.arguments) for call in asking.answer.tool_calls]
    assert calls == [("call_0_0", "a", '{"x": 1}'), ("call_0_1", "b", '{"y": "zzzzzzzz"}')]


async def test_a_stream_of_nothing_but_pieces_is_put_together() -> None:
    events: list[JsonValue] = [
        {"type": "response.output_text.delta", "delta": "Hel"},
        {"type": "response.output_text.delta", "delta": "lo"},
        {"type": "response.output_text.done"},
        {
            "type": "response.output_item.added",
            "item": {"type": "function_call", "id": "f", "call_id": "c", "name": "a"},
        },
        {"type": "response.function_call_arguments.delta", "item_id": "f", "delta": '{"x"'},
        {"type": "response.function_call_arguments.delta", "item_id": "f", "delta": ":1}"},
        {"type": "response.function_call_arguments.done", "item_id": "f"},
        {"type": "response.completed", "response": {"usage": {"input_tokens": 4}}},
    ]
    answer = (await ask(Raw(events=events), streamed=True)).answer
    assert (answer.content, answer.usage.input_tokens) == ("Hello", 4)
    assert answer.tool_calls == [RequestedCall(id="c", name="a", arguments='{"x":1}')]


@pytest.mark.parametrize("events", [0, 1, 4])
async def test_a_stream_that_is_cut_is_no_answer(events: int) -> None:
    with pytest.raises(ProviderError) as caught:
        await ask(Answer("A long answer"), streamed=True, failure=Failure(cut_after=events))
    assert (caught.value.code, caught.value.retryable) == ("connection", True)


async def test_a_stream_that_ends_early_is_no_answer() -> None:
    events: list[JsonValue] = [{"type": "response.output_text.delta", "delta": "Hel"}]
    with pytest.raises(ProviderError, match="stream ended") as caught:
        await ask(Raw(events=events), streamed=True)
    assert caught.value.retryable


async def test_an_error_of_the_listener_is_its_own() -> None:
    def refuse(piece: str) -> None:
        raise LookupError(piece)

    with ModelServer(["hello"]) as server:
        model = OpenAIResponses("m", base_url=server.base_url)
        with pytest.raises(LookupError, match="hello"):
            await model.respond(ModelRequest(messages=[USER]), refuse)


async def test_a_refusal_is_text(*, streamed: bool) -> None:
    asking = await ask(Answer(refusal="I will not."), streamed=streamed)
    assert asking.answer.content == "I will not."
    assert asking.streamed == ("I will not." if streamed else "")


async def test_an_answer_cut_before_it_began_is_final(*, streamed: bool) -> None:
    with pytest.raises(ProviderError, match="max_output_tokens") as caught:
        await ask(Answer(reasoning="hm", cut="max_output_tokens"), streamed=streamed)
    assert (caught.value.code, caught.value.retryable) == ("refused", False)


async def test_an_answer_cut_later_is_kept(*, streamed: bool) -> None:
    step = Answer("Half an ans", cut="max_output_tokens")
    assert (await ask(step, streamed=streamed)).answer.content == "Half an ans"


async def test_an_empty_answer_is_empty(*, streamed: bool) -> None:
    answer = (await ask(Answer(), streamed=streamed)).answer
    assert (answer.content, answer.tool_calls, answer.items) == ("", [], [])


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
    assert json.loads(str(answer.items[0]["arguments"])) == {"invalid_json": '{"x": '}


async def test_calls_without_ids_get_ids_that_do_not_repeat() -> None:
    items: list[JsonValue] = [{"type": "function_call", "name": "a", "arguments": {"x": 1}}] * 2
    answer = (await ask(Raw({"output": items}))).answer
    assert [call.id for call in answer.tool_calls] == ["call_1_0", "call_1_1"]
    assert [item["call_id"] for item in answer.items] == ["call_1_0", "call_1_1"]
    assert answer.tool_calls[0].arguments == '{"x": 1}'


async def test_a_long_conversation_costs_a_fraction_of_the_clients_own_way() -> None:
    messages = [Message(role="user", content=f"message {n}") for n in range(800)]
    items: list[JsonValue] = [{"role": "user", "content": m.content} for m in messages]
    ours, theirs = list[float](), list[float]()
    with ModelServer(["hello"]) as server:
        model = OpenAIResponses("m", base_url=server.base_url)
        client = AsyncOpenAI(base_url=server.base_url, api_key="none")
        await model.respond(ModelRequest(messages=messages[:1]))
        await client.responses.create(model="m", input="warm up")
        for _ in range(3):
            start = time.thread_time()
            await model.respond(ModelRequest(messages=messages))
            ours.append(time.thread_time() - start)
            start = time.thread_time()
            await client.responses.create(model="m", input=cast("ResponseInputParam", items))
            theirs.append(time.thread_time() - start)
        await client.close()
        assert server.requests[-1].body["input"] == server.requests[-2].body["input"]
    assert min(ours) < min(theirs) / 5


async def test_calls_of_one_loop_share_a_connection() -> None:
    with ModelServer(["hello"]) as server:
        model = OpenAIResponses("m", base_url=server.base_url)
        for _ in range(3):
            await model.respond(ModelRequest(messages=[USER]))
            await model.respond(ModelRequest(messages=[USER]), lambda _: None)
        assert len({asked.port for asked in server.requests}) == 1


async def test_a_model_serves_many_loops_and_leaves_nothing_open() -> None:
    with ModelServer(["hello"]) as server:
        models = [
            OpenAIResponses("m", base_url=server.base_url),
            OpenAIChat("m", base_url=server.base_url),
        ]

        async def both() -> None:
            calls = [model.respond(ModelRequest(messages=[USER])) for model in models * 2]
            answers = await asyncio.gather(*calls)
            assert [answer.content for answer in answers] == ["hello"] * 4

        for _ in range(3):
            await asyncio.to_thread(asyncio.run, both())
        # A socket left open would be a ResourceWarning here, which is an error.
        gc.collect()


async def test_the_timeout_bounds_the_call(*, streamed: bool) -> None:
    with ModelServer(["hello"]) as server:
        server.stall()
        model = OpenAIResponses("m", base_url=server.base_url, timeout=0.3)
        with pytest.raises(ProviderError, match="`timeout`") as caught:
            await model.respond(
                ModelRequest(messages=[USER]), (lambda _: None) if streamed else None
            )
    assert (caught.value.code, caught.value.retryable) == ("timeout", True)
