"""An application keeps its own tables in Kern's database, and declares them in Kern's process."""

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Engine, create_engine, inspect, text
from sqlmodel import Field, Session, SQLModel, select

from kern.db.engine import pg_notify
from kern.db.engine.store import Store
from kern.db.engine.stores import PostgresStore, SqliteStore
from kern.db.migrations import HEAD
from kern.db.migrations.migrate import revision_of
from kern.process.live_text import Broadcaster
from kern.values.states import RunStatus
from tests.support import postgres
from tests.support.processes import ROOT
from tests.support.stored_runs import Stored, question
from tests.support.table_differences import table_differences

ENV = """
from alembic import context
from sqlmodel import SQLModel

connection = context.config.attributes["connection"]
context.configure(
    connection=connection, target_metadata=SQLModel.metadata, render_as_batch=True
)
with context.begin_transaction():
    context.run_migrations()
"""
# A number that Kern has had, too.
REVISION = """
import sqlalchemy as sa
from alembic import op

revision, down_revision = "0005", None


def upgrade():
    with op.batch_alter_table("runs") as batch_op:
        batch_op.add_column(sa.Column("shoes", sa.Text(), nullable=True))
        batch_op.create_index("runs_by_status", ["distance"])


def downgrade():
    with op.batch_alter_table("runs") as batch_op:
        batch_op.drop_index("runs_by_status")
        batch_op.drop_column("shoes")
"""


class SessionRow(SQLModel, table=True):
    """A class of the application, under a name of Kern's; the others are, too."""

    __tablename__ = "sessions"  # pyright: ignore[reportAssignmentType]

    id: int = Field(primary_key=True)
    user_id: str = Field(index=True)


class Run(SQLModel, table=True):
    """A run on foot."""

    __tablename__ = "runs"  # pyright: ignore[reportAssignmentType]

    id: int = Field(primary_key=True)
    session_id: int = Field(foreign_key="sessions.id")
    distance: float


class RunRow(SQLModel, table=True):
    """A row that somebody ran along, whose table has a name of Kern's early versions."""

    __tablename__ = "chain_heads"  # pyright: ignore[reportAssignmentType]

    id: int = Field(primary_key=True)


class FileRow(SQLModel, table=True):
    """A map."""

    __tablename__ = "files"  # pyright: ignore[reportAssignmentType]

    id: int = Field(primary_key=True)
    name: str = Field(index=True)


@dataclass
class Application:
    """An application with tables, rows and an Alembic of its own, in a database of Kern's."""

    engine: Engine
    folder: Path

    def begin(self) -> None:
        """Make the tables, migrate them, and add a row to each."""
        SQLModel.metadata.create_all(self.engine)
        self._alembic(command.upgrade, "head")
        with Session(self.engine) as session:
            session.add(SessionRow(id=1, user_id="ann"))
            session.flush()
            session.add_all([Run(id=1, session_id=1, distance=5.5), FileRow(id=1, name="map")])
            session.add(RunRow(id=1))
            session.commit()

    def check(self) -> None:
        """See that the application finds what it left."""
        with Session(self.engine) as session:
            run = session.exec(select(Run)).one()
            assert (run.id, run.session_id, run.distance) == (1, 1, 5.5)
            assert session.exec(select(SessionRow.user_id)).one() == "ann"
            assert session.exec(select(FileRow.name)).one() == "map"
            version = session.connection().execute(text("SELECT * FROM alembic_version"))
            assert version.scalars().all() == ["0005"]
        tables = set(inspect(self.engine).get_table_names())
        assert {*SQLModel.metadata.tables, "alembic_version"} <= tables
        assert "shoes" in [column["name"] for column in inspect(self.engine).get_columns("runs")]

    def end(self) -> None:
        """Take the migration back, and drop the tables."""
        self._alembic(command.downgrade, "base")
        SQLModel.metadata.drop_all(self.engine)

    def _alembic(self, act: Callable[[Config, str], object], revision: str) -> None:
        (self.folder / "versions").mkdir(exist_ok=True)
        (self.folder / "env.py").write_text(ENV)
        (self.folder / "versions" / "first.py").write_text(REVISION)
        config = Config()
        config.set_main_option("script_location", str(self.folder))
        config.set_main_option("path_separator", "os")
        with self.engine.begin() as connection:
            config.attributes["connection"] = connection
            act(config, revision)


@dataclass
class Shared:
    """A database, and how Kern and the application open it."""

    open: Callable[[], Store]
    application: Application


