"""The size of a workflow's history, as the server counts it."""

from dataclasses import dataclass

from temporalio.client import Client


@dataclass(frozen=True)
class History:
    """The number of events, and their size in bytes."""

    events: int
    size: int


async def history_of(client: Client, workflow_id: str) -> History:
    """Return the size of a workflow's history."""
    described = await client.get_workflow_handle(workflow_id).describe()
    info = described.raw_description.workflow_execution_info
    return History(info.history_length, info.history_size_bytes)
