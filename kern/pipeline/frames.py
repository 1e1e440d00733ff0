"""Frames: instances of a pipeline's nodes, the phases that they go through, and how they end."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeVar

from pydantic import JsonValue

from kern.pipeline.nodes import Node, Shape

# Where a frame's input is: what the run was asked, what a frame came to, or what one was given,
# such as an item. What a person edited names what it took the place of, too.
RUN = "run"
_OUT, _IN, _EDITED = "out", "in", "edited"


def out_of(frame_id: str) -> str:
    """Return the source of what begins with what a frame came to."""
    return f"{_OUT}:{frame_id}"


def into(frame_id: str) -> str:
    """Return the source of what begins with what a frame was given."""
    return f"{_IN}:{frame_id}"


def edited(frame_id: str, source: str) -> str:
    """Return the source of a frame whose input a person edited that was at `source`."""
    return f"{_EDITED}:{frame_id}:{origin(source)}"


def origin(source: str) -> str:
    """Return where an input was before anybody edited it."""
    return source.split(":", 2)[2] if source.startswith(f"{_EDITED}:") else source


def is_edited(frame_id: str, source: str) -> bool:
    """Whether a person edited what a frame begins with."""
    return source.startswith(f"{_EDITED}:{frame_id}:")


def held_in(source: str) -> tuple[str, bool]:
    """Return the frame that holds an input, and whether that is what it came to."""
    where, frame_id, *_ = source.split(":", 2)
    return frame_id, where == _OUT


class Phase(StrEnum):
    """What a frame needs next.

    `pending`: nothing yet, its turn will come. `gate`: a person, before it begins. `ask`: the
    code that says what it opens. `work`: to be executed. `open`: its children. `until`: the code
    that says whether a loop is over. `judge`: the code that says whether a person reviews.
    `review`: a person, about its output. `trouble`: a person, about its failure.
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
        """Whether a person has to say something."""
        return self in {Phase.gate, Phase.review, Phase.trouble}


# Phases in which somebody has to act on the frame itself.
SERVED = frozenset(Phase) - {Phase.pending, Phase.open, Phase.done}
# The same as rows have them.
SERVED_VALUES = tuple(sorted(phase.value for phase in SERVED))


class Outcome(StrEnum):
    """How a frame ended. One that was skipped has no content: what follows gets what it got."""

    completed = "completed"
    skipped = "skipped"
    failed = "failed"
    cancelled = "cancelled"


@dataclass(frozen=True)
class Ending:
    """How the whole pipeline ended; `holder` is the frame that holds its content."""

    outcome: Outcome
    holder: str | None = None
    code: str = ""
    message: str = ""


class Frame(Protocol):
    """The fields of a frame that the machine reads and changes; `kern.db` has them in a table.

    Attributes:
        place: Its position among the children of its parent.
        version: Counts its phases, so that a late answer to an earlier one is recognised.
        source: Where its input is: see `out_of`, `into` and `edited`.
        chosen: The places of the children that are opened; None for all of them.
        cursor: How many children were opened.
        open_children: How many of these have not ended.
        width: How many children a parallel container has in all.
        last_id: The frame that holds its content, if that is not itself.
        round: How often it was done again.
    """

    id: str
    node: str
    parent_id: str | None
    place: int
    phase: str
    version: int
    waits: bool
    outcome: str | None
    is_stopped: bool
    source: str
    given: JsonValue
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
    """The frames of one run, wherever they are kept."""

    @property
    def shape(self) -> Shape:
        """The pinned shape."""
        ...

    def get(self, frame_id: str) -> FrameT:
        """Return a frame, to be changed."""
        ...

    def add(self, node: Node, parent: FrameT | None, place: int, source: str) -> FrameT:
        """Add a frame, which is pending."""
        ...

    def prepared(self, parent: FrameT, place: int) -> FrameT:
        """Return the frame of an item, to be opened."""
        ...

    def prepare(self, parent: FrameT, node: Node, items: Sequence[JsonValue]) -> None:
        """Add a pending frame for each item, which is what it begins with."""
        ...

    def contents(self, parent: FrameT) -> list[JsonValue]:
        """Return what the children came to, in their places."""
        ...

    def opened(self, parent: FrameT) -> Iterable[FrameT]:
        """Return the children that were opened, ended ones too."""
        ...

    def unfinished(self, parent: FrameT) -> Iterable[FrameT]:
        """Return the children that were opened and have not ended."""
        ...

    def dropped(self, frame: FrameT) -> None:
        """Stop what goes on for a frame that was cancelled."""
        ...

    def count(self, *, known: int = 0, done: int = 0) -> None:
        """Count steps for the run's progress."""
        ...
