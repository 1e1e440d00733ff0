"""Readers that share nothing with the worker but the database, as in another process."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest
from sqlalchemy.exc import OperationalError

from kern.client.processes.runtime import Runtime
from kern.client.service import streams as streams_module
from kern.client.service.reading import RunReader
from kern.client.service.streams import Readers
from kern.contracts.viewer import Viewer
from kern.db.engine import pg_notify
from kern.db.engine.store import Result, Store
from kern.db.engine.stores import PostgresStore, SqliteStore
from kern.db.journal.text_publisher import publisher_for
from kern.errors import NotFound
from kern.events import RunContent, RunEvent
from kern.models.scripted import Call
from kern.process.live_text import LiveText
from kern.tools import tool
from tests.integration.test_streams import kinds, numbers, text_of
from tests.support.agents import scripted
from tests.support.speaking import speaking

OTHER_WORDS = 'héllo "quoted" \\ and 🙂\n'


@tool
def look() -> str:
    """Look."""
    return "seen"


@asynccontextmanager
async def elsewhere(runtime: Runtime) -> AsyncGenerator[Readers]:
    """Have the readers of another process, which only reads and starts nothing."""
    own = runtime.services.db
    if isinstance(own, PostgresStore):
        db: Store = PostgresStore(own.engine.url.render_as_string(hide_password=False))
    else:
        db = SqliteStore(cast("SqliteStore", own).path)
    streams = Readers(db)
    try:
        yield streams
    finally:
        await streams.close()
        db.close()


async def opened(streams: Readers, run_id: str, after: int = 0) -> RunReader:
    return await streams.open(Viewer(None), run_id, after, "everything")


async def read_until(reader: RunReader, wanted: Callable[[RunEvent], bool]) -> list[RunEvent]:
    seen = list[RunEvent]()
    while not any(wanted(event) for event in seen):
        seen += await reader.read()
    return seen


async def rest_of(reader: RunReader) -> list[RunEvent]:
    seen = list[RunEvent]()
    while batch := await reader.read():
        seen += batch
    return seen


async def test_another_process_reads_every_event_and_the_whole_text(
    runtime_on_each: Runtime, tmp_path: Path
) -> None:
    gates = [tmp_path / "first", tmp_path / "second"]
    agent = speaking([[gates[0], "One.", Call("look")], ["Two ", gates[1], "three."]], [look])
    async with elsewhere(runtime_on_each) as streams:
        run_id = (await agent.arun("Hi", background=True)).run_id
        reader = await opened(streams, run_id)
        first = await reader.read()
        gates[0].touch()
        is_told = isinstance(runtime_on_each.services.db, PostgresStore)
        middle = await read_until(reader, lambda event: event.kind == "tool_call_completed")
        if is_told:
            last = await read_until(reader, lambda event: isinstance(event, RunContent))
            assert text_of(last) == "Two "
            middle += last
        gates[1].touch()
        seen = [*first, *middle, *await rest_of(reader)]
    assert numbers(seen) == list(range(1, len(numbers(seen)) + 1))
    assert text_of(seen) == "One.Two three."
    assert seen[-1].kind == "run_completed"


on_postgres = pytest.mark.parametrize("runtime_on_each", ["postgres"], indirect=True)


@on_postgres
async def test_text_comes_through_postgres_while_it_is_written(
    runtime_on_each: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody looks at the table by himself: what comes was told.
    monkeypatch.setattr(streams_module, "_LOOK_EVERY", 1000.0)
    gates = [tmp_path / "first", tmp_path / "second"]
    long = OTHER_WORDS * 3_000
    agent = speaking([[gates[0], long, "end", gates[1], "."]])
    async with elsewhere(runtime_on_each) as streams:
        stream = agent.arun("Hi", stream=True, stream_events=True)
        run_id = (await anext(stream)).run_id
        reader = await opened(streams, run_id)
        await reader.read()
        gates[0].touch()
        seen = list[RunEvent]()
        while len(text_of(seen)) < len(long) + 3:
            seen += await reader.read()
        assert text_of(seen) == long + "end"
        gates[1].touch()
        seen += await rest_of(reader)
        assert text_of(seen) == long + "end."
        assert "content_reset" not in kinds(seen)
        assert [event async for event in stream][-1].kind == "run_completed"


@on_postgres
async def test_no_event_is_missed_when_the_connection_that_listens_is_cut(
    runtime_on_each: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody looks at the table by himself, and nobody listens again before the run has ended.
    monkeypatch.setattr(streams_module, "_LOOK_EVERY", 1000.0)
    monkeypatch.setattr(streams_module, "_ASK_EVERY", 1000.0)
    gate, ended = tmp_path / "gate", threading.Event()
    connect = psycopg.AsyncConnection.connect

    async def later(**options: Any) -> psycopg.AsyncConnection:  # noqa: ANN401  psycopg's own
        await asyncio.to_thread(ended.wait, 60)
        return await connect(**options)

    agent = speaking([["One.", gate, Call("look")], ["Two ", "three."]], [look])
    url = runtime_on_each.services.db.engine.url.render_as_string(hide_password=False)
    async with elsewhere(runtime_on_each) as streams:
        stream = agent.arun("Hi", stream=True)
        run_id = (await anext(stream)).run_id
        reader = await opened(streams, run_id)
        seen = list(await reader.read())
        monkeypatch.setattr(psycopg.AsyncConnection, "connect", later)
        assert cut(url.replace("+psycopg", "")) > 0
        gate.touch()
        assert [event async for event in stream][-1].kind == "run_completed"
        ended.set()
        seen += await rest_of(reader)
    assert numbers(seen) == list(range(1, len(numbers(seen)) + 1))
    assert text_of(seen) == "One.Two three."


@on_postgres
async def test_readers_are_told_at_once_when_the_session_is_deleted(
    runtime_on_each: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody looks at the table by himself: what comes was told.
    monkeypatch.setattr(streams_module, "_LOOK_EVERY", 1000.0)
    gate = tmp_path / "gate"
    agent = speaking([["One.", gate, "Two."]])
    async with elsewhere(runtime_on_each) as streams:
        stream = agent.arun("Hi", stream=True)
        first = await anext(stream)
        reader = await opened(streams, first.run_id)
        await reader.read()
        await agent.adelete_session(first.session_id)
        with pytest.raises(NotFound):
            await asyncio.wait_for(rest_of(reader), 5)
        with pytest.raises(NotFound):
            await asyncio.wait_for(anext(stream), 5)
        gate.touch()


def cut(url: str) -> int:
    """End every connection that listens, and return how many there were."""
    with psycopg.connect(url, autocommit=True) as connection:
        found = connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND query LIKE 'LISTEN%'"
        )
        return len(found.fetchall())


@on_postgres
async def test_a_database_that_sends_no_text_fails_no_turn(
    runtime_on_each: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OperationalError("NOTIFY", {}, Exception("away"))

    monkeypatch.setattr(pg_notify, "pieces", lambda *_: [""])
    monkeypatch.setattr(pg_notify, "send", refuse_text(refuse))
    agent = scripted(["All is well."])
    events = [event async for event in agent.arun("Hi", stream=True)]
    assert text_of(events) == "All is well."
    assert events[-1].kind == "run_completed"


def refuse_text(refuse: Callable[..., None]) -> Callable[..., None]:
    """Send news as before, and refuse pieces of text."""
    send = pg_notify.send

    def some(tx: object, notices: list[str]) -> None:
        if "" in notices:
            refuse()
        send(tx, notices)  # type: ignore[arg-type]

    return some


@on_postgres
async def test_pieces_are_sent_in_batches(runtime_on_each: Runtime) -> None:
    db = runtime_on_each.services.db
    sent = list[int]()
    write = db.write

    async def counted(transaction: Callable[..., Result]) -> Result:
        sent.append(1)
        return await write(transaction)

    db.write = counted  # type: ignore[method-assign]
    text: LiveText = publisher_for(db).begin("run", 1, 1)
    for number in range(2_000):
        text.add(f"{number} ")
        if number % 100 == 0:
            await asyncio.sleep(0)
    text.close()
    await asyncio.sleep(0)
    assert len(sent) <= 2


def test_a_notice_is_never_too_long_for_postgres() -> None:
    text = LiveText("r" * 36, 1, 1, token="t" * 36, on_growth=lambda _: None, ended=lambda _: None)
    text.add("\x01" * 5_000 + "🙂" * 5_000)
    sent = list(pg_notify.pieces(text, 0))
    assert max(len(notice.encode()) for notice in sent) < 7_999
    assert len(sent) == 10
