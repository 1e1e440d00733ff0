"""The database contract: a window of history is two statements, by index, on every database."""

import sqlite3
from datetime import timedelta
from typing import Any, cast

import pytest
from pydantic import JsonValue
from sqlalchemy import event
from sqlmodel import Session

from kern.context.history_window import Window
from kern.contracts.answers import NewCall
from kern.contracts.viewer import OPERATOR
from kern.db.engine.requirement_tables import RequirementRow
from kern.db.engine.stores import SqliteStore
from kern.db.engine.tables import MessageRow, RunRow
from kern.db.engine.typed_tables import MESSAGES, REQUIREMENTS, RUNS
from kern.db.migrations.migrate import enter_schema
from kern.db.reading import history_window
from kern.db.reading.history_window import earlier
from kern.db.runs import lifecycle
from kern.run import Message
from kern.values.ids import new_id
from kern.values.states import RequirementKind
from tests.support.stored_runs import NOW, Stored, after, question

LONG = 1000
STATUSES = ["cancelled", "paused", *["completed"] * 8]
WINDOWS = [Window(runs=3), Window(messages=6), Window(messages=7, tool_calls=1)]


def ended(stored: Stored, session_id: str, text: str, calls: int = 0) -> str:
    """Make a run that has answered, after a turn with so many calls if there are any."""
    run_id, _ = stored.accept(session_id=session_id, input=text, on_busy="parallel")
    turn = 1
    if calls:
        new = [NewCall(f"c{n}", "look", {"n": n}) for n in range(calls)]
        for call in stored.answer(run_id, *new).calls:
            stored.begin(call.tool_call_id)
            stored.finish(call.tool_call_id, result=f"result of {text}")
        turn = 2
    stored.answer(run_id, turn=turn, content=f"answer to {text}")
    return run_id


def seen(stored: Stored, session_id: str, window: Window, before: int = 10**6) -> list[Message]:
    return stored.look(lambda tx: earlier(tx, session_id, before, window))


def texts(messages: list[Message]) -> list[str]:
    return [message.content for message in messages]


def test_the_latest_completed_runs_are_seen_in_their_order(stored: Stored) -> None:
    session = new_id()
    for n in range(1, 5):
        ended(stored, session, f"q{n}")
    assert texts(seen(stored, session, Window(runs=2))) == [
        "q3",
        "answer to q3",
        "q4",
        "answer to q4",
    ]
    assert texts(seen(stored, session, Window(runs=2), before=3)) == [
        "q1",
        "answer to q1",
        "q2",
        "answer to q2",
    ]
    assert seen(stored, session, Window(runs=0)) == []
    assert seen(stored, new_id(), Window(runs=3)) == []


def test_messages_keep_everything_that_a_model_is_sent(stored: Stored) -> None:
    session = new_id()
    run_id = ended(stored, session, "q", calls=2)
    assert seen(stored, session, Window(runs=1)) == stored.output(run_id).messages


def test_runs_that_did_not_answer_are_left_out(stored: Stored) -> None:
    session = new_id()
    ended(stored, session, "q1")
    stored.accept(session_id=session, input="running")
    cancelled, _ = stored.accept(session_id=session, input="cancelled")
    stored.do(lambda tx: lifecycle.cancel(tx, cancelled, OPERATOR, after(1)))
    failed, _ = stored.accept(session_id=session, input="failed")
    stored.do(lambda tx: lifecycle.fail(tx, lifecycle.lock(tx, failed), "error", "no", after(1)))
    ended(stored, session, "q2")
    assert texts(seen(stored, session, Window(runs=2))) == [
        "q1",
        "answer to q1",
        "q2",
        "answer to q2",
    ]


@pytest.mark.parametrize(
    ("most", "expected"),
    [
        (0, []),
        (1, ["answer to q2"]),
        (2, ["answer to q2"]),
        (3, ["answer to q2"]),
        (4, ["", "result of q2", "result of q2", "answer to q2"]),
        (5, ["q2", "", "result of q2", "result of q2", "answer to q2"]),
        (6, ["answer to q1", "q2", "", "result of q2", "result of q2", "answer to q2"]),
        (99, ["q1", "answer to q1", "q2", "", "result of q2", "result of q2", "answer to q2"]),
    ],
)
def test_a_window_of_messages_cuts_no_call_from_its_result(
    stored: Stored, most: int, expected: list[str]
) -> None:
    session = new_id()
    ended(stored, session, "q1")
    ended(stored, session, "q2", calls=2)
    assert texts(seen(stored, session, Window(messages=most))) == expected


