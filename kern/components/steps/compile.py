"""Lays the blocks of a workflow out: their pinned shape, and their code by node."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from kern.components.component import Component, refuse_other, slug
from kern.components.steps.blocks import Block, Step, StepFunction, Steps, require, require_code
from kern.components.steps.containers import Condition, Loop, Parallel, Router
from kern.components.steps.review import HumanReview, ReviewPredicate
from kern.pipeline.nodes import Ask, Node, NodeKind, OnRefusal, Shape
from kern.values.states import RequirementKind

ROOT = "workflow"
_DEEPEST = 40


@dataclass(frozen=True)
class Code:
    """The user's code of one node: what it executes or asks, and when its output is reviewed."""

    main: StepFunction | None = None
    review_when: ReviewPredicate | None = None


@dataclass
class Layout:
    """A workflow laid out."""

    shape: Shape
    code: Mapping[str, Code]
    parts: Sequence[Component]


@dataclass
class _Sheet:
    nodes: list[Node] = field(default_factory=list)
    code: dict[str, Code] = field(default_factory=dict)
    parts: dict[str, Component] = field(default_factory=dict)


def lay_out(steps: Steps, history_runs: int = 0) -> Layout:
    """Give every block its node, the root first.

    Raises:
        InvalidDefinition: two blocks beside each other have one id, or they are nested too deeply.
    """
    sheet = _Sheet()
    _add(sheet, steps, node_id=ROOT, parent=None, place=0, review=steps.human_review)
    shape = Shape(nodes=tuple(sheet.nodes), history_runs=history_runs)
    return Layout(shape, sheet.code, tuple(sheet.parts.values()))


def _add(
    sheet: _Sheet,
    block: Block,
    *,
    node_id: str,
    parent: str | None,
    place: int,
    review: HumanReview,
) -> None:
    if node_id.count("/") > _DEEPEST:
        require(block, fine=False, problem=f"is nested deeper than {_DEEPEST} levels")
    inside = list(_named(block, _held(block)))
    prefix = "" if parent is None else f"{node_id}/"
    children = tuple(f"{prefix}{segment}" for segment, _ in inside)
    node = _node(block, review)
    where = {"id": node_id, "parent": parent, "place": place, "children": children}
    sheet.nodes.append(node.model_copy(update=where))
    sheet.code[node_id] = Code(_main(block), _predicate(block, review))
    if isinstance(block, Step) and isinstance(block.executor, Component):
        _add_part(sheet, block.executor)
    for number, (child_id, (_, child)) in enumerate(zip(children, inside, strict=True)):
        asked = _of(block) if isinstance(block, Loop) else child.human_review
        _add(sheet, child, node_id=child_id, parent=node_id, place=number, review=asked)


def _held(block: Block) -> tuple[Block, ...]:
    """Return a block's children as nodes: what is done with each item is one."""
    if block.kind is NodeKind.each:
        return (Steps(list(block.inside), name="each"),)
    return block.inside


def _of(loop: Block) -> HumanReview:
    """Return what is asked about an iteration, which is a review of the body's output."""
    asked = loop.human_review
    return HumanReview(
        requires_output_review=asked.requires_iteration_review,
        output_review_message=asked.iteration_review_message,
        on_reject=asked.on_reject if asked.requires_iteration_review is not False else None,
        max_revisions=asked.max_revisions,
        approval=asked.approval,
    )


def _named(owner: Block, blocks: Sequence[Block]) -> Iterator[tuple[str, Block]]:
    """Give each block its place in the ids, made from its name unless it has an id."""
    given = [one.id for one in blocks if one.id is not None]
    taken = set(given)
    for one in taken:
        require(owner, given.count(one) == 1, f"holds two steps with the id {one!r}")
    for block in blocks:
        if block.id is not None:
            yield block.id, block
            continue
        base = slug(block.name).replace("/", "-") or str(block.kind)
        segment, number = base, 1
        while segment in taken:
            number += 1
            segment = f"{base}-{number}"
        taken.add(segment)
        yield segment, block


def _node(block: Block, review: HumanReview) -> Node:
    node = Node(
        id="",
        kind=block.kind,
        name=block.name,
        on_error=block.on_error,
        gate=_gate(block, review),
        review=_review(review),
        on_trouble=review.approval,
    )
    match block:
        case Step(executor=Component() as component):
            schema = getattr(component, "output_schema", None)
            own = {
                "component_id": component.id,
                "component_kind": component.kind,
                "structured": schema is not None,
                "retries": block.retries,
                "backoff": block.backoff,
            }
        case Step():
            own = {
                "effect": block.effect,
                "retries": block.retries,
                "backoff": block.backoff,
                "timeout": block.timeout,
            }
        case Parallel():
            own = {"bound": block.bound}
        case Loop():
            own = {
                "max_iterations": block.max_iterations,
                "asks_end": block.end_condition is not None,
            }
        case _:
            own = {}
    return node.model_copy(update=own)


def _gate(block: Block, review: HumanReview) -> Ask | None:
    refusal = OnRefusal.skip if review.on_reject == "skip" else OnRefusal.fail
    told: dict[RequirementKind, str | None] = {}
    if review.requires_confirmation:
        told = {RequirementKind.confirmation: review.confirmation_message}
    elif review.asks_input:
        told = {RequirementKind.user_input: review.user_input_message}
    elif review.requires_route_choice:
        told = {RequirementKind.user_feedback: review.route_choice_message}
    for kind, message in told.items():
        return Ask(
            kind=kind,
            message=message,
            fields=review.fields,
            choices=tuple(one.name for one in block.inside) if _chooses(kind) else (),
            multiple=review.allow_multiple_routes,
            on_reject=refusal,
            approval=review.approval,
        )
    return None


def _chooses(kind: RequirementKind) -> bool:
    return kind is RequirementKind.user_feedback


def _review(review: HumanReview) -> Ask | None:
    if review.requires_output_review is False:
        return None
    return Ask(
        kind=RequirementKind.output_review,
        message=review.output_review_message,
        always=not callable(review.requires_output_review),
        on_reject=OnRefusal(review.on_reject or "retry"),
        revisions=review.max_revisions,
        approval=review.approval,
    )


def _predicate(block: Block, review: HumanReview) -> ReviewPredicate | None:
    wanted = review.requires_output_review
    if isinstance(wanted, bool):
        return None
    require_code(block, wanted, "predicate of its review")
    return wanted


def _main(block: Block) -> StepFunction | None:
    match block:
        case Step(executor=executor):
            return None if isinstance(executor, Component) else executor
        case Parallel():
            return block.for_each
        case Condition():
            return block.evaluator
        case Loop():
            return block.end_condition
        case Router():
            return block.selector
        case _:
            return None


def _add_part(sheet: _Sheet, part: Component) -> None:
    known = sheet.parts.setdefault(part.id, part)
    if known is not part:
        refuse_other(known, part)
