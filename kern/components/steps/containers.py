"""Containers: blocks that run several of their steps, some of them, or all of them again."""

from collections.abc import Sequence

from kern.components.steps.blocks import (
    Block,
    OnErrorWord,
    StepFunction,
    StepLike,
    Steps,
    blocks_of,
    require,
    require_code,
    require_distinct,
    require_kind,
)
from kern.components.steps.review import HumanReview
from kern.pipeline.machine import MOST_AT_ONCE

_DEFAULT_CONCURRENCY = 10


class Parallel(Block):
    """Steps that run at the same time; its output is a dict of their outputs by name.

    With `for_each`, the steps run one after another for each item that the function returns, and
    the output is the list of the items' outputs in the order of the items.

    Args:
        *steps: The branches; with `for_each`, the steps for each item.
        name: The name that people see.
        for_each: Takes a `StepInput`, or nothing, and returns the list of items.
        max_concurrency: How many branches run at the same time, up to 1,000. Default: all; with
            `for_each`, 10.
        on_error: As for a `Step`. When a branch fails, the other branches are stopped.
        human_review: What people are asked about the whole.
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
            self.bound: int | None = max_concurrency or _DEFAULT_CONCURRENCY
            return
        self.bound = max_concurrency
        alone = len(steps) == 1 and isinstance(steps[0], list | tuple)
        require(self, not alone, "has a list as its only branch: write Parallel(*steps)")
        require_distinct(self, self.steps, "branches")


class Condition(Block):
    """Steps that run if a function returns True, and others that run if it returns False.

    Args:
        evaluator: Takes a `StepInput`, or nothing, and returns True or False.
        steps: The steps for True.
        else_steps: The steps for False; without any, the condition is skipped.
        name: The name that people see.
        on_error: As for a `Step`.
        human_review: What people are asked about it, before it is evaluated or at its end.
        id: As for a `Step`.
    """

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


class Loop(Block):
    """Steps that are repeated, each iteration with the output of the one before.

    Args:
        steps: The steps of one iteration.
        end_condition: Called after each iteration, with its output as `previous_content`; True
            ends the loop.
        max_iterations: The loop ends after so many iterations in any case.
        name: The name that people see.
        on_error: As for a `Step`.
        human_review: What people are asked about the loop, or about each iteration.
        id: As for a `Step`.
    """

    _has_iterations = True

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


class Router(Block):
    """One of several routes, or some of them, chosen by a function or by a person.

    Args:
        selector: Takes a `StepInput`, or nothing, and returns the name of a choice, several names,
            or None for none. Not with `HumanReview(requires_route_choice=True)`.
        choices: The routes; the chosen ones run one after another.
        name: The name that people see.
        on_error: As for a `Step`.
        human_review: What people are asked about it.
        id: As for a `Step`.
    """

    _has_routes = True

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
        require_distinct(self, self.choices, "choices")
        self.selector = selector
        by_person = self.human_review.requires_route_choice
        require(
            self,
            (selector is None) == by_person,
            "needs either a selector or HumanReview(requires_route_choice=True)",
        )
        if selector is not None:
            require_code(self, selector, "selector")
