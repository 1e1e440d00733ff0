"""Fills a database with requirements: copies of a few that real runs have asked."""

from collections.abc import Mapping, Sequence

import psycopg

# What a copy of a run consists of, in the order in which foreign keys allow it, and how each row of
# it differs from the one that it is a copy of.
_NEW = {
    "kern_sessions": {"id": "{id}"},
    "kern_runs": {"id": "{id}", "session_id": "{id}", "idempotency_key": "NULL"},
    "kern_messages": {"id": "md5(id || n)", "run_id": "{id}"},
    "kern_tool_calls": {"id": "{id}", "run_id": "{id}", "idempotency_key": "{id}"},
    "kern_requirements": {
        "id": "{id}",
        "run_id": "{id}",
        "root_run_id": "{id}",
        "session_id": "{id}",
        "tool_call_id": "{id}",
        "created_at": "created_at - make_interval(secs => n)",
        "due_at": "due_at + make_interval(secs => n)",
        "status": "{status}",
        "verdict": "{verdict}",
        "resolved_by": "{resolved_by}",
        "resolved_at": "{resolved_at}",
    },
    "kern_requirement_people": {
        "id": "md5(id || n)",
        "run_id": "{id}",
        "requirement_id": "{id}",
        "due_at": "due_at + make_interval(secs => n)",
        "status": "{status}",
    },
}
_KEYS = {"kern_sessions": "id", "kern_runs": "id"}


def copy_requirements(
    connection: psycopg.Connection, run_ids: Sequence[str], copies: int, pending: float
) -> None:
    """Copy each run with its requirement, `copies` times; `pending` is the part that still waits.

    The copies of a run have ids that are derived from its own. What was decided has no row in the
    log of decisions.
    """
    for run_id in run_ids:
        is_open = f"mod(n, 1000) < {int(pending * 1000)}"
        values = {
            "id": f"md5('{run_id}' || n)",
            "status": f"CASE WHEN {is_open} THEN 'pending' ELSE 'resolved' END",
            "verdict": f"CASE WHEN {is_open} THEN NULL ELSE 'approve' END",
            "resolved_by": f"CASE WHEN {is_open} THEN NULL ELSE 'ravi' END",
            "resolved_at": f"CASE WHEN {is_open} THEN NULL "
            "ELSE now() - make_interval(secs => n) END",
        }
        for table, changes in _NEW.items():
            expressions = {name: text.format(**values) for name, text in changes.items()}
            _copy(connection, table, run_id, copies, expressions)
        connection.commit()
    connection.autocommit = True
    connection.execute("VACUUM ANALYZE")


def _copy(
    connection: psycopg.Connection,
    table: str,
    run_id: str,
    copies: int,
    changes: Mapping[str, str],
) -> None:
    columns = _columns(connection, table)
    expressions = [changes.get(name, f'"{name}"') for name in columns]
    key = _KEYS.get(table, "run_id")
    of_run = "(SELECT session_id FROM kern_runs WHERE id = %(run)s)"
    chosen = of_run if table == "kern_sessions" else "%(run)s"
    names = ", ".join(f'"{name}"' for name in columns)
    # Names of tables and columns of Kern's own, and numbers.
    query = (
        f"INSERT INTO {table} ({names}) SELECT {', '.join(expressions)} "  # noqa: S608
        f"FROM {table}, generate_series(1, {copies}) AS n WHERE {key} = {chosen}"
    )
    connection.execute(query.encode(), {"run": run_id})


def _columns(connection: psycopg.Connection, table: str) -> list[str]:
    rows = connection.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_name = %s "
        "AND table_schema = current_schema() ORDER BY ordinal_position",
        [table],
    )
    return [str(row[0]) for row in rows]
