"""Calls that a session has executed: those of runs that did not complete, and those of one tool.

What happened stays true whatever became of its run. A run that failed, was cancelled or waits for
people is in no window of history with its messages; without its calls, the next run would ask for
the same payment again, and the person who approves would not see that it was made.

Both statements read the latest runs of the session only, by index, so that they cost the same in a
session of any length.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, cast

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Select,
    Subquery,
    bindparam,
    case,
    func,
    literal_column,
    or_,
    select,
    union_all,
)
from sqlmodel import Session

from kern.context.history_window import ExecutedCall, executed_line
from kern.db.engine.columns import JsonText
from kern.db.engine.plain_rows import execute
from kern.db.engine.records import RequirementRecord
from kern.db.engine.typed_tables import RUNS, SESSIONS, TOOL_CALLS
from kern.db.reading.latest_runs import latest_runs
from kern.run import Message
from kern.values.decisions import EarlierCall
from kern.values.states import (
    RequirementKind,
    RequirementStatus,
    RunStatus,
    ToolCallStatus,
    ToolOutcome,
)

_RUNS = 20
_CALLS = 50
_EARLIER_CALLS = 5
_LONGEST_RESULT = 200

_runs, _calls, _sessions = (RUNS.table, TOOL_CALLS.table, SESSIONS.table)
_children = _runs.alias("children")
# Completed runs are shown with their messages.
_NOT_COMPLETED = (RunStatus.error, RunStatus.cancelled, RunStatus.paused, RunStatus.running)
# It was begun, and then a person refused to have it executed again, or its run ended: whether it
# happened, nobody has said.
_LEFT_OPEN = _calls.c.outcome.in_([ToolOutcome.rejected.value, ToolOutcome.cancelled.value]) & (
    _calls.c.attempt > 0
)
# A result that a person or another system gave counts as executed without an attempt. What was
# refused before it began has an error and none.
_EXECUTED = (
    or_(
        _LEFT_OPEN,
        _calls.c.outcome == ToolOutcome.result.value,
        (_calls.c.outcome == ToolOutcome.error.value) & (_calls.c.attempt > 0),
        (_calls.c.status == ToolCallStatus.running.value) & _calls.c.begun_at.is_not(None),
        _calls.c.status == ToolCallStatus.unknown.value,
    )
    & _calls.c.step_id.is_(None)
    # A person's choice has no effect of its own.
    & (func.coalesce(_calls.c.gate, "") != RequirementKind.user_feedback.value)
    # It is the child's calls that have effects.
    & _calls.c.child_run_id.is_(None)
)
_ARGUMENTS = func.coalesce(_calls.c.approved_arguments, _calls.c.arguments, type_=JsonText)
_COLUMNS = (
    _calls.c.id.label("call_id"),
    _calls.c.name,
    _ARGUMENTS.label("arguments"),
    case((_LEFT_OPEN, "unknown"), else_=func.coalesce(_calls.c.outcome, "unknown")).label(
        "outcome"
    ),
    case((_LEFT_OPEN, None), else_=_calls.c.result).label("result"),
    _calls.c.run_id,
    func.coalesce(_calls.c.finished_at, _calls.c.started_at, _calls.c.created_at).label("at"),
)


def executed_in_unfinished_runs(tx: Session, session_id: str, before: int) -> dict[int, Message]:
    """Return, by the numbers of runs that did not complete, what a model learns of their calls."""
    query = _of_unfinished_runs()
    records: list[Any] = list(execute(tx, query, session_id=session_id, before=before))
    calls: dict[int, list[ExecutedCall]] = {}
    heads: dict[int, tuple[str, str]] = {}
    for row in sorted(records, key=lambda row: str(row.call_id)):
        call = ExecutedCall(row.name, row.arguments, row.outcome, row.result)
        calls.setdefault(row.number, []).append(call)
        heads[row.number] = row.input, row.status
    return {
        number: Message(role="user", content=executed_line(*heads[number], executed))
        for number, executed in calls.items()
    }


def earlier_calls(tx: Session, records: Sequence[RequirementRecord]) -> list[list[EarlierCall]]:
    """Return what the sessions have done with the tools that pending requirements are about."""
    pending = [row for row in records if _shows_earlier(row)]
    if not pending:
        return [[] for _ in records]
    values = {
        "session_ids": sorted({row.session_id for row in pending}),
        "names": sorted({str(row.tool_name) for row in pending}),
    }
    calls: dict[tuple[str, str], list[tuple[str, EarlierCall]]] = {}
    for call in execute(tx, _with_tools(), **values):
        earlier = EarlierCall(
            run_id=call.run_id,
            arguments=call.arguments,
            outcome=call.outcome,
            result=None if call.result is None else call.result[:_LONGEST_RESULT],
            at=call.at,
        )
        calls.setdefault((call.session_id, call.name), []).append((call.call_id, earlier))
    return [
        [
            earlier
            for call_id, earlier in calls.get((row.session_id, row.tool_name or ""), [])
            if call_id != row.tool_call_id
        ][:_EARLIER_CALLS]
        if _shows_earlier(row)
        else []
        for row in records
    ]


def _shows_earlier(row: RequirementRecord) -> bool:
    return row.status == RequirementStatus.pending.value and bool(row.tool_name)


@cache
def _of_unfinished_runs() -> CompoundSelect[Any]:
    runs = (select(latest_runs(status, _RUNS)) for status in _NOT_COMPLETED)
    latest = union_all(*runs).subquery("latest")
    columns = (latest.c.number, latest.c.input, latest.c.status, *_COLUMNS)
    return _latest_calls(latest, columns, _EXECUTED, _CALLS)


@cache
def _with_tools() -> Select[Any]:
    """Select the latest calls of each session with each tool, the latest first.

    One more than is shown, since the call itself may be among them.
    """
    # The numbers of a session's own runs have no gaps.
    is_recent = _runs.c.number >= _sessions.c.next_number - literal_column(str(_CALLS))
    latest = (
        select(_runs.c.id, _runs.c.session_id)
        .join_from(_sessions, _runs, _runs.c.session_id == _sessions.c.id)
        .where(_sessions.c.id.in_(bindparam("session_ids", expanding=True)))
        .where(is_recent, _runs.c.number > 0)
        .subquery("latest")
    )
    is_it = _calls.c.name.in_(bindparam("names", expanding=True)) & _EXECUTED
    calls = _calls_of(latest, (latest.c.session_id, *_COLUMNS), is_it).subquery("calls")
    group = (calls.c.session_id, calls.c.name)
    place = func.row_number().over(partition_by=group, order_by=calls.c.call_id.desc())
    ranked = select(*calls.c, place.label("place")).subquery("ranked")
    query = select(ranked).where(ranked.c.place <= literal_column(str(_EARLIER_CALLS + 1)))
    return query.order_by(ranked.c.call_id.desc())


def _latest_calls(
    runs: Subquery,
    columns: Sequence[ColumnElement[Any]],
    condition: ColumnElement[bool],
    most: int,
) -> CompoundSelect[Any]:
    """Select the latest calls of root runs and of the runs below them, the latest first."""
    query: Any = _calls_of(runs, columns, condition).order_by(literal_column("call_id").desc())
    return cast("CompoundSelect[Any]", query.limit(literal_column(str(most))))


def _calls_of(
    runs: Subquery, columns: Sequence[ColumnElement[Any]], condition: ColumnElement[bool]
) -> CompoundSelect[Any]:
    """Select the calls of root runs and of the runs below them."""
    of_runs = select(*columns).join_from(runs, _calls, _calls.c.run_id == runs.c.id)
    below = (
        select(*columns)
        .join_from(runs, _children, _children.c.root_run_id == runs.c.id)
        .join(_calls, _calls.c.run_id == _children.c.id)
    )
    return union_all(of_runs.where(condition), below.where(condition))
