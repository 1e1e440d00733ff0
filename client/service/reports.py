"""Reads the report of a run: the run, its decisions, late results, steps and child runs."""

from sqlmodel import Session

from kern.contracts.reports import RunReport
from kern.contracts.viewer import Viewer
from kern.db.reading import listings, run_outputs, step_progress
from kern.db.turns import late_results
from kern.values.ids import require_id

# Beyond so many, a list of steps shows nothing that people would read.
MOST_STEPS = 200


def read_report(tx: Session, viewer: Viewer, run_id: str) -> RunReport:
    """Read a run's report.

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
        children={child_id: read_report(tx, viewer, child_id) for child_id in children},
        steps=step_progress.steps_of(tx, run_id, MOST_STEPS) if run.progress else [],
        step_count=step_progress.count_of(tx, run_id) if run.progress else 0,
    )
