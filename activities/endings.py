"""The activities that expire a requirement, pause a run or close it, outside of any turn."""

from sqlmodel import Session
from temporalio import activity

from kern.activities.failures import at_the_edge, is_deleted
from kern.activities.heartbeat import beating
from kern.contracts.messages import (
    CloseInput,
    ExpiryInput,
    ExpiryOutcome,
    Nothing,
    PauseInput,
    PauseOutcome,
)
from kern.db.decisions import deciding
from kern.db.engine.store import Store
from kern.db.journal.installation import run_id_of
from kern.db.runs import lifecycle
from kern.db.steps import pausing
from kern.errors import NotFound
from kern.process.checkpoints import reach
from kern.process.clock import Clock, utc_now
from kern.values.states import RunStatus


def _run_id() -> str:
    return run_id_of(activity.info().workflow_id or "")


class Endings:
    """Writes deadlines, pauses and endings."""

    def __init__(self, db: Store, clock: Clock = utc_now) -> None:
        self._db = db
        self._clock = clock

    @activity.defn(name="expire")
    async def expire(self, ask: ExpiryInput) -> ExpiryOutcome:
        """Expire a requirement, unless a person has decided or its deadline is later."""
        now = self._clock()
        reach("expire.before_store")
        with at_the_edge(_run_id()):
            async with beating():
                try:
                    outcome = await self._db.write(
                        lambda tx: deciding.expire(tx, ask.requirement_id, now)
                    )
                except NotFound:
                    if not await is_deleted(self._db, _run_id()):
                        raise
                    outcome = ExpiryOutcome(run_ended=True)
        reach("expire.after_store")
        return outcome

    @activity.defn(name="pause_run")
    async def pause_run(self, ask: PauseInput) -> PauseOutcome:
        """Pause a run if it and its children wait for nothing but people."""
        now = self._clock()
        reach("pause_run.before_store")
        with at_the_edge(ask.run_id):
            async with beating():
                try:
                    outcome = await self._db.write(lambda tx: pausing.pause(tx, ask.run_id, now))
                except NotFound:
                    if not await is_deleted(self._db, ask.run_id):
                        raise
                    outcome = PauseOutcome(stands_still=True)
        reach("pause_run.after_store")
        return outcome

    @activity.defn(name="close_run")
    async def close_run(self, ask: CloseInput) -> Nothing:
        """End a run as cancelled or failed; a run that has ended stays as it is."""
        now = self._clock()

        def close(tx: Session) -> None:
            run = lifecycle.lock(tx, ask.run_id)
            if RunStatus(run.status).is_final or ask.retries < run.retries:
                return
            if ask.cancelled:
                lifecycle.cancel_now(tx, run, now)
            else:
                lifecycle.fail(tx, run, ask.code, ask.message, now)

        reach("close_run.before_store")
        with at_the_edge(ask.run_id):
            async with beating():
                try:
                    await self._db.write(close)
                except NotFound:
                    if not await is_deleted(self._db, ask.run_id):
                        raise
        reach("close_run.after_store")
        return Nothing()
