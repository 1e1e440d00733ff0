"""What a transaction becomes when Postgres refuses, stalls, or is no longer the server it was."""

import asyncio
import random
import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from types import MappingProxyType

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import event, text
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlmodel import Session

from kern.db.engine import pg_notify, postgres_connections
from kern.db.engine import store as engine
from kern.db.engine.pg_notify import Listener
from kern.db.engine.stores import PostgresStore
from kern.errors import DatabaseFailure, InvalidInput, Unavailable
from kern.process.live_text import Broadcaster
from tests.support.postgres import fresh_database

SHORT = {"lock_timeout": 50, "statement_timeout": 60_000}


@pytest.fixture
def url() -> str:
    address = fresh_database()
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("CREATE TABLE place (id integer PRIMARY KEY, note text NOT NULL)")
        connection.execute("INSERT INTO place VALUES (1, 'first')")
    return address


@pytest.fixture
def store(url: str) -> Iterator[PostgresStore]:
    with closing(PostgresStore(url)) as database:
        yield database


def insert(tx: Session) -> None:
    tx.connection().execute(text("INSERT INTO place SELECT max(id) + 1, 'more' FROM place"))


def count(tx: Session) -> int:
    return int(tx.connection().execute(text("SELECT count(*) FROM place")).scalar_one())


@contextmanager
def executions(database: PostgresStore) -> Generator[list[str]]:
    begun: list[str] = []
    event.listen(database.engine, "begin", lambda _: begun.append("begin"))
    yield begun


def test_a_connection_to_a_server_that_became_read_only_is_replaced(store: PostgresStore) -> None:
    store.write_now(insert)
    with store.engine.connect() as one, store.engine.connect() as two:
        for connection in (one, two):
            connection.exec_driver_sql("SET default_transaction_read_only = on")
            connection.commit()
    for _ in range(3):
        store.write_now(insert)
    assert store.read_now(count) == 5


def make_read_only(url: str) -> None:
    name = sql.Identifier(url.rpartition("/")[2])
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(name)
        )


def make_writable(url: str) -> None:
    name = sql.Identifier(url.rpartition("/")[2])
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        connection.execute(
            sql.SQL("ALTER DATABASE {} RESET default_transaction_read_only").format(name)
        )


@contextmanager
def connecting(database: PostgresStore, act: Callable[[int], object]) -> Generator[list[str]]:
    """Call `act` with the number of each attempt to connect, before it is made."""
    attempts: list[str] = []

    def connect(*_: object) -> None:
        attempts.append("connect")
        act(len(attempts))

    event.listen(database.engine, "do_connect", connect)
    yield attempts


def test_a_server_that_only_reads_is_unavailable(
    url: str, store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_REFUSED_SECONDS", 0.0)
    store.write_now(insert)
    make_read_only(url)
    store.engine.dispose()
    with pytest.raises(Unavailable) as caught:
        store.write_now(insert)
    assert "only reads at the moment (as during a failover): " in str(caught.value)
    assert "read-only" in str(caught.value)
    assert "does not answer" not in str(caught.value)
    make_writable(url)
    store.write_now(insert)


def test_an_outage_is_waited_for_however_often_the_server_refuses(
    url: str, store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_LONGEST_PAUSE", 0.02)
    make_read_only(url)

    def recover(number: int) -> None:
        if number == 20:
            make_writable(url)

    with connecting(store, recover) as attempts:
        store.write_now(insert)
    assert (len(attempts), store.read_now(count)) == (20, 2)


def test_an_outage_is_reported_when_the_time_for_it_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine, "_REFUSED_SECONDS", 0.5)
    with closing(PostgresStore("postgresql://kern@127.0.0.1:1/kern")) as away:
        begin = time.monotonic()
        with pytest.raises(Unavailable, match=r"does not answer: .*refused"):
            away.read_now(count)
        assert time.monotonic() - begin < 5


async def test_calls_behind_each_other_wait_for_an_outage_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine, "_REFUSED_SECONDS", 0.5)
    with closing(PostgresStore("postgresql://kern@127.0.0.1:1/kern")) as away:
        begin = time.monotonic()
        calls = [away.read(count) if n % 2 else away.write(count) for n in range(150)]
        errors = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(error) for error in errors} == {Unavailable}
        # One after the other, in ten threads, they would take fifteen times as long as the first.
        assert time.monotonic() - begin < 4


