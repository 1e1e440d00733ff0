"""The tables of pipelines: shapes, and the steps that runs have opened of them."""

# SQLModel takes the name of a table as a plain string, and SQLAlchemy declares another type for it.
# pyright: reportAssignmentType=false

from datetime import datetime

from pydantic import JsonValue
from sqlalchemy import Column, Index, Text, UniqueConstraint
from sqlmodel import Field

from kern.db.engine.base import KernRow
from kern.db.engine.columns import JsonText, UtcDateTime


class ShapeRow(KernRow, table=True):
    """The shape of a workflow, under the digest that names it; runs of one shape share it."""

    __tablename__ = "kern_shapes"

    digest: str = Field(primary_key=True)
    shape: dict[str, JsonValue] = Field(sa_type=JsonText)
    created_at: datetime = Field(sa_type=UtcDateTime)


class StepRow(KernRow, table=True):
    """One instance of a node of a run's shape: a step, or a container with what it has opened.

    `phase` says what it needs next, and `version` counts its phases, so that what was found out for
    one of them is not taken for another. `lane` is what the workflow asks an activity for to have
    it served, one step at a time in each; `announced_by` is the lane whose activity has to announce
    it to the workflow first. `source` says where its input is: `run`, `out:` and the step whose
    content it is, or `in:` and the step in whose `input_value` it is. `last_id` is the step that
    holds its content, if that is not itself. A step that is done again opens what it holds in its
    next `round`. `path_key` names its place in the run: instances of later rounds, which are
    `is_repeated`, have that of the first. `is_ungated` says that it had begun before its node got
    its gate, from a stricter worker.
    """

    __tablename__ = "kern_steps"
    __table_args__ = (
        UniqueConstraint("parent_id", "parent_round", "place"),
        Index("kern_steps_by_phase", "run_id", "phase", "is_waiting"),
        Index("kern_steps_by_lane", "lane", "phase"),
        Index("kern_steps_by_announced_by", "announced_by"),
        Index("kern_steps_by_number", "run_id", "number"),
    )

    id: str = Field(primary_key=True)
    run_id: str = Field(foreign_key="kern_runs.id")
    number: int
    node: str
    name: str
    parent_id: str | None = None
    parent_round: int = 0
    place: int = 0
    path_key: str = ""
    is_repeated: bool = False
    lane: str | None = None
    announced_by: str | None = None
    phase: str
    version: int = 0
    is_waiting: bool = False
    outcome: str | None = None
    is_stopped: bool = False
    is_ungated: bool | None = None
    source: str
    input_value: JsonValue = Field(default=None, sa_column=Column(JsonText, nullable=True))
    values: dict[str, JsonValue] | None = Field(default=None, sa_type=JsonText)
    chosen: list[int] | None = Field(default=None, sa_type=JsonText)
    feedback: str | None = Field(default=None, sa_type=Text)
    round: int = 0
    revisions: int = 0
    tries: int = 0
    cursor: int = 0
    open_children: int = 0
    width: int = 0
    last_id: str | None = None
    content: JsonValue = Field(default=None, sa_column=Column(JsonText, nullable=True))
    error_code: str | None = None
    error_message: str | None = Field(default=None, sa_type=Text)
    call_id: str | None = None
    gate_id: str | None = None
    created_at: datetime = Field(sa_type=UtcDateTime)
    started_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    finished_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
