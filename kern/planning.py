"""Turns a model's answer into what is stored.

Checked and frozen calls, requirements, or a final content.
"""

from pydantic import JsonValue, ValidationError

from kern.agent import Agent
from kern.canonical import clean_text, parse_json
from kern.db.turns import Answer, NewCall, Question
from kern.gates import gate_of
from kern.models.base import ModelResponse
from kern.requirements import UserInputField
from kern.run import RequestedCall
from kern.states import RequirementKind
from kern.tool_schema import describe
from kern.tools import Tool

_CORRECTIONS = 3
# How many calls beyond the limit are answered with an error before the run ends.
_STUBBORN = 20


def plan(agent: Agent, response: ModelResponse, calls_so_far: int, corrections: int) -> Answer:
    """Decide what follows from an answer.

    It calls the tools' predicates, which are the user's code.
    """
    response = _storable(response)
    calls = [
        plan_call(agent, requested, calls_so_far + index)
        for index, requested in enumerate(response.tool_calls)
    ]
    limit = agent.tool_call_limit
    if calls and limit is not None and calls_so_far >= limit + _STUBBORN:
        failure = f"The model asks for calls beyond the limit of {limit} and does not answer."
        return Answer(response, calls, failure=("tool_call_limit", failure))
    if calls or agent.output_schema is None:
        return Answer(response, calls)
    try:
        content = agent.output_schema.model_validate_json(response.content)
    except ValidationError as error:
        return _unfit(agent, response, describe(error), corrections)
    return Answer(response.model_copy(update={"content": content.model_dump_json()}))


def _storable(response: ModelResponse) -> ModelResponse:
    """Return an answer whose calls hold nothing that a database refuses."""
    if not response.tool_calls:
        return response
    cleaned = [
        RequestedCall(
            id=clean_text(one.id), name=clean_text(one.name), arguments=clean_text(one.arguments)
        )
        for one in response.tool_calls
    ]
    return response.model_copy(update={"tool_calls": cleaned})


def plan_call(agent: Agent, requested: RequestedCall, made: int) -> NewCall:
    """Check one call that the model asked for, and freeze its arguments in full."""
    name = clean_text(requested.name)
    tool = agent.tools.get(name)
    if agent.tool_call_limit is not None and made >= agent.tool_call_limit:
        limit = (
            f"This run may make {agent.tool_call_limit} tool calls and has made them. Answer "
            "without further calls."
        )
        return _refused(requested, name, limit)
    if tool is None:
        there = ", ".join(sorted(agent.tools)) or "none"
        return _refused(requested, name, f"There is no tool {name!r}. The tools are: {there}.")
    try:
        given = parse_json(requested.arguments or "{}")
    except ValueError as error:
        return _refused(
            requested,
            name,
            f"The arguments of {name!r} are not valid JSON: {error}. Call it again.",
        )
    if not isinstance(given, dict):
        return _refused(
            requested, name, f"The arguments of {name!r} must be a JSON object. Call it again."
        )
    return _checked(tool, requested, given)


def _checked(tool: Tool, requested: RequestedCall, given: dict[str, JsonValue]) -> NewCall:
    try:
        kind: RequirementKind | None = RequirementKind.user_input
        if tool.kind is kind:
            asked = set(tool.asked_fields)
            own = {key: value for key, value in given.items() if key not in asked}
            frozen = tool.signature.freeze(own, without=asked)
        else:
            frozen = tool.signature.freeze(given)
            kind = gate_of(tool, tool.signature.validate(frozen))
        question = None if kind is None else _question(tool, kind, frozen)
    except ValueError as error:
        problem = (
            f"The arguments of {tool.name!r} do not fit: {error}. Correct them and call it again."
        )
        return _refused(requested, tool.name, problem)
    return NewCall(
        provider_call_id=requested.id,
        name=tool.name,
        arguments=frozen,
        effect=tool.effect.value,
        retries=tool.retries,
        timeout=tool.timeout,
        question=question,
    )


def _refused(requested: RequestedCall, name: str, problem: str) -> NewCall:
    return NewCall(provider_call_id=requested.id, name=name, error=clean_text(problem))


def _question(tool: Tool, kind: RequirementKind, frozen: dict[str, JsonValue]) -> Question:
    choices, text = _choices(tool, frozen) if kind is RequirementKind.user_feedback else ([], None)
    return Question(
        kind=kind,
        arguments_schema=tool.signature.schema,
        question=text,
        fields=[_asked(tool, name) for name in tool.asked_fields],
        choices=choices,
        multiple=kind is RequirementKind.user_feedback and frozen.get("multiple") is True,
        approval=tool.approval,
    )


def _choices(tool: Tool, frozen: dict[str, JsonValue]) -> tuple[list[str], str | None]:
    options, text = frozen.get("options"), frozen.get("question")
    offered = (
        [item for item in options if isinstance(item, str)] if isinstance(options, list) else []
    )
    if not offered or len(set(offered)) != len(offered):
        message = f"options: {tool.name!r} needs a list of one or more different texts"
        raise ValueError(message)
    return offered, text if isinstance(text, str) else None


def _asked(tool: Tool, name: str) -> UserInputField:
    schema = _properties(tool).get(name, {})
    needed = tool.signature.schema.get("required")
    required = isinstance(needed, list) and name in needed
    shape = schema if isinstance(schema, dict) else {}
    return UserInputField(
        name=name,
        type=str(shape.get("type", "any")),
        description=str(shape.get("description", "")),
        required=required,
        json_schema=shape,
        default=shape.get("default"),
    )


def _properties(tool: Tool) -> dict[str, JsonValue]:
    properties = tool.signature.schema.get("properties")
    return properties if isinstance(properties, dict) else {}


def _unfit(agent: Agent, response: ModelResponse, problem: str, corrections: int) -> Answer:
    name = agent.output_schema.__name__ if agent.output_schema else ""
    if corrections >= _CORRECTIONS:
        failure = (
            f"The model's answer does not fit {name!r} after {corrections} corrections: {problem}."
        )
        return Answer(response, failure=("invalid_output", failure))
    correction = (
        f"Your answer does not fit the required JSON schema {name!r}: {problem}. Answer again with "
        "JSON only."
    )
    return Answer(response, correction=clean_text(correction))
