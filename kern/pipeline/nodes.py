"""The shape of a workflow that a run pins: a flat list of nodes with stable ids, as JSON."""

from collections.abc import Mapping
from enum import StrEnum
from functools import cached_property
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from kern.contracts.approval import Approval
from kern.contracts.presentation import Presentation
from kern.requirements import UserInputField
from kern.values.canonical import digest
from kern.values.states import Effect, RequirementKind


class NodeKind(StrEnum):
    """How a node opens its children.

    `steps`: one after another. `parallel`: at the same time. `each`: its body once for each item.
    `condition` and `router`: those that are chosen. `loop`: its body again and again.
    """

    step = "step"
    steps = "steps"
    parallel = "parallel"
    each = "each"
    condition = "condition"
    loop = "loop"
    router = "router"

    @property
    def asks_first(self) -> bool:
        """Whether the user's code chooses what it opens."""
        return self in {NodeKind.each, NodeKind.condition, NodeKind.router}


class OnError(StrEnum):
    """What a failed step does: the run fails, continues without it, or asks a person."""

    fail = "fail"
    skip = "skip"
    pause = "pause"


class OnRefusal(StrEnum):
    """What a person's rejection does to a step."""

    fail = "fail"
    skip = "skip"
    retry = "retry"


class Ask(BaseModel):
    """A question to a person, as it is pinned.

    Without `always`, the predicate of this digest decides whether it is asked.
    """

    model_config = ConfigDict(frozen=True)

    kind: RequirementKind
    message: str | None = None
    fields: tuple[UserInputField, ...] = ()
    choices: tuple[str, ...] = ()
    multiple: bool = False
    always: bool = True
    predicate: str | None = None
    on_reject: OnRefusal = OnRefusal.fail
    revisions: int = 0
    approval: Approval = Field(default_factory=Approval)


class Node(BaseModel):
    """One part of a workflow.

    Attributes:
        id: The path to it by ids or names: it stays the same when other nodes are added.
        parent: Its container; None for the root.
        place: Its index among its parent's children.
        component_id: The agent, team or workflow that executes it; None for a function.
        structured: Whether that component answers with JSON.
        reconciles: Whether its code has a reconciler for calls of unknown outcome.
        gate: The question before it begins.
        review: The question about its output.
        on_trouble: Who decides about its failure, with `on_error="pause"`.
        presentation: What people are shown of its questions beside what they decide about.
        asks_end: Whether a loop has an end condition.
        bound: How many branches run at the same time; None for all.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    kind: NodeKind
    name: str
    parent: str | None = None
    place: int = 0
    children: tuple[str, ...] = ()
    component_id: str | None = None
    component_kind: str | None = None
    structured: bool = False
    effect: Effect = Effect.once
    retries: int = 0
    backoff: float = 1.0
    timeout: float | None = None
    reconciles: bool = False
    on_error: OnError = OnError.fail
    gate: Ask | None = None
    review: Ask | None = None
    on_trouble: Approval = Field(default_factory=Approval)
    presentation: Presentation = Presentation()
    max_iterations: int = 1
    asks_end: bool = False
    bound: int | None = None

    @property
    def is_leaf(self) -> bool:
        """Whether it is a step, which is executed, and no container."""
        return self.kind is NodeKind.step


class Shape(BaseModel):
    """All nodes of a workflow, the root first and every node after its parent."""

    model_config = ConfigDict(frozen=True)

    nodes: tuple[Node, ...]
    history_runs: int = 0

    @classmethod
    def read(cls, pinned: Mapping[str, JsonValue]) -> Self:
        """Read what `pinned` wrote, by this version or an earlier one."""
        return cls.model_validate(pinned)

    @cached_property
    def by_id(self) -> Mapping[str, Node]:
        """The nodes by their ids."""
        return {node.id: node for node in self.nodes}

    @cached_property
    def pinned(self) -> dict[str, JsonValue]:
        """The shape as JSON, without defaults: so a new field changes no old shape."""
        shape: dict[str, JsonValue] = self.model_dump(mode="json", exclude_defaults=True)
        return shape

    @cached_property
    def declared(self) -> JsonValue:
        """The shape as it is declared: other code of a predicate makes no other workflow of it."""
        declared: JsonValue = self.model_dump(
            mode="json",
            exclude_defaults=True,
            exclude={"nodes": {"__all__": {"review": {"predicate"}}}},
        )
        return declared

    @cached_property
    def is_bounded(self) -> bool:
        """Whether a node in it bounds how many branches run at the same time."""
        return any(node.bound is not None for node in self.nodes)

    @cached_property
    def digest(self) -> str:
        """The id of this shape."""
        return digest(self.pinned)

    @cached_property
    def _leaves(self) -> Mapping[str, int]:
        leaves: dict[str, int] = {}
        for node in reversed(self.nodes):
            if node.is_leaf:
                leaves[node.id] = 1
            elif node.kind.asks_first:
                leaves[node.id] = 0
            else:
                leaves[node.id] = sum(leaves[child] for child in node.children)
        return leaves

    @property
    def root(self) -> Node:
        """The node that contains all others."""
        return self.nodes[0]

    def leaves(self, node_id: str) -> int:
        """Return the number of steps in a node that are known before its code chooses any."""
        return self._leaves[node_id]


# The names that the frozen arguments of a step use already.
RESERVED = frozenset({"input", "item"})
