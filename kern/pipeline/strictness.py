"""The stricter of two shapes: the one that a run pinned, and the one that a worker declares.

The nodes and their order are the pinned ones. Of each node that both have, the stricter gate,
review, effect and limits apply, as `kern.contracts.policy` defines them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from kern.contracts.approval import Approval
from kern.contracts.policy import (
    EFFECTS,
    GATES,
    ApprovalRule,
    Policy,
    smaller,
    stricter_condition,
)
from kern.pipeline.nodes import Ask, Node, OnRefusal, Shape
from kern.values.states import RequirementKind

_REFUSALS = (OnRefusal.retry, OnRefusal.skip, OnRefusal.fail)
_ALWAYS = "always"


@dataclass(frozen=True)
class DeclaredPolicy:
    """The policy that a component declares in this process.

    Attributes:
        policy: The policy of the component and of every one inside it.
        shapes: The shapes of the workflows among them.
    """

    policy: Policy
    shapes: Sequence[Shape] = ()

    def shape_of(self, component_id: str) -> Shape | None:
        """Return the shape of a workflow; None for any other component."""
        component = self.policy.components.get(component_id)
        shape_digest = None if component is None else component.shape
        return next((shape for shape in self.shapes if shape.digest == shape_digest), None)


def stricter_shape(pinned: Shape, present: Shape) -> Shape:
    """Return the pinned shape with whatever the present one asks for besides."""
    if pinned.digest == present.digest:
        return pinned
    cached = _cached(pinned.digest, present.digest)
    if not cached:
        cached.append(_join(pinned, present))
    return cached[0]


@lru_cache(maxsize=64)
def _cached(pinned: str, present: str) -> list[Shape]:  # noqa: ARG001  the key of the cache
    return []


def _join(pinned: Shape, present: Shape) -> Shape:
    nodes = tuple(
        stricter_node(node, present.by_id[node.id], pinned) if node.id in present.by_id else node
        for node in pinned.nodes
    )
    return Shape(nodes=nodes, history_runs=pinned.history_runs)


def stricter_node(node: Node, second: Node, shape: Shape) -> Node:
    """Return a node of a shape with whatever the second one asks for besides."""
    gate = _stricter_ask(node.gate, second.gate)
    if gate is not None and gate.kind is RequirementKind.user_feedback:
        names = tuple(shape.by_id[child].name for child in node.children)
        gate = gate.model_copy(update={"choices": names})
    return node.model_copy(
        update={
            "gate": gate,
            "review": _stricter_ask(node.review, second.review),
            "on_trouble": _stricter_approval(node.on_trouble, second.on_trouble),
            "presentation": node.presentation.stricter(second.presentation),
            "effect": max(node.effect, second.effect, key=EFFECTS.index),
            "retries": min(node.retries, second.retries),
            "timeout": smaller(node.timeout, second.timeout),
            "max_iterations": min(node.max_iterations, second.max_iterations),
            "bound": smaller(node.bound, second.bound),
        }
    )


def _stricter_ask(ask: Ask | None, second: Ask | None) -> Ask | None:
    if ask is None or second is None or ask == second:
        return ask or second
    base = max(ask, second, key=lambda item: _rank(item.kind))
    names = {field.name for field in base.fields}
    beside = second if base is ask else ask
    approval = _stricter_approval(ask.approval, second.approval)
    kind = base.kind
    if kind is RequirementKind.user_input and approval.quorum > 1:
        # Several people can agree on arguments, and cannot each fill them in.
        kind = RequirementKind.confirmation
    condition = stricter_condition(_condition(ask), _condition(second))
    return base.model_copy(
        update={
            "kind": kind,
            "fields": (*base.fields, *(item for item in beside.fields if item.name not in names)),
            "always": condition == _ALWAYS,
            "predicate": None if condition == _ALWAYS else condition,
            "on_reject": max(ask.on_reject, second.on_reject, key=_REFUSALS.index),
            "revisions": min(ask.revisions, second.revisions),
            "approval": approval,
        }
    )


def _stricter_approval(approval: Approval, second: Approval) -> Approval:
    if approval == second:
        return approval
    return ApprovalRule.of(approval).joined(ApprovalRule.of(second))


def _condition(ask: Ask) -> str:
    return _ALWAYS if ask.always else ask.predicate or "unknown"


def _rank(kind: RequirementKind) -> int:
    return GATES.index(kind) if kind in GATES else len(GATES)
