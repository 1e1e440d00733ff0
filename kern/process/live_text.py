"""Wakes the readers of runs in this process, and keeps the text that a model is writing.

Writers never wait for readers. A writer appends and *wakes*; a reader that wakes takes whatever is
there. So a slow reader gets larger pieces and costs nothing, and a wake-up may be lost or doubled:
events are read from the table, and the text from here. The text of a turn is kept once, however
many read it, and only until the turn is stored; then readers get it from the table.

Texts reach a process in two ways. A turn that is taken in this process begins its own text
(`begin`). A turn in another process sends pieces by `NOTIFY` (`hear`), which may arrive late,
twice or never, and after the attempt that wrote them was replaced. Therefore:

- Each attempt's text has a token, a UUIDv7, which orders the attempts at one turn across processes
  and restarts. Readers see the text with the greatest `(turn, token)`; older pieces are dropped.
- Each piece carries its offset. What is known already is cut off, and a piece that would leave a
  gap is dropped: the missing text comes with the stored turn.

Locks: `Broadcaster` has one for its dicts, each `LiveText` one for its pieces. The pieces' lock is
released before readers are woken, so the two are never held in opposite orders.
"""

import itertools
import threading
from bisect import bisect_right
from collections.abc import Callable, Mapping
from typing import Protocol

from kern.process.wakeup import Wakeup
from kern.values.canonical import clean_text
from kern.values.ids import new_id

# Followed in the place of a run by whoever reads the feed: no run has an id of this kind.
FEED_CHANNEL = "kern:feed"

# Characters beyond this are not passed on piece by piece: they come when the turn is stored.
_LONGEST = 1_000_000


class LiveText:
    """The text of one attempt at a model's answer so far.

    `token` orders the attempts at one turn, across workers and restarts of the run.
    """

    def __init__(
        self,
        run_id: str,
        turn: int,
        attempt: int,
        *,
        token: str,
        on_growth: Callable[["LiveText"], None],
        ended: Callable[["LiveText"], None],
    ) -> None:
        self.run_id, self.turn, self.attempt, self.token = run_id, turn, attempt, token
        self._pieces: list[str] = []
        self._piece_ends: list[int] = []
        self._lock = threading.Lock()
        self._on_growth, self._ended = on_growth, ended
        self.is_closed = False

    @property
    def length(self) -> int:
        """The number of characters so far."""
        return self._piece_ends[-1] if self._piece_ends else 0

    def add(self, piece: str) -> None:
        """Append a piece, and wake the readers. It neither waits nor fails."""
        self.place(None, piece)

    def place(self, offset: int | None, piece: str) -> None:
        """Append a piece at an offset; one that would leave a gap is dropped."""
        piece = clean_text(piece)
        with self._lock:
            length = self.length
            if offset is not None:
                if offset > length:
                    return
                piece = piece[length - offset :]
            if not piece or length + len(piece) > _LONGEST:
                return
            self._pieces.append(piece)
            self._piece_ends.append(length + len(piece))
        self._on_growth(self)

    def since(self, offset: int) -> str:
        """Return the text from an offset on."""
        with self._lock:
            first = bisect_right(self._piece_ends, offset)
            if first == len(self._piece_ends):
                return ""
            start = self._piece_ends[first] - len(self._pieces[first])
            return "".join(self._pieces[first:])[offset - start :]

    def close(self) -> None:
        """Drop the text: the turn is stored by now, or the attempt failed."""
        self.is_closed = True
        self._ended(self)


class Publisher(Protocol):
    """Passes the text of model turns on to their readers."""

    def begin(self, run_id: str, turn: int, attempt: int) -> LiveText:
        """Begin the text of an attempt, which replaces the text of an earlier attempt."""
        ...


