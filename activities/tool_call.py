"""The activity that brings one tool call to its end, executing it only as often as it may be.

It may be started any number of times for one call: after a crash, after missed heartbeats, by a
workflow that was started again. Each time it first asks the call's row, in the transaction that
takes the call (`calls.begin`), and the row says one of these:

- **ended**: nothing is left to do.
- **waiting for a person**: it returns the requirement; the workflow waits and calls it again.
- **free, or taken by a dead attempt, and repeatable**: it takes the call and executes it.
- **taken by a dead attempt, and `once`**: nobody knows whether the code ran. It opens a requirement
  of the kind `unknown_outcome` and returns it; the code is not executed.
- **taken by an attempt that is alive in this process**: it waits for that attempt, then asks again.

`attempt.py` explains what happens once the call is taken.
"""

from datetime import UTC, datetime
from functools import partial

from temporalio import activity

from kern.activities.attempt import Attempt, Executions
from kern.activities.failures import at_the_edge, is_deleted, not_here, try_again
from kern.activities.heartbeat import beating
from kern.activities.tool_loop import Ended, Raised, Returned
from kern.activities.tool_result import Outcome, error_text, outcome_of
from kern.components.agents.model_component import ModelComponent
from kern.components.registry import Registry
from kern.context.chat_history import PastContext
from kern.contracts.messages import ToolCallInput, ToolCallOutcome
from kern.db.engine.store import Store
from kern.db.reading.chat_history import StoredPast
from kern.db.turns import calls
from kern.db.turns.calls import Execution, Settled, Storing
from kern.errors import NotFound, Unavailable
from kern.process.checkpoints import reach
from kern.process.logs import get_logger
from kern.session_state import SessionState
from kern.tools.tool import Tool, tool_definition
from kern.values.ids import new_id
from kern.values.states import ToolOutcome

_log = get_logger("kern.tool_call")


class ToolCalls:
    """Executes tool calls for the components of one process."""

    def __init__(self, db: Store, registry: Registry, executions: Executions) -> None:
        self._db = db
        self._registry = registry
        self._executions = executions

    @activity.defn(name="tool_call")
    async def tool_call(self, ask: ToolCallInput) -> ToolCallOutcome:
        """Bring a call to its end, or return the requirement that a person has to resolve first."""
        with at_the_edge(ask.run_id):
            async with beating():
                try:
                    return await self._bring_to_end(ask)
                except NotFound:
                    if await is_deleted(self._db, ask.run_id):
                        return ToolCallOutcome(run_ended=True)
                    raise

    async def _bring_to_end(self, ask: ToolCallInput) -> ToolCallOutcome:
        token = new_id()
        execution = await self._take(ask, token)
        while isinstance(execution, Settled) and execution.active_token is not None:
            await self._executions.until_over(execution.active_token)
            execution = await self._take(ask, token)
        if isinstance(execution, Settled):
            if execution.child_is_active:
                raise not_here("The run that executes the call has not ended")
            return ToolCallOutcome(gate=execution.gate, run_ended=execution.run_ended)
        _log.info(
            "tool_started",
            run_id=execution.run_id,
            session_id=execution.session_id,
            tool=execution.name,
            attempt=execution.attempt,
        )
        attempt = _Attempt(self._db, execution, token)
        tool = await self._tool(attempt)
        try:
            signature = tool_definition(tool).signature
            arguments = signature.validate(execution.arguments)
        except ValueError as error:
            refusal = Outcome(f"The arguments do not fit: {error}")
            await attempt.keep(ToolOutcome.error, refusal)
            return ToolCallOutcome()
        if signature.takes_context:
            arguments["run_context"] = attempt.context
        unsettled = await self._executions.wait(attempt, tool.function, arguments)
        if unsettled is not None:
            return ToolCallOutcome(gate=unsettled.gate, run_ended=unsettled.run_ended)
        return ToolCallOutcome()

    async def _take(self, ask: ToolCallInput, token: str) -> Execution | Settled:
        take = partial(
            calls.begin,
            tool_call_id=ask.tool_call_id,
            token=token,
            now=datetime.now(UTC),
            is_alive=self._executions.is_alive,
        )
        reach("tool_call.before_begin")
        result = await self._executions.begin(self._db, take, _execution_of, token)
        reach("tool_call.after_begin")
        return result

    async def _tool(self, attempt: "_Attempt") -> Tool:
        component_id, name = attempt.execution.component_id, attempt.execution.name
        component = self._registry.find(component_id)
        tool = component.tools.get(name) if isinstance(component, ModelComponent) else None
        if tool is None:
            # The call is taken already: it is given back for a worker that has the tool.
            reason = f"The component {component_id!r} has no tool {name!r} in this worker."
            await attempt.give_back(reason, is_begun=False)
            raise not_here("The tool is not in this worker")
        return tool


class _Attempt(Attempt[Outcome]):
    """One attempt at a tool call."""

    def __init__(self, db: Store, execution: Execution, token: str) -> None:
        super().__init__(db, execution, token, "tool_call")
        self.context = PastContext(
            run_id=execution.run_id,
            session_id=execution.session_id,
            user_id=execution.user_id,
            tool_call_id=execution.tool_call_id,
            idempotency_key=execution.tool_call_id,
            attempt=execution.attempt,
            session_state=SessionState(execution.state),
            dependencies=execution.dependencies,
            metadata=execution.metadata,
            approvals=execution.approvals,
            past=StoredPast(db, execution.run_id),
        )

    def outcome_of(self, value: object) -> Outcome:
        """Return what to store of the value that the tool returned."""
        return outcome_of(value, self.context.session_state)

    async def end(self, ended: Ended[Outcome], *, is_active: bool = True) -> None:
        """Store how the tool ended, or give the call back for another try."""
        match ended:
            case Returned(outcome):
                await self.keep(ToolOutcome.result, outcome)
            case Raised(error) if is_active and self.execution.attempt <= self.execution.retries:
                await self.give_back(error_text(error))
                raise try_again("tool_failed", "The tool raised and is tried again")
            case Raised(error):
                await self.keep(ToolOutcome.error, Outcome(error_text(error)))

    async def keep(self, outcome: ToolOutcome, result: Outcome) -> None:
        """Store the call's end, unless another attempt has taken the call over."""
        reach("tool_call.before_store")
        storing = await self._store(outcome, result)
        reach("tool_call.after_store")
        level = _log.warning if storing is Storing.fenced else _log.info
        level(
            "tool_ended",
            run_id=self.execution.run_id,
            session_id=self.execution.session_id,
            tool=self.execution.name,
            outcome=outcome,
            kept=storing,
        )

    async def _store(self, outcome: ToolOutcome, result: Outcome) -> Storing:
        now = datetime.now(UTC)
        try:
            return await self._db.write(
                lambda tx: calls.finish(
                    tx,
                    self.execution.tool_call_id,
                    self.token,
                    outcome=outcome,
                    result=result.result,
                    changes=list(result.changes),
                    now=now,
                )
            )
        except (Unavailable, NotFound):
            raise
        except Exception:
            if not result.changes:
                raise
            # The effect has happened: the call is done, even if the database refuses the changes.
            _log.exception("state_not_kept", run_id=self.execution.run_id, tool=self.execution.name)
            return await self._store(outcome, result.without_changes("the database refuses them."))


def _execution_of(result: Execution | Settled) -> Execution | None:
    return result if isinstance(result, Execution) else None
