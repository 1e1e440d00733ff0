"""Planning: what a model asks for is checked, frozen, or answered with a clear error."""

from collections.abc import Sequence

import pytest
from pydantic import BaseModel, Field, JsonValue

from kern.agent import Agent
from kern.components.agents.planning import RunSoFar, plan, plan_call
from kern.contracts.answers import Answer, NewCall, Question
from kern.models.base import ModelResponse
from kern.models.scripted import ScriptedModel
from kern.run import RequestedCall
from kern.tools import Function, Tool, ask_user, tool
from kern.values.states import RequirementKind


class Verdict(BaseModel):
    score: int = Field(ge=0)


def refund(order_id: str, amount: float = 5.0) -> str:
    """Pay back."""
    return order_id


def agent(*tools: Tool | Function, limit: int | None = None) -> Agent:
    return Agent(id="a", model=ScriptedModel(["."]), tools=tools, tool_call_limit=limit)


def planned(arguments: str, one: Tool | Function = refund) -> NewCall:
    name = one.name if isinstance(one, Tool) else "refund"
    return plan_call(agent(one), RequestedCall(id="1", name=name, arguments=arguments), RunSoFar())


def asked(arguments: str, one: Tool) -> tuple[dict[str, JsonValue], Question]:
    call = planned(arguments, one)
    assert call.error is None
    assert call.question is not None
    return call.arguments, call.question


def answered(content: str, corrections: int = 0, calls: Sequence[RequestedCall] = ()) -> Answer:
    response = ModelResponse(content=content, provider="scripted", tool_calls=list(calls))
    typed = Agent(id="a", model=ScriptedModel(["."]), tools=[refund], output_schema=Verdict)
    return plan(typed, response, RunSoFar(corrections=corrections))


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ("{broken", "not valid JSON"),
        ('{"order_id": "1", "amount": NaN}', "NaN is not a JSON number"),
        ('{"order_id": "1", "amount": -Infinity}', "not a JSON number"),
        ('{"order_id": "1", "amount": 1e999}', "1e999 is not a JSON number"),
        ("[" * 100_000, "nested deeper"),
        ('{"order_id": ' + "[" * 101 + "]" * 101 + "}", "nested deeper"),
        ('{"order_id": "1", "amount": ' + "9" * 10_000 + "}", "not valid JSON"),
        ("[1]", "must be a JSON object"),
        ('"text"', "must be a JSON object"),
        ("null", "must be a JSON object"),
        ("{}", "order_id: Field required"),
        ('{"order_id": 7}', r"order_id: .*string \(got '7'\)"),
        ('{"order_id": "1", "amount": "much"}', "amount: .*number"),
        ('{"order_id": "1", "currency": "EUR"}', "currency: Extra inputs"),
    ],
)
def test_arguments_that_do_not_fit_go_back_to_the_model(arguments: str, why: str) -> None:
    call = planned(arguments)
    assert call.error is not None
    assert call.arguments == {}
    assert call.question is None
    with pytest.raises(AssertionError, match=why):
        raise AssertionError(call.error)


def test_no_arguments_at_all_are_an_empty_object() -> None:
    def look() -> None: ...

    assert planned("", Tool(look)).error is None


def test_an_unknown_tool_is_answered_with_those_there_are() -> None:
    call = plan_call(
        agent(refund), RequestedCall(id="1", name="re\x00fund", arguments="{}"), RunSoFar()
    )
    assert call.error == "There is no tool 're\ufffdfund'. The tools are: refund."


def test_calls_above_the_limit_are_refused_one_by_one() -> None:
    wanted = [RequestedCall(id=str(n), name="refund", arguments='{"order_id": "1"}') for n in "ab"]
    response = ModelResponse(provider="scripted", tool_calls=wanted)
    calls = plan(agent(refund, limit=3), response, RunSoFar(call_count=2)).calls
    assert [call.error is None for call in calls] == [True, False]
    assert "may make 3 tool calls" in str(calls[1].error)


def test_what_is_frozen_is_in_full() -> None:
    assert planned('{"order_id": "1"}').arguments == {"order_id": "1", "amount": 5.0}


def test_the_predicate_sees_validated_arguments_with_defaults() -> None:
    seen: list[object] = []

    def watch(given: dict[str, object]) -> bool:
        seen.append(dict(given))
        return False

    one = tool(requires_confirmation=watch)(refund)
    assert planned('{"order_id": "1", "amount": "2.5"}', one).question is None
    assert seen == [{"order_id": "1", "amount": 2.5}]


def test_texts_are_cleaned_before_they_are_frozen() -> None:
    call = planned('{"order_id": "a\\ud800b\\u0000c"}')
    assert call.arguments["order_id"] == "a?b\ufffdc"


