"""What a workflow is made of, as users declare it; mistakes are told where they are made."""

import inspect
from collections.abc import Callable, Iterable, Sequence
from math import inf
from types import UnionType
from typing import ClassVar, Literal

from kern.components.component import Component, slug
from kern.components.steps.review import HumanReview
from kern.contracts.approval import Approval
from kern.errors import InvalidDefinition
from kern.pipeline.nodes import NodeKind, OnError
from kern.tools.tool import MOST_RETRIES
from kern.values.canonical import clean_text
from kern.values.states import Effect, OnExpiry

StepFunction = Callable[..., object]
OnErrorWord = Literal["fail", "skip", "pause"]
EffectWord = Literal["once", "idempotent", "read"]


class Block:
    """A step or a container. `StepLike` is what may stand for one in a list of steps."""

    kind: ClassVar[NodeKind]

    def __init__(
        self, name: str, id: str | None, on_error: str, human_review: HumanReview | None
    ) -> None:
        self.name = name
        self.id = id
        self.human_review = human_review or HumanReview()
        self.on_error = OnError.fail
        require_kind(self, name, str, "a text as its name")
        require_kind(self, self.human_review, HumanReview, "a HumanReview as its human_review")
        require(self, bool(name.strip()), "needs a name")
        require(self, name == clean_text(name), "has a name with characters that no text may have")
        require(self, id is None or id == slug(id), "needs an id of lower case, digits and hyphens")
        require(
            self,
            on_error in list(OnError),
            f"has on_error={on_error!r}: use 'fail', 'skip' or 'pause'",
        )
        self.on_error = OnError(on_error)
        review = self.human_review
        require(
            self,
            review.requires_iteration_review is False or self.kind is NodeKind.loop,
            "has no iterations that could be reviewed: only a Loop has",
        )
        require(
            self,
            not review.requires_route_choice or self.kind is NodeKind.router,
            "has no routes to choose from: only a Router has",
        )
        asks = review.asks_anything or self.on_error is OnError.pause
        require(
            self,
            asks or review.approval == Approval(),
            "has an approval= but waits for nobody: say in human_review what is asked",
        )
        # Of a failure nothing could be approved, by silence or by several.
        approval = review.approval
        approves = approval.on_expiry is OnExpiry.approve or approval.quorum > 1
        require(
            self,
            review.asks_anything or not approves,
            "asks about failures only, of which nothing can be approved: on_expiry='approve' and "
            "a quorum are for confirmations and reviews",
        )

    @property
    def inside(self) -> tuple["Block", ...]:
        """What it holds."""
        return ()


StepLike = Block | Component | StepFunction | Sequence["StepLike"]


class Step(Block):
    """One piece of work: an agent, a team, a workflow, or a function.

    A function takes a `StepInput`, or nothing, and returns JSON, a pydantic model or a
    `StepOutput`. What it did is kept when it ends, and never done again after that.

    Args:
        name: What people call it; under it, other steps find what it came to.
        executor: What does the work. A function may be sync or async.
        retries: How often to try again when it fails. A function needs an effect that allows it.
        backoff: Seconds before the first of these tries; each further one waits twice as long.
        timeout: Seconds that one execution of a function may take.
        effect: What repeating a function would do, as for tools: with `once`, one that may or may
            not have been executed is put before a person.
        on_error: When it failed for good: the run fails (`fail`), goes on without it (`skip`), or
            a person decides (`pause`): again, skip, or fail.
        human_review: What people are asked about it.
        id: Its place in the id under which runs find its code again; default: made from `name`.

    Raises:
        InvalidDefinition: the options contradict each other.
    """

    kind = NodeKind.step

    def __init__(
        self,
        name: str,
        executor: Component | StepFunction,
        *,
        retries: int = 0,
        backoff: float = 1.0,
        timeout: float | None = None,
        effect: Effect | EffectWord = Effect.once,
        on_error: OnErrorWord = "fail",
        human_review: HumanReview | None = None,
        id: str | None = None,
    ) -> None:
        super().__init__(name, id, on_error, human_review)
        self.executor = executor
        self.retries, self.backoff, self.timeout = retries, backoff, timeout
        require(
            self,
            effect in list(Effect),
            f"has the effect {effect!r}: use 'once', 'idempotent' or 'read'",
        )
        self.effect = Effect(effect)
        require_kind(self, retries, int, "a whole number of retries")
        require_kind(self, backoff, int | float, "seconds as its backoff")
        require_kind(self, 0 if timeout is None else timeout, int | float, "seconds as its timeout")
        require(self, retries >= 0, "has negative retries")
        require(self, retries <= MOST_RETRIES, f"has more than {MOST_RETRIES:,} retries")
        require(self, 0 <= backoff < inf, f"needs a backoff from 0 seconds on; {backoff!r} is none")
        require(
            self,
            timeout is None or 0 < timeout < inf,
            f"needs a timeout above 0 seconds; {timeout!r} is none",
        )
        if isinstance(executor, Component):
            require(self, timeout is None, "is executed by a run, which has no timeout=")
            require(
                self,
                self.effect is Effect.once,
                "is executed by a run, whose tools say their effects",
            )
            return
        require_code(self, executor, "executor")
        require(
            self,
            retries == 0 or self.effect is not Effect.once,
            "may not be repeated (effect='once'): retries= needs effect='idempotent' or 'read'",
        )


