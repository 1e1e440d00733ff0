"""Random pipelines: what they are made of, what each part does, and a plain interpreter of them.

Whatever a part does follows from its spec and from what it is given, so that a machine, a real run
and the interpreter come to the same.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st
from pydantic import JsonValue

from kern.components.steps.blocks import Block, Step, StepFunction, Steps
from kern.components.steps.containers import Condition, Loop, Parallel, Router
from kern.components.steps.review import HumanReview, OnReject
from kern.components.steps.values import StepInput, StepOutput
from kern.values.canonical import canonical_json

MOST_ITERATIONS = 3


@dataclass(frozen=True)
class Spec:
    """One part. `fails` is how often each instance fails before it succeeds."""

    kind: str
    name: str
    inside: tuple["Spec", ...] = ()
    otherwise: tuple["Spec", ...] = ()
    fails: int = 0
    stops: bool = False
    on_error: str = "fail"
    gate: str = "none"  # none, yes, edit, no
    review: str = "none"  # none, approve, replace, again, no
    trouble: str = "fail"  # again, skip, fail
    on_reject: OnReject | None = None
    bound: int | None = None
    asks_end: bool = False


@dataclass(frozen=True)
class Result:
    """What a part came to."""

    outcome: str
    content: JsonValue = None
    stop: bool = False


FAILED = Result("failed")
SKIPPED = Result("skipped")


def roll(name: str, given: JsonValue, sides: int) -> int:
    """Return what looks random and follows from the input alone."""
    return zlib.crc32(f"{name}{canonical_json(given)}".encode()) % sides


def made(spec: Spec, given: JsonValue, feedback: str | None) -> JsonValue:
    return f"{spec.name}:{roll(spec.name, [given, feedback], 10_000)}"


def items(spec: Spec, given: JsonValue) -> list[JsonValue]:
    return [f"{spec.name}#{number}" for number in range(roll(spec.name, given, 4))]


def routes(spec: Spec, given: JsonValue) -> list[int]:
    places = range(len(spec.inside))
    return [place for place in places if roll(f"{spec.name}{place}", given, 2)]


def edited(spec: Spec) -> JsonValue:
    return f"edited for {spec.name}"


def replaced(spec: Spec) -> JsonValue:
    return f"replaced for {spec.name}"


def note(spec: Spec) -> str:
    return f"better, {spec.name}"


def troubled(spec: Spec, times: int) -> str:
    """Return what a person says who is asked about a failure for the n-th time."""
    return "fail" if spec.trouble == "again" and times > 2 else spec.trouble


class Interpreter:
    """Comes to the result of a pipeline by plain recursion."""

    # One loop that is read from top to bottom is plainer than its parts.
    def run(  # noqa: C901, PLR0911
        self, spec: Spec, given: JsonValue, feedback: str | None = None
    ) -> Result:
        if spec.gate == "no":
            return SKIPPED if "skip" in {spec.on_reject, spec.on_error} else FAILED
        given = edited(spec) if spec.gate == "edit" else given
        fails = spec.fails
        troubles = looks = 0
        while True:
            result = FAILED if fails > 0 else self._do(spec, given, feedback)
            fails -= 1
            if result.outcome == "completed" and spec.review != "none":
                looks += 1
                verdict = spec.review
                if verdict == "again":
                    verdict = "no" if looks == 1 else "approve"
                if verdict == "replace":
                    return Result("completed", replaced(spec), result.stop)
                if verdict == "approve":
                    return result
                if spec.on_reject == "skip":
                    return SKIPPED
                if spec.review == "again":
                    # Whoever has it done after that, in whatever way, has it done with this.
                    feedback = note(spec)
                    if spec.on_reject is None:
                        continue
                result = FAILED
            if result.outcome != "failed":
                return result
            if spec.on_error != "pause":
                return SKIPPED if spec.on_error == "skip" else FAILED
            troubles += 1
            said = troubled(spec, troubles)
            if said != "again":
                return SKIPPED if said == "skip" else FAILED

    # A case for each kind.
    def _do(  # noqa: PLR0911
        self, spec: Spec, given: JsonValue, feedback: str | None
    ) -> Result:
        match spec.kind:
            case "step":
                return Result("completed", made(spec, given, feedback), spec.stops)
            case "steps":
                return self._sequence(spec.inside, given, feedback)
            case "condition":
                taken = spec.inside if roll(spec.name, given, 2) else spec.otherwise
                return self._sequence(taken, given, feedback) if taken else SKIPPED
            case "router":
                chosen = tuple(spec.inside[place] for place in routes(spec, given))
                return self._sequence(chosen, given, feedback)
            case "loop":
                return self._loop(spec, given, feedback)
            case "each":
                found = [self._sequence(spec.inside, one, feedback) for one in items(spec, given)]
                return self._joined(found, [_content(one) for one in found])
            case _:
                found = [self.run(one, given, feedback) for one in spec.inside]
                named = {
                    one.name: _content(result)
                    for one, result in zip(spec.inside, found, strict=True)
                }
                return self._joined(found, named)

    def _sequence(self, specs: tuple[Spec, ...], given: JsonValue, feedback: str | None) -> Result:
        result = SKIPPED
        for spec in specs:
            one = self.run(spec, given, feedback)
            if one.outcome == "failed":
                return FAILED
            if one.outcome == "completed":
                result, given = one, one.content
            if one.stop:
                return one
        return result

    def _loop(self, spec: Spec, given: JsonValue, feedback: str | None) -> Result:
        result = SKIPPED
        for _ in range(MOST_ITERATIONS):
            one = self._sequence(spec.inside, given, feedback)
            if one.outcome == "failed":
                return FAILED
            if one.outcome == "completed":
                result, given = one, one.content
            if one.stop or (spec.asks_end and roll(spec.name, given, 2)):
                return result
        return result

    @staticmethod
    def _joined(found: list[Result], content: JsonValue) -> Result:
        if any(one.outcome == "failed" for one in found):
            return FAILED
        return Result("completed", content, any(one.stop for one in found))


def _content(result: Result) -> JsonValue:
    return result.content if result.outcome == "completed" else None


Doer = Callable[[Spec], StepFunction]


# A case for each kind.
def block_of(spec: Spec, work: Doer) -> Block:  # noqa: PLR0911
    """Return the declaration; `work` gives a step's function."""
    shared: dict[str, Any] = {
        "name": spec.name,
        "on_error": spec.on_error,
        "human_review": HumanReview(
            requires_confirmation=spec.gate != "none",
            requires_output_review=spec.review != "none",
            on_reject=spec.on_reject,
            max_revisions=0 if spec.review == "no" else 10,
        ),
    }
    inside = [block_of(one, work) for one in spec.inside]
    match spec.kind:
        case "step":
            return Step(executor=work(spec), **shared)
        case "steps":
            return Steps(inside, **shared)
        case "condition":
            others = [block_of(one, work) for one in spec.otherwise]
            return Condition(lambda told: _truth(spec, told), inside, others, **shared)
        case "router":
            return Router(lambda told: _names(spec, told), inside, **shared)
        case "loop":
            end = (lambda told: _truth(spec, told)) if spec.asks_end else None
            return Loop(inside, end, MOST_ITERATIONS, **shared)
        case "each":
            return Parallel(
                *inside,
                for_each=lambda told: items(spec, told.previous_content),
                max_concurrency=spec.bound,
                **shared,
            )
        case _:
            return Parallel(*inside, max_concurrency=spec.bound, **shared)


