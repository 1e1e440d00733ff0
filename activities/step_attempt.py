"""One attempt at the function of a step."""

from datetime import UTC, datetime, timedelta

from pydantic import JsonValue

from kern.activities.attempt import Attempt
from kern.activities.failures import try_again
from kern.activities.lane_visit import Visit
from kern.activities.result_journal import ResultKeeper, StepResult
from kern.activities.step_code import as_output, step_error_text
from kern.activities.tool_loop import Ended, NotBegun, Raised, Returned
from kern.activities.tool_result import changes_of, result_json
from kern.components.steps.values import StepInput
from kern.db.engine.store import Store
from kern.db.steps import execution
from kern.db.steps.execution import backoff
from kern.db.steps.tasks import Execute, Finished, StepCall, Task
from kern.db.turns import calls
from kern.process.logs import get_logger
from kern.tools.reconciling import OutcomeRules
from kern.values.states import ToolOutcome

_log = get_logger("kern.pipeline")


def step_result(step: StepCall, token: str, result: JsonValue, results: ResultKeeper) -> StepResult:
    """Return what is stored of a step whose result was found by its reconciler."""
    finished = Finished(ToolOutcome.result, content=result_json(result))
    return StepResult(database=results.database, token=token, step=step, finished=finished)


class StepAttempt(Attempt[Finished]):
    """One attempt at a step's function."""

    def __init__(
        self,
        db: Store,
        visit: Visit,
        task: Execute,
        step_input: StepInput,
        *,
        results: ResultKeeper,
        rules: OutcomeRules,
    ) -> None:
        super().__init__(db, task.execution, visit.token, "step", results=results, rules=rules)
        self.step_input = step_input
        self.backoff = 0.0
        self.following: Task | None = None
        self._task = task
        self._visit = visit

    async def end_as_happened(self, result: JsonValue) -> None:
        """Store the result that the reconciler found."""
        finished = Finished(ToolOutcome.result, content=result_json(result))
        await self._keep(finished, is_active=True)

    async def end(self, ended: Ended[Finished], *, is_active: bool = True) -> None:
        """Store how the function ended, or give the call back for another try."""
        match ended:
            case Returned(finished):
                await self._keep(finished, is_active=is_active)
            case Raised(error) if is_active and not self.is_last:
                await self.give_back(step_error_text(error, self.execution.name))
                wait = timedelta(seconds=backoff(self.backoff, self.execution.attempt))
                raise try_again("step_failed", "The step raised and is tried again", wait)
            case Raised(error):
                why = step_error_text(error, self.execution.name)
                await self._keep(Finished(ToolOutcome.error, error=why), is_active=is_active)
            case NotBegun():
                pass

    async def drop_following(self) -> None:
        """Give back the step that was taken together with storing the end of this one."""
        if isinstance(self.following, Execute):
            call_id, token, now = (
                self.following.execution.tool_call_id,
                self._visit.token,
                datetime.now(UTC),
            )
            why = "It was not begun."
            await self._db.write(
                lambda tx: calls.release(tx, call_id, token, why, now, begun=False)
            )

    def outcome_of(self, value: object) -> Finished:
        """Return what to store of the value that the function returned."""
        output, changes = as_output(value), changes_of(self.step_input.session_state)
        if isinstance(changes, str):
            why = f"What it changed in the session's state could not be kept: {changes}"
            return Finished(ToolOutcome.error, error=why, code=execution.STATE_NOT_KEPT)
        return Finished(ToolOutcome.result, output.content, output.stop, changes=changes)

    async def _keep(self, finished: Finished, *, is_active: bool) -> None:
        entry = StepResult(
            database=self.results.database,
            token=self.token,
            step=self._task.call,
            finished=finished,
        )
        if is_active:
            points = ("step.before_store", "step.after_store")
            self.following = await self.results.keep(
                entry, lambda: self._visit.store(entry.store, *points)
            )
        else:
            now = datetime.now(UTC)
            await self.results.keep(entry, lambda: self._db.write(lambda tx: entry.store(tx, now)))
        facts = self._task.facts
        _log.info(
            "step_ended",
            run_id=facts.run_id,
            session_id=facts.session_id,
            step=self._task.node,
            outcome=finished.outcome,
        )
