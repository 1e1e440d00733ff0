"""Attempts: executions of the user's code for one call, of which exactly one stores the result.

A worker takes a call with a *token*, a new id that the call's row keeps. Whatever an attempt writes
about the call is accepted only while the row still has its token; once another attempt has taken
the call over, the first one is fenced off. So several attempts may exist, but one decides.

Three things decide how an attempt may end early:

- **Heartbeats.** While an attempt runs, its activity sends heartbeats (`heartbeat.py`). An attempt
  without a heartbeat for the timeout is considered dead: Temporal cancels the activity here, if it
  still runs, and starts another one, here or in another worker.
- **The effect.** Code whose effect is `idempotent` or `read` may be repeated: when the activity is
  cancelled or the call times out, the attempt is abandoned and the next one executes again. What is
  idempotent must not be reported as failed once it may have happened: if its last attempt fails,
  and any of them left open whether it had its effect, a person is asked. Code
  whose effect is `once` must not be torn in half: an `await` that is cancelled would say nothing
  about whether the code has run. It is therefore *shielded*: the wait for it may be cancelled, the
  code itself runs to its end, and a task of this process then stores the result, however late. If
  the process dies first, nobody knows what happened, and a person is asked.
- **Attempts in this process.** A cancelled activity and its successor may run in the same process,
  while the code of the first is still being executed. `live_attempts.py` keeps the tokens of such
  attempts; the successor asks `is_alive` in the transaction that takes the call, and waits with
  `until_over` instead of taking over a call whose result is about to be stored.

An attempt takes its call only once it has a place to execute it (`places.py`), and its code begins
only if the row still names the attempt right before it (`starts.py`). What has not begun is given
back, or taken over by the next attempt, and is in no doubt. While the code executes, the row says
so every few seconds (`leases.beat`), and a result that the database cannot take is kept until it
can (`result_journal.py`).
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Generic

from pydantic import JsonValue

from kern.activities.result_journal import ResultKeeper
from kern.activities.tool_loop import Ended, Result
from kern.db.engine.store import Store
from kern.db.turns import calls
from kern.db.turns.attempts import Execution, Settled
from kern.process.checkpoints import reach
from kern.process.logs import get_logger
from kern.tools.reconciling import NO_RULES, OutcomeRules
from kern.values.attempts import UnknownReason
from kern.values.states import Effect

_log = get_logger("kern.attempts")

_EARLIER = "An earlier attempt did not tell whether it had its effect."


class Attempt(ABC, Generic[Result]):
    """One attempt at a call, and what it may write about the call.

    Args:
        db: The database that has the call.
        execution: The call that was taken.
        token: The id of the attempt.
        checkpoint: The prefix of the names of its checkpoints.
        results: Stores what the call ends with.
        rules: When its outcome is unknown, and whom to ask first.
    """

    def __init__(
        self,
        db: Store,
        execution: Execution,
        token: str,
        checkpoint: str,
        *,
        results: ResultKeeper,
        rules: OutcomeRules = NO_RULES,
    ) -> None:
        self.execution = execution
        self.rules = rules
        self.results = results
        self.checkpoint = checkpoint
        self.token = token
        self._is_open = execution.may_have_happened
        self._db = db

    @abstractmethod
    def outcome_of(self, value: object) -> Result:
        """Return what to store of the value that the code returned and of its state changes.

        It is called where the code executes, since it may call the user's code (`__repr__`, for
        example), and it never fails: the effect has happened.
        """

    @abstractmethod
    async def end_as_happened(self, result: JsonValue) -> None:
        """Store the result that a reconciler found."""

    @abstractmethod
    async def end(self, ended: Ended[Result], *, is_active: bool = True) -> None:
        """Store how the code ended, or give the call back for another try.

        `is_active`: the activity still runs, and continues with what follows.
        """

    def leaves_open(self, error: BaseException) -> bool:
        """Whether nobody knows if the call had its effect, and no attempt follows to find out."""
        is_open = self.rules.are_open(error)
        match self.execution.effect:
            case Effect.once:
                return is_open
            case Effect.idempotent:
                self._is_open = self._is_open or is_open
                return self._is_open and self.is_last
            case Effect.read:
                return False

    @property
    def is_last(self) -> bool:
        """Whether the call is not executed again if this attempt fails."""
        return self.execution.attempt > self.execution.retries

    def may_begin(self, lease: timedelta) -> bool:
        """Mark the call as begun right before its code, if its row still names this attempt."""
        now = datetime.now(UTC)
        return self._db.write_now(
            lambda tx: calls.may_begin(tx, self.execution.tool_call_id, self.token, now, lease)
        )

    async def drop_following(self) -> None:
        """Give back what `end` has taken for an activity that is no more."""

    async def give_back(self, reason: str, *, is_begun: bool = True) -> None:
        """Let another attempt execute the call; if not `is_begun`, this attempt is not counted."""
        now = datetime.now(UTC)
        reach(f"{self.checkpoint}.before_release")
        release = partial(
            calls.release,
            tool_call_id=self.execution.tool_call_id,
            token=self.token,
            reason=reason,
            now=now,
            begun=is_begun,
            is_open=is_begun and self._is_open,
        )
        await self._db.write(release)
        reach(f"{self.checkpoint}.after_release")

    async def abandon(self) -> None:
        """Leave the call to the next attempt, or end it if there is none."""
        now = datetime.now(UTC)
        await self._db.write(
            lambda tx: calls.abandon(tx, self.execution.tool_call_id, self.token, now)
        )

    async def ask_about_outcome(
        self, reason: UnknownReason, error: str | None = None, evidence: Sequence[str] = ()
    ) -> Settled:
        """Ask a person whether the call has happened."""
        earlier = (_EARLIER,) if self.execution.may_have_happened else ()
        ask = partial(
            calls.ask_outcome,
            tool_call_id=self.execution.tool_call_id,
            token=self.token,
            reason=reason,
            now=datetime.now(UTC),
            error=error,
            evidence=(*earlier, *evidence),
        )
        reach(f"{self.checkpoint}.before_doubt")
        settled = await self.results.until_stored(self.token, lambda: self._db.write(ask))
        reach(f"{self.checkpoint}.after_doubt")
        return settled