class Follower(Wakeup):
    """One reader of one run, on the event loop on which it was made.

    Attributes:
        run_id: The run.
        seq: The highest number of an event that is known to be committed.
        has_missed: Whether notifications may have been lost, so that it has to read the table.
    """

    def __init__(self, broadcaster: "Broadcaster", run_id: str) -> None:
        super().__init__()
        self.run_id = run_id
        self.seq = 0
        self.has_missed = False
        self._broadcaster = broadcaster

    @property
    def live(self) -> LiveText | None:
        """The text that is being written in the run."""
        return self._broadcaster.live(self.run_id)

    def wake(self, seq: int = 0) -> None:
        """Wake the reader, which also reads the table if `seq` is new to it; from any thread."""
        self.seq = max(self.seq, seq)
        self.notify()

    def close(self) -> None:
        """Stop being woken."""
        self._broadcaster.leave(self)


class Broadcaster:
    """The readers of runs in this process, and the texts that are being written."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._followers: dict[str, set[Follower]] = {}
        self._local: dict[str, LiveText] = {}
        self._remote: dict[str, LiveText] = {}

    def begin(
        self,
        run_id: str,
        turn: int,
        attempt: int,
        on_growth: Callable[[LiveText], None] = lambda _: None,
        ended: Callable[[LiveText], None] = lambda _: None,
    ) -> LiveText:
        """Begin the text of an attempt that is made in this process."""

        def publish(text: LiveText) -> None:
            self._wake(run_id)
            on_growth(text)

        def forget(text: LiveText) -> None:
            self._forget(text)
            ended(text)

        text = LiveText(run_id, turn, attempt, token=new_id(), on_growth=publish, ended=forget)
        with self._lock:
            self._local[run_id] = text
        publish(text)
        return text

    def hear(self, run_id: str, place: tuple[int, int, str], offset: int, piece: str) -> None:
        """Take a piece from another process; `place` is its turn, attempt and token."""
        turn, attempt, token = place
        with self._lock:
            if run_id not in self._followers:
                return
            text = self._newest(run_id)
            if text is None or (turn, token) > (text.turn, text.token):
                text = LiveText(
                    run_id,
                    turn,
                    attempt,
                    token=token,
                    on_growth=self._wake_readers,
                    ended=self._forget,
                )
                self._remote[run_id] = text
                self._wake_now(run_id)
        if text.token == token:
            text.place(offset, piece)

    def committed(self, news: Mapping[str, int]) -> None:
        """Wake the readers of these runs, with the number of each run's last event."""
        for run_id, seq in news.items():
            self._wake(run_id, seq)

    def missed(self) -> None:
        """Have every reader read the table, since notifications may have been lost."""
        with self._lock:
            for follower in itertools.chain.from_iterable(self._followers.values()):
                follower.has_missed = True
                follower.wake()

    def follow(self, run_id: str) -> Follower:
        """Add a reader, which is woken when something happens in a run."""
        follower = Follower(self, run_id)
        with self._lock:
            self._followers.setdefault(run_id, set()).add(follower)
        return follower

    def leave(self, follower: Follower) -> None:
        """Remove a reader, and the text that was kept for it alone."""
        with self._lock:
            group = self._followers.get(follower.run_id, set())
            group.discard(follower)
            if not group:
                self._followers.pop(follower.run_id, None)
                self._remote.pop(follower.run_id, None)

    def live(self, run_id: str) -> LiveText | None:
        """Return the text that is being written in a run."""
        with self._lock:
            return self._newest(run_id)

    @property
    def size(self) -> tuple[int, int]:
        """The number of runs that are read, and of texts that are kept."""
        with self._lock:
            runs = self._followers.keys() - {FEED_CHANNEL}
            return len(runs), len(self._local) + len(self._remote)

    def _newest(self, run_id: str) -> LiveText | None:
        texts = [self._local.get(run_id), self._remote.get(run_id)]
        present = [text for text in texts if text is not None]
        return max(present, key=lambda text: (text.turn, text.token), default=None)

    def _forget(self, text: LiveText) -> None:
        with self._lock:
            for texts in (self._local, self._remote):
                if texts.get(text.run_id) is text:
                    del texts[text.run_id]

    def _wake_readers(self, text: LiveText) -> None:
        self._wake(text.run_id)

    def _wake(self, run_id: str, seq: int = 0) -> None:
        with self._lock:
            self._wake_now(run_id, seq)

    def _wake_now(self, run_id: str, seq: int = 0) -> None:
        for follower in self._followers.get(run_id, ()):
            follower.wake(seq)
