"""Compiles the blocks of a workflow into the shape that runs pin, and the code of each node."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kern.components.component import Component, Definition, definition_of, refuse_other, slug
from kern.components.steps.blocks import Block, Step, StepFunction, Steps, require, require_code
from kern.components.steps.containers import Condition, Loop, Parallel, Router
from kern.components.steps.review import (
    HumanReview,
    ReviewPredicate,
    asks_for_input,
    fields_of,
    presentation_of,
)
from kern.contracts.presentation import Presentation
from kern.pipeline.nodes import Ask, Node, NodeKind, OnRefusal, Shape
from kern.tools.code_digest import code_digest
from kern.tools.reconciling import NO_RULES, OutcomeRules
from kern.values.states import Effect, RequirementKind

ROOT = "workflow"
_DEEPEST = 40


@dataclass(frozen=True)
class Code:
    """The user's code of one node.

    Attributes:
        main: The function that a step executes, or that a container asks what to run.
        review_when: The predicate that says whether a person reviews the output.
        outcome_rules: When the outcome of the function is unknown, and whom to ask first.
    """

    main: StepFunction | None = None
    review_when: ReviewPredicate | None = None
    outcome_rules: OutcomeRules = NO_RULES


@dataclass(frozen=True)
class Layout:
    """A compiled workflow.

    Attributes:
        shape: The tree of nodes, which a run pins when it begins.
        code: The code of each node, by its id; it is looked up when it is executed.
        parts: The agents, teams and workflows that steps execute.
    """

    shape: Shape
    code: Mapping[str, Code]
    parts: Sequence[Component]


@dataclass(frozen=True, kw_only=True, eq=False)
class WorkflowDefinition(Definition):
    """What Kern itself reads of a workflow."""

    layout: Layout


@dataclass
class _Draft:
    nodes: list[Node] = field(default_factory=list)
    code: dict[str, Code] = field(default_factory=dict)
    parts: dict[str, Component] = field(default_factory=dict)


def compile_steps(steps: Steps, history_runs: int = 0) -> Layout:
    """Make a node of every block, the root first.

    Raises:
        InvalidDefinition: two blocks beside each other have one id, or they are nested too deeply.
    """
    draft = _Draft()
    _add(draft, steps, node_id=ROOT, parent=None, place=0, review=steps.human_review)
    shape = Shape(nodes=tuple(draft.nodes), history_runs=history_runs)
    return Layout(shape, draft.code, tuple(draft.parts.values()))


def _add(
    draft: _Draft,
    block: Block,
    *,
    node_id: str,
    parent: str | None,
    place: int,
    review: HumanReview,
) -> None:
    if node_id.count("/") > _DEEPEST:
        require(block, condition=False, problem=f"is nested deeper than {_DEEPEST} levels")
    segments = list(_with_segments(block, _node_children(block)))
    prefix = "" if parent is None else f"{node_id}/"
    child_ids = tuple(f"{prefix}{segment}" for segment, _ in segments)
    position = {"id": node_id, "parent": parent, "place": place, "children": child_ids}
    draft.nodes.append(_node(block, review).model_copy(update=position))
    rules = OutcomeRules(block.unknown_on, block.reconcile) if isinstance(block, Step) else NO_RULES
    draft.code[node_id] = Code(_main(block), _predicate(block, review), rules)
    if isinstance(block, Step) and isinstance(block.executor, Component):
        _add_part(draft, block.executor)
    for number, (child_id, (_, child)) in enumerate(zip(child_ids, segments, strict=True)):
        child_review = _iteration_review(block) if isinstance(block, Loop) else child.human_review
        _add(draft, child, node_id=child_id, parent=node_id, place=number, review=child_review)


def _kind(block: Block) -> NodeKind:
    match block:
        case Step():
            return NodeKind.step
        case Parallel():
            return NodeKind.parallel if block.for_each is None else NodeKind.each
        case Condition():
            return NodeKind.condition
        case Loop():
            return NodeKind.loop
        case Router():
            return NodeKind.router
        case _:
            return NodeKind.steps


def _children(block: Block) -> tuple[Block, ...]:
    match block:
        case Steps() | Parallel():
            return block.steps
        case Condition():
            return (block.then,) if block.otherwise is None else (block.then, block.otherwise)
        case Loop():
            return (block.body,)
        case Router():
            return block.choices
        case _:
            return ()


def _node_children(block: Block) -> tuple[Block, ...]:
    """Return the blocks of a node's children: the steps for each item are one child."""
    if _kind(block) is NodeKind.each:
        return (Steps(list(_children(block)), name="each"),)
    return _children(block)


