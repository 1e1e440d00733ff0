"""Reads the earlier results of a session's workflow, for its steps and for users."""

from collections.abc import Sequence

from sqlalchemy import bindparam
from sqlmodel import Session

from kern.context.chat_history import PastRun
from kern.contracts.viewer import Viewer
from kern.db.engine.plain_rows import rows
from kern.db.engine.records import RunRecord
from kern.db.engine.typed_tables import RUNS
from kern.db.reading.run_outputs import run_row, summary_of
from kern.db.reading.sessions import find_session
from kern.run import RunOutput
from kern.values.states import RunStatus
from kern.values.validation import require_count

_LONGEST = 4000
_LAST = 2**31 - 1
_runs = RUNS.table
_COMPLETED = (
    _runs.select()
    .where(
        _runs.c.session_id == bindparam("session_id"),
        _runs.c.status == RunStatus.completed.value,
        _runs.c.parent_run_id.is_(None),
        _runs.c.number < bindparam("before"),
    )
    .order_by(_runs.c.number.desc())
    .limit(bindparam("limit"))
)


def completed_before(tx: Session, run_id: str, limit: int) -> list[PastRun]:
    """Return the session's latest completed runs before a run, or before the root of its tree."""
    require_count("num_runs", limit, least=0)
    run = run_row(tx, run_id)
    if run is not None and run.root_run_id is not None:
        run = run_row(tx, run.root_run_id)
    if run is None:
        return []
    return [_past(earlier) for earlier in _completed_runs(tx, run.session_id, run.number, limit)]


def history_of(tx: Session, session_id: str, viewer: Viewer, limit: int) -> list[RunOutput]:
    """Return the latest completed runs of a session, in order. Raises as `find_session`."""
    require_count("num_runs", limit, least=0)
    find_session(tx, session_id, viewer)
    return [summary_of(run) for run in _completed_runs(tx, session_id, _LAST, limit)]


def as_prompt(past: Sequence[PastRun]) -> str:
    """Return earlier runs as the text that precedes an agent's input."""
    if not past:
        return ""
    parts = [
        f"Asked: {_cut(past_run.user)}\nCame to: {_cut(past_run.assistant or '')}"
        for past_run in past
    ]
    return "\n\n".join(["What was done before in this session:", *parts])


def _completed_runs(tx: Session, session_id: str, before: int, limit: int) -> list[RunRecord]:
    where = {"session_id": session_id, "before": before, "limit": limit}
    return list(rows(tx, RUNS, _COMPLETED, **where))[::-1]


def _past(run: RunRecord) -> PastRun:
    return PastRun(
        session_id=run.session_id,
        number=run.number,
        at=run.created_at,
        status=RunStatus(run.status),
        user=run.input,
        assistant=run.content,
    )


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
