"""Everything that the page of one decision shows, read at once."""

from dataclasses import dataclass

from sqlmodel import Session

from kern.client.service.reports import read_report
from kern.contracts.reports import Decision, RunReport, SimilarDecisions
from kern.contracts.triage import Absence, HistoryEntry, named_keys
from kern.contracts.viewer import Viewer
from kern.db.decisions import absences
from kern.db.decisions.entitlement import check_person
from kern.db.engine.records import DecisionRecord, RequirementRecord, RunRecord
from kern.db.journal import audit_chain
from kern.db.reading import listings, requirement_history, requirement_outputs, run_outputs
from kern.db.reading.similar_decisions import similar_decisions
from kern.errors import NotAllowed
from kern.process.clock import utc_now
from kern.requirements import Requirement
from kern.values.states import RequirementKind, RequirementStatus, Verdict

# What happened once, or failed once, says nothing of another time.
_COMPARED = {
    item.value
    for item in RequirementKind
    if item not in (RequirementKind.error, RequirementKind.unknown_outcome)
}


@dataclass(frozen=True)
class Dossier:
    """What is known of one decision.

    Attributes:
        requirement: What waits, or was decided.
        hindrance: Why the viewer's principal may not approve it; None if it may.
        history: What happened to it, the oldest first.
        similar: What people decided about calls like it; None if there are none, or it is closed.
        absences: Who is away of the people whom it names, while it waits.
        report: Its run, with its messages, its calls and the decisions about the requirement; with
            everything inside it where a step failed, since trying again would repeat that.
    """

    requirement: Requirement
    hindrance: str | None
    history: list[HistoryEntry]
    similar: SimilarDecisions | None
    report: RunReport
    absences: list[Absence]


def read_dossier(tx: Session, viewer: Viewer, requirement_id: str) -> Dossier:
    """Read what is known of a decision, with few statements.

    Raises:
        NotFound: there is no such requirement.
        NotAllowed: it belongs to somebody else.
    """
    row = listings.find_requirement_by_ending(tx, viewer, requirement_id)
    run = run_outputs.find_run(tx, row.run_id, viewer)
    records = list(audit_chain.decisions_of(tx, row.id))
    decisions = [listings.decision_of(record) for record in records]
    requirement = requirement_outputs.requirement_of(tx, row, viewer)
    return Dossier(
        requirement=requirement,
        hindrance=_hindrance(run, row, viewer, records),
        history=requirement_history.history_of(tx, [row.id], decisions),
        similar=_similar(tx, viewer, row),
        report=_report(tx, viewer, run, requirement, decisions),
        absences=_absences(tx, requirement),
    )


def _absences(tx: Session, requirement: Requirement) -> list[Absence]:
    if requirement.status is not RequirementStatus.pending:
        return []
    return absences.named(tx, requirement.tenant, named_keys(requirement), utc_now())


def _hindrance(
    run: RunRecord, row: RequirementRecord, viewer: Viewer, earlier: list[DecisionRecord]
) -> str | None:
    if viewer.principal is None:
        return None
    try:
        check_person(run, row, viewer.principal, Verdict.approve, earlier=earlier)
    except NotAllowed as error:
        return str(error)
    return None


def _similar(tx: Session, viewer: Viewer, row: RequirementRecord) -> SimilarDecisions | None:
    if row.status != RequirementStatus.pending.value or row.kind not in _COMPARED:
        return None
    return similar_decisions(tx, viewer, row, utc_now())


def _report(
    tx: Session,
    viewer: Viewer,
    run: RunRecord,
    requirement: Requirement,
    decisions: list[Decision],
) -> RunReport:
    if requirement.kind is RequirementKind.error:
        return read_report(tx, viewer, run.id)
    output = run_outputs.summary_of(run).model_copy(
        update={
            "messages": run_outputs.messages_of(tx, run_outputs.message_rows(tx, run.id)),
            "tools": run_outputs.tool_executions(tx, run.id),
        }
    )
    return RunReport(
        run=output,
        decisions=decisions,
        late_results=[],
        undelivered=0,
        children={},
        steps=[],
        step_count=0,
    )
