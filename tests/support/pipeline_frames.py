"""The frames of a pipeline in a dict, for tests of what comes next without any database."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from pydantic import JsonValue

from kern.db.engine.mutable_rows import MutableStep
from kern.db.engine.plain_rows import new_row
from kern.db.engine.typed_tables import STEPS
from kern.pipeline.frames import RUN, Phase, held_in, into
from kern.pipeline.nodes import Node, NodeKind, Shape

NOW = datetime(2026, 5, 4, tzinfo=UTC)


class MemoryFrames:
    """All frames of one run."""

    def __init__(self, shape: Shape, given: JsonValue) -> None:
        self.shape = shape
        self.rows: dict[str, MutableStep] = {}
        self.known = self.done = 0
        self._given = given

    def get(self, frame_id: str) -> MutableStep:
        return self.rows[frame_id]

    def add(self, node: Node, parent: MutableStep | None, place: int, source: str) -> MutableStep:
        row = new_row(
            STEPS,
            id=str(len(self.rows)),
            run_id="run",
            number=len(self.rows),
            node=node.id,
            name=node.name,
            parent_id=None if parent is None else parent.id,
            parent_round=0 if parent is None else parent.round,
            place=place,
            phase=Phase.pending.value,
            source=source,
            created_at=NOW,
        )
        keys = {(one.parent_id, one.parent_round, one.place) for one in self.rows.values()}
        assert (row.parent_id, row.parent_round, row.place) not in keys
        self.rows[row.id] = row
        return row

    def prepared(self, parent: MutableStep, place: int) -> MutableStep:
        return self._children(parent)[place]

    def prepare(self, parent: MutableStep, node: Node, items: Sequence[JsonValue]) -> None:
        for place, item in enumerate(items):
            row = self.add(node, parent, place, "")
            row.source, row.input_value = into(row.id), item

    def contents(self, parent: MutableStep) -> list[JsonValue]:
        return [
            self.content(one.last_id or one.id) if one.outcome == "completed" else None
            for one in self._children(parent)
        ]

    def opened(self, parent: MutableStep) -> Iterable[MutableStep]:
        return [one for one in self._children(parent) if one.phase != Phase.pending.value]

    def unfinished(self, parent: MutableStep) -> Iterable[MutableStep]:
        return [one for one in self.opened(parent) if one.phase != Phase.done.value]

    def dropped(self, frame: MutableStep) -> None:
        assert frame.outcome == "cancelled"

    def count(self, *, known: int = 0, done: int = 0) -> None:
        self.known += known
        self.done += done

    def content(self, frame_id: str) -> JsonValue:
        return self.rows[frame_id].content

    def input_of(self, frame: MutableStep) -> JsonValue:
        if frame.source == RUN:
            return self._given
        frame_id, is_content = held_in(frame.source)
        return self.content(frame_id) if is_content else self.rows[frame_id].input_value

    def feedback(self, frame: MutableStep) -> str | None:
        """Return what the nearest person who had something done again said."""
        row: MutableStep | None = frame
        while row is not None:
            if row.feedback is not None:
                return row.feedback
            row = None if row.parent_id is None else self.rows[row.parent_id]
        return None

    def is_bounded(self) -> bool:
        """Whether no container has more branches open than it may."""
        for row in self.rows.values():
            node = self.shape.by_id[row.node]
            if node.kind in {NodeKind.parallel, NodeKind.each} and row.phase == "open":
                going = len(list(self.unfinished(row)))
                if going != row.open_children or going > (node.bound or going):
                    return False
        return True

    def _children(self, parent: MutableStep) -> list[MutableStep]:
        found = [
            one
            for one in self.rows.values()
            if (one.parent_id, one.parent_round) == (parent.id, parent.round)
        ]
        return sorted(found, key=lambda one: one.place)
