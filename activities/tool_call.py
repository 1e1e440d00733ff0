"""The activity that ends one tool call, executing it no oftener than its effect allows."""

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
from kern.db.turns.calls import Execution, Kept, Settled
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
        taken = await self._take(ask, token)
        while isinstance(taken, Settled) and taken.held_by is not None:
            await self._executions.until_over(taken.held_by)
            taken = await self._take(ask, token)
        if isinstance(taken, Settled):
            if taken.goes_on:
                raise not_here("The run that executes the call has not ended")
            return ToolCallOutcome(gate=taken.gate, run_ended=taken.run_ended)
        _log.info(
            "tool_started",
            run_id=taken.run_id,
            session_id=taken.session_id,
            tool=taken.name,
            attempt=taken.attempt,
        )
        attempt = _Attempt(self._db, taken, token)
        tool = await self._tool(attempt)
        try:
            signature = tool_definition(tool).signature
            arguments = signature.validate(taken.arguments)
        except ValueError as error:
            refusal = Outcome(f"The arguments do not fit: {error}")
            await attempt.keep(ToolOutcome.error, refusal)
            return ToolCallOutcome()
        if signature.takes_context:
            arguments["run_context"] = attempt.context
        doubted = await self._executions.wait(attempt, tool.function, arguments)
        if doubted is not None:
            return ToolCallOutcome(gate=doubted.gate, run_ended=doubted.run_ended)
        return ToolCallOutcome()

    async def _take(self, ask: ToolCallInput, token: str) -> Execution | Settled:
        begin = partial(
            calls.begin,
            tool_call_id=ask.tool_call_id,
            token=token,
            now=datetime.now(UTC),
            is_alive=self._executions.is_alive,
        )
        reach("tool_call.before_begin")
        taken = await self._executions.begun(self._db, begin, _taken, token)
        reach("tool_call.after_begin")
        return taken

    async def _tool(self, attempt: "_Attempt") -> Tool:
        taken = attempt.taken
        # The call is taken: whatever is missing, it is given back.
        component = self._registry.find(taken.component_id)
        tool = component.tools.get(taken.name) if isinstance(component, ModelComponent) else None
        if tool is None:
            reason = (
                f"The component {taken.component_id!r} has no tool {taken.name!r} in this worker."
            )
            await attempt.give_back(reason, begun=False)
            raise not_here("The tool is not in this worker")
        return tool


class _Attempt(Attempt[Outcome]):
    """One attempt at a tool's call, and what it may write of it."""

    def __init__(self, db: Store, taken: Execution, token: str) -> None:
        super().__init__(db, taken, token, "tool_call")
        self.context = PastContext(
            run_id=taken.run_id,
            session_id=taken.session_id,
            user_id=taken.user_id,
            tool_call_id=taken.tool_call_id,
            idempotency_key=taken.tool_call_id,
            attempt=taken.attempt,
            session_state=SessionState(taken.state),
            dependencies=taken.dependencies,
            metadata=taken.metadata,
            past=StoredPast(db, taken.run_id),
        )

    def outcome_of(self, value: object) -> Outcome:
        """Return what is kept of a value that the tool returned."""
        return outcome_of(value, self.context.session_state)

    async def end(self, ended: Ended[Outcome], *, goes_on: bool = True) -> None:
        """Store what the tool came to, or give the call back for another try."""
        match ended:
            case Returned(outcome):
                await self.keep(ToolOutcome.result, outcome)
            case Raised(error) if goes_on and self.taken.attempt <= self.taken.retries:
                await self.give_back(error_text(error))
                raise try_again("tool_failed", "The tool raised and is tried again")
            case Raised(error):
                await self.keep(ToolOutcome.error, Outcome(error_text(error)))

    async def keep(self, outcome: ToolOutcome, told: Outcome) -> None:
        """Store the call's end; refused when another attempt holds the call."""
        reach("tool_call.before_store")
        kept = await self._store(outcome, told)
        reach("tool_call.after_store")
        level = _log.warning if kept is Kept.fenced else _log.info
        level(
            "tool_ended",
            run_id=self.taken.run_id,
            session_id=self.taken.session_id,
            tool=self.taken.name,
            outcome=outcome,
            kept=kept,
        )

    async def _store(self, outcome: ToolOutcome, told: Outcome) -> Kept:
        now = datetime.now(UTC)
        try:
            return await self._db.write(
                lambda tx: calls.finish(
                    tx,
                    self.taken.tool_call_id,
                    self.token,
                    outcome=outcome,
                    result=told.result,
                    changes=list(told.changes),
                    now=now,
                )
            )
        except (Unavailable, NotFound):
            raise
        except Exception:
            if not told.changes:
                raise
            # The effect has happened: the call is done, whatever the database says to the changes.
            _log.exception("state_not_kept", run_id=self.taken.run_id, tool=self.taken.name)
            return await self._store(outcome, told.without_changes("the database refuses them."))


def _taken(begun: Execution | Settled) -> Execution | None:
    return begun if isinstance(begun, Execution) else None
