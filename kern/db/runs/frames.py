"""The frames of a run in the table of steps, under the lock of the run's row."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache

from pydantic import JsonValue
from sqlalchemy import bindparam, select
from sqlmodel import Session

from kern.db.engine.mutable_rows import MutableRun, MutableStep
from kern.db.engine.plain_rows import add, execute, new_row, rows
from kern.db.engine.records import RunRecord
from kern.db.engine.step_records import StepRecord
from kern.db.engine.typed_tables import SHAPES, STEPS
from kern.db.engine.unit_of_work import hold, hold_all, hold_new, save
from kern.errors import NotFound
from kern.pipeline.frames import (
    RUN,
    SERVED_VALUES,
    Outcome,
    Phase,
    held_in,
    into,
)
from kern.pipeline.machine import MOST_AT_ONCE
from kern.pipeline.nodes import Node, NodeKind, Shape
from kern.values.canonical import digest
from kern.values.ids import new_id

_steps, _shapes = STEPS.table, SHAPES.table
_STEP = _steps.select().where(_steps.c.id == bindparam("step_id"))
_CHILD = _steps.select().where(
    _steps.c.parent_id == bindparam("parent_id"),
    _steps.c.parent_round == bindparam("round"),
    _steps.c.place == bindparam("place"),
)
_OPENED = _steps.select().where(
    _steps.c.parent_id == bindparam("parent_id"),
    _steps.c.parent_round == bindparam("round"),
    _steps.c.phase != Phase.pending.value,
)
_UNFINISHED = _OPENED.where(_steps.c.phase != Phase.done.value)
_holders = _steps.alias("holders")
_CONTENTS = (
    select(_steps.c.outcome, _steps.c.content, _steps.c.last_id, _holders.c.content.label("held"))
    .select_from(_steps.outerjoin(_holders, _holders.c.id == _steps.c.last_id))
    .where(
        _steps.c.parent_id == bindparam("parent_id"),
        _steps.c.parent_round == bindparam("round"),
    )
    .order_by(_steps.c.place)
)
_IN_LANE = _steps.select().where(
    _steps.c.lane == bindparam("lane"), _steps.c.phase.in_(SERVED_VALUES)
)
_ANNOUNCED_BY = (
    _steps.select()
    .where(_steps.c.announced_by == bindparam("lane"), _steps.c.phase.in_(SERVED_VALUES))
    .order_by(_steps.c.number)
)
_IN_RUN = (
    _steps.select()
    .where(_steps.c.run_id == bindparam("run_id"), _steps.c.phase.in_(SERVED_VALUES))
    .order_by(_steps.c.number)
)
_UNFILLED = (
    _steps.select()
    .where(
        _steps.c.run_id == bindparam("run_id"),
        _steps.c.phase == Phase.open.value,
        _steps.c.cursor < _steps.c.width,
        _steps.c.open_children < MOST_AT_ONCE,
    )
    .order_by(_steps.c.number)
    .limit(1)
)
_ROOT = _steps.select().where(_steps.c.run_id == bindparam("run_id"), _steps.c.number == 1)
_SHAPE = select(_shapes.c.shape).where(_shapes.c.digest == bindparam("digest"))
_HAS_SHAPE = select(_shapes.c.digest).where(_shapes.c.digest == bindparam("digest"))


class StoredFrames:
    """The frames of one run, whose row the transaction holds.

    Frames that are opened are served in `lane`, or announced by it.
    """

    def __init__(
        self, tx: Session, run: MutableRun, now: datetime, lane: str | None = None
    ) -> None:
        self.tx, self.run, self.now, self.lane = tx, run, now, lane
        self.shape = shape_of(tx, run)
        self.cancelled: list[MutableStep] = []
        self._new: dict[str, MutableStep] = {}

    def get(self, frame_id: str) -> MutableStep:
        """Return a frame, to be changed."""
        row = self._new.get(frame_id) or hold_step(self.tx, frame_id)
        if row is None:
            raise no_step(frame_id)
        return row

    def add(self, node: Node, parent: MutableStep | None, place: int, source: str) -> MutableStep:
        """Add a frame, which is pending."""
        self.run.steps_opened += 1
        row = new_row(
            STEPS,
            id=new_id(),
            run_id=self.run.id,
            number=self.run.steps_opened,
            node=node.id,
            name=_name(self.shape, node, parent, place),
            parent_id=None if parent is None else parent.id,
            parent_round=0 if parent is None else parent.round,
            place=place,
            path_key=digest(["" if parent is None else parent.path_key, node.id, place]),
            is_repeated=parent is not None and (parent.is_repeated or parent.round > 0),
            phase=Phase.pending.value,
            source=source,
            created_at=self.now,
        )
        self._new[row.id] = row
        return hold_new(self.tx, STEPS, row)

    def prepared(self, parent: MutableStep, place: int) -> MutableStep:
        """Return the frame of an item, to be opened."""
        save(self.tx)
        row = hold(self.tx, STEPS, _CHILD, parent_id=parent.id, round=parent.round, place=place)
        if row is None:
            raise no_step(f"{parent.id}[{place}]")
        return row

    def prepare(self, parent: MutableStep, node: Node, items: Sequence[JsonValue]) -> None:
        """Add a pending frame for each item, which is what it begins with."""
        for place, item in enumerate(items):
            row = self.add(node, parent, place, "")
            row.source, row.input_value = into(row.id), item

    def contents(self, parent: StepRecord) -> list[JsonValue]:
        """Return the contents of the children, in their places."""
        save(self.tx)
        records = execute(self.tx, _CONTENTS, parent_id=parent.id, round=parent.round)
        return [
            (row.content if row.last_id is None else row.held)
            if row.outcome == Outcome.completed.value
            else None
            for row in records
        ]

    def opened(self, parent: StepRecord) -> Iterable[MutableStep]:
        """Return the children that were opened, ended ones too."""
        query = {"parent_id": parent.id, "round": parent.round}
        return hold_all(self.tx, STEPS, _OPENED, **query)

    def unfinished(self, parent: StepRecord) -> Iterable[MutableStep]:
        """Return the children that were opened and have not ended."""
        query = {"parent_id": parent.id, "round": parent.round}
        return hold_all(self.tx, STEPS, _UNFINISHED, **query)

    def dropped(self, frame: MutableStep) -> None:
        """Note that the work for a frame has to be stopped."""
        self.cancelled.append(frame)

    def count(self, *, known: int = 0, done: int = 0) -> None:
        """Count steps for the run's progress."""
        self.run.steps_known += known
        self.run.steps_done += done

    def content(self, frame: StepRecord) -> JsonValue:
        """Return the content of a frame so far."""
        return frame.content if frame.last_id is None else self.get(frame.last_id).content

    def input_of(self, frame: StepRecord) -> JsonValue:
        """Return the input of a frame."""
        if frame.source == RUN:
            return self.run.input
        frame_id, is_content = held_in(frame.source)
        source = frame if frame_id == frame.id else self.get(frame_id)
        return source.content if is_content else source.input_value

    def above(self, frame: StepRecord) -> Iterable[MutableStep]:
        """Return the containers of a frame, the innermost first."""
        while frame.parent_id is not None:
            frame = self.get(frame.parent_id)
            yield frame

    def in_lane(self, lane: str) -> MutableStep | None:
        """Return the frame that an activity on this lane has to serve."""
        return next(iter(hold_all(self.tx, STEPS, _IN_LANE, lane=lane)), None)

    def announced_by(self, lane: str) -> list[MutableStep]:
        """Return the frames, in lanes of their own, that this lane has to announce."""
        return hold_all(self.tx, STEPS, _ANNOUNCED_BY, lane=lane)

    def in_run(self) -> list[MutableStep]:
        """Return all frames that have to be served."""
        return hold_all(self.tx, STEPS, _IN_RUN, run_id=self.run.id)

    def unfilled(self) -> MutableStep | None:
        """Return a container with branches that wait for a place."""
        return next(iter(hold_all(self.tx, STEPS, _UNFILLED, run_id=self.run.id)), None)

    def root(self) -> MutableStep | None:
        """Return the outermost frame, once there is one."""
        return hold(self.tx, STEPS, _ROOT, run_id=self.run.id)


