"""Results that the database could not take yet: kept in files, and stored as soon as it can.

A worker that has executed a payment and cannot store the receipt, because the database is away,
must not lose it: the outcome would be unknown, and a person would be asked. So it goes on trying
while it lives, and beside that writes the result into a file of its own, which survives the
process. Whoever starts in the same folder stores what it finds there. Storing a result twice is
harmless: it is accepted by the token of its attempt, once.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from sqlmodel import Session

from kern.db.engine.store import Store
from kern.db.reading.run_outputs import run_row
from kern.db.steps import transactions
from kern.db.steps.tasks import Finished, StepCall
from kern.db.turns import calls
from kern.db.turns.attempts import Storing
from kern.errors import NotFound, Unavailable
from kern.models.base import ModelResponse
from kern.process.logs import get_logger
from kern.session_state import StateChange
from kern.values.canonical import digest
from kern.values.states import RunStatus, ToolOutcome

_log = get_logger("kern.results")

# The database's own patience is some ten seconds; a file is written long before.
_SPILL_SECONDS = 1.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 5.0
# What nobody has claimed by then belongs to a database that this folder has left.
_OLDEST_SECONDS = 30 * 86400.0

Value = TypeVar("Value")


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True)

    database: str


class CallResult(_Entry):
    """How an attempt at a tool call ended."""

    kind: Literal["call"] = "call"
    token: str
    tool_call_id: str
    outcome: ToolOutcome
    result: str
    changes: tuple[StateChange, ...] = ()
    is_begun: bool = True

    def store(self, tx: Session, now: datetime) -> Storing:
        """Store the result, unless another attempt has the call."""
        return calls.finish(
            tx,
            self.tool_call_id,
            self.token,
            outcome=self.outcome,
            result=self.result,
            changes=list(self.changes),
            now=now,
            is_begun=self.is_begun,
        )


class StepResult(_Entry):
    """How an attempt at a step's function ended."""

    kind: Literal["step"] = "step"
    token: str
    step: StepCall
    finished: Finished

    def store(self, tx: Session, now: datetime) -> Storing:
        """Store the result and open what follows, unless another attempt has the step."""
        return transactions.finish(tx, self.step, self.token, self.finished, now)


class ModelAnswer(_Entry):
    """What a model answered in a turn."""

    kind: Literal["answer"] = "answer"
    run_id: str
    turn: int
    response: ModelResponse
    began: datetime | None = None
    first_token_seconds: float | None = None

    @property
    def token(self) -> str:
        """The id of the turn."""
        return token_of_turn(self.run_id, self.turn)


Entry = CallResult | StepResult | ModelAnswer
_ENTRY: TypeAdapter[Entry] = TypeAdapter(Annotated[Entry, Field(discriminator="kind")])


class ResultJournal:
    """The files, one for each result, which only their user may read.

    Args:
        folder: Where they lie; it is made with the first file.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, entry: Entry) -> None:
        """Write a result so that it survives the process and the machine's power."""
        path = self._path(entry.token)
        partial = path.with_suffix(f".{os.getpid()}.partial")
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(_ENTRY.dump_json(entry))
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
            _sync(self._folder)
        except OSError as error:
            _log.warning("journal_unavailable", folder=str(self._folder), why=str(error))

    def find(self, token: str) -> Entry | None:
        """Return the result of an attempt, or of a turn."""
        return _read(self._path(token))

    def remove(self, token: str) -> None:
        """Forget a result, which the database has now."""
        self._path(token).unlink(missing_ok=True)

    def entries(self) -> Iterator[Entry]:
        """Yield all results that are kept."""
        for path in sorted(self._folder.glob("*.json")):
            entry = _read(path)
            if entry is not None:
                yield entry
            elif _age(path) > _OLDEST_SECONDS:
                path.unlink(missing_ok=True)

    def _path(self, token: str) -> Path:
        return self._folder / f"{digest(token)[:32]}.json"


