"""What an attempt needs in order to execute a call."""

from sqlmodel import Session

from kern.db.engine.mutable_rows import MutableRun
from kern.db.engine.records import ToolCallRecord
from kern.db.reading.run_outputs import effective_arguments, effective_key, session_state
from kern.db.runs import policies
from kern.db.turns.attempts import Execution
from kern.values.states import Effect


def execution_of(tx: Session, run: MutableRun, call: ToolCallRecord) -> Execution:
    """Return what executes a call: its arguments, its run, and the policy of the run."""
    return Execution(
        component_id=run.component_id,
        name=call.name,
        arguments=effective_arguments(call),
        run_id=run.id,
        session_id=run.session_id,
        tenant=run.tenant,
        user_id=run.user_id,
        tool_call_id=call.id,
        idempotency_key=effective_key(call),
        attempt=call.attempt,
        may_have_happened=call.may_have_happened,
        timeout=call.timeout,
        retries=call.retries,
        effect=Effect(call.effect),
        state=session_state(tx, run.session_id),
        dependencies=run.dependencies,
        metadata=run.run_metadata,
        gate=call.gate,
        policy=policies.read(tx, run.policy),
    )
