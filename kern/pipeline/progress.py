"""How many known steps a frame has not opened yet, which the progress of a run counts."""

from collections.abc import Sequence

from kern.pipeline.frames import Frame
from kern.pipeline.nodes import Node, NodeKind, Shape


def places_of(node: Node, frame: Frame) -> Sequence[int]:
    """Return the places of the children that a frame opens, in sequence or in parallel."""
    return range(len(node.children)) if frame.chosen is None else frame.chosen


def unopened_steps(shape: Shape, frame: Frame) -> int:
    """Return the number of known steps in children that a frame has not opened yet."""
    node, leaves = shape.by_id[frame.node], shape.leaves
    match node.kind:
        case NodeKind.each:
            return (frame.width - frame.cursor) * leaves(node.children[0])
        case NodeKind.loop:
            return 0 if frame.cursor else leaves(node.id)
        case NodeKind.condition | NodeKind.router if frame.chosen is None:
            return 0
        case _:
            places = places_of(node, frame)[frame.cursor :]
            return sum(leaves(node.children[place]) for place in places)
