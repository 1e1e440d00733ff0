"""How Kern connects to Postgres, directly or through a pooler: parameters, limits, preparation.

*Transactions begin with their limits.* Postgres has none by default: a client that is frozen inside
a transaction would block everybody who needs its locks. A session's settings do not survive a
pooler in transaction mode (PgBouncer), and the startup parameter `options` is refused by one. So
each transaction sets its own limits, in the same round trip that begins it; that costs the server
some microseconds.

*Nothing is prepared.* Such a pooler hands one server connection to many clients, whose prepared
statements have the same names. `?prepare_threshold=5` in the URL asks for them where none lies in
between.
"""

from collections.abc import Mapping
from types import MappingProxyType

from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import URL

from kern.errors import InvalidInput

# libpq waits for ever for a server that the network swallows, and the system's keep-alive notices a
# dead one after two hours. The last of them is in milliseconds. After a failover the address may
# lead to a server that only reads; of several hosts, the one that writes is taken.
_CONNECT_OPTIONS: Mapping[str, int | str] = MappingProxyType(
    {
        "connect_timeout": 5,
        "keepalives": 1,
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "tcp_user_timeout": 60_000,
        "target_session_attrs": "read-write",
    }
)
# In milliseconds. Whoever waits for a lock outlasts the holder that is frozen: a transaction is
# repeated for longer than the last of them (see `store`).
_LIMITS: Mapping[str, int] = MappingProxyType(
    {
        "lock_timeout": 5_000,
        "statement_timeout": 60_000,
        "idle_in_transaction_session_timeout": 15_000,
    }
)
# Pages read the beginning of what may be large, and Postgres plans for all of it: beyond
# `jit_above_cost` it compiles the plan, which takes longer than the query.
_PLANNING: Mapping[str, str] = MappingProxyType({"jit": "off"})
_THRESHOLD = "prepare_threshold"
# Execution options: the transaction reads one snapshot; it has no limits (a migration).
SNAPSHOT, UNLIMITED = "kern_snapshot", "kern_unlimited"


def connect_options(url: URL) -> dict[str, object]:
    """Return what psycopg is given besides the URL, whose own parameters count more.

    Raises:
        InvalidInput: `prepare_threshold` in the URL is no number.
    """
    options: dict[str, object] = {
        name: value for name, value in _CONNECT_OPTIONS.items() if name not in url.query
    }
    return {**options, _THRESHOLD: _threshold(url), "autocommit": True}


def without_own_parameters(url: URL) -> URL:
    """Return the URL without the parameters that are Kern's, and not libpq's."""
    return url.difference_update_query([_THRESHOLD])


def begin_with_limits(engine: Engine, url: URL) -> None:
    """Have each transaction of an engine begin with its limits.

    psycopg, left to itself, sends BEGIN in a round trip of its own. In its autocommit mode it sends
    none, and this takes its place.
    """
    url_options = " ".join(_texts(url, "options"))
    limits = [
        f"SET LOCAL {name} = {value}"
        for name, value in (*_LIMITS.items(), *_PLANNING.items())
        if name not in url_options
    ]
    # Several statements in one cannot be prepared.
    is_split = _threshold(url) is not None

    def begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        first = "BEGIN ISOLATION LEVEL REPEATABLE READ" if options.get(SNAPSHOT) else "BEGIN"
        statements = [first] if options.get(UNLIMITED) else [first, *limits]
        for statement in statements if is_split else ["; ".join(statements)]:
            connection.exec_driver_sql(statement)

    event.listen(engine, "begin", begin)


def _threshold(url: URL) -> int | None:
    """Return after how many executions a statement is prepared; None for never."""
    texts = _texts(url, _THRESHOLD)
    if not texts or texts[-1].lower() in {"none", ""}:
        return None
    if not texts[-1].isdecimal():
        message = (
            f"{_THRESHOLD} in the database's URL is {texts[-1]!r}: give the number of executions "
            "after which a statement is prepared, or leave it out for never."
        )
        raise InvalidInput(message)
    return int(texts[-1])


def _texts(url: URL, name: str) -> tuple[str, ...]:
    value = url.query.get(name, ())
    return (value,) if isinstance(value, str) else tuple(value)
