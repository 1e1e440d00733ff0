"""The processes that are killed: a worker as `worker.py` is one, and clients that do one thing."""

import asyncio
import itertools
import os
import signal
import sys
import threading

from kern.client.processes.services import Services
from kern.client.temporal.workers import ComponentWorkers
from kern.components.registry import Registry
from kern.contracts.requests import RunRequest
from kern.contracts.viewer import OPERATOR, Viewer
from kern.db.reading import requirement_outputs, run_outputs
from kern.process import checkpoints
from kern.process.logs import log_json
from tests.support.crash_app import build
from tests.support.crash_spec import ANY_POINT, Kill, Spec, settings_of


def main() -> None:
    """Be the process that the command line asks for, as JSON."""
    sys.exit(asyncio.run(play(Spec.model_validate_json(sys.argv[1]))))


async def play(spec: Spec) -> int:
    """Be the process that is asked for; return its exit code."""
    log_json()
    if spec.place.address is not None:
        os.environ["TEMPORAL_ADDRESS"] = spec.place.address
    if spec.kill is not None:
        arm(spec.kill)
    services = await Services.open(settings_of(spec.place))
    if spec.role == "worker":
        return await _serve(spec, services)
    await _act(spec, services)
    await services.close()
    return 0


def arm(kill: Kill) -> None:
    """Have this process killed when it comes to the point; whatever thread gets there first."""
    reached, lock = itertools.count(1), threading.Lock()

    def hook(point: str) -> None:
        if kill.point not in {point, ANY_POINT}:
            return
        with lock:
            if next(reached) == kill.occurrence:
                os.kill(os.getpid(), signal.SIGKILL)
                # The kernel may need a moment, in which nothing more may happen here.
                threading.Event().wait()

    checkpoints.arm(hook)


async def _serve(spec: Spec, services: Services) -> int:
    registry = Registry()
    registry.register(build(spec.place))
    workers = ComponentWorkers(services.temporal, services.db, registry, services.settings)
    await workers.serve(registry.ids)
    parts = {asyncio.create_task(workers.wait()), asyncio.create_task(services.relay.run())}
    ended, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
    for part in ended:
        part.result()
    return 1


async def _act(spec: Spec, services: Services) -> None:
    match spec.role:
        case "accept":
            request = RunRequest(
                component_id=spec.place.component, input=spec.text, run_id=spec.run_id
            )
            await services.service.runs.accept(Viewer(None), build(spec.place), request)
        case "resolve":
            read = await services.db.read(
                lambda tx: requirement_outputs.requirement_of(
                    tx, run_outputs.find_requirement(tx, spec.requirement_id, OPERATOR)
                )
            )
            decided = (
                read.confirm(by=spec.by) if spec.verdict == "approve" else read.reject(by=spec.by)
            )
            await services.service.inbox.decide(OPERATOR, decided)
        case "cancel":
            await services.service.runs.cancel(OPERATOR, spec.run_id)
        case "worker":
            raise AssertionError(spec.role)


if __name__ == "__main__":
    main()
