"""A component whose methods are answered by the service of this process's runtime."""

from kern.components.component import Component
from kern.components.runner import Result, Work, arunner_for, runner_for
from kern.contracts.viewer import Viewer
from kern.process.tenants import present_tenant


class ServedComponent(Component):
    """Forwards what its methods ask for to the service, from synchronous and asynchronous code."""

    def _do(self, work: Work[Result]) -> Result:
        return runner_for(self).call(work)

    async def _ado(self, work: Work[Result]) -> Result:
        return await (await arunner_for(self)).acall(work)

    def _viewer(self, user_id: str | None) -> Viewer:
        return Viewer(user_id, component_id=self.id, tenant=present_tenant())
