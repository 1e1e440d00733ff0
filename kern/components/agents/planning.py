"""Turns a model's answer into what is stored.

Checked and frozen calls, requirements, or a final content.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pydantic import JsonValue, ValidationError

from kern.components.agents.delegation import Delegation, check_task
from kern.components.agents.model_component import ModelComponent
from kern.contracts.answers import Answer, NewCall, Question
from kern.models.base import ModelResponse
from kern.requirements import UserInputField
from kern.run import RequestedCall, ToolExecution
from kern.tools.gates import gate_of
from kern.tools.signature import describe
from kern.tools.tool import Tool
from kern.values.canonical import clean_text, parse_json
from kern.values.states import RequirementKind, ToolCallStatus, ToolOutcome

_CORRECTIONS = 3
# How many calls beyond the limit are answered with an error before the run ends.
_STUBBORN = 20


@dataclass(frozen=True)
class SoFar:
    """What came before an answer in its run.

    Attributes:
        calls: How many calls were asked for.
        corrections: How often the model was told to answer again.
        said: What the run was asked.
        made: The calls, where the component looks at them.
    """

    calls: int = 0
    corrections: int = 0
    said: str = ""
    made: Sequence[ToolExecution] = ()


def plan(agent: ModelComponent, response: ModelResponse, so_far: SoFar) -> Answer:
    """Decide what follows from an answer.

    It calls the tools' predicates, which are the user's code.
    """
    response = _storable(response)
    calls_so_far = so_far.calls
    calls: list[NewCall] = []
    made = list(so_far.made)
    for index, requested in enumerate(response.tool_calls):
        call = plan_call(agent, requested, calls_so_far + index, replace(so_far, made=made))
        calls.append(call)
        made.append(_as_made(call))
    if len(calls) > 1:
        calls = [
            _alone(requested, call)
            for requested, call in zip(response.tool_calls, calls, strict=True)
        ]
    limit = agent.tool_call_limit
    if calls and limit is not None and calls_so_far >= limit + _STUBBORN:
        failure = f"The model asks for calls beyond the limit of {limit} and does not answer."
        return Answer(response, calls, failure=("tool_call_limit", failure))
    if calls:
        return Answer(response, calls)
    objection = agent.conduct.objection(so_far.made)
    if objection is not None:
        return _corrected(response, objection, "unfinished", so_far.corrections)
    if agent.output_schema is None:
        return Answer(response)
    try:
        content = agent.output_schema.model_validate_json(response.content)
    except ValidationError as error:
        return _unfit(agent, response, describe(error), so_far.corrections)
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


def plan_call(
    agent: ModelComponent, requested: RequestedCall, made: int, so_far: SoFar | None = None
) -> NewCall:
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
    return _checked(tool, requested, given, so_far or SoFar())


def _checked(
    tool: Tool, requested: RequestedCall, given: dict[str, JsonValue], so_far: SoFar
) -> NewCall:
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
        child = None
        if isinstance(tool, Delegation):
            child = tool.child(frozen, so_far.said)
        check_task(tool, frozen, so_far.made)
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
        child=child,
        is_answer=isinstance(tool, Delegation) and tool.is_answer,
    )


def _as_made(call: NewCall) -> ToolExecution:
    """Return a call of this answer as the ones that follow it in the answer see it."""
    outcome = ToolOutcome.result if call.error is None else ToolOutcome.error
    is_done = call.child is None
    return ToolExecution(
        id=call.provider_call_id,
        name=call.name,
        turn=0,
        arguments=call.arguments,
        status=ToolCallStatus.done if is_done else ToolCallStatus.waiting,
        outcome=outcome if is_done else None,
        child_run_id=None if call.child is None else call.child.component_id,
    )


def _alone(requested: RequestedCall, call: NewCall) -> NewCall:
    """Refuse a call whose result would be the answer while others are still being made."""
    if not call.is_answer:
        return call
    problem = f"{call.name!r} ends the run with one member's answer: call it once, and alone."
    return _refused(requested, call.name, problem)


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


def _unfit(
    agent: ModelComponent, response: ModelResponse, problem: str, corrections: int
) -> Answer:
    name = agent.output_schema.__name__ if agent.output_schema else ""
    correction = (
        f"Your answer does not fit the required JSON schema {name!r}: {problem}. Answer again with "
        "JSON only."
    )
    return _corrected(response, correction, "invalid_output", corrections)


def _corrected(response: ModelResponse, correction: str, code: str, corrections: int) -> Answer:
    """Have the model answer again, unless it was told so often enough."""
    if corrections >= _CORRECTIONS:
        failure = f"The model did not answer as it must after {corrections} corrections. The last: "
        return Answer(response, failure=(code, clean_text(failure + correction)))
    return Answer(response, correction=clean_text(correction))
