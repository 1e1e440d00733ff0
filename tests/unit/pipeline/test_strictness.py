"""The stricter of two shapes: a join of what their nodes ask for, in the pinned order."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from kern.contracts.approval import Approval
from kern.pipeline.nodes import Ask, Node, NodeKind, OnRefusal, Shape
from kern.pipeline.strictness import stricter_shape
from kern.values.states import Effect, RequirementKind

approvals = st.builds(
    Approval,
    excluded=st.sampled_from([(), ("ann",), ("bob",)]),
    quorum=st.integers(1, 2),
    due=st.none() | st.sampled_from([timedelta(hours=1), timedelta(hours=2)]),
)
gates = st.builds(
    Ask,
    kind=st.just(RequirementKind.confirmation),
    on_reject=st.sampled_from([OnRefusal.fail, OnRefusal.skip]),
    approval=approvals,
)


@st.composite
def reviews(draw: st.DrawFn) -> Ask:
    predicate = draw(st.none() | st.sampled_from(["one", "other"]))
    return Ask(
        kind=RequirementKind.output_review,
        always=predicate is None,
        predicate=predicate,
        on_reject=draw(st.sampled_from(OnRefusal)),
        revisions=draw(st.integers(0, 3)),
        approval=draw(approvals),
    )


steps = st.builds(
    Node,
    id=st.just("pay"),
    kind=st.just(NodeKind.step),
    name=st.just("pay"),
    parent=st.just("workflow"),
    gate=st.none() | gates,
    review=st.none() | reviews(),
    effect=st.sampled_from(Effect),
    retries=st.integers(0, 2),
    timeout=st.none() | st.sampled_from([1.0, 2.0]),
)


def shape(step: Node) -> Shape:
    root = Node(id="workflow", kind=NodeKind.steps, name="workflow", children=("pay",))
    return Shape(nodes=(root, step))


@given(steps, steps)
def test_the_order_of_two_shapes_does_not_count(first: Node, second: Node) -> None:
    pinned, present = shape(first), shape(second)
    assert stricter_shape(pinned, present) == stricter_shape(present, pinned)


@given(steps, steps, steps)
def test_the_order_of_three_shapes_does_not_count(first: Node, second: Node, third: Node) -> None:
    one, two, three = shape(first), shape(second), shape(third)
    left = stricter_shape(stricter_shape(one, two), three)
    assert left == stricter_shape(one, stricter_shape(two, three))


@given(steps, steps)
def test_a_shape_that_was_made_stricter_stays_as_it_is(first: Node, second: Node) -> None:
    pinned, present = shape(first), shape(second)
    joined = stricter_shape(pinned, present)
    assert stricter_shape(joined, present).digest == joined.digest
    assert stricter_shape(joined, pinned).digest == joined.digest


@given(steps, steps)
def test_a_step_is_never_weaker_than_in_either_shape(first: Node, second: Node) -> None:
    joined = stricter_shape(shape(first), shape(second)).by_id["pay"]
    order = (Effect.read, Effect.idempotent, Effect.once)
    for side in (first, second):
        assert side.gate is None or joined.gate is not None
        assert side.review is None or joined.review is not None
        if side.review is not None and joined.review is not None:
            assert joined.review.always or joined.review.predicate == side.review.predicate
            assert joined.review.revisions <= side.review.revisions
        if side.gate is not None and joined.gate is not None:
            assert joined.gate.approval.quorum >= side.gate.approval.quorum
            assert set(joined.gate.approval.excluded) >= set(side.gate.approval.excluded)
        assert order.index(joined.effect) >= order.index(side.effect)
        assert joined.retries <= side.retries


def test_steps_that_only_the_worker_has_are_no_part_of_the_run() -> None:
    step = Node(id="pay", kind=NodeKind.step, name="pay", parent="workflow")
    more = Node(id="more", kind=NodeKind.step, name="more", parent="workflow", place=1)
    root = Node(id="workflow", kind=NodeKind.steps, name="workflow", children=("pay", "more"))
    pinned = shape(step)
    assert stricter_shape(pinned, Shape(nodes=(root, step, more))) == pinned


def test_other_code_of_a_predicate_makes_no_other_workflow() -> None:
    ask = Ask(kind=RequirementKind.output_review, always=False, predicate="one")
    step = Node(id="pay", kind=NodeKind.step, name="pay", parent="workflow", review=ask)
    other = step.model_copy(update={"review": ask.model_copy(update={"predicate": "other"})})
    assert shape(step).declared == shape(other).declared
    assert shape(step).digest != shape(other).digest
