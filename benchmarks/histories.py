"""How much history a workflow has, as the server counts it."""

from dataclasses import dataclass

from temporalio.client import Client


@dataclass(frozen=True)
class History:
    """Events and bytes."""

    events: int
    size: int


async def history_of(client: Client, workflow_id: str) -> History:
    """Ask the server for a workflow's history."""
    described = await client.get_workflow_handle(workflow_id).describe()
    info = described.raw_description.workflow_execution_info
    return History(info.history_length, info.history_size_bytes)
