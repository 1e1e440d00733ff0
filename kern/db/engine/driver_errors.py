"""What an error of a database's driver means: whether it passes, and what becomes of connections.

The class of an error says little: Postgres reports a server that became read-only as an
`InternalError` and a lost prepared statement as a `ProgrammingError`. The SQLSTATE decides, and for
SQLite the name of its result code. An operational error without either comes from the network.
"""

from sqlalchemy import Engine, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from kern.errors import Unavailable

# Whole classes: connection exceptions, insufficient resources, errors of the server's system.
_PASSING_CLASSES = frozenset({"08", "53", "58"})
# Another connection may lead to a healthy server, and none of the pool does: the server stops, does
# not accept commands yet, or was demoted by a failover.
_SERVER_CHANGED = frozenset({"25006", "57P01", "57P02", "57P03", "57P04"})
# This connection is of no use: the server ended it, or a pooler gave it prepared statements of
# another client (26000: does not exist, 42P05: exists already).
_CONNECTION_LOST = frozenset({"25P03", "25P04", "57P05", "26000", "42P05"})
# Serialization failure, deadlock, unknown completion, object in use, lock not available, canceled.
_COLLISIONS = frozenset({"40001", "40P01", "40003", "55006", "55P03", "57014"})
_PASSING = _SERVER_CHANGED | _CONNECTION_LOST | _COLLISIONS
# A file that is locked, out of space, read-only or out of reach: each may pass.
_PASSING_FILE = (
    *("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_IOERR", "SQLITE_FULL", "SQLITE_READONLY"),
    *("SQLITE_CANTOPEN", "SQLITE_INTERRUPT", "SQLITE_NOMEM", "SQLITE_PROTOCOL", "SQLITE_SCHEMA"),
)


def reason(error: DBAPIError) -> str:
    """Return the error of a database's driver, without the advice that follows in further lines."""
    lines = str(error.orig).strip().splitlines() or [type(error.orig).__name__]
    return lines[0].strip().rstrip(".")


def sqlstate_of(error: BaseException | None) -> str | None:
    """Return the SQLSTATE of Postgres; None if the server itself has said nothing."""
    return getattr(error, "sqlstate", None)


def is_passing(error: DBAPIError) -> bool:
    """Whether the same transaction may succeed later although nobody changes it."""
    if error.connection_invalidated:
        return True
    sqlstate = sqlstate_of(error.orig)
    if sqlstate is not None:
        return sqlstate in _PASSING or sqlstate[:2] in _PASSING_CLASSES
    file_code: str | None = getattr(error.orig, "sqlite_errorname", None)
    if file_code is not None:
        return file_code.startswith(_PASSING_FILE)
    return isinstance(error, OperationalError | InterfaceError)


def is_outage(error: DBAPIError) -> bool:
    """Whether an error that passes is the server's, and not that of one transaction or file."""
    sqlstate = sqlstate_of(error.orig)
    if sqlstate is not None:
        return sqlstate in _SERVER_CHANGED or sqlstate[:2] in _PASSING_CLASSES
    return not hasattr(error.orig, "sqlite_errorname")


def is_slow(error: DBAPIError) -> bool:
    """Whether an attempt waits before it fails: for a server that says nothing, or for a file."""
    # By its name: psycopg is slow to import, and SQLite needs none of it.
    is_silent = type(error.orig).__name__ == "ConnectionTimeout"
    return is_silent or hasattr(error.orig, "sqlite_errorname")


def unavailable(name: str, error: DBAPIError) -> Unavailable:
    """Return what callers learn of a database's error that may pass."""
    why = reason(error)
    # The first is said by a server, the second by libpq when it looks for one that writes.
    only_reads = sqlstate_of(error.orig) == "25006" or "session is read-only" in why
    state = "only reads at the moment (as during a failover)" if only_reads else "does not answer"
    return Unavailable(f"The database {name} {state}: {why}.")


def discard_lost_connections(engine: Engine) -> None:
    """Have an engine give up connections that an error has shown to be of no use.

    SQLAlchemy's own list of disconnects knows closed sockets only: a connection to a server that
    became read-only passes the pool's ping, and would fail each transaction that gets it.
    """
    event.listen(engine, "handle_error", _classify)


def _classify(context: ExceptionContext) -> None:
    sqlstate = sqlstate_of(context.original_exception) or ""
    if sqlstate in _SERVER_CHANGED or sqlstate[:2] == "08":
        context.is_disconnect = True
    elif sqlstate in _CONNECTION_LOST:
        context.is_disconnect = True
        context.invalidate_pool_on_disconnect = False
