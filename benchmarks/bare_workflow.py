"""The bare workflow: as many activities, signals and waits as a run of Kern has, all empty."""

from datetime import timedelta

from temporalio import activity, workflow

from benchmarks.bare_messages import Decided, Done, Job, Step, Stop, StopQuery


@activity.defn(name="step")
async def step(ask: Step) -> Done:
    """Do nothing."""
    return Done(calls=(ask.job_id,))


@workflow.defn(name="BareJob")
class BareJob:
    """Activities one after another; when gated, a wait for the signal and two more."""

    @workflow.init
    def __init__(self, job: Job) -> None:
        self._job = job
        self._decided: set[str] = set()
        self._waiting = False

    @workflow.run
    async def run(self, job: Job) -> None:
        """Execute the steps in order."""
        for number in range(job.steps):
            await self._step(1 + number)
        if job.gated:
            await self._wait()
            await self._step(2)
            await self._step(3)
        await workflow.wait_condition(workflow.all_handlers_finished)

    @workflow.signal(name="decided")
    def decided(self, news: Decided) -> None:
        """Receive the signal."""
        self._decided.add(news.gate_id)

    @workflow.update(name="wait_for_stop")
    async def wait_for_stop(self, query: StopQuery) -> Stop:  # noqa: ARG002  every update has one
        """Answer when the workflow is parked."""
        await workflow.wait_condition(lambda: self._waiting)
        return Stop()

    async def _wait(self) -> None:
        self._waiting = True
        await workflow.wait_condition(lambda: self._job.job_id in self._decided)
        self._waiting = False

    async def _step(self, number: int) -> None:
        await workflow.execute_activity(
            step,
            Step(job_id=self._job.job_id, number=number),
            start_to_close_timeout=timedelta(hours=1),
        )
