"""Whether a call may be executed again: not beside an attempt that may still be executing it."""

from datetime import datetime

from kern.db.engine.records import RequirementRecord, ToolCallRecord
from kern.errors import StillRunning
from kern.requirements import DecisionDraft
from kern.values.attempts import UnknownAttempt, is_executing, may_be_executing
from kern.values.states import Verdict


def check_not_executing(
    row: RequirementRecord, call: ToolCallRecord, draft: DecisionDraft, now: datetime
) -> None:
    """Refuse to have a call executed again beside an attempt that is executing it.

    A step that failed is not executed any more: only an unknown outcome may be.
    """
    if draft.verdict is not Verdict.run_again or row.attempt is None or draft.even_if_running:
        return
    reason = UnknownAttempt.model_validate(row.attempt).reason
    if may_be_executing(reason, call.leased_until, now) and call.leased_until is not None:
        message = (
            f"Worker {call.worker}, which began the call of {row.tool_name!r} (requirement "
            f"{row.id!r}), was lost a moment ago: it may be frozen, and go on with the call until "
            f"{call.leased_until:%Y-%m-%d %H:%M:%S} UTC. Nothing was decided. Decide again then, "
            "or say run_again(even_if_running=True), `--even-if-running` on the command line, if "
            "you know that it is dead."
        )
        raise StillRunning(message)
    if is_executing(reason, call.beat_at, call.leased_until, row.created_at, now):
        message = (
            f"The call of {row.tool_name!r} (requirement {row.id!r}) is still executing in worker "
            f"{call.worker} since {call.begun_at:%Y-%m-%d %H:%M:%S} UTC: another execution would "
            "go on beside it. Nothing was decided. Wait for its end, which answers the question by "
            "itself, or say run_again(even_if_running=True), `--even-if-running` on the command "
            "line."
        )
        raise StillRunning(message)
