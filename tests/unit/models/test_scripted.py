"""ScriptedModel: what it says depends on the conversation and on nothing else."""

import pytest
from pydantic import BaseModel

from kern.errors import InvalidDefinition
from kern.models.base import ModelRequest, ModelResponse, ProviderError, Usage
from kern.models.scripted import Call, ScriptedModel, Step
from kern.run import Message, RequestedCall

USER = Message(role="user", content="two words")
SAID = Message(role="assistant", content="said before")
RESULT = Message(role="tool", content="a result", tool_call_id="call_0_0")


async def say(model: ScriptedModel, *messages: Message) -> ModelResponse:
    return await model.respond(ModelRequest(messages=messages))


async def test_each_answer_since_the_user_spoke_has_its_step() -> None:
    model = ScriptedModel([Call("look"), "found it"])
    assert (await say(model, USER)).tool_calls[0].name == "look"
    assert (await say(model, USER, SAID, RESULT)).content == "found it"


async def test_earlier_runs_of_a_session_do_not_count() -> None:
    model = ScriptedModel(["first", "second"])
    assert (await say(model, USER, SAID, USER, SAID, USER)).content == "first"


async def test_asking_again_gives_the_same_answer() -> None:
    step: Step = ["Well.", Call("a", n=1), Call("b", arguments_text="{broken")]
    answers = [await say(ScriptedModel([step]), USER) for _ in range(2)]
    assert answers[0] == answers[1]
    assert answers[0].tool_calls == [
        RequestedCall(id="call_0_0", name="a", arguments='{"n": 1}'),
        RequestedCall(id="call_0_1", name="b", arguments="{broken"),
    ]


async def test_call_ids_of_later_turns_differ() -> None:
    answer = await say(ScriptedModel([Call("a"), Call("a")]), USER, SAID, RESULT)
    assert answer.tool_calls[0].id == "call_1_0"


async def test_past_the_end_the_last_text_is_repeated() -> None:
    assert (await say(ScriptedModel(["only"]), USER, SAID, SAID)).content == "only"


async def test_past_the_end_a_last_call_is_not_repeated() -> None:
    with pytest.raises(ProviderError, match="1 steps and was asked for number 2") as caught:
        await say(ScriptedModel([Call("a")]), USER, SAID)
    assert not caught.value.retryable


async def test_a_function_sees_the_request() -> None:
    model = ScriptedModel(lambda request: f"you said {request.messages[-1].content}")
    assert (await say(model, USER)).content == "you said two words"


async def test_a_pydantic_model_is_its_json() -> None:
    class Bill(BaseModel):
        amount: int

    assert (await say(ScriptedModel([Bill(amount=3)]), USER)).content == '{"amount":3}'


async def test_an_exception_is_raised() -> None:
    busy = ProviderError("busy", code="rate_limited", retryable=True, retry_after=1)
    with pytest.raises(ProviderError) as caught:
        await say(ScriptedModel([busy]), USER)
    assert caught.value is busy


async def test_usage_counts_words() -> None:
    request = ModelRequest(instructions="be kind", messages=[USER, SAID])
    answer = await ScriptedModel(["x", ["one two three", Call("a", b=1)]]).respond(request)
    assert answer.usage == Usage(input_tokens=6, output_tokens=5)


async def test_text_is_streamed_in_words() -> None:
    pieces = list[str]()
    model = ScriptedModel([["  one two\nthree ", Call("a")]])
    answer = await model.respond(ModelRequest(messages=[USER]), pieces.append)
    assert pieces == ["  ", "one ", "two\n", "three "]
    assert "".join(pieces) == answer.content


async def test_text_is_clean() -> None:
    assert (await say(ScriptedModel(["a\ud800\x00"]), USER)).content.isprintable()


def test_an_argument_may_be_called_name() -> None:
    assert Call("a", name="x").arguments_text == '{"name": "x"}'


@pytest.mark.parametrize("script", [[], "text"])
def test_a_script_that_is_none_is_refused(script: list[str] | str) -> None:
    with pytest.raises(InvalidDefinition, match="list of steps"):
        ScriptedModel(script)
