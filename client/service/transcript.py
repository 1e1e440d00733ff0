"""What one reader of a run gets next, after what it got before."""

from collections.abc import Iterator

from pydantic import TypeAdapter

from kern.db.engine.records import EventRecord
from kern.db.journal.events import STOPS
from kern.db.reading.event_feed import News, turn_of
from kern.events import RunContent, RunContentReset, RunEvent, TurnStarted
from kern.process.live_text import LiveText
from kern.values.canonical import parse_json

_EVENT: TypeAdapter[RunEvent] = TypeAdapter(RunEvent)
# Those of which readers have a type of their own, and the kind by which it is known.
_KINDS = {
    "run_accepted": "run_started",
    **{kind: kind for kind in ("turn_completed", "run_continued", *STOPS)},
    **{f"step_{kind}": f"step_{kind}" for kind in ("started", "completed", "skipped", "failed")},
}
_OF_TOOLS = ("tool_call_started", "tool_call_completed")


class Transcript:
    """What a reader was shown of a run.

    It keeps one rule: what was shown of a turn since the last reset is always the beginning of what
    will be stored, or is taken back by a reset.

    Args:
        run_id: The run.
        session_id: Its session.
        is_resumed: Whether the reader was here before and may have been shown a part of a turn that
            was not stored then.
    """

    def __init__(self, run_id: str, session_id: str, *, is_resumed: bool) -> None:
        self._run_id, self._session_id = run_id, session_id
        self._is_resumed = is_resumed
        self._turn = 0
        self._token: str | None = None
        self._content_shown = ""

    def live(self, text: LiveText) -> Iterator[RunEvent]:
        """Return what has come of a turn's text."""
        if (text.turn, text.token) != (self._turn, self._token):
            yield from self._begin(text.turn, text.attempt, text.token)
        piece = text.since(len(self._content_shown))
        if piece:
            self._content_shown += piece
            yield self._content(text.turn, text.attempt, piece)

    def stored(self, news: News) -> Iterator[RunEvent]:
        """Return what is in the table; the text of each turn before its end."""
        for row in _last_stop_last(news):
            if row.kind == "turn_completed":
                turn = turn_of(row)
                yield from self._settle(turn, news.texts.get(turn, ""))
            if row.kind == "run_completed" and news.delegated_answer:
                yield from self._hand(news.turn + 1, news.delegated_answer)
            yield self._event(row, news)

    def _begin(self, turn: int, attempt: int | None, token: str | None) -> Iterator[RunEvent]:
        is_same = turn == self._turn
        if (is_same and self._content_shown) or self._is_resumed:
            yield self._reset(turn, attempt)
        self._turn, self._token, self._content_shown = turn, token, ""
        yield TurnStarted(
            run_id=self._run_id, session_id=self._session_id, turn=turn, attempt=attempt
        )

    def _reset(self, turn: int, attempt: int | None = None) -> RunContentReset:
        self._is_resumed, self._content_shown = False, ""
        return RunContentReset(
            run_id=self._run_id, session_id=self._session_id, turn=turn, attempt=attempt
        )

    def _content(self, turn: int, attempt: int | None, piece: str) -> RunContent:
        return RunContent(
            run_id=self._run_id,
            session_id=self._session_id,
            turn=turn,
            attempt=attempt,
            content=piece,
        )

    def _settle(self, turn: int, content: str) -> Iterator[RunEvent]:
        """Bring what was shown of a turn to what is stored."""
        if turn != self._turn:
            yield from self._begin(turn, None, None)
        if _same_json(self._content_shown, content):
            return
        if not content.startswith(self._content_shown):
            yield self._reset(turn)
        remainder = content[len(self._content_shown) :]
        if remainder:
            yield self._content(turn, None, remainder)
        self._content_shown = content

    def _hand(self, turn: int, content: str) -> Iterator[RunEvent]:
        """Yield an answer that this run's model did not produce."""
        if self._is_resumed:
            yield self._reset(turn)
        yield self._content(turn, None, content)

    def _event(self, row: EventRecord, news: News) -> RunEvent:
        fields: dict[str, object] = {
            **row.data,
            "run_id": self._run_id,
            "session_id": self._session_id,
            "seq": row.seq,
            "created_at": row.created_at,
        }
        tool = news.tools.get(str(row.data.get("tool_call_id")))
        if row.kind in _KINDS:
            fields |= {"kind": _KINDS[row.kind], "output": news.output}
        elif row.kind in _OF_TOOLS and tool is not None:
            fields |= {"kind": row.kind, "tool": tool}
        else:
            fields |= {"kind": "noted", "name": row.kind, "data": row.data}
        return _EVENT.validate_python(fields)


def _last_stop_last(news: News) -> list[EventRecord]:
    """Return the events with the stop at which the reader leaves at their end.

    Something may be noted after a run has ended, such as the end of a call that was under way.
    """
    if not (news.is_all and news.is_idle):
        return news.events
    last = max((place for place, row in enumerate(news.events) if row.kind in STOPS), default=None)
    if last is None:
        return news.events
    return [*news.events[:last], *news.events[last + 1 :], news.events[last]]


def _same_json(streamed: str, stored: str) -> bool:
    """Whether a structured answer differs from the streamed text in its spelling only."""
    if not streamed or streamed[:1] not in "{[":
        return False
    try:
        return parse_json(streamed) == parse_json(stored)
    except ValueError:
        return False