def _truth(spec: Spec, told: StepInput) -> bool:
    return bool(roll(spec.name, told.previous_content, 2))


def _names(spec: Spec, told: StepInput) -> list[str]:
    return [spec.inside[place].name for place in routes(spec, told.previous_content)]


def pure_work(spec: Spec) -> StepFunction:
    """Return a function that succeeds at once."""

    def work(told: StepInput) -> StepOutput:
        content = made(spec, told.previous_content, told.feedback)
        return StepOutput(content=content, stop=spec.stops)

    return work


@dataclass
class _Names:
    last: int = 0
    known: list[str] = field(default_factory=list)

    def new(self) -> str:
        self.last += 1
        return f"n{self.last}"


@st.composite
def pipelines(
    draw: st.DrawFn, *, people: bool = True, failures: bool = True, stops: bool = True
) -> Spec:
    """Draw a pipeline; its root is a sequence without gate or review."""
    names = _Names()
    inside = draw(st.integers(1, 3))
    parts = tuple(
        _part(draw, names, 3, people=people, failures=failures, stops=stops) for _ in range(inside)
    )
    return Spec("steps", "root", parts)


def _part(draw: st.DrawFn, names: _Names, depth: int, **may: bool) -> Spec:
    kinds = ["step"]
    if depth > 0:
        kinds = ["step", "step", "steps", "condition", "router", "loop", "each", "parallel"]
    kind = draw(st.sampled_from(kinds))
    name = names.new()
    own = _own(draw, kind, **may)
    if kind == "step":
        return Spec(kind, name, **own)
    inside = tuple(
        _part(draw, names, depth - 1, **may)
        for _ in range(draw(st.integers(1, 3 if kind in {"parallel", "router"} else 2)))
    )
    otherwise: tuple[Spec, ...] = ()
    if kind == "condition" and draw(st.booleans()):
        otherwise = (_part(draw, names, depth - 1, **may),)
    return Spec(kind, name, inside, otherwise, **own)


def _own(
    draw: st.DrawFn, kind: str, *, people: bool, failures: bool, stops: bool
) -> dict[str, Any]:
    seldom = st.sampled_from([False, False, False, False, True])
    own: dict[str, Any] = {}
    if kind in {"parallel", "each"}:
        own["bound"] = draw(st.sampled_from([None, 1, 2]))
    if kind == "loop":
        own["asks_end"] = draw(st.booleans())
    if kind == "step":
        own["stops"] = stops and draw(seldom) and draw(st.booleans())
        own["fails"] = draw(st.sampled_from([1, 5])) if failures and draw(seldom) else 0
    if failures:
        words = ["fail", "skip", "pause"] if people else ["fail", "skip"]
        own["on_error"] = draw(st.sampled_from(words))
    if not people:
        return own
    if own.get("on_error") == "pause":
        own["trouble"] = draw(st.sampled_from(["again", "skip", "fail"]))
    if draw(seldom):
        own["gate"] = draw(st.sampled_from(["yes", "edit", "no"]))
    if draw(seldom):
        own["review"] = draw(st.sampled_from(["approve", "replace", "again", "no"]))
    if {"gate", "review"} & set(own):
        own["on_reject"] = draw(st.sampled_from([None, "fail", "skip"]))
    return own