class ResultKeeper:
    """Stores results until the database takes them.

    Args:
        db: The database.
        journal: Where they are kept beside that; None for a process that leaves none behind.
    """

    def __init__(self, db: Store, journal: ResultJournal | None = None) -> None:
        self.database = db.name
        self._db = db
        self._journal = journal
        # The results of earlier processes whose files were read, to be stored here.
        self._earlier_tokens: set[str] = set()

    async def keep(self, entry: Entry, write: Callable[[], Awaitable[Value]]) -> Value:
        """Call `write`, which stores a result, until the database takes it.

        Raises:
            KernError: the database refuses it for another reason than that it is away.
        """
        loop = asyncio.get_running_loop()
        spilling: list[asyncio.Future[None]] = []

        def spill() -> None:
            if self._journal is not None and not spilling:
                spilling.append(loop.run_in_executor(None, self._journal.put, entry))

        timer = loop.call_later(_SPILL_SECONDS, spill)
        try:
            value = await self.until_stored(entry.token, write, spill)
        except asyncio.CancelledError:
            # The process ends: the file stays.
            raise
        except Exception:
            # The run was deleted meanwhile, or the database refuses this result for good.
            await self._forget(entry.token, spilling)
            raise
        finally:
            timer.cancel()
        await self._forget(entry.token, spilling)
        return value

    async def until_stored(
        self, token: str, write: Callable[[], Awaitable[Value]], spill: Callable[[], object] = bool
    ) -> Value:
        """Call `write` until the database is there, and `spill` each time that it is not."""
        pause = _FIRST_PAUSE
        while True:
            try:
                return await write()
            except Unavailable as error:
                spill()
                _log.warning("result_waits_for_database", token=token, why=str(error))
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def answer_of(self, run_id: str, turn: int) -> ModelAnswer | None:
        """Return the answer of a turn that an earlier attempt was given and could not store."""
        if self._journal is None:
            return None
        entry = self._journal.find(token_of_turn(run_id, turn))
        if isinstance(entry, ModelAnswer) and entry.database == self.database:
            self._earlier_tokens.add(entry.token)
            return entry
        return None

    async def store_kept(self) -> None:
        """Store what earlier processes in this folder could not; returns when nothing is left."""
        if self._journal is None:
            return
        for entry in await asyncio.to_thread(lambda: list(self._journal_entries())):
            await self._store_kept(entry)

    def _journal_entries(self) -> Iterator[Entry]:
        for entry in self._journal.entries() if self._journal is not None else ():
            if entry.database == self.database:
                yield entry

    async def _store_kept(self, entry: Entry) -> None:
        def store(tx: Session) -> bool:
            now = datetime.now(UTC)
            if isinstance(entry, ModelAnswer):
                return _is_stored(tx, entry)
            entry.store(tx, now)
            return True

        try:
            is_stored = await self.until_stored(entry.token, lambda: self._db.write(store))
        except NotFound as error:
            _log.warning("result_belongs_to_nothing", token=entry.token, why=str(error))
            is_stored = True
        if is_stored and self._journal is not None:
            _log.info("kept_result_stored", token=entry.token, kind=entry.kind)
            await asyncio.to_thread(self._journal.remove, entry.token)

    async def _forget(self, token: str, spilling: list[asyncio.Future[None]]) -> None:
        if self._journal is None or not (spilling or token in self._earlier_tokens):
            return
        if spilling:
            await spilling[0]
        self._earlier_tokens.discard(token)
        await asyncio.to_thread(self._journal.remove, token)


def token_of_turn(run_id: str, turn: int) -> str:
    """Return the id under which the answer of a turn is kept."""
    return f"{run_id} {turn}"


def _is_stored(tx: Session, answer: ModelAnswer) -> bool:
    """Whether nobody needs an answer any more."""
    run = run_row(tx, answer.run_id)
    return run is None or run.turn >= answer.turn or RunStatus(run.status).is_final


def _read(path: Path) -> Entry | None:
    try:
        return _ENTRY.validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        _log.warning("kept_result_unreadable", file=str(path), why=type(error).__name__)
        return None


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
