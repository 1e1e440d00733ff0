"""Late gates: a stricter worker asks people before a call that was stored without a gate."""

from datetime import datetime

from sqlmodel import Session

from kern.contracts.answers import Question
from kern.db.decisions.opening import open_requirement
from kern.db.decisions.reminders import gate_of
from kern.db.decisions.requirements import pending_gate
from kern.db.journal.events import record
from kern.db.runs import lifecycle
from kern.db.turns.attempts import Execution, Settled
from kern.values.states import RunStatus, ToolCallStatus


def open_gate(
    tx: Session, execution: Execution, token: str, question: Question, now: datetime
) -> Settled:
    """Have a call wait for people that an attempt has taken and not begun to execute.

    The attempt does not count.
    """
    run = lifecycle.lock(tx, execution.run_id)
    call = lifecycle.hold_call(tx, execution.tool_call_id)
    if call is None or RunStatus(run.status).is_final:
        return Settled(run_ended=True)
    if call.token != token or call.status != ToolCallStatus.running.value:
        return Settled(gate=pending_gate(tx, call.id))
    lifecycle.untake(call)
    call.gate = question.kind.value
    record(tx, run, "tool_call_gated", now, tool_call_id=call.id, tool=call.name)
    row = open_requirement(tx, run, call, question, now)
    lifecycle.update_status(tx, run, now)
    return Settled(gate=gate_of(row))
