"""The policy of a component: what applies in it, and in every component that its runs can reach."""

from typing import cast

from kern.components.agents.model_component import ModelComponent
from kern.components.component import Component, definition_of
from kern.components.steps.compile import WorkflowDefinition
from kern.contracts.policy import ComponentPolicy, Policy
from kern.pipeline.nodes import Shape
from kern.pipeline.strictness import DeclaredPolicy
from kern.tools.policy import declared_policy

_POLICY = "_policy"


def policy_of(component: Component) -> DeclaredPolicy:
    """Return what a component declares; it is made once."""
    attributes = vars(component)
    if _POLICY not in attributes:
        components: dict[str, ComponentPolicy] = {}
        shapes: dict[str, Shape] = {}
        waiting = [component]
        while waiting:
            part = waiting.pop()
            if part.id not in components:
                components[part.id] = _own_policy(part)
                waiting.extend(definition_of(part).parts)
                shapes.update((shape.digest, shape) for shape in _shapes(part))
        attributes[_POLICY] = DeclaredPolicy(Policy(components=components), tuple(shapes.values()))
    return cast("DeclaredPolicy", attributes[_POLICY])


def _own_policy(component: Component) -> ComponentPolicy:
    definition = definition_of(component)
    shape = next((shape.digest for shape in _shapes(component)), None)
    leader = component if isinstance(component, ModelComponent) else None
    tools = {} if leader is None else leader.tools
    return ComponentPolicy(
        kind=definition.kind,
        tools={name: declared_policy(tool) for name, tool in tools.items()},
        tool_call_limit=None if leader is None else leader.tool_call_limit,
        model_call_limit=None if leader is None else leader.model_call_limit,
        parts=tuple(sorted({part.id for part in definition.parts})),
        shape=shape,
    )


def _shapes(component: Component) -> list[Shape]:
    definition = definition_of(component)
    return [definition.layout.shape] if isinstance(definition, WorkflowDefinition) else []
