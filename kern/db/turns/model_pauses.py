"""Pauses before a model is asked: a person has it asked, or ends the run.

Two things lead to one: a provider that does not come back, and a run that has asked its model as
often as it may. What was stored before stays stored.
"""

from datetime import datetime

from pydantic import JsonValue
from sqlalchemy import bindparam
from sqlmodel import Session

from kern.contracts.answers import Question
from kern.contracts.messages import PlannedCall, TurnOutcome
from kern.db.decisions.opening import open_requirement
from kern.db.decisions.reminders import gate_of
from kern.db.engine.mutable_rows import MutableRun
from kern.db.engine.plain_rows import add_row, new_row, rows
from kern.db.engine.typed_tables import TOOL_CALLS
from kern.db.runs import lifecycle
from kern.db.runs.model_questions import MODEL
from kern.db.turns.model_turns import outcome_of
from kern.values.canonical import arguments_digest, digest
from kern.values.ids import new_id
from kern.values.states import Effect, RequirementKind, RunStatus, ToolOutcome

_LIMIT = "model_call_limit"
_calls = TOOL_CALLS.table
_GRANTED = (
    _calls.select()
    .where(
        _calls.c.run_id == bindparam("run_id"),
        _calls.c.step_id == MODEL,
        _calls.c.outcome == ToolOutcome.result.value,
    )
    .order_by(_calls.c.turn.desc())
)


def pause_at_limit(
    tx: Session, run_id: str, turn: int, limit: int, now: datetime
) -> TurnOutcome | None:
    """Pause a run that has asked its model as often as it may; None if it may go on.

    Whoever lets it go on grants as many calls again.
    """
    run = lifecycle.lock(tx, run_id)
    if RunStatus(run.status).is_final or turn <= run.turn:
        return outcome_of(tx, run, turn)
    if run.model_calls < _granted_from(tx, run_id) + limit:
        return None
    run.turn = turn
    arguments: dict[str, JsonValue] = {
        "code": _LIMIT,
        "error": (
            f"The run has asked its model {run.model_calls} times, and may do so {limit} times. "
            "The component's model_call_limit= changes that for new runs; None lifts it."
        ),
        "model_calls": run.model_calls,
    }
    text = (
        f"The run has asked its model {run.model_calls} times: it may go round in circles. Let it "
        f"ask {limit} times more, or end it?"
    )
    return pause(tx, run, arguments, text, now)


def pause(
    tx: Session, run: MutableRun, arguments: dict[str, JsonValue], text: str, now: datetime
) -> TurnOutcome:
    """Pause a run before its model is asked, with this question.

    The turn is spent: the next one asks. It has neither an answer nor messages.
    """
    call = new_row(
        TOOL_CALLS,
        id=new_id(),
        run_id=run.id,
        turn=run.turn,
        position=0,
        provider_call_id="",
        name=MODEL,
        arguments=arguments,
        digest=arguments_digest(MODEL, arguments),
        idempotency_key=digest([run.id, MODEL, run.turn]),
        gate=RequirementKind.error.value,
        effect=Effect.read.value,
        step_id=MODEL,
        created_at=now,
    )
    add_row(tx, TOOL_CALLS, call)
    question = Question(kind=RequirementKind.error, question=text)
    row = open_requirement(tx, run, call, question, now)
    lifecycle.update_status(tx, run, now, paused=True)
    planned = PlannedCall(tool_call_id=call.id, name=call.name, gate=gate_of(row))
    return TurnOutcome(calls=(planned,))


def _granted_from(tx: Session, run_id: str) -> int:
    """Return how many calls the run had made when it was last let go on."""
    for call in rows(tx, TOOL_CALLS, _GRANTED, run_id=run_id):
        count = call.arguments.get("model_calls")
        if call.arguments.get("code") == _LIMIT and isinstance(count, int):
            return count
    return 0