def pin(tx: Session, run: MutableRun, shape: Shape, now: datetime) -> None:
    """Pin a shape on a run that has none."""
    if run.shape is not None:
        return
    run.shape = shape.digest
    store_shape(tx, shape, now)


def store_shape(tx: Session, shape: Shape, now: datetime) -> None:
    """Store a shape under its digest, unless it is there."""
    if execute(tx, _HAS_SHAPE, digest=shape.digest).first() is None:
        add(tx, SHAPES, digest=shape.digest, shape=shape.pinned, created_at=now)


def shape_of(tx: Session, run: RunRecord) -> Shape:
    """Return the shape that was pinned on a run."""
    return _Shapes.read(tx, run.shape or "")


def no_step(step_id: str) -> NotFound:
    """Return the error for an id that names no step."""
    return NotFound(f"There is no step with the id {step_id!r}.")


def step_row(tx: Session, step_id: str) -> StepRecord | None:
    """Return a step for reading."""
    return next(rows(tx, STEPS, _STEP, step_id=step_id), None)


def hold_step(tx: Session, step_id: str) -> MutableStep | None:
    """Return a step to be changed, under its run's lock."""
    return hold(tx, STEPS, _STEP, step_id=step_id)


def root_row(tx: Session, run_id: str) -> StepRecord | None:
    """Return the outermost step of a run for reading; None before there is one."""
    return next(rows(tx, STEPS, _ROOT, run_id=run_id), None)


def _name(shape: Shape, node: Node, parent: StepRecord | None, place: int) -> str:
    """Return a frame's display name: an iteration or item is named after its loop."""
    repeats = {NodeKind.loop, NodeKind.each}
    if parent is None or shape.by_id[parent.node].kind not in repeats:
        return node.name
    return f"{parent.name}[{place}]"


class _Shapes:
    """Shapes that were read before: what a digest names never changes."""

    @classmethod
    def read(cls, tx: Session, digest: str) -> Shape:
        cached = cls._cached(digest)
        if not cached:
            content = execute(tx, _SHAPE, digest=digest).scalars().first()
            if content is None:
                message = f"There is no shape with the digest {digest!r}."
                raise NotFound(message)
            cached.append(Shape.read(content))
        return cached[0]

    @staticmethod
    @lru_cache(maxsize=64)
    def _cached(digest: str) -> list[Shape]:  # noqa: ARG004  the key of the cache
        return []


def path_within(frames: StoredFrames, frame: StepRecord) -> list[str]:
    """Return the names from the outermost container's to the step's own."""
    path: list[str] = []
    for ancestor in reversed((frame, *frames.above(frame))):
        match held_by(frames, ancestor):
            case None | NodeKind.condition:
                continue
            case NodeKind.each | NodeKind.loop:
                path[-1] = f"{path[-1]}[{ancestor.place}]"
            case _:
                path.append(ancestor.name)
    return path or [frame.name]


def held_by(frames: StoredFrames, frame: StepRecord) -> NodeKind | None:
    """Return the kind of container that holds a frame; None for the outermost."""
    parent = frames.shape.by_id[frame.node].parent
    return None if parent is None else frames.shape.by_id[parent].kind
