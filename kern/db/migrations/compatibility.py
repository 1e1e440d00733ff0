"""Which code can work with which tables.

Tables expand before they contract. A revision that only adds leaves `min_reader` as it was, and the
code of the version before goes on and starts beside the new one. A revision that takes away what
code still reads or writes raises it to the first revision whose code does without.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, String, TableClause, column, inspect, select, table, text

from kern.db.engine.base import PREFIX
from kern.db.engine.schema import schema_of
from kern.db.migrations import HEAD, MIN_READER
from kern.errors import Conflict, NotMigrated

VERSION_TABLE = f"{PREFIX}version"

# The versions before 0.2 used the names of an application: Alembic's own version table, and tables
# without a prefix. These are all of the first of them, so that no application is mistaken for one.
_DEVELOPMENT_REVISIONS = frozenset({"0001", "0002", "0003", "0004", "0005"})
_DEVELOPMENT_TABLES = frozenset(
    {
        *("alembic_version", "chain_heads", "decisions", "events", "messages", "outbox"),
        *("requirements", "runs", "sessions", "tool_calls"),
    }
)


@dataclass(frozen=True)
class TablesRevision:
    """The revision of a database's tables, and the oldest one whose code can work with them."""

    revision: str
    min_reader: str


def read_revision(connection: Connection, name: str) -> TablesRevision | None:
    """Return the revision of the tables in the database of this name; None without tables.

    Raises:
        Conflict: a development version before 0.2 made the tables.
    """
    tables = inspect(connection)
    if tables.has_table(VERSION_TABLE, schema=schema_of(connection)):
        row = connection.execute(select(_versions(connection))).first()
        # Without a `min_reader`, nobody has said that older code can work with the tables.
        return None if row is None else TablesRevision(row[0], row[1] or row[0])
    # Those versions left it to Postgres to find names without a schema: usually in `public`.
    if not set(tables.get_table_names()) >= _DEVELOPMENT_TABLES:
        return None
    revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    if revision not in _DEVELOPMENT_REVISIONS:
        return None
    message = (
        f"The tables in the database {name} were made by a development version of Kern before 0.2 "
        f"(revision {revision}), which this version cannot read. Move the database away, or name "
        "another one, and begin anew; its runs can be read with that version only."
    )
    raise Conflict(message)


def add_min_reader(connection: Connection) -> None:
    """Add the column to the version table, in which Alembic knows `version_num` alone."""
    schema = schema_of(connection)
    existing = inspect(connection).get_columns(VERSION_TABLE, schema=schema)
    if "min_reader" not in {each["name"] for each in existing}:
        qualified = VERSION_TABLE if schema is None else f'"{schema}".{VERSION_TABLE}'
        connection.execute(text(f"ALTER TABLE {qualified} ADD COLUMN min_reader VARCHAR"))


def write_min_reader(connection: Connection, min_reader: str) -> None:
    """Keep which code can work with the tables, beside the revision that Alembic has written."""
    connection.execute(_versions(connection).update().values(min_reader=min_reader))


def is_current(name: str, tables: TablesRevision | None) -> bool:
    """Whether this version can work with the tables as they are; False if they have to be migrated.

    Raises:
        Conflict: they are newer, and this version cannot work with them.
    """
    if tables is None or tables.revision < HEAD:
        return False
    if tables.min_reader > HEAD:
        message = (
            f"The database {name} is at revision {tables.revision}, for which Kern has to know "
            f"revision {tables.min_reader}, and this version knows only {HEAD}: a newer version "
            "has migrated it. Install that one, or restore the backup from before the migration."
        )
        raise Conflict(message)
    return True


def require_current(name: str, tables: TablesRevision | None) -> None:
    """See that this version can work with the tables as they are.

    Raises:
        NotMigrated: there are none, or they are older.
        Conflict: they are newer, and this version cannot work with them.
    """
    if is_current(name, tables):
        return
    if tables is None:
        state, change = "has no tables of Kern's", f"makes them (revision {HEAD})"
    else:
        state = f"is at revision {tables.revision}, and this version of Kern needs {HEAD}"
        change = f"brings it from {tables.revision} to {HEAD}; {_who_can_work(tables)}"
    message = (
        f"The database {name} {state}. Nothing was changed. Run `kern migrate`, which {change}. "
        "With KERN_MIGRATE=auto, whoever opens the database does it."
    )
    raise NotMigrated(message)


def _versions(connection: Connection) -> TableClause:
    columns = column("version_num", String), column("min_reader", String)
    return table(VERSION_TABLE, *columns, schema=schema_of(connection))


def _who_can_work(tables: TablesRevision) -> str:
    if tables.revision >= MIN_READER:
        return "workers of the version before can go on meanwhile"
    return f"code of a revision before {MIN_READER} cannot work with it any more"
