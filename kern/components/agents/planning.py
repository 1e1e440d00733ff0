"""Turns a model's answer into what is stored: checked and frozen calls, or the final content."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from pydantic import JsonValue, ValidationError

from kern.components.agents.delegation import Delegation, check_task
from kern.components.agents.model_component import ModelComponent
from kern.components.component import definition_of
from kern.contracts.answers import Answer, NewCall, NewChild, Question
from kern.contracts.policy import Policy, smaller
from kern.models.base import ModelResponse
from kern.requirements import UserInputField
from kern.run import RequestedCall, ToolExecution
from kern.tools.gates import gate_of
from kern.tools.policy import AppliedPolicy, applied_policy
from kern.tools.signature import describe
from kern.tools.suggestions import Suggestion, take_suggestions
from kern.tools.tool import Tool, tool_definition
from kern.values.canonical import clean_text, parse_json
from kern.values.states import RequirementKind, ToolCallStatus, ToolOutcome

_MOST_CORRECTIONS = 3
# Of one answer. A workflow can have two thousand activities open, and an odd answer asks for more.
_MOST_CALLS = 500
# This many calls beyond the limit are answered with an error; then the run fails.
_CALLS_BEYOND_LIMIT = 3
_NONE_SUGGESTED: Mapping[str, Suggestion] = MappingProxyType({})


@dataclass(frozen=True)
class RunSoFar:
    """The part of a run that precedes the answer.

    Attributes:
        call_count: How many calls the model has asked for.
        corrections: How often the model was asked to correct its answer.
        input: The input of the run.
        calls: The calls themselves, where the component's turn policy looks at them.
        pinned: The policy that was pinned on the run; None if none was.
    """

    call_count: int = 0
    corrections: int = 0
    input: str = ""
    calls: Sequence[ToolExecution] = ()
    pinned: Policy | None = None


def plan(agent: ModelComponent, response: ModelResponse, so_far: RunSoFar) -> Answer:
    """Decide what follows from an answer.

    It calls the tools' predicates, which are the user's code.
    """
    response = _storable(response)
    calls: list[NewCall] = []
    earlier = list(so_far.calls)
    for index, requested in enumerate(response.tool_calls):
        before = replace(so_far, call_count=so_far.call_count + index, calls=earlier)
        if index < _MOST_CALLS:
            call = plan_call(agent, requested, before)
        else:
            problem = (
                f"An answer may ask for {_MOST_CALLS} calls at once, and this one asks for "
                f"{len(response.tool_calls)}. This call was not made: ask for it in the next one."
            )
            call = _refused(requested, clean_text(requested.name), problem)
        calls.append(call)
        earlier.append(_as_execution(call))
    if len(calls) > 1:
        calls = [
            _require_alone(requested, call)
            for requested, call in zip(response.tool_calls, calls, strict=True)
        ]
    limit = call_limit(agent, so_far.pinned)
    if calls and limit is not None and so_far.call_count >= limit + _CALLS_BEYOND_LIMIT:
        failure = (
            f"The model asks for calls beyond the limit of {limit} and does not answer. The "
            "component's tool_call_limit= changes it."
        )
        return Answer(response, calls, failure=("tool_call_limit", failure))
    if calls:
        return Answer(response, calls)
    objection = definition_of(agent).turn_policy.objection(so_far.calls)
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
            id=clean_text(call.id),
            name=clean_text(call.name),
            arguments=clean_text(call.arguments),
        )
        for call in response.tool_calls
    ]
    return response.model_copy(update={"tool_calls": cleaned})


def available_tools(agent: ModelComponent, pinned: Policy | None) -> dict[str, Tool]:
    """Return the tools that a model may call in a run: those that were pinned on it.

    A tool that a newer version has added was part of nothing that was accepted.
    """
    if pinned is None:
        return dict(agent.tools)
    names = pinned.components[agent.id].tools if agent.id in pinned.components else {}
    return {name: tool for name, tool in agent.tools.items() if name in names}


def missing_parts(agent: ModelComponent, pinned: Policy | None) -> list[str]:
    """Return the tools and members that were pinned on a run and that this process lacks."""
    if pinned is None or agent.id not in pinned.components:
        return []
    rules = pinned.components[agent.id]
    part_ids = {part.id for part in definition_of(agent).parts}
    return sorted([*(rules.tools.keys() - agent.tools.keys()), *(set(rules.parts) - part_ids)])


def call_limit(agent: ModelComponent, pinned: Policy | None) -> int | None:
    """Return how many calls a run may make; None for no limit."""
    rules = None if pinned is None else pinned.components.get(agent.id)
    return smaller(agent.tool_call_limit, None if rules is None else rules.tool_call_limit)


def model_call_limit(agent: ModelComponent, pinned: Policy | None) -> int | None:
    """Return how often a run may ask its model; None for no limit."""
    rules = None if pinned is None else pinned.components.get(agent.id)
    return smaller(agent.model_call_limit, None if rules is None else rules.model_call_limit)


def plan_call(agent: ModelComponent, requested: RequestedCall, so_far: RunSoFar) -> NewCall:
    """Check one call that the model asked for, and freeze its arguments, defaults included."""
    name = clean_text(requested.name)
    tools = available_tools(agent, so_far.pinned)
    tool, limit = tools.get(name), call_limit(agent, so_far.pinned)
    if limit is not None and so_far.call_count >= limit:
        problem = (
            f"This run may make {limit} tool calls and has made them. Answer without further calls."
        )
        return _refused(requested, name, problem)
    if tool is None:
        names = ", ".join(sorted(tools)) or "none"
        return _refused(requested, name, f"There is no tool {name!r}. The tools are: {names}.")
    try:
        arguments = parse_json(requested.arguments or "{}")
    except ValueError as error:
        return _refused(
            requested,
            name,
            f"The arguments of {name!r} are not valid JSON: {error}. Call it again.",
        )
    if not isinstance(arguments, dict):
        return _refused(
            requested, name, f"The arguments of {name!r} must be a JSON object. Call it again."
        )
    pinned = None if so_far.pinned is None else so_far.pinned.components[agent.id].tools[name]
    return _checked(tool, applied_policy(tool, pinned), requested, arguments, so_far)


def _checked(
    tool: Tool,
    applied: AppliedPolicy,
    requested: RequestedCall,
    arguments: dict[str, JsonValue],
    so_far: RunSoFar,
) -> NewCall:
    signature = tool_definition(tool).signature
    try:
        kind: RequirementKind | None = RequirementKind.user_input
        suggested = _NONE_SUGGESTED
        if applied.kind is kind:
            frozen, suggested = _freeze_for_input(tool, applied, arguments)
        else:
            frozen = signature.freeze(arguments)
            kind = gate_of(tool, signature.validate(frozen), applied)
        question = None if kind is None else question_about(tool, applied, kind, frozen, suggested)
        child = tool.child(frozen, so_far.input) if isinstance(tool, Delegation) else None
        _check_pinned(child, so_far.pinned)
        check_task(tool, frozen, so_far.calls)
    except ValueError as error:
        problem = (
            f"The arguments of {tool.name!r} do not fit: {error}. Correct them and call it again."
        )
        return _refused(requested, tool.name, problem)
    return NewCall(
        provider_call_id=requested.id,
        name=tool.name,
        arguments=frozen,
        effect=applied.effect.value,
        retries=applied.retries,
        timeout=applied.timeout,
        has_reconciler=tool.reconcile is not None,
        question=question,
        child=child,
        is_answer=isinstance(tool, Delegation) and tool.is_answer,
    )


def _freeze_for_input(
    tool: Tool, applied: AppliedPolicy, arguments: dict[str, JsonValue]
) -> tuple[dict[str, JsonValue], dict[str, Suggestion]]:
    """Freeze what a person does not fill in; return it, and what was suggested for the rest."""
    definition, fields = tool_definition(tool), set(applied.fields)
    suggested: dict[str, Suggestion] = {}
    if definition.takes_suggestions:
        arguments, suggested = take_suggestions(arguments, applied.fields)
    proposal = {key: value for key, value in arguments.items() if key not in fields}
    frozen = definition.signature.freeze(proposal, without=fields)
    if suggested:
        # They have to fit as arguments do, and are shown as those are written.
        values = {name: item.value for name, item in suggested.items()}
        filled = definition.signature.freeze(proposal | values, without=fields - values.keys())
        suggested = {name: item._replace(value=filled[name]) for name, item in suggested.items()}
    return frozen, suggested


def _check_pinned(child: NewChild | None, pinned: Policy | None) -> None:
    if child is not None and pinned is not None and child.component_id not in pinned.components:
        message = f"{child.component_id!r} was added after this request was accepted"
        raise ValueError(message)


def _as_execution(call: NewCall) -> ToolExecution:
    """Return a call of this answer as the later calls of the same answer see it."""
    outcome = ToolOutcome.result if call.error is None else ToolOutcome.error
    is_done = call.child is None
    return ToolExecution(
        id=call.provider_call_id,
        tool_name=call.name,
        turn=0,
        arguments=call.arguments,
        status=ToolCallStatus.done if is_done else ToolCallStatus.waiting,
        outcome=outcome if is_done else None,
        child_run_id=None if call.child is None else call.child.component_id,
    )


def _require_alone(requested: RequestedCall, call: NewCall) -> NewCall:
    """Refuse a call whose result would be the run's answer if it is one of several calls."""
    if not call.is_answer:
        return call
    problem = f"{call.name!r} ends the run with one member's answer: call it once, and alone."
    return _refused(requested, call.name, problem)