def test_what_a_person_fills_in_is_never_taken_from_the_model() -> None:
    one = tool(user_input_fields=["amount"])(refund)
    arguments, question = asked('{"order_id": "1", "amount": 99}', one)
    assert arguments == {"order_id": "1"}
    assert [(field.name, field.type, field.required) for field in question.fields] == [
        ("amount", "number", False)
    ]
    assert question.fields[0].default == 5.0


def test_what_the_model_suggests_is_filled_in_with_where_it_was_found() -> None:
    one = tool(user_input_fields=["amount", "order_id"], agent_suggests=True)(refund)
    arguments, question = asked(
        '{"suggestions": {"amount": {"value": "40", "source": " mail of\\u0000 25 Nov "},'
        ' "order_id": {"value": "1042"}}}',
        one,
    )
    assert arguments == {}
    assert [(field.name, field.default, field.source) for field in question.fields] == [
        ("amount", 40.0, "From the agent: mail of\ufffd 25 Nov"),
        ("order_id", "1042", "From the agent, which does not say where it found it."),
    ]
    _, question = asked("{}", one)
    assert [(field.default, field.source) for field in question.fields] == [
        (5.0, None),
        (None, None),
    ]


@pytest.mark.parametrize(
    ("suggestions", "why"),
    [
        ("[]", "suggestions: give an object with any of amount"),
        ('{"order_id": {"value": "1"}}', "suggestions: give an object with any of amount"),
        ('{"amount": 4}', "suggestions.amount: give an object with `value`"),
        ('{"amount": {"value": "much"}}', "amount: Input should be a valid number"),
    ],
)
def test_a_suggestion_that_does_not_fit_is_refused(suggestions: str, why: str) -> None:
    one = tool(user_input_fields=["amount"], agent_suggests=True)(refund)
    assert why in str(planned(f'{{"order_id": "1", "suggestions": {suggestions}}}', one).error)
    # Without the option it is an argument that there is not.
    other = tool(user_input_fields=["amount"])(refund)
    assert "suggestions: Extra" in str(planned('{"order_id": "1", "suggestions": {}}', other).error)


def test_the_models_own_part_is_checked_before_a_person_is_asked() -> None:
    one = tool(user_input_fields=["amount"])(refund)
    assert "order_id: Field required" in str(planned('{"amount": 1}', one).error)
    assert "order_id" in str(planned('{"order_id": [1]}', one).error)
    assert "nope: Extra" in str(planned('{"order_id": "1", "nope": 1}', one).error)


def test_the_models_own_part_is_frozen_with_its_defaults() -> None:
    one = tool(user_input_fields=["order_id"])(refund)
    arguments, question = asked("{}", one)
    assert arguments == {"amount": 5.0}
    assert [(field.name, field.required) for field in question.fields] == [("order_id", True)]


def test_feedback_asks_with_the_models_options() -> None:
    _, question = asked('{"question": "Which?", "options": ["a", "b"], "multiple": true}', ask_user)
    assert (question.question, question.choices, question.multiple) == ("Which?", ["a", "b"], True)
    assert question.kind is RequirementKind.user_feedback


@pytest.mark.parametrize("options", ["[]", '["a", "a"]', '"a"', "[1]", "null"])
def test_options_that_nobody_could_choose_from_are_refused(options: str) -> None:
    call = planned(f'{{"question": "?", "options": {options}}}', ask_user)
    assert "options" in str(call.error)


def test_an_answer_that_fits_the_schema_is_stored_as_its_json() -> None:
    answer = answered(' {"score": "7"} ')
    assert answer.response.content == '{"score":7}'
    assert (answer.correction, answer.failure) == (None, None)


@pytest.mark.parametrize("content", ["no json", '{"score": -1}', "{}", ""])
def test_an_answer_that_does_not_fit_is_corrected_three_times_and_fails_then(content: str) -> None:
    for corrections in range(3):
        answer = answered(content, corrections)
        assert "Verdict" in str(answer.correction)
        assert answer.failure is None
    last = answered(content, 3)
    assert last.correction is None
    assert last.failure is not None
    assert last.failure[0] == "invalid_output"
    assert "after 3 corrections" in last.failure[1]


def test_calls_come_before_the_schema_of_the_answer() -> None:
    call = RequestedCall(id="1", name="refund", arguments='{"order_id": "1"}')
    answer = answered("let me look", calls=[call])
    assert len(answer.calls) == 1
    assert answer.correction is None


def test_calls_beyond_what_one_answer_may_ask_for_are_refused() -> None:
    requested = [RequestedCall(id=str(n), name="note", arguments="{}") for n in range(2100)]

    def note() -> str:
        return "noted"

    answer = plan(agent(note), ModelResponse(provider="x", tool_calls=requested), RunSoFar())
    refused = [call for call in answer.calls if call.error]
    assert len(answer.calls) == 2100
    assert len(refused) == 1600
    assert "500" in (refused[0].error or "")
