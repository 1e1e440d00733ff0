"""Frames: instances of a pipeline's nodes, their phases and their outcomes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeVar

from pydantic import JsonValue

from kern.pipeline.nodes import Node, Shape

# The source of a frame's input: the run's input, the content of a frame, or what a frame was given,
# such as an item. The source of an edited input also names the source that it replaces.
RUN = "run"
_OUT, _IN, _EDITED = "out", "in", "edited"


def out_of(frame_id: str) -> str:
    """Return the source of an input that is a frame's content."""
    return f"{_OUT}:{frame_id}"


def into(frame_id: str) -> str:
    """Return the source of an input that is what a frame was given."""
    return f"{_IN}:{frame_id}"


def edited(frame_id: str, source: str) -> str:
    """Return the source of a frame's edited input, which replaces the input at `source`."""
    return f"{_EDITED}:{frame_id}:{origin(source)}"


def origin(source: str) -> str:
    """Return the source of an input before it was edited."""
    return source.split(":", 2)[2] if source.startswith(f"{_EDITED}:") else source


def is_edited(frame_id: str, source: str) -> bool:
    """Whether a person edited the frame's input."""
    return source.startswith(f"{_EDITED}:{frame_id}:")


def held_in(source: str) -> tuple[str, bool]:
    """Return the frame that holds an input, and whether the input is that frame's content."""
    where, frame_id, *_ = source.split(":", 2)
    return frame_id, where == _OUT


class Phase(StrEnum):
    """What a frame needs next.

    `pending`: nothing until it is opened. `gate`: a person, before it begins. `ask`: the code that
    chooses its children. `work`: its execution. `open`: its children. `until`: the code that says
    whether a loop is over. `judge`: the code that says whether a person reviews. `review`: a
    person, about its output. `trouble`: a person, about its failure.
    """

    pending = "pending"
    gate = "gate"
    ask = "ask"
    work = "work"
    open = "open"
    until = "until"
    judge = "judge"
    review = "review"
    trouble = "trouble"
    done = "done"

    @property
    def needs_person(self) -> bool:
        """Whether it needs a person's decision."""
        return self in {Phase.gate, Phase.review, Phase.trouble}


# The phases in which the frame itself needs something from outside.
SERVED = frozenset(Phase) - {Phase.pending, Phase.open, Phase.done}
# The same, as rows have them.
SERVED_VALUES = tuple(sorted(phase.value for phase in SERVED))


class Outcome(StrEnum):
    """How a frame ended. A skipped frame has no content: the next one gets its input instead."""

    completed = "completed"
    skipped = "skipped"
    failed = "failed"
    cancelled = "cancelled"


@dataclass(frozen=True)
class Ending:
    """How the pipeline ended; `holder` is the frame that has its content."""

    outcome: Outcome
    holder: str | None = None
    code: str = ""
    message: str = ""


class Frame(Protocol):
    """The fields of a frame that the machine reads and changes; `kern.db` has them in a table.

    Attributes:
        place: Its position among the children of its parent.
        version: Counts its phases, so that a late answer to an earlier phase is recognised.
        source: The source of its input: see `out_of`, `into` and `edited`.
        chosen: The places of the children that it opens; None for all of them.
        cursor: The number of children that were opened.
        open_children: The number of these that have not ended.
        width: The number of children that a parallel container has in all.
        last_id: The frame that has its content, if that is not itself.
        round: How often it was begun again.
    """

    id: str
    node: str
    parent_id: str | None
    place: int
    phase: str
    version: int
    is_waiting: bool
    outcome: str | None
    is_stopped: bool
    source: str
    input_value: JsonValue
    values: dict[str, JsonValue] | None
    chosen: list[int] | None
    feedback: str | None
    round: int
    revisions: int
    tries: int
    cursor: int
    open_children: int
    width: int
    last_id: str | None
    content: JsonValue
    error_code: str | None
    error_message: str | None
    call_id: str | None


FrameT = TypeVar("FrameT", bound=Frame)


class Frames(Protocol[FrameT]):
    """The frames of one run, wherever they are stored."""

    @property
    def shape(self) -> Shape:
        """The pinned shape."""
        ...

    def get(self, frame_id: str) -> FrameT:
        """Return a frame, to be changed."""
        ...

    def add(self, node: Node, parent: FrameT | None, place: int, source: str) -> FrameT:
        """Add a pending frame."""
        ...

    def prepared(self, parent: FrameT, place: int) -> FrameT:
        """Return the prepared frame of an item, to be opened."""
        ...

    def prepare(self, parent: FrameT, node: Node, items: Sequence[JsonValue]) -> None:
        """Add a pending frame for each item, with the item as its input."""
        ...

    def contents(self, parent: FrameT) -> list[JsonValue]:
        """Return the children's contents, in the order of their places."""
        ...

    def opened(self, parent: FrameT) -> Iterable[FrameT]:
        """Return the children that were opened, including those that have ended."""
        ...

    def unfinished(self, parent: FrameT) -> Iterable[FrameT]:
        """Return the children that were opened and have not ended."""
        ...

    def dropped(self, frame: FrameT) -> None:
        """Stop the call, child run or requirement of a frame that was cancelled."""
        ...

    def count(self, *, known: int = 0, done: int = 0) -> None:
        """Add to the numbers of known and done steps in the run's progress."""
        ...
