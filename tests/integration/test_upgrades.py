"""A database of the first revision, with data: it is upgraded, reads as before, and goes on."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from pydantic import JsonValue
from sqlalchemy import MetaData, Table, inspect, select

from kern.context.history_window import Window
from kern.context.instructions import Context
from kern.contracts.reports import AuditReport
from kern.contracts.viewer import OPERATOR
from kern.db.engine.base import KernRow
from kern.db.engine.schema import schema_of
from kern.db.engine.stores import PostgresStore, SqliteStore
from kern.db.journal import outbox, verification
from kern.db.journal.outbox import DeliveryKind
from kern.db.migrations import HEAD
from kern.db.migrations.compatibility import VERSION_TABLE
from kern.db.migrations.migrate import revision_of
from kern.db.reading import history_window, session_metrics
from kern.db.runs import session_queue
from kern.db.turns import model_turns
from kern.errors import DatabaseFailure
from kern.values.states import OnBusy, RunStatus
from tests.support.lanes import Lanes, Player
from tests.support.postgres import fresh_database
from tests.support.stored_runs import Stored, after, opened
from tests.support.upgrades import downgrade, fill, told, unfinished_workflow

FIRST = "0001"
# A deletion leaves a row here; it is of no run that can be read.
EMPTY = ["kern_deleted_runs", "kern_workers", "kern_installation"]
WEEK = 7 * 24 * 3600.0

Rows = dict[str, list[dict[str, object]]]


@pytest.fixture(params=["sqlite", "postgres"])
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stored]:
    is_sqlite = request.param == "sqlite"
    old = SqliteStore(tmp_path / "kern.db") if is_sqlite else PostgresStore(fresh_database())
    with closing(old) as database:
        fill(database, FIRST)
        assert revision_of(database) == FIRST
        yield Stored(database)


def rows(stored: Stored, like: Rows | None = None) -> Rows:
    """Read every row, in the columns of `like` where that is given."""
    result: Rows = {}
    with stored.database.engine.connect() as connection:
        schema = schema_of(connection)
        for name in like or inspect(connection).get_table_names(schema=schema):
            table = Table(name, MetaData(), schema=schema, autoload_with=connection)
            query = select(table).order_by(*table.primary_key)
            result[name] = [dict(row) for row in connection.execute(query).mappings()]
            if like is not None and like[name]:
                columns = set(like[name][0])
                result[name] = [
                    {key: row[key] for key in row if key in columns} for row in result[name]
                ]
    # It is what an upgrade changes.
    result.pop(VERSION_TABLE, None)
    return result


def check_part(part: JsonValue, whole: JsonValue) -> None:
    """See that whatever was told then is told now; more may be told."""
    if isinstance(part, dict) and isinstance(whole, dict):
        for key, value in part.items():
            check_part(value, whole[key])
    elif isinstance(part, list) and isinstance(whole, list):
        assert len(part) == len(whole)
        for one, other in zip(part, whole, strict=True):
            check_part(one, other)
    else:
        assert part == whole


def check_reads_as_before(stored: Stored) -> None:
    before = told(FIRST)["runs"]
    assert isinstance(before, dict)
    for run_id, output in before.items():
        check_part(output, stored.output(run_id).model_dump(mode="json"))
        stored.events(run_id)


def check_references(stored: Stored) -> None:
    """See that a row which refers to nothing is refused, as before."""
    with pytest.raises(DatabaseFailure):
        stored.sql(
            "INSERT INTO kern_events (run_id, seq, kind, data, created_at) "
            "VALUES ('nobody', 1, 'kind', '{}', '2026-05-04')"
        )


def chain(stored: Stored) -> AuditReport:
    return stored.look(verification.verify)


def test_each_table_of_the_first_revision_has_rows(stored: Stored) -> None:
    """An empty one would lose nothing, whatever a migration did to it."""
    recorded = rows(stored)
    assert set(recorded) <= set(KernRow.metadata.tables)
    assert sorted(name for name, found in recorded.items() if not found) == sorted(EMPTY)


@pytest.mark.parametrize(
    "loss",
    [
        "DELETE FROM kern_events WHERE kind = 'run_accepted'",
        "UPDATE kern_requirements SET candidates = '[]'",
        "UPDATE kern_files SET data = CAST('' AS {bytes})",
        "UPDATE kern_runs SET created_at = updated_at",
        "UPDATE kern_steps SET announced_by = NULL",
    ],
)
def test_what_a_migration_loses_is_noticed(stored: Stored, loss: str) -> None:
    before = rows(stored)
    is_postgres = schema_of(stored.database.engine) is not None
    stored.sql(loss.format(bytes="bytea" if is_postgres else "BLOB"))
    assert rows(stored, before) != before


def test_every_row_is_kept_and_everything_reads_as_before(stored: Stored) -> None:
    before = rows(stored)
    stored.database.migrate()
    assert revision_of(stored.database) == HEAD
    assert rows(stored, before) == before
    check_reads_as_before(stored)
    noted = told(FIRST)["audit"]
    assert isinstance(noted, dict)
    assert chain(stored) == AuditReport.model_validate(noted)


def test_a_run_that_was_paused_is_decided_and_goes_on(stored: Stored) -> None:
    stored.database.migrate()
    first, second = stored.output("run-paused").requirements
    stored.resolve(first, by="eli", at=after(WEEK))
    assert stored.output("run-paused").requirements[0].resolution is not None, "the second of two"
    stored.resolve(second, by="eli", at=after(WEEK), edit={"amount": 5.0})
    output = stored.output("run-paused")
    assert output.status is RunStatus.running
    assert output.metrics.waiting_seconds == pytest.approx(WEEK - 40, abs=1)
    for call in output.tools:
        stored.begin(call.id)
        stored.finish(call.id, at=after(WEEK))
    stored.answer("run-paused", turn=2, content="Done.", at=after(WEEK))
    assert stored.output("run-paused").status is RunStatus.completed
    assert chain(stored).decisions == 7


def test_the_one_that_runs_is_counted_and_the_next_waits_for_it_and_sees_the_past(
    stored: Stored,
) -> None:
    stored.database.migrate()
    used = stored.look(lambda tx: session_metrics.metrics(tx, "talk", OPERATOR, after(63)))
    assert (used.run_count, used.input_tokens, used.tool_calls) == (4, 506, 2)
    assert used.working_seconds == pytest.approx(10, abs=2), "since it was last written to"
    new, delivery = stored.accept(session_id="talk", user_id="ann", input="And?", at=after(60))
    assert delivery is None
    assert stored.output(new).is_queued
    (call,) = stored.output("run-running").tools
    stored.finish(call.id, "attempt", result="written", at=after(63))
    stored.answer("run-running", turn=2, content="I wrote to them.", at=after(64))
    assert not stored.output(new).is_queued
    context = Context(window=Window(runs=3))
    shown = stored.look(lambda tx: model_turns.load(tx, new, 1, lambda _id: context)).messages
    texts = [message.content for message in shown]
    assert texts[:2] == ["Hello, who are you?", "I am Ärgernis, at your service."]
    assert texts[2:7] == [
        *("Refund order 1042", "Let me see.", "1042: 40.0", "looked", "Refunded 40."),
    ]
    assert '"Refund it all", is paused: waiting for approval of refund(' in texts[7]
    assert texts[8:] == ["Write to them", "", "written", "I wrote to them.", "And?"]
    stored.answer(new, content="That is all.", at=after(65))
    assert stored.output(new).number == 5


def test_what_was_not_delivered_is_delivered(stored: Stored) -> None:
    stored.database.migrate()
    due = stored.do(lambda tx: outbox.claim_due(tx, after(WEEK)))
    pipeline_run = str(told(FIRST)["pipeline"])
    assert {(one.kind, one.run_id) for one in due} == {
        (DeliveryKind.start, "run-accepted"),
        (DeliveryKind.resolved, "run-resolved"),
        (DeliveryKind.cancel, "run-cancelled"),
        (DeliveryKind.start, "run-team"),
        (DeliveryKind.start, pipeline_run),
    }
    assert stored.look(lambda tx: session_queue.stuck_sessions(tx, after(WEEK))) == []


def test_a_downgrade_keeps_the_data_and_it_is_upgraded_again(stored: Stored) -> None:
    before = rows(stored)
    stored.database.migrate()
    downgrade(stored.database, FIRST)
    assert rows(stored) == before
    check_references(stored)
    stored.database.migrate()
    assert rows(stored, before) == before
    check_reads_as_before(stored)


def test_what_was_written_since_survives_a_downgrade(stored: Stored) -> None:
    stored.database.migrate()
    run_id, _ = stored.accept(
        session_id="quiet", user_id=None, on_busy=OnBusy.parallel, at=after(200)
    )
    stored.answer(run_id, content="New.", at=after(201))
    downgrade(stored.database, FIRST)
    stored.database.migrate()
    assert stored.output(run_id).content == "New."
    seen = stored.look(lambda tx: history_window.earlier(tx, "quiet", 9, Window(runs=1)))
    assert [message.content for message in seen] == ["Hi", "New."]


def test_a_pipeline_that_was_recorded_halfway_ends(stored: Stored) -> None:
    stored.database.migrate()
    run_id, before = told(FIRST)["pipeline"], told(FIRST)["executed"]
    assert isinstance(run_id, str)
    assert isinstance(before, list)
    lanes = Lanes(stored, unfinished_workflow(), run_id=run_id)
    player = Player(lanes, 1)
    player.start()
    assert player.play()
    assert lanes.status is RunStatus.completed
    # Those that were executing when it was recorded are executed again: they are idempotent.
    assert sorted([*map(str, before), *lanes.executed]) == list("abcdef")
    assert set(lanes.executed.values()) == {1}


@pytest.mark.parametrize("most", range(2, 14))
def test_a_pipeline_goes_on_after_an_upgrade_at_any_moment(tmp_path: Path, most: int) -> None:
    """Workflows have heard of lanes from rows as they were before it."""
    with opened("sqlite", tmp_path) as stored:
        lanes = Lanes(stored, unfinished_workflow())
        player = Player(lanes, most)
        player.start()
        if not player.play(most):
            downgrade(stored.database, FIRST)
            stored.database.migrate()
            player.restart()
            player.play()
        assert lanes.status is RunStatus.completed
        assert lanes.executed == dict.fromkeys("abcdef", 1)
