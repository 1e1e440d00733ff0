"""Handles of runs' workflows, for tests that look into Temporal."""

from temporalio.client import WorkflowHandle

from kern.client.processes.runtime import Runtime


def handle_of(runtime: Runtime, run_id: str) -> WorkflowHandle[object, object]:
    """Return the handle of a run's workflow, from any thread but the runtime's own."""
    return runtime.call(lambda _: runtime.services.courier.handle(run_id))
