"""Has a session named by the model."""

from temporalio import workflow

from kern.contracts.messages import NameInput
from kern.workflows import steps


@workflow.defn(name="NameSession")
class NameSession:
    """One activity; whoever started it reads the name from SQL."""

    @workflow.run
    async def run(self, ask: NameInput) -> None:
        """Name the session."""
        await steps.name_session(ask)
