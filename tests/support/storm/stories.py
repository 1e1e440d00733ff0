"""What is known of runs that a storm left open, for whoever has to find out why."""

from functools import partial

from sqlmodel import Session, col, select
from temporalio.client import WorkflowExecutionDescription, WorkflowHandle
from temporalio.service import RPCError

from kern.client.processes.services import Services
from kern.client.temporal.workflow_ids import workflow_id
from kern.db.engine.tables import EventRow
from tests.support.crash_state import FINAL
from tests.support.storm.checks import Stored


async def stories(services: Services, stored: Stored) -> str:
    """Return the events of the runs that are open, and where their workflows are."""
    found = []
    for run in stored.runs.values():
        if run.status in FINAL:
            continue
        found.append(f"--- run {run.id}: {run.status}, parent {run.parent_run_id}, {run.input!r}")
        found += await services.db.read(partial(_events, run_id=run.id))
        found += [
            f"    call {call.name} {call.status} {call.outcome} {call.result!r}"
            for call in stored.calls
            if call.run_id == run.id
        ]
        found.append(f"    workflow: {await _workflow(services, run.id)}")
    return "\n".join(found)


def _events(tx: Session, run_id: str) -> list[str]:
    query = select(EventRow).where(EventRow.run_id == run_id).order_by(col(EventRow.seq))
    return [f"    {row.created_at:%H:%M:%S.%f} {row.kind} {row.data}" for row in tx.exec(query)]


async def _workflow(services: Services, run_id: str) -> str:
    handle = services.temporal.get_workflow_handle(await workflow_id(services.db, run_id))
    try:
        described = await handle.describe()
        return f"{described.status}, {_pending(described)}, {await _history(handle)}"
    except RPCError as error:
        return f"{error.status}: {error}"


def _pending(described: WorkflowExecutionDescription) -> str:
    raw = described.raw_description
    activities = [
        f"{item.activity_type.name} attempt {item.attempt} {item.last_failure.message!r}"
        for item in raw.pending_activities
    ]
    task = raw.pending_workflow_task
    return f"activities {activities}, workflow task attempt {task.attempt}"


async def _history(handle: WorkflowHandle[object, object]) -> list[str]:
    return [
        f"{event.event_time.ToDatetime():%H:%M:%S} {event.event_type}"
        async for event in handle.fetch_history_events()
    ][-25:]
