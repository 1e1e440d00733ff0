"""Containers: what opens several of the steps that it holds, some of them, or all of them again."""

from collections.abc import Sequence

from kern.components.steps.blocks import (
    Block,
    OnErrorWord,
    StepFunction,
    StepLike,
    Steps,
    blocks_of,
    distinct,
    require,
    require_code,
    require_kind,
)
from kern.components.steps.review import HumanReview
from kern.pipeline.machine import MOST_AT_ONCE
from kern.pipeline.nodes import NodeKind

_AT_ONCE = 10


class Parallel(Block):
    """Steps at once; what they came to is a dict by their names.

    With `for_each`, the steps are taken one after another for each item that the function
    returns, and what the items came to is a list in their order.

    Args:
        *steps: The branches; with `for_each`, what is done with each item.
        name: What people call it.
        for_each: Returns the list of items, given a `StepInput`.
        max_concurrency: How many branches go on at once, up to 1,000. Default: all, with
            `for_each` 10.
        on_error: As for a `Step`. When a branch fails, those beside it are stopped.
        human_review: What people are asked about all of it.
        id: As for a `Step`.
    """

    def __init__(
        self,
        *steps: StepLike,
        name: str = "parallel",
        for_each: StepFunction | None = None,
        max_concurrency: int | None = None,
        on_error: OnErrorWord = "fail",
        human_review: HumanReview | None = None,
        id: str | None = None,
    ) -> None:
        self.for_each = for_each
        super().__init__(name, id, on_error, human_review)
        self.steps = blocks_of(self, steps)
        require_kind(self, max_concurrency or 1, int, "a whole number as its max_concurrency")
        require(
            self,
            max_concurrency is None or 0 < max_concurrency <= MOST_AT_ONCE,
            f"needs a max_concurrency from 1 to {MOST_AT_ONCE:,}",
        )
        if for_each is not None:
            require_code(self, for_each, "for_each")
            self.bound: int | None = max_concurrency or _AT_ONCE
            return
        self.bound = max_concurrency
        alone = len(steps) == 1 and isinstance(steps[0], list | tuple)
        require(self, not alone, "has a list as its only branch: write Parallel(*steps)")
        distinct(self, self.steps, "branches")

    @property
    def kind(self) -> NodeKind:  # type: ignore[override]
        """Whether its branches are declared or come from data."""
        return NodeKind.parallel if self.for_each is None else NodeKind.each

    @property
    def inside(self) -> tuple[Block, ...]:
        """What it holds."""
        return self.steps


class Condition(Block):
    """Steps that are taken if a function returns True, and others if not.

    Args:
        evaluator: Takes a `StepInput`, or nothing, and returns True or False.
        steps: What is done if it is True.
        else_steps: What is done if not; without any, the condition is skipped.
        name: What people call it.
        on_error: As for a `Step`.
        human_review: What people are asked about it, before it is evaluated or at its end.
        id: As for a `Step`.
    """

    kind = NodeKind.condition

    def __init__(
        self,
        evaluator: StepFunction,
        steps: Sequence[StepLike],
        else_steps: Sequence[StepLike] = (),
        *,
        name: str = "condition",
        on_error: OnErrorWord = "fail",
        human_review: HumanReview | None = None,
        id: str | None = None,
    ) -> None:
        super().__init__(name, id, on_error, human_review)
        require_code(self, evaluator, "evaluator")
        self.evaluator = evaluator
        self.then = Steps(steps, name="then")
        self.otherwise = Steps(else_steps, name="else") if else_steps else None

    @property
    def inside(self) -> tuple[Block, ...]:
        """What it holds."""
        return (self.then,) if self.otherwise is None else (self.then, self.otherwise)


class Loop(Block):
    """Steps again and again, each iteration with what the one before came to.

    Args:
        steps: One iteration.
        end_condition: Asked after each iteration, with what it came to as `previous_content`; True
            ends the loop.
        max_iterations: After so many it ends in any case.
        name: What people call it.
        on_error: As for a `Step`.
        human_review: What people are asked about the loop, or about each iteration.
        id: As for a `Step`.
    """

    kind = NodeKind.loop

    def __init__(
        self,
        steps: Sequence[StepLike],
        end_condition: StepFunction | None = None,
        max_iterations: int = 3,
        *,
        name: str = "loop",
        on_error: OnErrorWord = "fail",
        human_review: HumanReview | None = None,
        id: str | None = None,
    ) -> None:
        super().__init__(name, id, on_error, human_review)
        if end_condition is not None:
            require_code(self, end_condition, "end_condition")
        require_kind(self, max_iterations, int, "a whole number as its max_iterations")
        require(self, max_iterations > 0, "needs max_iterations above 0")
        self.end_condition = end_condition
        self.max_iterations = max_iterations
        self.body = Steps(steps, name="body")

    @property
    def inside(self) -> tuple[Block, ...]:
        """What it holds."""
        return (self.body,)


class Router(Block):
    """One of several routes, or some of them, chosen by a function or by a person.

    Args:
        selector: Takes a `StepInput`, or nothing, and returns the name of a choice, several names,
            or None to take none. Not with `HumanReview(requires_route_choice=True)`.
        choices: The routes; those that are chosen are taken one after another.
        name: What people call it.
        on_error: As for a `Step`.
        human_review: What people are asked about it.
        id: As for a `Step`.
    """

    kind = NodeKind.router

    def __init__(
        self,
        selector: StepFunction | None = None,
        choices: Sequence[StepLike] = (),
        *,
        name: str = "router",
        on_error: OnErrorWord = "fail",
        human_review: HumanReview | None = None,
        id: str | None = None,
    ) -> None:
        super().__init__(name, id, on_error, human_review)
        self.choices = blocks_of(self, choices)
        distinct(self, self.choices, "choices")
        self.selector = selector
        by_person = self.human_review.requires_route_choice
        require(
            self,
            (selector is None) == by_person,
            "needs either a selector or HumanReview(requires_route_choice=True)",
        )
        if selector is not None:
            require_code(self, selector, "selector")

    @property
    def inside(self) -> tuple[Block, ...]:
        """What it holds."""
        return self.choices
