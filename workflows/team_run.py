"""The life of one team run: the leader's turns, with members' runs as child workflows."""

from temporalio import workflow

from kern.contracts.messages import RunCursor
from kern.workflows.agent_run import AgentRun


@workflow.defn(name="TeamRun")
class TeamRun(AgentRun):
    """As an agent's run; some of its calls are executed by runs of members."""

    @workflow.init
    def __init__(self, cursor: RunCursor) -> None:
        super().__init__(cursor)

    @workflow.run
    async def run(self, cursor: RunCursor) -> None:
        """Take the leader's turns from the cursor on until the run has ended."""
        await super().run(cursor)