class Steps(Block):
    """Steps one after another, each with what the one before came to."""

    kind = NodeKind.steps

    def __init__(
        self,
        steps: Sequence[StepLike],
        *,
        name: str = "steps",
        on_error: OnErrorWord = "fail",
        human_review: HumanReview | None = None,
        id: str | None = None,
    ) -> None:
        super().__init__(name, id, on_error, human_review)
        self.steps = blocks_of(self, steps)

    @property
    def inside(self) -> tuple[Block, ...]:
        """What it holds."""
        return self.steps


def as_block(candidate: StepLike) -> Block:
    """Return what stands for a block: a function, a component or a list becomes one.

    Raises:
        InvalidDefinition: it is something else.
    """
    if isinstance(candidate, Block):
        return candidate
    if isinstance(candidate, Component):
        return Step(candidate.name, candidate)
    if isinstance(candidate, list | tuple):
        return Steps(candidate)
    if callable(candidate):
        return Step(str(getattr(candidate, "__name__", type(candidate).__name__)), candidate)
    message = f"{candidate!r} is no step: use a function, an agent, a team, a workflow or a Step."
    raise InvalidDefinition(message)


def require(block: Block, fine: bool, problem: str) -> None:  # noqa: FBT001  what was just compared
    """Refuse a declaration that cannot work.

    Raises:
        InvalidDefinition: it is not `fine`.
    """
    if not fine:
        message = f"The {type(block).__name__} {block.name!r} {problem}."
        raise InvalidDefinition(message)


def require_kind(block: Block, given: object, kind: type | UnionType, wanted: str) -> None:
    """Refuse a value of another kind; True and False are no numbers."""
    fine = isinstance(given, kind) and not isinstance(given, bool)
    require(block, fine, f"needs {wanted}; {given!r} is none")


def require_code(block: Block, code: object, what: str) -> None:
    """Refuse what cannot be called with a `StepInput` or with nothing."""
    require(block, callable(code), f"needs a function as its {what}; {code!r} is none")
    if not callable(code):
        return
    require(
        block,
        not inspect.isasyncgenfunction(code) and not inspect.isgeneratorfunction(code),
        f"has a generator as its {what}: return a value instead",
    )
    require(block, _fits(code), f"has as its {what} a function that takes more than a StepInput")


def blocks_of(owner: Block, steps: Sequence[StepLike]) -> tuple[Block, ...]:
    """Return what a container holds, in order."""
    given: object = steps
    require(owner, isinstance(given, list | tuple), "needs a list of steps")
    require(owner, bool(steps), "has no steps")
    return tuple(as_block(one) for one in steps)


def distinct(owner: Block, blocks: Iterable[Block], what: str) -> None:
    """Refuse two blocks of one name, where names tell them apart."""
    names = [one.name for one in blocks]
    double = sorted({name for name in names if names.count(name) > 1})
    require(owner, not double, f"has two {what} named {double[0] if double else ''!r}: rename one")


def takes_input(code: Callable[..., object]) -> bool:
    """Whether code takes what it is given, rather than nothing."""
    return _binds(code, object()) is not False


def _fits(code: Callable[..., object]) -> bool:
    """Whether something can be called with one argument or with none."""
    return _binds(code, object()) is not False or _binds(code) is not False


def _binds(code: Callable[..., object], *given: object) -> bool | None:
    """Whether code can be called so; None if it does not tell."""
    try:
        signature = inspect.signature(code)
    except (TypeError, ValueError):
        return None
    try:
        signature.bind(*given)
    except TypeError:
        return False
    return True