def _refused(requested: RequestedCall, name: str, problem: str) -> NewCall:
    return NewCall(provider_call_id=requested.id, name=name, error=clean_text(problem))


def question_about(
    tool: Tool,
    applied: AppliedPolicy,
    kind: RequirementKind,
    frozen: dict[str, JsonValue],
    suggested: Mapping[str, Suggestion] = _NONE_SUGGESTED,
) -> Question:
    """Return what people are asked about a call with these frozen arguments.

    Raises:
        ValueError: the arguments do not fit what they are asked; the message is for the model.
    """
    choices, text = _choices(tool, frozen) if kind is RequirementKind.user_feedback else ([], None)
    schema = tool_definition(tool).signature.schema
    return Question(
        kind=kind,
        arguments_schema=schema,
        question=text,
        fields=[_input_field(schema, name, suggested.get(name)) for name in applied.fields],
        choices=choices,
        multiple=kind is RequirementKind.user_feedback and frozen.get("multiple") is True,
        approval=applied.approval,
        presentation=applied.presentation,
    )


def _choices(tool: Tool, frozen: dict[str, JsonValue]) -> tuple[list[str], str | None]:
    options, text = frozen.get("options"), frozen.get("question")
    choices = (
        [item for item in options if isinstance(item, str)] if isinstance(options, list) else []
    )
    if not choices or len(set(choices)) != len(choices):
        message = f"options: {tool.name!r} needs a list of one or more different texts"
        raise ValueError(message)
    return choices, text if isinstance(text, str) else None


def _input_field(
    schema: dict[str, JsonValue], name: str, suggestion: Suggestion | None
) -> UserInputField:
    properties, required = schema.get("properties"), schema.get("required")
    value = properties.get(name) if isinstance(properties, dict) else None
    field_schema = value if isinstance(value, dict) else {}
    return UserInputField(
        name=name,
        type=str(field_schema.get("type", "any")),
        description=str(field_schema.get("description", "")),
        required=isinstance(required, list) and name in required,
        json_schema=field_schema,
        default=field_schema.get("default") if suggestion is None else suggestion.value,
        source=None if suggestion is None else suggestion.source_text,
    )


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
    """Have the model answer again, unless it was corrected too often already."""
    if corrections >= _MOST_CORRECTIONS:
        failure = f"The model did not answer as it must after {corrections} corrections. The last: "
        return Answer(response, failure=(code, clean_text(failure + correction)))
    return Answer(response, correction=clean_text(correction))
