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
- **taken by a newer attempt**: this one was frozen meanwhile, and nobody waits for it any more.

`attempt.py` explains what happens once the call is taken.
"""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from pydantic import JsonValue
from temporalio import activity
from temporalio.exceptions import FailureError

from kern.activities.attempt import Attempt
from kern.activities.executions import Executions
from kern.activities.failures import at_the_edge, is_deleted, not_here, try_again
from kern.activities.heartbeat import beating
from kern.activities.places import Place
from kern.activities.result_journal import CallResult, ResultKeeper
from kern.activities.tool_loop import Ended, NotBegun, Raised, Returned
from kern.activities.tool_result import Outcome, error_text, outcome_of, result_text
from kern.components.agents.model_component import ModelComponent
from kern.components.agents.planning import question_about
from kern.components.registry import Registry
from kern.context.chat_history import PastContext
from kern.contracts.messages import ToolCallInput, ToolCallOutcome
from kern.contracts.policy import ToolPolicy
from kern.db.engine.store import Store
from kern.db.reading.chat_history import StoredPast
from kern.db.turns import calls, late_gates
from kern.db.turns.attempts import Execution, LeftOpen, Settled, Storing
from kern.errors import NotFound, Unavailable
from kern.process.checkpoints import reach
from kern.process.logs import OnceLog, code_of, get_logger
from kern.session_state import SessionState
from kern.tools.gates import gate_of
from kern.tools.policy import applied_policy, declared_policy
from kern.tools.reconciling import NO_RULES, OutcomeRules
from kern.tools.tool import Tool, tool_definition
from kern.values.attempts import UnknownReason
from kern.values.ids import new_id
from kern.values.states import Effect, ToolOutcome

_log = get_logger("kern.tool_call")


class ToolCalls:
    """Executes tool calls for the components of one process."""

    def __init__(self, db: Store, registry: Registry, executions: Executions) -> None:
        self._db = db
        self._registry = registry
        self._executions = executions
        self._missing = OnceLog(_log)

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
        place = self._executions.places.try_take()
        while True:
            with place.occupied() if place is not None else nullcontext():
                execution = await self._take(ask, token, has_place=place is not None)
                if isinstance(execution, Execution):
                    if place is not None:
                        place.name = execution.name
                    return await self._execute(execution, token, place)
            if execution.left_open is not None:
                finding = await self._find_out(execution.left_open)
                if finding.gate is not None or finding.run_ended:
                    return _outcome_of(finding)
                place = self._executions.places.try_take()
            elif execution.needs_place:
                place = await self._executions.places.take()
            elif execution.active_token is not None:
                await self._executions.live.until_over(execution.active_token)
                place = self._executions.places.try_take()
            else:
                return _outcome_of(execution)

    async def _execute(
        self, execution: Execution, token: str, place: Place | None
    ) -> ToolCallOutcome:
        async with self._executions.before_begin(execution, token):
            prepared = await self._prepare(execution, token)
        if isinstance(prepared, ToolCallOutcome):
            return prepared
        attempt, function, arguments = prepared
        unsettled = await self._executions.wait(attempt, function, arguments, place)
        return ToolCallOutcome() if unsettled is None else _outcome_of(unsettled)

    async def _prepare(
        self, execution: Execution, token: str
    ) -> "tuple[_Attempt, Callable[..., object], dict[str, object]] | ToolCallOutcome":
        """Return the code of a call that was taken and its arguments, unless it is not executed."""
        tool = self._find_tool(execution)
        rules = NO_RULES if tool is None else tool_definition(tool).outcome_rules
        attempt = _Attempt(self._db, execution, token, self._executions.results, rules)
        if tool is None:
            raise await self._missing_tool(attempt)
        _log.info(
            "tool_started",
            run_id=execution.run_id,
            session_id=execution.session_id,
            tool=execution.name,
            attempt=execution.attempt,
        )
        attempt.apply(declared_policy(tool))
        signature = tool_definition(tool).signature
        try:
            # A validator and a predicate are the user's code, which may block.
            arguments = await self._executions.aside(
                partial(signature.validate, execution.arguments)
            )
            gate = await self._late_gate(attempt, tool, arguments)
        except ValueError as error:
            why = f"The arguments do not fit: {error}"
            if execution.may_have_happened:
                # It was begun before, by a worker of another version.
                return _outcome_of(await attempt.ask_about_outcome(UnknownReason.raised, why))
            refusal = Outcome(why, is_begun=False)
            await attempt.keep(ToolOutcome.error, refusal)
            return ToolCallOutcome()
        if gate is not None:
            return _outcome_of(gate)
        if signature.takes_context:
            arguments["run_context"] = attempt.context
        return attempt, tool.function, arguments

    async def _missing_tool(self, attempt: "_Attempt") -> FailureError:
        """Give a call back for a worker that has its tool."""
        execution = attempt.execution
        reason = (
            f"The component {execution.component_id!r} has no tool {execution.name!r} in this "
            "worker."
        )
        await attempt.give_back(reason, is_begun=False)
        self._missing.warn(
            "tool_missing",
            run_id=execution.run_id,
            component=execution.component_id,
            tool=execution.name,
            advice="The call waits for a worker whose app declares the tool.",
        )
        return not_here("The tool is not in this worker")

    async def _take(
        self, ask: ToolCallInput, token: str, *, has_place: bool
    ) -> Execution | Settled:
        claim = self._executions.claim(token) if has_place else None
        if claim is not None:
            claim = replace(claim, effect_of=self._effect_of)
        take = partial(
            calls.begin, tool_call_id=ask.tool_call_id, claim=claim, now=datetime.now(UTC)
        )
        reach("tool_call.before_begin")
        result = await self._executions.begin(take, _execution_of, token)
        reach("tool_call.after_begin")
        return result

    async def _late_gate(
        self, attempt: "_Attempt", tool: Tool, arguments: dict[str, object]
    ) -> Settled | None:
        """Have people asked before a call that another worker stored without this one's gate.

        Whoever stored the call has kept to what the run pinned.
        """
        execution, pinned = attempt.execution, _pinned(attempt.execution)
        present_gate = declared_policy(tool).gate
        if (
            execution.gate is not None
            or present_gate is None
            or (pinned and pinned.gate == present_gate)
        ):
            return None
        applied = applied_policy(tool, pinned)
        with code_of(run_id=execution.run_id, session_id=execution.session_id):
            kind = await self._executions.aside(partial(gate_of, tool, arguments, applied))
        if kind is None:
            return None
        question = question_about(tool, applied, kind, execution.arguments)
        now = datetime.now(UTC)
        return await self._db.write(
            lambda tx: late_gates.open_gate(tx, execution, attempt.token, question, now)
        )

    def _effect_of(self, component_id: str, name: str) -> Effect:
        component = self._registry.find(component_id)
        tool = component.tools.get(name) if isinstance(component, ModelComponent) else None
        return Effect.read if tool is None else tool.effect

    async def _find_out(self, open_call: LeftOpen) -> Settled:
        """Find out what became of a call whose attempt was lost."""
        tool = self._find_tool(open_call.execution)
        rules = NO_RULES if tool is None else tool_definition(tool).outcome_rules
        results = self._executions.results
        attempt = _Attempt(self._db, open_call.execution, open_call.token or "", results, rules)
        return await self._executions.find_out_lost(rules, open_call, attempt.end_as_happened)

    def _find_tool(self, execution: Execution) -> Tool | None:
        component = self._registry.find(execution.component_id)
        return (
            component.tools.get(execution.name) if isinstance(component, ModelComponent) else None
        )


class _Attempt(Attempt[Outcome]):
    """One attempt at a tool call."""

    def __init__(
        self,
        db: Store,
        execution: Execution,
        token: str,
        results: ResultKeeper,
        rules: OutcomeRules,
    ) -> None:
        super().__init__(db, execution, token, "tool_call", results=results, rules=rules)
        self.context = PastContext(
            run_id=execution.run_id,
            session_id=execution.session_id,
            tenant=execution.tenant,
            user_id=execution.user_id,
            tool_call_id=execution.tool_call_id,
            idempotency_key=execution.idempotency_key,
            attempt=execution.attempt,
            session_state=SessionState(execution.state),
            dependencies=execution.dependencies,
            metadata=execution.metadata,
            approvals=execution.approvals,
            past=StoredPast(db, execution.run_id),
        )

    def apply(self, worker_policy: ToolPolicy) -> None:
        """Execute the call as strictly as this worker's code asks for."""
        call = self.execution
        stored = ToolPolicy(effect=call.effect, retries=call.retries, timeout=call.timeout)
        strict = stored.stricter(worker_policy)
        self.execution = replace(
            call, effect=strict.effect, retries=strict.retries, timeout=strict.timeout
        )

    def outcome_of(self, value: object) -> Outcome:
        """Return what to store of the value that the tool returned."""
        return outcome_of(value, self.context.session_state)

    async def end_as_happened(self, result: JsonValue) -> None:
        """Store the result that the reconciler found."""
        await self.keep(ToolOutcome.result, Outcome(result_text(result)))

    async def end(self, ended: Ended[Outcome], *, is_active: bool = True) -> None:
        """Store how the tool ended, or give the call back for another try."""
        match ended:
            case Returned(outcome):
                await self.keep(ToolOutcome.result, outcome, is_active=is_active)
            case Raised(error) if is_active and not self.is_last:
                await self.give_back(error_text(error))
                raise try_again("tool_failed", "The tool raised and is tried again")
            case Raised(error):
                failure = Outcome(error_text(error))
                await self.keep(ToolOutcome.error, failure, is_active=is_active)
            case NotBegun():
                pass

    async def keep(self, outcome: ToolOutcome, result: Outcome, *, is_active: bool = True) -> None:
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
        if storing is Storing.fenced and is_active:
            # The call may not have ended: the next attempt asks its row.
            raise try_again("fenced", "Another attempt has taken the call")

    async def _store(self, outcome: ToolOutcome, result: Outcome) -> Storing:
        entry = CallResult(
            database=self.results.database,
            token=self.token,
            tool_call_id=self.execution.tool_call_id,
            outcome=outcome,
            result=result.result,
            changes=tuple(result.changes),
            is_begun=result.is_begun,
        )
        now = datetime.now(UTC)
        try:
            return await self.results.keep(
                entry, lambda: self._db.write(lambda tx: entry.store(tx, now))
            )
        except (Unavailable, NotFound):
            raise
        except Exception:
            if not result.changes:
                raise
            # The effect has happened: the call is done, even if the database refuses the changes.
            _log.exception("state_not_kept", run_id=self.execution.run_id, tool=self.execution.name)
            return await self._store(outcome, result.without_changes("the database refuses them."))


def _pinned(execution: Execution) -> ToolPolicy | None:
    policy = execution.policy
    component = None if policy is None else policy.components.get(execution.component_id)
    return None if component is None else component.tools.get(execution.name)


def _outcome_of(settled: Settled) -> ToolCallOutcome:
    """Return what a call waits for.

    Raises:
        ApplicationError: nothing can be said of it here and now; the activity is tried again.
    """
    if settled.child_is_active:
        raise not_here("The run that executes the call has not ended")
    if settled.is_superseded:
        raise try_again("superseded", "A newer attempt has taken the call")
    return ToolCallOutcome(gate=settled.gate, run_ended=settled.run_ended)


def _execution_of(result: Execution | Settled) -> Execution | None:
    return result if isinstance(result, Execution) else None
