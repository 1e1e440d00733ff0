"""Reports about calls that are executed outside Kern: who does not know whether they happened."""

from sqlalchemy import bindparam
from sqlmodel import Session

from kern.db.engine.plain_rows import rows
from kern.db.engine.records import ToolCallRecord
from kern.db.engine.typed_tables import DECISIONS
from kern.values.attempts import UnknownReason
from kern.values.states import RequirementKind, Verdict

_decisions = DECISIONS.table
_REPORT = _decisions.select().where(
    _decisions.c.id == bindparam("decision_id"), _decisions.c.verdict == Verdict.unknown.value
)


def is_external(call: ToolCallRecord) -> bool:
    """Whether a call is executed outside Kern."""
    return call.gate == RequirementKind.external_execution.value


def latest(tx: Session, call: ToolCallRecord) -> dict[str, object] | None:
    """Return what is known of a call by the latest report, as fields of an `UnknownAttempt`."""
    if not is_external(call) or call.token is None:
        return None
    report = next(rows(tx, DECISIONS, _REPORT, decision_id=call.token), None)
    if report is None:
        return None
    return {
        "reason": UnknownReason.reported,
        "reported_by": report.actor,
        "reported_at": report.at,
        "report": report.note,
    }
