"""What a database says of a session, and what the model says, in one form for comparing them."""

from datetime import datetime

from sqlmodel import Session

from kern.context.history_window import Window
from kern.contracts.viewer import OPERATOR
from kern.db.reading import history_window, session_metrics
from kern.db.sessions import records
from kern.run import Message
from tests.support.raw_sql import execute_sql
from tests.support.session_model import CANCELLED, REJECTED, ModelSession, Run, Said

_RUNS = """
SELECT id, number, input, status, is_queued, turn, content, input_tokens, model_calls, tool_calls,
last_event FROM kern_runs WHERE session_id = :session ORDER BY number
"""
_EVENTS = """
SELECT e.run_id, e.seq, e.kind FROM kern_events e JOIN kern_runs r ON r.id = e.run_id
WHERE r.session_id = :session ORDER BY e.run_id, e.seq
"""
_OWED = """
SELECT o.run_id, o.kind, o.requirement_id FROM kern_outbox o JOIN kern_runs r ON r.id = o.run_id
WHERE r.session_id = :session
"""
_CALLS = """
SELECT c.id, c.status, c.token, c.attempt FROM kern_tool_calls c JOIN kern_runs r ON r.id = c.run_id
WHERE r.session_id = :session
"""
_ASKS = """
SELECT q.id, q.status FROM kern_requirements q JOIN kern_runs r ON r.id = q.run_id
WHERE r.session_id = :session
"""
# Events that tell where a run stands; the rest tell how it came there.
_STANDS = {
    *("run_accepted", "run_dequeued", "run_began", "run_paused", "run_continued"),
    *("run_completed", "run_failed", "run_cancelled"),
}
_WINDOWS = (
    {"runs": 3},
    {"runs": 100},
    {"messages": 5},
    {"runs": 100, "tool_calls": 1},
)
_ENDINGS = {
    "This call was rejected": REJECTED,
    "It is unknown whether this call ran; another try was rejected": REJECTED,
    "The run was cancelled before this call ran.": CANCELLED,
    "The run ended with an error": CANCELLED,
}

Facts = dict[str, object]


def found(session_id: str, now: datetime, tx: Session) -> tuple[Facts, dict[str, list[str]]]:
    """Read a session, and the events of each of its runs."""
    told: dict[str, list[str]] = {}
    for run_id, seq, kind in _asked(tx, _EVENTS, session_id):
        told.setdefault(str(run_id), []).append(str(kind))
        assert seq == len(told[str(run_id)]), "an event's number is missing"
    rows = _asked(tx, _RUNS, session_id)
    assert [row[-1] for row in rows] == [len(told.get(str(row[0]), [])) for row in rows]
    session = records.read(tx, session_id, OPERATOR)
    used = session_metrics.metrics(tx, session_id, OPERATOR, now)
    facts: Facts = {
        "session": (session.name, session.session_state, session.run_count, session.forked_from),
        "runs": [(*row[:4], bool(row[4]), *row[5:10]) for row in rows],
        "told": {run: [kind for kind in kinds if kind in _STANDS] for run, kinds in told.items()},
        "owed": sorted(map(str, _asked(tx, _OWED, session_id))),
        "calls": sorted(map(str, _asked(tx, _CALLS, session_id))),
        "asks": sorted(_asked(tx, _ASKS, session_id)),
        "used": (used.run_count, used.input_tokens, used.model_calls, used.tool_calls),
        "spent": (round(used.working_seconds, 2), round(used.waiting_seconds, 2)),
        "said": [_said(one) for one in records.messages(tx, session_id, OPERATOR)],
        "chat": [_said(one) for one in records.chat_history(tx, session_id, OPERATOR)],
        "shown": [_shown(tx, session_id, Window(**window)) for window in _WINDOWS],
    }
    return facts, told


def _shown(tx: Session, session_id: str, window: Window) -> list[Said]:
    """Return what a new run would see, without the lines of what other runs have executed.

    The model does not know those; `test_database_contract_executed_calls` does.
    """
    messages = history_window.earlier(tx, session_id, 1000, window)
    return [_said(one) for one in messages if "have had their effects" not in one.content]


def expected(session: ModelSession, now: int) -> Facts:
    """Say the same of the model."""
    own = [run for run in session.runs if not run.is_copy]
    calls = [call for run in own for call in run.calls()]
    spent = [_spent(run, now) for run in own]
    completed = [run for run in session.runs if run.status == "completed"]
    return {
        "session": (session.name, session.state, len(session.runs), session.forked_from),
        "runs": [_row(run) for run in session.runs],
        "told": {run.id: run.told for run in session.runs},
        "owed": sorted(str((run.id, *one)) for run in own for one in run.owed),
        "calls": sorted(str((call.id, call.status, call.holder, call.attempts)) for call in calls),
        "asks": sorted((ask.id, ask.status) for call in calls for ask in call.asks),
        "used": (
            len(own),
            sum(run.tokens for run in own),
            sum(run.model_calls for run in own),
            sum(run.tool_calls for run in own),
        ),
        "spent": (sum(one for one, _ in spent), sum(one for _, one in spent)),
        "said": [one for run in session.runs for one in run.said()],
        "chat": [
            one
            for run in completed
            for one in (Said("user", run.input), Said("assistant", run.content or ""))
        ],
        "shown": [session.shown(**window) for window in _WINDOWS],
    }


def _asked(tx: Session, query: str, session_id: str) -> list[tuple[object, ...]]:
    return [tuple(row) for row in execute_sql(tx, query, session=session_id)]


def _row(run: Run) -> tuple[object, ...]:
    place = (run.id, run.number, run.input, run.status, run.is_queued, run.turn, run.content)
    return (*place, run.tokens, run.model_calls, run.tool_calls)


def _spent(run: Run, now: int) -> tuple[int, int]:
    working, waiting = run.working, run.waiting
    if run.counted is not None and run.status == "paused":
        waiting += now - run.counted
    elif run.counted is not None and not run.has_ended:
        working += now - run.counted
    return working, waiting


def _said(message: Message) -> Said:
    content = message.content
    if message.role == "tool":
        endings = (ours for begins, ours in _ENDINGS.items() if content.startswith(begins))
        content = next(endings, content)
    calls = tuple(call.id for call in message.tool_calls)
    return Said(message.role, content, calls, message.tool_call_id)
