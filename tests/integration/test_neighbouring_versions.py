"""Two neighbouring versions work on one database, and only `kern migrate` migrates Postgres."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import MetaData, select

from kern.client.processes.runtime import Runtime
from kern.client.processes.services import Services
from kern.components.registry import Registry
from kern.db import PostgresDb
from kern.db.engine.schema import schema_of
from kern.db.engine.store import Store
from kern.db.engine.stores import PostgresStore, SqliteStore
from kern.db.migrations import HEAD, compatibility, migrate
from kern.db.migrations.migrate import changing, lock_migrations, revision_of, tables_revision
from kern.db.runs import workers
from kern.db.runs.workers import WorkerIdentity
from kern.errors import Conflict, NotMigrated, Unavailable
from kern.models.scripted import Call
from kern.process.settings import Settings
from kern.values.states import RunStatus
from tests.conftest import running
from tests.support import neighbours
from tests.support.agents import Ledger, paying, scripted
from tests.support.neighbours import CONTRACTING, EXPANDING, NEXT, next_version
from tests.support.postgres import fresh_database
from tests.support.stored_runs import at_once
from tests.support.templates import postgres_with_tables, with_tables
from tests.support.waiting import wait_until


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with closing(with_tables(request.param, tmp_path)) as database:
        yield database


@pytest.fixture
def later(tmp_path: Path) -> Path:
    """Where the next version of Kern has its migration."""
    return tmp_path / "later"


def test_the_version_before_runs_pauses_decides_and_ends_on_tables_that_were_expanded(
    store: Store,
    later: Path,
    settings: Settings,
    ledger: Ledger,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    neighbours.expand(store, later)
    for runtime in running(Runtime(settings, store, Registry()), monkeypatch):
        agent = scripted([Call("pay", amount=3), "Paid."], [paying(ledger)])
        paused = agent.run("Pay 3")
        assert paused.status is RunStatus.paused
        paused.active_requirements[0].confirm(by="dana")
        output = agent.continue_run(paused)
        assert (output.status, output.content) == (RunStatus.completed, "Paid.")
        assert ledger.lines == ["paid 3"]
        copy = agent.fork_session(output.session_id)
        assert agent.get_session(copy).run_count == 1
        agent.delete_session(output.session_id)
        assert revision_of(runtime.services.db) == NEXT


def test_a_deployment_is_rolled_back_with_and_without_its_migration(
    store: Store,
    later: Path,
    settings: Settings,
    ledger: Ledger,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    agent = scripted([Call("pay", amount=3), "Paid."], [paying(ledger)])
    acts: list[Callable[[], object]] = [
        lambda: neighbours.expand(store, later),
        lambda: neighbours.take_back(store, later),
    ]
    for act in acts:
        for _runtime in running(Runtime(settings, _again(store), Registry()), monkeypatch):
            paused = agent.run("Pay 3")
            act()
            paused.active_requirements[0].confirm(by="dana")
            assert agent.continue_run(paused).status is RunStatus.completed
    assert ledger.lines == ["paid 3"] * 2
    assert revision_of(store) == HEAD


def _again(store: Store) -> Store:
    """Open a database as another process does."""
    if isinstance(store, SqliteStore):
        return SqliteStore(store.path)
    return PostgresStore(store.engine.url.render_as_string(hide_password=False))


def test_the_version_before_refuses_tables_that_were_contracted_before_it_writes(
    store: Store, later: Path, settings: Settings
) -> None:
    neighbours.contract(store, later)
    before = everything(store)
    refusal = (
        f"is at revision {NEXT}, for which Kern has to know revision {NEXT}, and this version "
        f"knows only {HEAD}: .* Install that one, or restore the backup"
    )
    acts: list[Callable[[], object]] = [
        lambda: asyncio.run(Services.open(settings, store)),
        store.migrate,
        store.open,
    ]
    for act in acts:
        with pytest.raises(Conflict, match=refusal) as refused:
            act()
        assert not isinstance(refused.value, NotMigrated), "`kern migrate` would not help"
    assert everything(store) == before


def everything(store: Store) -> dict[str, list[object]]:
    """Return the rows of all tables with all their columns."""
    with store.engine.connect() as connection:
        tables = MetaData(schema=schema_of(connection))
        tables.reflect(connection)
        return {
            name: [table.c.keys(), *connection.execute(select(table)).all()]
            for name, table in tables.tables.items()
        }


def test_a_newer_revision_that_can_be_worked_with_is_left_to_the_newer_version(
    store: Store, later: Path
) -> None:
    neighbours.expand(store, later)
    change = store.migrate()
    assert (change.before, change.after.revision, change.after.min_reader) == (NEXT, NEXT, HEAD)
    store.open("command")


def test_tables_without_a_min_reader_are_for_their_own_revision(store: Store) -> None:
    with changing(store) as connection:
        compatibility.write_min_reader(connection, NEXT)
    with pytest.raises(Conflict, match=rf"knows only {HEAD}"):
        store.open()


def test_on_postgres_opening_migrates_nothing_and_says_what_does(settings: Settings) -> None:
    with closing(PostgresStore(fresh_database())) as store:
        refusal = rf"no tables of Kern's.*`kern migrate`, which makes them \(revision {HEAD}\)"
        with pytest.raises(NotMigrated, match=refusal) as refused:
            asyncio.run(Services.open(settings, store))
        assert "KERN_MIGRATE=auto" in str(refused.value)
        assert (refused.value.code, refused.value.exit_code) == ("not_migrated", 5)
        assert tables_revision(store) is None


@pytest.mark.parametrize(
    ("kind", "says"), [(EXPANDING, "can go on meanwhile"), (CONTRACTING, f"before {NEXT} cannot")]
)
def test_older_tables_on_postgres_wait_for_the_command(later: Path, kind: str, says: str) -> None:
    with closing(PostgresStore(postgres_with_tables())) as store:
        refusal = rf"is at revision {HEAD}, and .* needs {NEXT}\..*from {HEAD} to {NEXT}.*{says}"
        with next_version(later, kind), pytest.raises(NotMigrated, match=refusal):
            store.open()
        assert revision_of(store) == HEAD


def test_whoever_asks_for_it_migrates_postgres_when_opening_it(tmp_path: Path) -> None:
    url = fresh_database()
    with closing(PostgresStore(url)) as store:
        store.open("auto")
        assert revision_of(store) == HEAD
    with closing(PostgresDb(fresh_database())) as database:
        database.migrate()
    with closing(SqliteStore(tmp_path / "kern.db")) as file:
        with pytest.raises(NotMigrated):
            file.open("command")
        file.open()
        assert revision_of(file) == HEAD


def test_of_many_processes_that_migrate_at_once_one_does_it_and_each_knows() -> None:
    url = fresh_database()
    stores = [PostgresStore(url) for _ in range(4)]
    changes = at_once([store.migrate for store in stores])
    for store in stores:
        store.close()
    before = [change.before for change in changes if isinstance(change, migrate.TablesChange)]
    assert sorted(before, key=str) == [*[HEAD] * 3, None]


def test_a_migration_names_who_holds_its_tables(
    monkeypatch: pytest.MonkeyPatch, later: Path
) -> None:
    monkeypatch.setattr(migrate, "_LOCK_TIMEOUT", 50)
    monkeypatch.setattr(migrate, "_LOCK_TRIES", 2)
    url = postgres_with_tables()
    with closing(PostgresStore(url)) as store, psycopg.connect(url) as holder, next_version(later):
        holder.execute("LOCK TABLE kern.kern_runs IN ACCESS SHARE MODE")
        holding = rf"process {holder.info.backend_pid} \(idle in transaction, since \d\d:\d\d:"
        with pytest.raises(Unavailable, match=f"hold its tables: {holding}.*Nothing was changed"):
            store.migrate()
        assert revision_of(store) == HEAD
        holder.rollback()
        assert store.migrate().after.revision == NEXT


def test_a_migration_waits_for_another_one_for_as_long_as_that_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(migrate, "_LOCK_TIMEOUT", 1)
    url = fresh_database()
    with (
        closing(PostgresStore(url)) as store,
        closing(PostgresStore(url)) as rival,
        ThreadPoolExecutor(1) as threads,
        psycopg.connect(url, autocommit=True) as look,
    ):
        with changing(rival) as connection:
            lock_migrations(connection)
            waiting = threads.submit(store.migrate)
            blocked = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            wait_until(lambda: look.execute(blocked).fetchone() == (1,))
        assert waiting.result(60).after.revision == HEAD


def test_a_migration_takes_nothing_from_workers_that_are_present(store: Store, later: Path) -> None:
    worker = WorkerIdentity("w1", "host", 7, datetime.now(UTC))
    store.write_now(lambda tx: workers.beat(tx, worker, {}, datetime.now(UTC)))
    with next_version(later, CONTRACTING):
        refusal = rf"not migrated from revision {HEAD} to {NEXT}.*7@host \(revision {HEAD}\)"
        with pytest.raises(Conflict, match=refusal):
            store.migrate()
        assert revision_of(store) == HEAD
        store.write_now(lambda tx: workers.leave(tx, "w1"))
        store.migrate()
    assert revision_of(store) == NEXT


def test_a_worker_that_is_present_hinders_no_migration_that_only_adds(
    store: Store, later: Path
) -> None:
    worker = WorkerIdentity("w1", "host", 7, datetime.now(UTC))
    store.write_now(lambda tx: workers.beat(tx, worker, {}, datetime.now(UTC)))
    neighbours.expand(store, later)
    store.write_now(lambda tx: workers.beat(tx, worker, {}, datetime.now(UTC)))
    (present,) = store.read_now(lambda tx: workers.present_workers(tx, datetime.now(UTC)))
    assert (present.name, present.revision) == ("7@host", HEAD)
