"""What the type checkers know of rows; nobody runs this.

Each ignored error has to be one: both checkers complain about an ignore that they do not need.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import assert_type

from sqlalchemy import Select
from sqlmodel import Session

from kern.db.engine.mutable_rows import MutableOutbox, MutableRun, MutableToolCall
from kern.db.engine.plain_rows import add_row, new_row, rows
from kern.db.engine.records import RunRecord
from kern.db.engine.tables import RunRow
from kern.db.engine.typed_tables import OUTBOX, RUNS, TOOL_CALLS
from kern.db.engine.unit_of_work import hold, hold_all, hold_new
from kern.db.reading.run_outputs import run_row, summary_of
from kern.db.runs import lifecycle

Query = Select[tuple[object]]


def of_a_row_that_was_only_read(tx: Session, query: Query, now: datetime) -> None:
    assert_type(rows(tx, RUNS, query), Iterator[RunRecord])
    for run in rows(tx, RUNS, query):
        run.status = "completed"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
        run.turn += 1  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
        lifecycle.complete(tx, run, "", now)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        # Nor are its lists and dicts changed in place, which would be lost as well.
        run.ancestors.append("id")  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
        run.dependencies["key"] = 1  # type: ignore[index]  # pyright: ignore[reportIndexIssue]
        summary_of(run)


def of_a_row_that_a_reader_returned(tx: Session, now: datetime) -> None:
    run = run_row(tx, "id")
    assert_type(run, RunRecord | None)
    if run is not None:
        run.content = ""  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
        lifecycle.fail(tx, run, "code", "", now)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def of_a_row_that_is_held(tx: Session, query: Query, now: datetime) -> None:
    assert_type(lifecycle.lock(tx, "id"), MutableRun)
    assert_type(hold(tx, TOOL_CALLS, query), MutableToolCall | None)
    for run in hold_all(tx, RUNS, query):
        assert_type(run, MutableRun)
        run.status = "completed"
        run.stauts = "completed"  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
        run.turn = "1"  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
        lifecycle.complete(tx, run, "", now)
        summary_of(run)


def of_a_new_row(tx: Session) -> None:
    row = new_row(OUTBOX, id="id")
    assert_type(row, MutableOutbox)
    row.attempts = 1
    add_row(tx, OUTBOX, row)
    assert_type(hold_new(tx, OUTBOX, row), MutableOutbox)
    add_row(tx, RUNS, row)  # type: ignore[misc]  # pyright: ignore[reportArgumentType]


def of_a_table_model(tx: Session, row: RunRow, now: datetime) -> None:
    summary_of(row)
    # The unit of work does not know it.
    lifecycle.complete(tx, row, "", now)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
