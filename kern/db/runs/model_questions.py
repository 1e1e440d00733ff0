"""What a person decides about a model that could not be asked: ask it again, or end the run.

The question is a requirement like any other, so it belongs to a call. That call is nobody's: no
message mentions it, no tool executes it, and it takes a turn of its own, without an answer. Once it
is done, the next turn asks the model with the same conversation.
"""

from datetime import datetime

from sqlmodel import Session

from kern.db.engine.mutable_rows import MutableRun, MutableToolCall
from kern.db.engine.records import ToolCallRecord
from kern.db.runs import lifecycle
from kern.errors import InvalidDecision
from kern.values.states import ToolOutcome, Verdict

# The name of such a call, and what it has in place of a step: no step has such an id.
MODEL = "model"


def is_about_model(call: ToolCallRecord) -> bool:
    """Whether a call stands for a turn of the model that failed."""
    return call.step_id == MODEL


def apply(
    tx: Session,
    run: MutableRun,
    call: MutableToolCall,
    *,
    verdict: Verdict,
    actor: str,
    now: datetime,
) -> None:
    """Have the model asked again, or end the run with the error that it waits for.

    Raises:
        InvalidDecision: the model's answer cannot be left out.
    """
    if verdict is Verdict.skip:
        message = (
            "The answer of a model cannot be left out. Use run_again() to ask it again, or fail() "
            "to end the run."
        )
        raise InvalidDecision(message)
    if verdict is Verdict.run_again:
        lifecycle.finish_call(tx, call, ToolOutcome.result, "", now)
        return
    code, problem = (str(call.arguments.get(name, "")) for name in ("code", "error"))
    lifecycle.finish_call(tx, call, ToolOutcome.error, problem, now)
    lifecycle.fail(tx, run, code, f"{actor!r} ended the run: {problem}", now)
