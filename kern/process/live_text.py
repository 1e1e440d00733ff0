"""Tells the readers in this process what happens in runs, and keeps the text that is being written.

Nobody who writes ever waits for a reader: a reader is only woken, and takes what there is. The
text of a turn is kept once, however many read it, and only until it is stored.
"""

import threading
from bisect import bisect_right
from collections.abc import Callable, Mapping
from typing import Protocol

from kern.process.wakeup import Bell
from kern.values.canonical import clean_text
from kern.values.ids import new_id

# What an answer has beyond this is not passed on piece by piece: it comes when the turn is stored.
_LONGEST = 1_000_000


class LiveText:
    """The text of one attempt at a model's answer, as far as it has come.

    `token` orders the attempts at one turn, also across workers and restarts of the run.
    """

    def __init__(
        self,
        run_id: str,
        turn: int,
        attempt: int,
        *,
        token: str,
        grown: Callable[["LiveText"], None],
        ended: Callable[["LiveText"], None],
    ) -> None:
        self.run_id, self.turn, self.attempt, self.token = run_id, turn, attempt, token
        self._pieces: list[str] = []
        self._ends: list[int] = []
        self._lock = threading.Lock()
        self._grown, self._ended = grown, ended
        self.is_closed = False

    @property
    def length(self) -> int:
        """How many characters have come."""
        return self._ends[-1] if self._ends else 0

    def add(self, piece: str) -> None:
        """Append a piece, and wake whoever reads. It neither waits nor fails."""
        self.place(None, piece)

    def place(self, offset: int | None, piece: str) -> None:
        """Append a piece that belongs at an offset; what would leave a gap is dropped."""
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
            self._ends.append(length + len(piece))
        self._grown(self)

    def since(self, offset: int) -> str:
        """Return the text from an offset on."""
        with self._lock:
            first = bisect_right(self._ends, offset)
            if first == len(self._ends):
                return ""
            begins = self._ends[first] - len(self._pieces[first])
            return "".join(self._pieces[first:])[offset - begins :]

    def close(self) -> None:
        """Forget the text: it is stored by now, or the attempt failed."""
        self.is_closed = True
        self._ended(self)


class Publisher(Protocol):
    """Passes the text of model turns on to whoever reads it."""

    def begin(self, run_id: str, turn: int, attempt: int) -> LiveText:
        """Begin the text of an attempt, which ends what an earlier attempt had shown."""
        ...


class Follower(Bell):
    """One reader of one run, on the event loop on which it was made.

    Attributes:
        run_id: The run.
        seq: The highest number of an event that is known to be committed.
        has_missed: Whether something may have gone by unheard.
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
        """Have the reader look, at the table too if it has not seen `seq`; from any thread."""
        self.seq = max(self.seq, seq)
        self.ring()

    def close(self) -> None:
        """Be woken no more."""
        self._broadcaster.leave(self)


class Broadcaster:
    """Who reads which run in this process, and the texts that are being written."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._followers: dict[str, set[Follower]] = {}
        self._own: dict[str, LiveText] = {}
        self._heard: dict[str, LiveText] = {}

    def begin(
        self,
        run_id: str,
        turn: int,
        attempt: int,
        grown: Callable[[LiveText], None] = lambda _: None,
        ended: Callable[[LiveText], None] = lambda _: None,
    ) -> LiveText:
        """Begin the text of an attempt that is made in this process."""

        def tell(text: LiveText) -> None:
            self._wake(run_id)
            grown(text)

        def forget(text: LiveText) -> None:
            self._forget(text)
            ended(text)

        text = LiveText(run_id, turn, attempt, token=new_id(), grown=tell, ended=forget)
        with self._lock:
            self._own[run_id] = text
        tell(text)
        return text

    def hear(self, run_id: str, place: tuple[int, int, str], offset: int, piece: str) -> None:
        """Take a piece that another process sent; `place` is its turn, attempt and token."""
        turn, attempt, token = place
        with self._lock:
            if run_id not in self._followers:
                return
            text = self._newest(run_id)
            if text is None or (turn, token) > (text.turn, text.token):
                text = LiveText(
                    run_id, turn, attempt, token=token, grown=self._tell, ended=self._forget
                )
                self._heard[run_id] = text
                self._wake_now(run_id)
        if text.token == token:
            text.place(offset, piece)

    def committed(self, news: Mapping[str, int]) -> None:
        """Wake the readers of runs whose last event has now this number."""
        for run_id, seq in news.items():
            self._wake(run_id, seq)

    def missed(self) -> None:
        """Have every reader look at the table: something may have gone by unheard."""
        with self._lock:
            for follower in (one for group in self._followers.values() for one in group):
                follower.has_missed = True
                follower.wake()

    def follow(self, run_id: str) -> Follower:
        """Have a reader woken when something happens in a run."""
        follower = Follower(self, run_id)
        with self._lock:
            self._followers.setdefault(run_id, set()).add(follower)
        return follower

    def leave(self, follower: Follower) -> None:
        """Forget a reader, and what was kept for it alone."""
        with self._lock:
            group = self._followers.get(follower.run_id, set())
            group.discard(follower)
            if not group:
                self._followers.pop(follower.run_id, None)
                self._heard.pop(follower.run_id, None)

    def live(self, run_id: str) -> LiveText | None:
        """Return the text that is being written in a run."""
        with self._lock:
            return self._newest(run_id)

    @property
    def size(self) -> tuple[int, int]:
        """How many runs are read, and how many texts are kept."""
        with self._lock:
            return len(self._followers), len(self._own) + len(self._heard)

    def _newest(self, run_id: str) -> LiveText | None:
        texts = [self._own.get(run_id), self._heard.get(run_id)]
        found = [text for text in texts if text is not None]
        return max(found, key=lambda text: (text.turn, text.token), default=None)

    def _forget(self, text: LiveText) -> None:
        with self._lock:
            for texts in (self._own, self._heard):
                if texts.get(text.run_id) is text:
                    del texts[text.run_id]

    def _tell(self, text: LiveText) -> None:
        self._wake(text.run_id)

    def _wake(self, run_id: str, seq: int = 0) -> None:
        with self._lock:
            self._wake_now(run_id, seq)

    def _wake_now(self, run_id: str, seq: int = 0) -> None:
        for follower in self._followers.get(run_id, ()):
            follower.wake(seq)
