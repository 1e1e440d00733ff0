"""The demonstration of a crash: a worker is killed after the approval, and pays exactly once."""

import asyncio

from kern.client.cli.command_name import command_name
from kern.client.cli.demo.agent import APP, agent, entries, ledger, receipt
from kern.client.cli.demo.main import print_next_steps
from kern.client.cli.demo.worker import HEARTBEAT_SECONDS, Worker, demo_worker
from kern.client.cli.printing import count, one_line, say, show_call, styled
from kern.client.cli.running import EXIT_CODES, print_interrupted, print_outcome, text_of
from kern.client.processes.services import Services
from kern.contracts.requests import RunRequest
from kern.contracts.viewer import present_operator, system_user
from kern.errors import Unavailable
from kern.process.settings import Settings, read_settings
from kern.requirements import Requirement
from kern.run import RunOutput
from kern.values.ids import new_id

_PATIENCE = 120.0


def run_crash_demo(request: str) -> int:
    """Run the demonstration, and return the exit code that says how the run ended."""
    run_id = new_id()
    settings = read_settings().model_copy(update={"heartbeat_seconds": HEARTBEAT_SECONDS})
    try:
        return asyncio.run(_play(settings, request, run_id))
    except KeyboardInterrupt:
        return print_interrupted(run_id, APP)


async def _play(settings: Settings, request: str, run_id: str) -> int:
    # This process shares the folder's server, which thus outlives the worker that is killed.
    with demo_worker() as first:
        services = await Services.open(settings)
        try:
            output = await _follow(_Steps(services, run_id), request, first)
        finally:
            await services.close()
    print_next_steps(run_id)
    return EXIT_CODES.get(output.status, 0)


async def _follow(steps: "_Steps", request: str, first: Worker) -> RunOutput:
    try:
        async with asyncio.timeout(_PATIENCE):
            return await steps.play(request, first)
    except TimeoutError:
        message = (
            f"The demonstration did not end within {_PATIENCE:g} s. `{command_name()} show "
            f"{steps.run_id}` shows how far it got."
        )
        raise Unavailable(message) from None


class _Steps:
    """The steps, numbered as they are printed."""

    def __init__(self, services: Services, run_id: str) -> None:
        self._services = services
        self.run_id = run_id
        self._number = 0

    async def play(self, request: str, first: Worker) -> RunOutput:
        """Approve, kill the worker, and see the run end."""
        self._say(f"A worker runs as process {first.pid}.")
        output = await self._ask(request)
        if not output.active_requirements:
            print_outcome(output, APP)
            return output
        item = output.active_requirements[0]
        call = show_call(item.tool_name, item.arguments)
        self._say(f"The agent wants to call {call}. The run is paused.")
        await self._approve(item)
        first.kill()
        first.wait()
        self._say(f"You approve, and process {first.pid} is killed with SIGKILL right after.")
        paid = count(len(_paid_by(output)), "refund")
        self._say(f"No worker runs. The decision is stored; the ledger holds {paid} of this run.")
        with demo_worker() as second:
            self._say(f"Another worker runs, as process {second.pid}. Nobody repeats the decision.")
            output = await self._finish()
        self._say_end(output)
        return output

    async def _ask(self, request: str) -> RunOutput:
        self._say(f"You ask: {one_line(request)}")
        ask = RunRequest(component_id=agent.id, input=request, run_id=self.run_id)
        return await self._services.service.interaction.run(
            present_operator(), agent, ask, background=False
        )

    async def _approve(self, item: Requirement) -> None:
        item.confirm("Approved by the demonstration.", system_user())
        await self._services.service.inbox.decide(present_operator(), item)

    async def _finish(self) -> RunOutput:
        """Wait for the end; if the kill interrupted the call, decide by what the ledger shows."""
        interaction = self._services.service.interaction
        output = await interaction.continue_run(present_operator(), agent, self.run_id, [])
        while output.active_requirements:
            for item in output.active_requirements:
                self._say("The kill interrupted the call: it may have paid or not.")
                self._say(f"Kern does not guess, it asks a person. {settle(item)}")
            requirements = output.active_requirements
            output = await interaction.continue_run(
                present_operator(), agent, self.run_id, requirements
            )
        return output

    def _say_end(self, output: RunOutput) -> None:
        self._say(f"The run is {output.status.value}: {one_line(text_of(output))}")
        paid = _paid_by(output)
        colour = "bold green" if len(paid) == 1 else "bold red"
        say("")
        say(
            styled(f"The ledger holds exactly {count(len(paid), 'refund')} of this run", colour),
            f" ({ledger()}).",
        )

    def _say(self, text: str) -> None:
        self._number += 1
        say(styled(f"{self._number:>2}  ", "bold"), text)


def _paid_by(output: RunOutput) -> list[dict[str, object]]:
    """Return the refunds of a run, which the ledger knows by the keys of its calls."""
    return [refund for call in output.tools for refund in entries(key=call.idempotency_key)]


def settle(item: Requirement) -> str:
    """Resolve a call with an unknown outcome by what the ledger shows; return that as text."""
    paid = entries(key="" if item.attempt is None else item.attempt.idempotency_key)
    if not paid:
        # Its worker was killed here, so that nothing of it goes on.
        item.run_again("The ledger does not hold it.", system_user(), even_if_running=True)
        return "The ledger does not hold the refund: run it again."
    order, amount, currency = (str(paid[0][name]) for name in ("order_id", "amount", "currency"))
    done = receipt(order, float(amount), currency)
    item.mark_happened(done, "The ledger holds it.", system_user())
    return "The ledger holds the refund: it happened."