def test_a_collision_that_never_passes_is_given_up_after_some_attempts(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_LONGEST_PAUSE", 0.01)

    def collide(tx: Session) -> None:
        tx.connection().execute(
            text("DO $$ BEGIN RAISE EXCEPTION 'deadlock' USING ERRCODE = '40P01'; END $$")
        )

    before = random.getstate()
    with executions(store) as begun, pytest.raises(Unavailable, match="deadlock"):
        store.write_now(collide)
    assert len(begun) == 10
    assert random.getstate() == before, "a program's own random numbers stay repeatable"


@pytest.mark.parametrize("state", ["57P01", "53300", "40001", "08006", "26000", "42P05", "25006"])
def test_an_error_that_passes_is_tried_again(store: PostgresStore, state: str) -> None:
    attempts = 0

    def refuse_once(tx: Session) -> int:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            tx.connection().execute(
                text(f"DO $$ BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = '{state}'; END $$")
            )
        return count(tx)

    assert store.write_now(refuse_once) == 1
    assert attempts == 2


@pytest.mark.parametrize("statement", ["SELECT 1 / 0 FROM nowhere", "SELEC", "SELECT 1 / 0"])
def test_any_other_error_is_one_of_kern(store: PostgresStore, statement: str) -> None:
    with pytest.raises((DatabaseFailure, InvalidInput)):
        store.read_now(lambda tx: tx.connection().execute(text(statement)))


def test_a_violation_that_is_no_race_is_reported_at_once(store: PostgresStore) -> None:
    with executions(store) as begun, pytest.raises(DatabaseFailure, match="duplicate key"):
        store.write_now(
            lambda tx: tx.connection().execute(text("INSERT INTO place VALUES (1, 'again')"))
        )
    assert len(begun) <= 4


def test_a_pool_that_is_in_use_is_unavailable(store: PostgresStore) -> None:
    def wait(_: Session) -> None:
        raise PoolTimeout("QueuePool limit reached")

    with pytest.raises(Unavailable, match="in use"):
        store.write_now(wait)


def limits(tx: Session) -> tuple[str, ...]:
    names = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
    return tuple(str(tx.connection().execute(text(f"SHOW {name}")).scalar_one()) for name in names)


def test_a_transaction_has_time_limits_unless_the_url_sets_others(
    url: str, store: PostgresStore
) -> None:
    assert store.read_now(limits) == store.write_now(limits) == ("5s", "1min", "15s")
    with closing(PostgresStore(f"{url}?options=-c%20lock_timeout%3D7s")) as own:
        assert own.write_now(limits) == ("7s", "1min", "15s")


def test_no_plan_is_compiled_unless_the_url_asks_for_it(url: str, store: PostgresStore) -> None:
    def jit(tx: Session) -> str:
        return str(tx.connection().execute(text("SHOW jit")).scalar_one())

    assert store.read_now(jit) == store.write_now(jit) == "off"
    with closing(PostgresStore(f"{url}?options=-c%20jit%3Don")) as own:
        assert own.read_now(jit) == "on"


def test_a_read_sees_one_snapshot(store: PostgresStore) -> None:
    def look(tx: Session) -> tuple[int, int]:
        before = count(tx)
        store.write_now(insert)
        return before, count(tx)

    assert store.read_now(look) == (1, 1)


def test_a_holder_that_is_frozen_loses_its_lock(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        postgres_connections,
        "_LIMITS",
        MappingProxyType({**SHORT, "idle_in_transaction_session_timeout": 200}),
    )
    locked, thawed = threading.Event(), threading.Event()
    frozen: list[bool] = []

    def hold(tx: Session) -> None:
        change(tx)
        if not frozen:
            frozen.append(True)
            locked.set()
            thawed.wait()

    def change(tx: Session) -> None:
        tx.connection().execute(text("UPDATE place SET note = note || '.' WHERE id = 1"))

    with closing(PostgresStore(url)) as store, ThreadPoolExecutor() as threads:
        holding = threads.submit(store.write_now, hold)
        locked.wait()
        store.write_now(change)
        thawed.set()
        # It finds its connection gone, and begins again.
        holding.result()
        note = store.read_now(
            lambda tx: tx.connection().execute(text("SELECT note FROM place")).scalar_one()
        )
        assert note == "first.."


def test_a_lock_that_is_never_released_is_reported(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_connections, "_LIMITS", MappingProxyType(SHORT))
    monkeypatch.setattr(engine, "_REFUSED_SECONDS", 0.2)
    with closing(PostgresStore(url)) as store, psycopg.connect(url) as holder:
        holder.execute("SELECT * FROM place FOR UPDATE")
        with pytest.raises(Unavailable, match="lock timeout"):
            store.write_now(lambda tx: tx.connection().execute(text("UPDATE place SET note = 'x'")))


PREPARED = "SELECT count(*) FROM pg_prepared_statements"


def test_statements_are_prepared_only_where_the_url_asks(url: str) -> None:
    def prepared(address: str) -> int:
        with closing(PostgresStore(address)) as store:
            for _ in range(10):
                # A rollback, with which reads end, makes the driver forget what it has prepared.
                store.write_now(count)
            with store.engine.connect() as connection:
                return int(connection.exec_driver_sql(PREPARED).scalar_one())

    assert prepared(url) == 0
    assert prepared(f"{url}?prepare_threshold=2") > 0
    assert prepared(f"{url}?prepare_threshold=none") == 0
    with pytest.raises(InvalidInput, match="prepare_threshold in the database's URL is 'often'"):
        PostgresStore(f"{url}?prepare_threshold=often")


async def test_a_listener_that_hears_nothing_does_not_count(
    url: str, store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pg_notify, "_TEST_SECONDS", 0.2)
    # Channels end at the database: what is sent to one is not heard in another, as behind a pooler.
    with closing(PostgresStore(url, listen_url=fresh_database())) as deaf:
        listener = Listener(deaf.engine, Broadcaster(), deaf.listen_url)
        await listener.start()
        assert not listener.is_listening
        # It is known: nobody waits again.
        await listener.start()
        await listener.close()
    listener = Listener(store.engine, Broadcaster(), store.listen_url)
    await listener.start()
    assert listener.is_listening
    await listener.close()