@pytest.fixture(params=["sqlite", "postgres"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shared]:
    if request.param == "sqlite":
        path = tmp_path / "shared.db"
        engine = create_engine(f"sqlite:///{path}")
        yield Shared(lambda: SqliteStore(path), Application(engine, tmp_path))
    else:
        url = postgres.fresh_database()
        # The tests' role is named `kern`, and Postgres would prefer a schema of that name.
        engine = application_engine(url, options="-c search_path=public")
        yield Shared(lambda: PostgresStore(url), Application(engine, tmp_path))
    engine.dispose()


def application_engine(url: str, **options: str) -> Engine:
    return create_engine(url.replace("postgresql", "postgresql+psycopg"), connect_args=options)


def run_kern(store: Store) -> None:
    """Have Kern accept a run that waits for a person, have it decided, and ended."""
    stored = Stored(store)
    call_id = stored.call(question(), user_id="ann")
    stored.resolve(stored.requirement(call_id))
    stored.begin(call_id)
    stored.finish(call_id)
    run_id = stored.run_of(call_id)
    stored.answer(run_id, turn=2, content="Paid.")
    assert stored.output(run_id).status is RunStatus.completed


def test_an_application_that_was_there_first_is_left_alone(shared: Shared) -> None:
    shared.application.begin()
    with closing(shared.open()) as store:
        assert revision_of(store) is None, "0005 is the application's"
        store.migrate()
        assert revision_of(store) == HEAD
        assert table_differences(store) == []
        run_kern(store)
        shared.application.check()


def test_an_application_that_comes_later_finds_room_and_leaves_kern_alone(shared: Shared) -> None:
    with closing(shared.open()) as store:
        store.migrate()
        run_kern(store)
        shared.application.begin()
        store.migrate()
        run_kern(store)
        shared.application.check()
        shared.application.end()
        assert "runs" not in inspect(shared.application.engine).get_table_names()
        assert table_differences(store) == []
        assert revision_of(store) == HEAD
        run_kern(store)


def test_an_application_whose_role_is_named_like_the_schema_works_beside_kern(
    tmp_path: Path,
) -> None:
    """Its new tables are made in Kern's schema then, where the prefix keeps them apart."""
    url = postgres.fresh_database()
    application = Application(application_engine(url), tmp_path)
    with closing(PostgresStore(url)) as store:
        store.migrate()
        application.begin()
        assert "runs" in inspect(application.engine).get_table_names(schema="kern")
        store.migrate()
        run_kern(store)
        application.check()
        application.end()
        assert table_differences(store) == []
        run_kern(store)
    application.engine.dispose()


def proposed(engine: Engine, **options: object) -> str:
    """Return the changes that the application's autogenerate proposes."""
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts=options)
        return str(compare_metadata(context, SQLModel.metadata))


def test_the_applications_autogenerate_is_told_to_pass_kerns_tables_by(shared: Shared) -> None:
    with closing(shared.open()) as store:
        store.migrate()
    shared.application.begin()
    engine = shared.application.engine

    def include_name(name: str | None, type_: str, parent_names: dict[str, str | None]) -> bool:
        if type_ == "schema":
            return name != "kern"
        return type_ != "table" or not str(name).startswith("kern_")

    found = proposed(engine, include_name=include_name, include_schemas=True)
    assert "kern" not in found
    # On Postgres a schema that nobody asks for is not seen; in SQLite's one namespace all are.
    assert ("kern_runs" in proposed(engine)) == (engine.dialect.name == "sqlite")


class Heard(Broadcaster):
    """Notes what a process is notified of."""

    def __init__(self) -> None:
        super().__init__()
        self.runs: list[str] = []

    def committed(self, news: Mapping[str, int]) -> None:
        """Note the runs with new events."""
        self.runs += news


async def test_notifications_stay_in_their_schema() -> None:
    url = postgres.fresh_database()
    stores = [PostgresStore(url), PostgresStore(url, "other")]
    heard = [Heard(), Heard()]
    listeners = [
        pg_notify.Listener(store.engine, ears, store.listen_url)
        for store, ears in zip(stores, heard, strict=True)
    ]
    for listener in listeners:
        await listener.start()
        assert listener.is_listening
    for store, run_id in zip(stores, ("here", "there"), strict=True):
        notices = [pg_notify.news(run_id, 1), pg_notify.news(f"last {run_id}", 2)]
        await store.write(partial(pg_notify.send, notices=notices))
    async with asyncio.timeout(20):
        while not all(len(ears.runs) >= 2 for ears in heard):  # noqa: ASYNC110  no event tells it
            await asyncio.sleep(0.01)
    assert [ears.runs for ears in heard] == [["here", "last here"], ["there", "last there"]]
    for listener, store in zip(listeners, stores, strict=True):
        await listener.close()
        store.close()


EVERYTHING = """
import importlib, pkgutil, sys
import kern
for module in pkgutil.walk_packages(kern.__path__, "kern."):
    if ".migrations." not in module.name and not module.name.endswith("__main__"):
        importlib.import_module(module.name)
from sqlmodel import SQLModel
print(sorted(SQLModel.metadata.tables), len(SQLModel._sa_registry.mappers))
from kern.db.engine.base import KernRow
print(len(KernRow.metadata.tables))
"""


def test_nothing_of_kerns_stands_in_the_metadata_of_applications() -> None:
    done = subprocess.run(
        [sys.executable, "-c", EVERYTHING], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n")[0] == "[] 0"
    assert int(done.stdout.split("\n")[1]) > 10
