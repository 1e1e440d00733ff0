"""A reader of one run: what the table holds, and the text while it is being written."""

from collections.abc import Callable, Sequence

from kern.client.service.acceptance import following
from kern.client.service.missing_worker import reporting_missing_worker
from kern.client.service.transcript import Transcript
from kern.components.operations import Show
from kern.contracts.viewer import Viewer
from kern.db.engine.store import Store
from kern.db.reading.event_feed import News, news
from kern.errors import Unavailable
from kern.events import RunContent, RunContentReset, RunEvent
from kern.process.live_text import Follower


class RunReader:
    """Reads a run's events from a number on, until the run is idle.

    It holds nothing for a slow reader: what it has not read is in the table, or in the one text
    that all readers share. The run notices neither a reader nor its end.

    Args:
        db: Where the run is kept.
        follower: Who is woken when something happens.
        viewer: Who reads.
        after: The number of the last event that is known.
        is_resumed: Whether text of a turn that was not stored then may have been shown.
        show: What is wanted.
        patience: After how many seconds to look unwoken.
    """

    def __init__(
        self,
        db: Store,
        follower: Follower,
        viewer: Viewer,
        *,
        after: int,
        is_resumed: bool,
        show: Show,
        patience: Callable[[], float],
    ) -> None:
        self._db, self._follower, self._viewer = db, follower, viewer
        self._seq, self._is_resumed, self._show = after, is_resumed, show
        self._patience = patience
        self._transcript: Transcript | None = None
        # The last turn that is stored, as far as is known here.
        self._turn = 0
        self._must_look = True
        self._has_ended = self._is_cut = False

    async def read(self) -> Sequence[RunEvent]:
        """Wait for the next events; none when the run is idle and all were read.

        Raises:
            Unavailable: the database does not answer, or this process is shutting down.
            NotFound: there is no such run.
            NotAllowed: it belongs to somebody else.
        """
        with reporting_missing_worker(self._db, self._follower.run_id):
            return await self._read()

    async def _read(self) -> Sequence[RunEvent]:
        while not self._has_ended:
            events = self._selected(await self._look())
            if events:
                return events
            if self._is_cut:
                message = (
                    f"This process has stopped reading run {self._follower.run_id!r}. The run "
                    "goes on: come back with stream_run and the number of the last event."
                )
                raise Unavailable(message)
            if not await self._follower.wait(self._patience()):
                self._must_look = True
        return []

    async def read_now(self) -> Sequence[RunEvent]:
        """Return the next events that are there already; none when all were read."""
        while self._must_look and not self._has_ended:
            events = self._selected(await self._look())
            if events:
                return events
        return []

    def close(self) -> None:
        """Read no more, which the run does not notice; from any thread."""
        self._has_ended = True
        self._follower.wake()
        self._follower.close()

    def cut(self) -> None:
        """End because the process does."""
        self._is_cut = True
        self._follower.wake()

    async def _look(self) -> list[RunEvent]:
        events: list[RunEvent] = []
        live = self._follower.live
        # A later turn's text has come: the end of the turn before it is in the table.
        is_ahead = live is not None and live.turn > self._turn + 1
        is_behind = self._follower.seq > self._seq or self._follower.has_missed
        if self._must_look or is_ahead or is_behind:
            events = self._events_of(await self._read_table())
        if self._transcript is None or self._has_ended or self._must_look:
            return events
        live = self._follower.live
        if live is not None and live.turn == self._turn + 1:
            events.extend(self._transcript.live(live))
        return events

    async def _read_table(self) -> News:
        self._must_look = self._follower.has_missed = False
        run_id, after = self._follower.run_id, self._seq
        with following(run_id):
            return await self._db.read(lambda tx: news(tx, run_id, self._viewer, after))

    def _events_of(self, page: News) -> list[RunEvent]:
        if self._transcript is None:
            self._transcript = Transcript(
                self._follower.run_id, page.session_id, is_resumed=self._is_resumed
            )
        self._seq = max([self._seq, *(event.seq for event in page.events)])
        self._must_look = not page.is_all
        if page.is_all:
            self._turn = page.turn
            self._has_ended = self._has_ended or page.is_idle
        return list(self._transcript.stored(page))

    def _selected(self, events: list[RunEvent]) -> list[RunEvent]:
        if self._show == "everything":
            return events
        # The last event says how the run stands: it alone is wanted beside the text.
        last = events[-1:] if self._has_ended else []
        return [event for event in events if isinstance(event, RunContent | RunContentReset)] + last
