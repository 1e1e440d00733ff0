"""Opens readers of runs, and wakes them: in this process, and across processes on Postgres."""

from collections.abc import Callable
from weakref import WeakSet

from kern.client.service.own_runs import refuse_own
from kern.client.service.reading import RunReader
from kern.components.operations import Show
from kern.contracts.viewer import Viewer
from kern.db.engine.pg_notify import Listener
from kern.db.engine.store import Store
from kern.db.engine.stores import PostgresStore
from kern.db.reading.event_feed import mark_streamed, position
from kern.errors import InvalidInput
from kern.process.live_text import Follower
from kern.values.ids import require_id
from kern.values.validation import require_count

# A database without notifications, such as a file that processes share, is polled this often.
_ASK_EVERY = 0.5
# A connection may be lost unnoticed, and its notifications with it.
_LOOK_EVERY = 15.0


class Readers:
    """The readers of one process."""

    def __init__(self, db: Store) -> None:
        self._db = db
        self._listener = (
            Listener(db.engine, db.broadcaster, db.listen_url)
            if isinstance(db, PostgresStore)
            else None
        )
        self._readers: WeakSet[RunReader] = WeakSet()

    async def open(self, viewer: Viewer, run_id: str, after: int, show: Show) -> RunReader:
        """Read a run from a number on.

        Raises:
            InvalidInput: `after` is no number of an event, or the id can be none.
            NotFound: there is no such run.
            NotAllowed: it belongs to somebody else.
            Conflict: the code that asks is this run's own.
        """
        require_count("after", after, least=0)
        await refuse_own(self._db, require_id("run_id", run_id))
        follower = await self.follower(run_id)
        try:
            _check_number(run_id, after, await self.announced(run_id, viewer))
        except BaseException:
            follower.close()
            raise
        return self.reader(follower, viewer, show, after=after, is_resumed=after > 0)

    async def watch(self, viewer: Viewer, run_id: str, after: int) -> RunReader:
        """Read a run from a number on, as `open` does, and change nothing.

        Writers announce the news of runs that somebody has opened. Others are looked at every half
        second, and the text of a turn comes when the turn is stored.
        """
        require_count("after", after, least=0)
        await refuse_own(self._db, require_id("run_id", run_id))
        follower = await self.follower(run_id)
        try:
            run = await self._db.read(lambda tx: position(tx, run_id, viewer))
            _check_number(run_id, after, run.last_event)
        except BaseException:
            follower.close()
            raise
        patience = self._patience if run.is_announced else _polling
        return self.reader(
            follower, viewer, "everything", after=after, is_resumed=after > 0, patience=patience
        )

    def open_stored(self, viewer: Viewer, run_id: str, after: int) -> RunReader:
        """Read the events that are stored, with `read_now`: the run's writers are asked nothing."""
        follower = self._db.broadcaster.follow(run_id)
        return self.reader(follower, viewer, "everything", after=after)

    async def close(self) -> None:
        """End every reader, and hear nothing more."""
        for reader in list(self._readers):
            reader.cut()
        if self._listener is not None:
            await self._listener.close()

    async def follower(self, run_id: str) -> Follower:
        """Return a follower, woken from now on by whatever process writes to the run."""
        if self._listener is not None:
            await self._listener.start()
        return self._db.broadcaster.follow(run_id)

    async def announced(self, run_id: str, viewer: Viewer) -> int:
        """Enable notifications of the run's events; return the last event's number."""
        run = await self._db.read(lambda tx: position(tx, run_id, viewer))
        if not run.is_announced:
            await self._db.write(lambda tx: mark_streamed(tx, run_id))
        return run.last_event

    def reader(
        self,
        follower: Follower,
        viewer: Viewer,
        show: Show,
        *,
        after: int,
        is_resumed: bool = False,
        patience: Callable[[], float] | None = None,
    ) -> RunReader:
        """Return a reader of the run that is followed."""
        reader = RunReader(
            self._db,
            follower,
            viewer,
            after=after,
            is_resumed=is_resumed,
            show=show,
            patience=patience or self._patience,
        )
        self._readers.add(reader)
        return reader

    def _patience(self) -> float:
        is_notified = self._listener is not None and self._listener.is_listening
        return _LOOK_EVERY if is_notified else _ASK_EVERY


def _polling() -> float:
    return _ASK_EVERY


def _check_number(run_id: str, after: int, last: int) -> None:
    """Refuse a number that no event has had yet: it would silently skip events."""
    if after > last:
        message = (
            f"after is {after}, but the last event of run {run_id!r} is {last}: use the number of "
            "an event that you have seen, or 0."
        )
        raise InvalidInput(message)
