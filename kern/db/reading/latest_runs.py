"""The latest runs of a session, as a part of larger statements."""

from sqlalchemy import Subquery, bindparam, literal_column, select

from kern.db.engine.typed_tables import RUNS
from kern.values.states import RunStatus

_runs = RUNS.table


def latest_runs(status: RunStatus, most: int) -> Subquery:
    """Select the latest runs with a status in the session `session_id` below the number `before`.

    At most `most` of them: the limit is part of the text, so that the plan reads no more.
    """
    query = (
        select(_runs.c.id, _runs.c.number, _runs.c.turn, _runs.c.input, _runs.c.status)
        .where(
            _runs.c.session_id == bindparam("session_id"),
            _runs.c.status == status.value,
            _runs.c.number < bindparam("before"),
            # Child runs have numbers below 0, and their answers are in their parents' messages.
            _runs.c.number > 0,
        )
        .order_by(_runs.c.number.desc())
        .limit(literal_column(str(most)))
    )
    return query.subquery(status.value)
