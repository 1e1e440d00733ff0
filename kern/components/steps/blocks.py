"""The blocks that users declare a workflow with; a mistake is reported where it was made."""

import inspect
from collections.abc import Callable, Iterable, Sequence
from math import inf
from types import UnionType
from typing import ClassVar, Literal

from kern.components.component import Component, slug
from kern.components.steps.review import HumanReview, asks_people
from kern.contracts.approval import Approval
from kern.errors import InvalidDefinition
from kern.pipeline.nodes import OnError
from kern.tools.reconciling import Reconciler, outcome_rules
from kern.tools.tool import MOST_RETRIES
from kern.values.canonical import clean_text
from kern.values.states import Effect, OnExpiry

StepFunction = Callable[..., object]
OnErrorWord = Literal["fail", "skip", "pause"]
EffectWord = Literal["once", "idempotent", "read"]


class Block:
    """A step or a container. A list of steps may also hold what `as_block` makes one of."""

    # Which of the questions that fit a single kind of block fit this one.
    _has_iterations: ClassVar[bool] = False
    _has_routes: ClassVar[bool] = False

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
            review.requires_iteration_review is False or self._has_iterations,
            "has no iterations that could be reviewed: only a Loop has",
        )
        require(
            self,
            not review.requires_route_choice or self._has_routes,
            "has no routes to choose from: only a Router has",
        )
        asks_questions = asks_people(review)
        require(
            self,
            asks_questions or self.on_error is OnError.pause or review.approval == Approval(),
            "has an approval= but waits for nobody: say in human_review what is asked",
        )
        # There is nothing to approve about a failure, by silence or by a quorum.
        approval = review.approval
        approves = approval.on_expiry is OnExpiry.approve or approval.quorum > 1
        require(
            self,
            asks_questions or not approves,
            "asks about failures only, of which nothing can be approved: on_expiry='approve' and "
            "a quorum are for confirmations and reviews",
        )


StepLike = Block | Component | StepFunction | Sequence["StepLike"]


class Step(Block):
    """One piece of work: an agent, a team, a workflow, or a function.

    A function takes a `StepInput`, or nothing, and returns JSON, a pydantic model or a
    `StepOutput`. Its result is stored when it ends, and from then on it is never executed again.

    Args:
        name: The name that people see, and by which other steps find its output.
        executor: The agent, team, workflow or function that does the work. A function may be sync
            or async.
        retries: How often to try again when it fails. A function needs an effect that allows it.
        backoff: Seconds before the first retry; each further one waits twice as long.
        timeout: Seconds that one execution of a function may take.
        effect: What repeating a function would do, as for tools: with `once`, a person is asked
            about an execution that may or may not have happened.
        on_error: What happens when it has failed for good: the run fails (`fail`), continues
            without it (`skip`), or a person decides (`pause`) whether to run it again, skip it or
            fail.
        human_review: What people are asked about it.
        id: Its part of the id under which runs find its code again; default: made from `name`.
        unknown_on: Exceptions that leave open whether it happened, as for tools.
        reconcile: Looks up whether an execution of unknown outcome happened, as for tools.

    Raises:
        InvalidDefinition: the options contradict each other.
    """

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
        unknown_on: Sequence[type[BaseException]] = (),
        reconcile: Reconciler | None = None,
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
        rules = outcome_rules(f"Step {name!r}", self.effect, unknown_on, reconcile)
        self.unknown_on, self.reconcile = rules.unknown_on, rules.reconcile
        require_kind(self, retries, int, "a whole number of retries")
        require_kind(self, backoff, int | float, "seconds as its backoff")
        require_kind(self, 0 if timeout is None else timeout, int | float, "seconds as its timeout")
        require(self, retries >= 0, "has negative retries")
        require(self, retries <= MOST_RETRIES, f"has more than {MOST_RETRIES:,} retries")
        require(self, 0 <= backoff < inf, f"needs a backoff from 0 seconds on, got {backoff!r}")
        require(
            self,
            timeout is None or 0 < timeout < inf,
            f"needs a timeout above 0 seconds, got {timeout!r}",
        )
        if isinstance(executor, Component):
            require(self, timeout is None, "is executed by a run, which has no timeout=")
            require(
                self,
                self.effect is Effect.once,
                "is executed by a run, whose tools say their effects",
            )
            require(
                self,
                not self.unknown_on and self.reconcile is None,
                "is executed by a run, whose tools say what leaves their outcome open",
            )
            return
        require_code(self, executor, "executor")
        require(
            self,
            retries == 0 or self.effect is not Effect.once,
            "may not be repeated (effect='once'): retries= needs effect='idempotent' or 'read'",
        )


class Steps(Block):
    """Steps one after another, each with the output of the one before."""

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


def as_block(candidate: StepLike) -> Block:
    """Return a block as it is; make one of a function, a component or a list.

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


def require(block: Block, condition: bool, problem: str) -> None:  # noqa: FBT001  as in `assert`
    """Refuse a declaration that cannot work.

    Raises:
        InvalidDefinition: the condition does not hold; the message states the problem.
    """
    if not condition:
        message = f"The {type(block).__name__} {block.name!r} {problem}."
        raise InvalidDefinition(message)


def require_kind(block: Block, value: object, kind: type | UnionType, expected: str) -> None:
    """Refuse a value of another type; True and False are no numbers."""
    fits = isinstance(value, kind) and not isinstance(value, bool)
    require(block, fits, f"needs {expected}, got {value!r}")


def require_code(block: Block, code: object, role: str) -> None:
    """Refuse what cannot be called with a `StepInput` or with nothing."""
    require(block, callable(code), f"needs a function as its {role}, got {code!r}")
    if not callable(code):
        return
    require(
        block,
        not inspect.isasyncgenfunction(code) and not inspect.isgeneratorfunction(code),
        f"has a generator as its {role}: return a value instead",
    )
    is_callable = takes_input(code) or _binds(code) is not False
    require(block, is_callable, f"has as its {role} a function that takes more than a StepInput")


def blocks_of(owner: Block, steps: Sequence[StepLike]) -> tuple[Block, ...]:
    """Return the blocks of a container, in order."""
    candidate: object = steps
    require(owner, isinstance(candidate, list | tuple), "needs a list of steps")
    require(owner, bool(steps), "has no steps")
    return tuple(as_block(step) for step in steps)


def require_distinct(owner: Block, blocks: Iterable[Block], role: str) -> None:
    """Refuse two blocks of the same name, where names tell them apart."""
    names = [block.name for block in blocks]
    duplicates = sorted({name for name in names if names.count(name) > 1})
    duplicate = duplicates[0] if duplicates else ""
    require(owner, not duplicates, f"has two {role} named {duplicate!r}: rename one")


def takes_input(code: Callable[..., object]) -> bool:
    """Whether code takes one argument; if not, it is called with none."""
    return _binds(code, object()) is not False


def _binds(code: Callable[..., object], *arguments: object) -> bool | None:
    """Whether code takes these arguments; None if its signature cannot be read."""
    try:
        signature = inspect.signature(code)
    except (TypeError, ValueError):
        return None
    try:
        signature.bind(*arguments)
    except TypeError:
        return False
    return True
