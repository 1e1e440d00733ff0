"""Reads earlier runs for a run's tools: of its session, and of its owner's other sessions."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, or_, select
from sqlmodel import Session

from kern.context.chat_history import PastRun
from kern.db.engine.plain_rows import execute
from kern.db.engine.records import RunRecord
from kern.db.engine.store import Store
from kern.db.engine.typed_tables import RUNS, SESSIONS
from kern.db.reading.run_outputs import run_row
from kern.db.reading.visibility import no_run
from kern.values.states import RunStatus

_LONGEST_TEXT = 2000
_LONGEST_EXCERPT = 400
_MOST_WORDS = 8

_runs, _sessions = RUNS.table.c, SESSIONS.table.c
_COLUMNS = (
    _runs.session_id,
    _sessions.name.label("session_name"),
    _runs.number,
    _runs.created_at,
    _runs.status,
    _runs.input,
    _runs.content,
)


class StoredPast:
    """The earlier runs that one run may read. Its methods block: they are for tools."""

    def __init__(self, db: Store, run_id: str) -> None:
        self._db = db
        self._run_id = run_id

    def chat_history(self, runs: int, before: int | None) -> list[PastRun]:
        """Return the session's runs that come before this one, or before a number, in order."""
        return self._db.read_now(lambda tx: _chat_history(tx, self._run_id, runs, before))

    def search(self, words: str, limit: int) -> list[PastRun]:
        """Return the owner's completed runs that hold all of the words, the newest first."""
        terms = words.split()[:_MOST_WORDS]
        if not terms:
            return []
        return self._db.read_now(lambda tx: _search(tx, self._run_id, terms, limit))


def _chat_history(tx: Session, run_id: str, runs: int, before: int | None) -> list[PastRun]:
    run = _run(tx, run_id)
    end = run.number if before is None else min(before, run.number)
    # A range of numbers, so that a page costs the same at the end of a long session.
    query = (
        _base_query()
        .where(_runs.session_id == run.session_id, _runs.number < end, _runs.number >= end - runs)
        .order_by(_runs.number)
    )
    return [_past_run(row) for row in _records(tx, query)]


def _search(tx: Session, run_id: str, words: Sequence[str], limit: int) -> list[PastRun]:
    run = _run(tx, run_id)
    query = (
        _base_query()
        .where(
            _within(run),
            _runs.component_id == run.component_id,
            _runs.status == RunStatus.completed.value,
            *(_contains(word) for word in words),
        )
        .order_by(_runs.created_at.desc(), _runs.id.desc())
        .limit(limit)
    )
    return [_past_run(row, words) for row in _records(tx, query)]


def _within(run: RunRecord) -> ColumnElement[bool]:
    """Return the condition of what may be searched: callers without a name share no sessions."""
    if run.user_id is None:
        return (_runs.session_id == run.session_id) & (_runs.number < run.number)
    same_owner = (_sessions.tenant == run.tenant) & (_sessions.user_id == run.user_id)
    return same_owner & (_sessions.id != run.session_id)


def _contains(word: str) -> ColumnElement[bool]:
    return or_(
        _runs.input.icontains(word, autoescape=True), _runs.content.icontains(word, autoescape=True)
    )


def _base_query() -> Select[*tuple[Any, ...]]:
    return (
        select(*_COLUMNS)
        .join_from(RUNS.table, SESSIONS.table, _sessions.id == _runs.session_id)
        .where(_runs.parent_run_id.is_(None))
    )


def _records(tx: Session, query: Select[*tuple[Any, ...]]) -> Sequence[Any]:
    return execute(tx, query).all()


def _run(tx: Session, run_id: str) -> RunRecord:
    """Return the run at the root of a run's tree, whose history all of the tree reads."""
    run = run_row(tx, run_id)
    if run is not None and run.root_run_id is not None:
        run = run_row(tx, run.root_run_id)
    if run is None:
        raise no_run(run_id)
    return run


def _past_run(row: Any, words: Sequence[str] = ()) -> PastRun:  # noqa: ANN401  a row of a Core query
    return PastRun(
        session_id=row.session_id,
        session_name=row.session_name,
        number=row.number,
        at=row.created_at,
        status=RunStatus(row.status),
        user=_excerpt(row.input, words),
        assistant=None if row.content is None else _excerpt(row.content, words),
    )


def _excerpt(text: str, words: Sequence[str]) -> str:
    """Return a text's beginning, or the passage around the first of the words in it."""
    longest = _LONGEST_EXCERPT if words else _LONGEST_TEXT
    if len(text) <= longest:
        return text
    lowered = text.lower()
    places = [place for word in words if (place := lowered.find(word.lower())) >= 0]
    start = max(0, min(places, default=0) - longest // 4)
    end = start + longest
    return f"{'…' if start else ''}{text[start:end]}{'…' if end < len(text) else ''}"
