"""What a reader is shown of a turn is the beginning of what is stored, or is taken back."""

from datetime import UTC, datetime

import pytest
from pydantic import JsonValue

from kern.client.service.transcript import Transcript
from kern.db.engine.tables import EventRow
from kern.db.reading.event_feed import News
from kern.events import RunContent, RunContentReset, RunEvent, RunNoted, TurnCompleted, TurnStarted
from kern.process.live_text import Broadcaster, LiveText
from kern.run import RunOutput
from kern.values.states import RunStatus

NOW = datetime(2026, 5, 4, tzinfo=UTC)


def text_of(events: list[RunEvent], *, before: str = "") -> str:
    """Return what a reader has on the screen after these events."""
    for event in events:
        if isinstance(event, RunContentReset):
            before = ""
        elif isinstance(event, RunContent):
            before += event.content
    return before


def live(turn: int, attempt: int, *pieces: str) -> LiveText:
    text = Broadcaster().begin("run", turn, attempt)
    for piece in pieces:
        text.add(piece)
    return text


def row(seq: int, kind: str, **data: JsonValue) -> EventRow:
    return EventRow(run_id="run", seq=seq, kind=kind, data=data, created_at=NOW)


def news(*events: EventRow, texts: dict[int, str] | None = None, still: bool = False) -> News:
    output = RunOutput(
        run_id="run",
        session_id="s",
        component_id="a",
        status=RunStatus.completed,
        created_at=NOW,
    )
    return News("s", 1, list(events), is_all=True, is_idle=still, texts=texts or {}, output=output)


def completed(turn: int, text: str) -> News:
    return news(row(2, "turn_completed", turn=turn, calls=0), texts={turn: text})


@pytest.fixture
def transcript() -> Transcript:
    return Transcript("run", "s", is_resumed=False)


@pytest.mark.parametrize("shown", ["", "All ", "All of it."])
def test_what_was_lost_on_the_way_comes_when_the_turn_is_stored(
    transcript: Transcript, shown: str
) -> None:
    seen = [*transcript.live(live(1, 1, shown)), *transcript.stored(completed(1, "All of it."))]
    assert text_of(seen) == "All of it."
    assert not [event for event in seen if isinstance(event, RunContentReset)]
    assert isinstance(seen[-1], TurnCompleted)


def test_a_repeated_attempt_takes_back_what_was_shown(transcript: Transcript) -> None:
    first = list(transcript.live(live(1, 1, "Half of")))
    second = list(transcript.live(live(1, 2, "Whole")))
    assert [type(event) for event in second] == [RunContentReset, TurnStarted, RunContent]
    assert text_of([*first, *second]) == "Whole"


def test_a_repeated_attempt_that_nobody_heard_of_is_seen_in_what_is_stored(
    transcript: Transcript,
) -> None:
    seen = [*transcript.live(live(1, 1, "Half of")), *transcript.stored(completed(1, "Whole."))]
    assert text_of(seen) == "Whole."


def test_nothing_is_taken_back_if_nothing_was_shown(transcript: Transcript) -> None:
    seen = [*transcript.live(live(1, 1)), *transcript.live(live(1, 2, "Whole"))]
    assert [event.kind for event in seen] == ["turn_started", "turn_started", "content"]


def test_a_reader_that_came_back_begins_the_turn_anew() -> None:
    transcript = Transcript("run", "s", is_resumed=True)
    seen = [*transcript.live(live(2, 1, "Whole")), *transcript.stored(completed(2, "Whole."))]
    assert text_of(seen, before="Wh") == "Whole."
    assert [event.kind for event in seen].count("content_reset") == 1


def test_a_structured_answer_that_is_stored_in_another_spelling_is_not_shown_twice(
    transcript: Transcript,
) -> None:
    seen = [*transcript.live(live(1, 1, '{"n": 1}')), *transcript.stored(completed(1, '{"n":1}'))]
    assert text_of(seen) == '{"n": 1}'


def test_each_turn_has_its_own_text(transcript: Transcript) -> None:
    list(transcript.live(live(1, 1, "First.")))
    list(transcript.stored(completed(1, "First.")))
    seen = list(transcript.live(live(2, 1, "Second.")))
    assert [event.kind for event in seen] == ["turn_started", "content"]
    assert text_of(seen) == "Second."


def test_the_stop_is_told_last(transcript: Transcript) -> None:
    found = news(row(5, "run_cancelled"), row(6, "tool_call_stopped", tool="t"), still=True)
    stopped, cancelled = transcript.stored(found)
    assert isinstance(stopped, RunNoted)
    assert (stopped.name, stopped.data) == ("tool_call_stopped", {"tool": "t"})
    assert cancelled.kind == "run_cancelled"