def test_only_the_latest_calls_keep_their_messages(stored: Stored) -> None:
    session = new_id()
    ended(stored, session, "q1", calls=2)
    ended(stored, session, "q2", calls=2)
    few = seen(stored, session, Window(runs=2, tool_calls=3))
    assert [[call.id for call in message.tool_calls] for message in few if message.tool_calls] == [
        ["c1"],
        ["c0", "c1"],
    ]
    assert texts(seen(stored, session, Window(runs=2, tool_calls=0))) == [
        "q1",
        "answer to q1",
        "q2",
        "answer to q2",
    ]


def test_what_waits_for_a_person_is_one_line_also_outside_the_window(stored: Stored) -> None:
    session = new_id()
    run_id, _ = stored.accept(session_id=session, input="Refund order 1042")
    arguments: dict[str, JsonValue] = {"order_id": "1042"}
    asked = question(RequirementKind.user_feedback, question="Which?", choices=["a", "b"])
    stored.answer(
        run_id,
        NewCall("c1", "refund", dict(arguments), question=question()),
        NewCall("c2", "ask", {}, question=asked),
    )
    for n in range(3):
        ended(stored, session, f"q{n}")
    line, *rest = seen(stored, session, Window(runs=1))
    assert texts(rest) == ["q2", "answer to q2"]
    assert line.role == "user"
    assert line.content == (
        '[An earlier request, "Refund order 1042", is paused: waiting for approval of '
        'refund(order_id="1042"); waiting for an answer to "Which?"]'
    )
    first = next(r for r in stored.output(run_id).requirements if r.tool_name == "refund")
    stored.resolve(first)
    assert texts(seen(stored, session, Window(runs=1))) == ["q2", "answer to q2"]
    stored.begin(first.tool_call_id or "")
    stored.finish(first.tool_call_id or "")
    (executed, line, *_) = seen(stored, session, Window(runs=1))
    assert "approval" not in line.content
    assert "waiting for an answer" in line.content
    assert 'refund(order_id="1042") with the result "done"' in executed.content
    stored.do(lambda tx: lifecycle.cancel(tx, run_id, OPERATOR, after(1)))
    (executed, *rest) = seen(stored, session, Window(runs=1))
    assert "was cancelled. These calls were executed" in executed.content
    assert texts(rest) == ["q2", "answer to q2"]


@pytest.fixture(scope="module")
def long(stored: Stored) -> tuple[Stored, str]:
    """A session with a thousand runs, most of which called tools, among others."""
    sessions = [new_id() for _ in range(3)]
    for session in sessions:
        stored.accept(session_id=session)
        stored.do(lambda tx, session=session: _fill(tx, session))  # type: ignore[misc]
    stored.sql("ANALYZE")
    return stored, sessions[1]


def _fill(tx: Any, session: str) -> None:  # noqa: ANN401  rows as plain as they come
    ids = [new_id() for _ in range(LONG)]
    tx.connection().execute(
        RUNS.table.insert(),
        [
            {
                **RunRow(
                    id=run_id,
                    session_id=session,
                    component_id="agent",
                    component_kind="agent",
                    number=n,
                    # A few did not answer, and some of these wait.
                    status=STATUSES[n % 10],
                    input="q",
                    turn=4,
                    dependencies={},
                    run_metadata={},
                    created_at=NOW + timedelta(seconds=n),
                    updated_at=NOW,
                ).model_dump()
            }
            for n, run_id in enumerate(ids, start=2)
        ],
    )
    tx.connection().execute(
        MESSAGES.table.insert(),
        [
            MessageRow(
                run_id=run_id, turn=turn, position=0, role="assistant", content="a", created_at=NOW
            ).model_dump()
            for run_id in ids
            for turn in range(5)
        ],
    )
    tx.connection().execute(
        REQUIREMENTS.table.insert(),
        [
            RequirementRow(
                id=new_id(),
                run_id=run_id,
                session_id=session,
                kind="confirmation",
                status="pending" if STATUSES[n % 10] == "paused" else "resolved",
                tool_name="refund",
                arguments={},
                digest="",
                arguments_schema={},
                fields=[],
                choices=[],
                candidates=[],
                excluded=[],
                created_at=NOW,
            ).model_dump()
            for n, run_id in enumerate(ids, start=2)
        ],
    )


