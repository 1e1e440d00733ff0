"""Records a database of the newest revision, for later ones to be upgraded from.

    python -m tests.support.upgrades.record FILE

`FILE` is a SQLite database with the newest tables; `more_rows` adds to one what the first
revisions' rows lack.
"""

import json
import sys
from collections.abc import Iterator
from datetime import timedelta

from pydantic import JsonValue
from sqlalchemy import Connection
from sqlmodel import col, select

from kern.contracts.answers import NewCall, NewChild
from kern.contracts.approval import Approval
from kern.db.engine.base import KernRow
from kern.db.engine.stores import SqliteStore
from kern.db.engine.tables import RunRow
from kern.db.journal import verification
from kern.db.migrations import HEAD
from kern.db.reading.step_progress import steps_of
from kern.media import File, Image
from tests.support.lanes import Lanes, Player
from tests.support.pictures import PDF, png
from tests.support.stored_runs import ARGUMENTS, Stored, after, question
from tests.support.upgrades import HERE, unfinished_workflow

_TITLE = (
    "-- A database as revision {} left it, written by the code of that revision. It is history: "
    "when tables change, this file does not.\n"
)
_GROWING = ("elapsed_seconds", "working_seconds", "waiting_seconds")
# Then one step waits for the lane whose activity has to name it.
_MOMENTS = 6
_LEAVES = "abcdef"


def more_rows(stored: Stored) -> None:
    """Add runs with files, a team whose member waits for a person, and half a pipeline."""
    media: list[Image | File] = [
        File(data=PDF, name="bill.pdf"),
        Image(data=png(), name="chart.png"),
    ]
    stored.accept(run_id="run-files", session_id="files", user_id="ann", media=media, at=after(200))
    stored.answer("run-files", content="Two files.", at=after(201))
    stored.accept(run_id="run-team", session_id="team", user_id="ann", kind="team", at=after(210))
    new = NewCall("c1", "give", {}, child=NewChild("finder", "agent", "finder", "Do it"))
    stored.answer("run-team", new, at=after(211))
    (call,) = stored.output("run-team").tools
    assert call.child_run_id is not None
    asked = question(approval=Approval(candidates=("eli", "fay"), due=timedelta(days=3)))
    gated = NewCall("c1", "refund", dict(ARGUMENTS), question=asked)
    stored.answer(call.child_run_id, gated, at=after(212))
    lanes = Lanes(stored, unfinished_workflow())
    player = Player(lanes, seed=1)
    player.start()
    assert not player.play(_MOMENTS)
    assert lanes.executed


def record(stored: Stored) -> None:
    """Write the rows of a database, and what this code reads from them."""
    with stored.database.engine.connect() as connection:
        rows = "\n".join(_statements(connection))
    (HERE / f"revision_{HEAD}.sql").write_text(_TITLE.format(HEAD) + rows + "\n", encoding="utf-8")
    text = json.dumps(_readings(stored), indent=1, sort_keys=True, ensure_ascii=False)
    (HERE / f"revision_{HEAD}.json").write_text(text + "\n", encoding="utf-8")


def _statements(connection: Connection) -> Iterator[str]:
    for table in KernRow.metadata.sorted_tables:
        yield ""
        names = ", ".join(f'"{column.name}"' for column in table.columns)
        query = table.select().order_by(*table.primary_key).compile(connection.engine)
        # As SQLite keeps them: what column types make of them is the code's affair.
        for row in connection.exec_driver_sql(str(query)):
            booleans = [column.type.python_type is bool for column in table.columns]
            values = ", ".join(map(_literal, row, booleans))
            yield f"INSERT INTO {table.name} ({names}) VALUES ({values});"  # noqa: S608  rows of a test


def _literal(value: object, is_boolean: bool) -> str:  # noqa: FBT001  mapped over two lists
    match value:
        case None:
            return "NULL"
        case bytes():
            return f"X'{value.hex()}'"
        case str():
            assert "\n" not in value
            return "'" + value.replace("'", "''") + "'"
        case _ if is_boolean:
            return "true" if value else "false"
        case _:
            return str(value)


def _readings(stored: Stored) -> dict[str, JsonValue]:
    runs = stored.look(lambda tx: tx.exec(select(RunRow).order_by(col(RunRow.id))).all())
    pipeline = next(run.id for run in runs if run.component_kind == "workflow")
    steps = stored.look(lambda tx: steps_of(tx, pipeline, limit=100))
    chain = stored.look(verification.verify)
    return {
        "runs": {run.id: _lasting(stored.output(run.id).model_dump(mode="json")) for run in runs},
        "audit": chain.model_dump(mode="json"),
        "pipeline": pipeline,
        "executed": [step.name for step in steps if step.name in _LEAVES and step.outcome],
    }


def _lasting(value: JsonValue) -> JsonValue:
    """Leave out what grows while a run is unfinished."""
    match value:
        case dict():
            return {key: _lasting(item) for key, item in value.items() if key not in _GROWING}
        case list():
            return [_lasting(item) for item in value]
        case _:
            return value


if __name__ == "__main__":
    store = SqliteStore(sys.argv[1])
    record(Stored(store))
    store.close()
