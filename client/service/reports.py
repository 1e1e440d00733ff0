"""Reads the report of a run: the run, its decisions, late results, steps and child runs."""

from sqlmodel import Session

from kern.contracts.reports import RunPolicy, RunReport
from kern.contracts.viewer import Viewer
from kern.db.reading import listings, requirement_history, run_changes, run_outputs, step_progress
from kern.db.runs import policies, session_queue, workers
from kern.db.runs.awaited_workers import awaited_by
from kern.db.turns import late_results
from kern.process.clock import utc_now
from kern.values.ids import require_id
from kern.values.states import RunStatus

# Beyond so many, a list of steps shows nothing that people would read.
MOST_STEPS = 200


def read_report(tx: Session, viewer: Viewer, run_id: str, *, is_root: bool = True) -> RunReport:
    """Read a run's report; the one at the root covers what is inside it.

    Raises:
        NotFound: there is no such run.
        NotAllowed: it belongs to somebody else.
    """
    run = run_outputs.run_output(tx, require_id("run_id", run_id), viewer)
    children = [call.child_run_id for call in run.tools if call.child_run_id]
    # A workflow's output has the requirements of all its child runs, at any depth.
    run_ids = dict.fromkeys([run_id, *(item.run_id for item in run.requirements)])
    return RunReport(
        run=run,
        decisions=[
            item for decided_run_id in run_ids for item in listings.decisions_of(tx, decided_run_id)
        ],
        late_results=late_results.results_of(tx, run_id),
        undelivered=listings.backlog(tx, run_id).undelivered,
        children={
            child_id: read_report(tx, viewer, child_id, is_root=False) for child_id in children
        },
        steps=step_progress.steps_of(tx, run_id, MOST_STEPS) if run.progress else [],
        step_count=step_progress.count_of(tx, run_id) if run.progress else 0,
        policy=_policy_of(tx, run_id),
        awaited_workers=awaited_by(tx, run_id, utc_now()) if is_root else [],
        waits_behind=session_queue.run_ahead(tx, run_id),
        history=requirement_history.history_of(tx, [item.id for item in run.requirements], []),
        changes=run_changes.changes_of(tx, run_id),
    )


def _policy_of(tx: Session, run_id: str) -> RunPolicy | None:
    row = run_outputs.run_row(tx, run_id)
    if row is None or row.policy is None:
        return None
    fault = policies.fault_of(tx, row.policy)
    if fault is not None:
        return RunPolicy(digest=row.policy, fault=fault)
    executed = row.executed_policy
    changes = [] if executed is None else workers.policy_differences(tx, row.policy, executed)
    present = [] if RunStatus(row.status).is_final else workers.present_workers(tx, utc_now())
    differing = {
        worker.name: workers.policy_differences(tx, row.policy, worker.policies[row.component_id])
        for worker in present
        if worker.policies.get(row.component_id, row.policy) != row.policy
    }
    return RunPolicy(
        digest=row.policy,
        executed=executed,
        changes=changes,
        workers={name: texts for name, texts in differing.items() if texts},
    )
