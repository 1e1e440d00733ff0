"""Validates a person's input with the tool's own validators.

The tool's schema is checked wherever a decision is accepted. Where the
tool's code is at hand, it can say more: a validator of its own, a path that has to exist.
"""

import asyncio
from collections.abc import Sequence

from pydantic import JsonValue

from kern.components.agents.model_component import ModelComponent
from kern.components.component import Component, definition_of
from kern.errors import InvalidDecision, InvalidInput
from kern.requirements import Requirement
from kern.tools.tool import Tool, tool_definition
from kern.values.validation import described


def tool_of(component: Component, item: Requirement) -> Tool | None:
    """Return the tool that a requirement is about, of a component or of a part of it."""
    at: Component | None = component
    for label in item.path[1:-1]:
        part = None if at is None else definition_of(at).part(label)
        # A workflow has names in the path for what holds its steps.
        at = None if part is None and isinstance(at, ModelComponent) else part or at
    return at.tools.get(item.tool_name or "") if isinstance(at, ModelComponent) else None


async def check_edits(component: Component, requirements: Sequence[Requirement]) -> None:
    """Refuse arguments that were filled in and that a tool's code would not take.

    Raises:
        InvalidInput: there is something else among the requirements.
        InvalidDecision: they do not fit; the message names each.
    """
    candidates: object = requirements
    items: Sequence[object] = candidates if isinstance(candidates, list | tuple) else [None]
    if not all(isinstance(item, Requirement) for item in items):
        message = (
            f"requirements is {described(candidates)}: pass a list of those that the run's output "
            "gave, such as output.active_requirements."
        )
        raise InvalidInput(message)
    for item in requirements:
        tool, arguments = tool_of(component, item), _filled_in(item)
        if tool is None or arguments is None:
            continue
        # A tool's own validators are code of users, which may block.
        problem = await asyncio.to_thread(misfit, tool, arguments)
        if problem is not None:
            message = (
                f"The arguments for {item.tool_name!r} (requirement {item.id!r}) do not fit: "
                f"{problem}. Nothing was decided."
            )
            raise InvalidDecision(message)


def misfit(tool: Tool, arguments: dict[str, JsonValue]) -> str | None:
    """Return why a tool does not take these arguments; None if it does."""
    try:
        tool_definition(tool).signature.validate(arguments)
    except ValueError as error:
        return str(error)
    return None


def _filled_in(item: Requirement) -> dict[str, JsonValue] | None:
    """Return the arguments as they would run; None where nothing was filled in, or not all of it.

    What is missing or was not asked for is refused where the decision is accepted.
    """
    draft = item.draft
    if draft is None:
        return None
    if draft.edit is not None:
        return {**item.arguments, **draft.edit}
    names = {field.name for field in item.fields}
    required = {field.name for field in item.fields if field.required}
    if draft.values is None or not required <= set(draft.values) <= names:
        return None
    defaults = {
        field.name: field.default for field in item.fields if "default" in field.json_schema
    }
    return {**item.arguments, **defaults, **draft.values}