@pytest.mark.parametrize("window", WINDOWS)
def test_no_table_is_scanned_for_a_window(long: tuple[Stored, str], window: Window) -> None:
    stored, session = long
    plan = "\n".join(_plan(stored, session, window))
    for table in ("kern_runs", "kern_messages", "kern_requirements"):
        assert f"SCAN {table}" not in plan
        assert f"Seq Scan on {table}" not in plan
    assert "kern_runs_of_session" in plan


def _plan(stored: Stored, session: str, window: Window) -> list[str]:
    dialect = stored.database.engine.dialect
    compiled = history_window.window_query(window).compile(dialect=dialect)
    prefix = "EXPLAIN QUERY PLAN " if dialect.name == "sqlite" else "EXPLAIN "
    given = {**compiled.params, "session_id": session, "before": LONG}
    values: Any = given
    if dialect.name == "sqlite":
        values = tuple(given[name] for name in cast("list[str]", compiled.positiontup))
    found = _in_schema(stored, prefix + str(compiled), values)
    return [str(row[-1]) for row in found]


def _in_schema(stored: Stored, statement: str, values: Any) -> list[Any]:  # noqa: ANN401  the driver's
    """Execute a statement as it was compiled: without the schema of the tables."""

    def look(tx: Session) -> list[Any]:
        enter_schema(tx.connection())
        return list(tx.connection().exec_driver_sql(statement, values))

    return stored.look(look)


@pytest.mark.parametrize("window", WINDOWS)
def test_a_window_costs_the_same_at_the_thousandth_run_as_at_an_early_one(
    long: tuple[Stored, str], window: Window
) -> None:
    stored, session = long
    early, late = (_cost(stored, session, window, before) for before in (250, LONG))
    assert len(seen(stored, session, window, 250)) == len(seen(stored, session, window, LONG))
    # A tree that is a level deeper, and no more; a scan would read four times as much.
    assert late <= early * 1.5 + 10, f"{early} at run 250, {late} at run {LONG}"


def _cost(stored: Stored, session: str, window: Window, before: int) -> int:
    """Return what the database itself says that a window took: steps, or pages."""
    if isinstance(stored.database, SqliteStore):
        return _steps(stored, session, window, before)
    statement = history_window.window_query(window).compile(dialect=stored.database.engine.dialect)
    values = {**statement.params, "session_id": session, "before": before}
    explain = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}"
    ((found,),) = _in_schema(stored, explain, values)
    plan = found[0]["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


def _steps(stored: Stored, session: str, window: Window, before: int) -> int:
    """Count the instructions of SQLite's virtual machine."""
    steps = 0

    def step() -> int:
        nonlocal steps
        steps += 1
        return 0

    def look(tx: Any) -> None:  # noqa: ANN401  a session
        raw = cast("sqlite3.Connection", tx.connection().connection.driver_connection)
        raw.set_progress_handler(step, 1)
        try:
            earlier(tx, session, before, window)
        finally:
            raw.set_progress_handler(None, 1)

    stored.look(look)
    return steps


@pytest.mark.parametrize("window", WINDOWS)
def test_a_window_is_two_statements(stored: Stored, window: Window) -> None:
    session, asked = new_id(), list[str]()
    for n in range(5):
        ended(stored, session, f"q{n}", calls=1)

    def note(_c: object, _cursor: object, statement: str, *_rest: object) -> None:
        asked.append(statement)

    engine = stored.database.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        seen(stored, session, window)
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert len([one for one in asked if "BEGIN" not in one]) == 2