def _iteration_review(loop: Block) -> HumanReview:
    """Return the review of an iteration, which is one of the body's output."""
    review = loop.human_review
    return HumanReview(
        requires_output_review=review.requires_iteration_review,
        output_review_message=review.iteration_review_message,
        on_reject=review.on_reject if review.requires_iteration_review is not False else None,
        max_revisions=review.max_revisions,
        approval=review.approval,
        **_presented(review),
    )


def _presented(review: HumanReview) -> dict[str, Any]:
    """Return the options that say what people are shown, if its iterations are reviewed."""
    if review.requires_iteration_review is False:
        return {}
    return {name: getattr(review, name) for name in Presentation.model_fields}


def _with_segments(owner: Block, blocks: Sequence[Block]) -> Iterator[tuple[str, Block]]:
    """Yield each block with its part of the node's id, made from its name unless it has an id."""
    declared_ids = [block.id for block in blocks if block.id is not None]
    segments = set(declared_ids)
    for block_id in segments:
        is_unique = declared_ids.count(block_id) == 1
        require(owner, is_unique, f"holds two steps with the id {block_id!r}")
    for block in blocks:
        if block.id is not None:
            yield block.id, block
            continue
        base = slug(block.name).replace("/", "-") or str(_kind(block))
        segment, number = base, 1
        while segment in segments:
            number += 1
            segment = f"{base}-{number}"
        segments.add(segment)
        yield segment, block


def _node(block: Block, review: HumanReview) -> Node:
    node = Node(
        id="",
        kind=_kind(block),
        name=block.name,
        on_error=block.on_error,
        gate=_gate(block, review),
        review=_review(review),
        on_trouble=review.approval,
        presentation=presentation_of(
            review, block.effect if isinstance(block, Step) else Effect.once
        ),
    )
    match block:
        case Step(executor=Component() as component):
            definition = definition_of(component)
            fields = {
                "component_id": component.id,
                "component_kind": definition.kind,
                "structured": definition.output_schema is not None,
                "retries": block.retries,
                "backoff": block.backoff,
            }
        case Step():
            fields = {
                "effect": block.effect,
                "retries": block.retries,
                "backoff": block.backoff,
                "timeout": block.timeout,
                "reconciles": block.reconcile is not None,
            }
        case Parallel():
            fields = {"bound": block.bound}
        case Loop():
            fields = {
                "max_iterations": block.max_iterations,
                "asks_end": block.end_condition is not None,
            }
        case _:
            fields = {}
    return node.model_copy(update=fields)


def _gate(block: Block, review: HumanReview) -> Ask | None:
    refusal = OnRefusal.skip if review.on_reject == "skip" else OnRefusal.fail
    choices: tuple[str, ...] = ()
    if review.requires_confirmation:
        kind, message = RequirementKind.confirmation, review.confirmation_message
    elif asks_for_input(review):
        kind, message = RequirementKind.user_input, review.user_input_message
    elif review.requires_route_choice:
        kind, message = RequirementKind.user_feedback, review.route_choice_message
        choices = tuple(child.name for child in _children(block))
    else:
        return None
    return Ask(
        kind=kind,
        message=message,
        fields=fields_of(review),
        choices=choices,
        multiple=review.allow_multiple_routes,
        on_reject=refusal,
        approval=review.approval,
    )


def _review(review: HumanReview) -> Ask | None:
    if review.requires_output_review is False:
        return None
    return Ask(
        kind=RequirementKind.output_review,
        message=review.output_review_message,
        always=not callable(review.requires_output_review),
        predicate=(
            code_digest(review.requires_output_review)
            if callable(review.requires_output_review)
            else None
        ),
        on_reject=OnRefusal(review.on_reject or "retry"),
        revisions=review.max_revisions,
        approval=review.approval,
    )


def _predicate(block: Block, review: HumanReview) -> ReviewPredicate | None:
    predicate = review.requires_output_review
    if isinstance(predicate, bool):
        return None
    require_code(block, predicate, "predicate of its review")
    return predicate


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


def _add_part(draft: _Draft, part: Component) -> None:
    existing = draft.parts.setdefault(part.id, part)
    if existing is not part:
        refuse_other(existing, part)
