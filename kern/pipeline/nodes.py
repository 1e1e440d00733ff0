"""The shape of a workflow as it is pinned on a run: JSON, a flat list of nodes with stable ids."""

from collections.abc import Mapping
from enum import StrEnum
from functools import cached_property
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from kern.contracts.approval import Approval
from kern.requirements import UserInputField
from kern.values.canonical import digest
from kern.values.states import Effect, RequirementKind


class NodeKind(StrEnum):
    """What a node does with what it holds.

    `steps` are taken one after another; `parallel` at once; `each` opens its body once for every
    item; `condition` and `router` take some of what they hold; `loop` its body again and again.
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
        """Whether code of the user's says what it opens."""
        return self in {NodeKind.each, NodeKind.condition, NodeKind.router}


class OnError(StrEnum):
    """What becomes of a step that failed: the run fails, goes on without it, or asks a person."""

    fail = "fail"
    skip = "skip"
    pause = "pause"


class OnRefusal(StrEnum):
    """What becomes of a step to which a person said no."""

    fail = "fail"
    skip = "skip"
    retry = "retry"


class Ask(BaseModel):
    """What a person is asked, as it is pinned."""

    model_config = ConfigDict(frozen=True)

    kind: RequirementKind
    message: str | None = None
    fields: tuple[UserInputField, ...] = ()
    choices: tuple[str, ...] = ()
    multiple: bool = False
    always: bool = True
    on_reject: OnRefusal = OnRefusal.fail
    revisions: int = 0
    approval: Approval = Field(default_factory=Approval)


class Node(BaseModel):
    """One part of a workflow.

    Attributes:
        id: Stable: the way to it by ids or names, so that other parts may come and go.
        parent: What holds it; None for the root.
        place: Which of its parent's children it is.
        component_id: The agent, team or workflow that executes it; None for a function.
        structured: Whether what that component answers is JSON.
        gate: What is asked before it begins.
        review: What is asked about its output.
        on_trouble: Who decides when it failed, with `on_error="pause"`.
        asks_end: Whether a loop asks code whether it is over.
        bound: How many branches go on at once; None for all.
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
    on_error: OnError = OnError.fail
    gate: Ask | None = None
    review: Ask | None = None
    on_trouble: Approval = Field(default_factory=Approval)
    max_iterations: int = 1
    asks_end: bool = False
    bound: int | None = None

    @property
    def is_leaf(self) -> bool:
        """Whether it is executed itself."""
        return self.kind is NodeKind.step


class Shape(BaseModel):
    """All nodes of a workflow, the root first and every node after what holds it."""

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
        """The shape as JSON, without what is at its default: a new field changes no old shape."""
        written: dict[str, JsonValue] = self.model_dump(mode="json", exclude_defaults=True)
        return written

    @cached_property
    def is_bounded(self) -> bool:
        """Whether it holds branches of which only so many run at once."""
        return any(node.bound is not None for node in self.nodes)

    @cached_property
    def digest(self) -> str:
        """What names this shape."""
        return digest(self.pinned)

    @cached_property
    def _leaves(self) -> Mapping[str, int]:
        known: dict[str, int] = {}
        for node in reversed(self.nodes):
            if node.is_leaf:
                known[node.id] = 1
            elif node.kind.asks_first:
                known[node.id] = 0
            else:
                known[node.id] = sum(known[child] for child in node.children)
        return known

    @property
    def root(self) -> Node:
        """The node that holds all others."""
        return self.nodes[0]

    def leaves(self, node_id: str) -> int:
        """Return how many steps a node is known to take before anything in it was asked."""
        return self._leaves[node_id]


# Names that the frozen arguments of a step have already.
RESERVED = frozenset({"input", "item"})
