"""The seam between what users import and what executes runs.

`Agent.run` has to reach the client, which rests on the components. So the client's runtime is
loaded by name, the first time that a component needs it; what answers operators' programs may be on
another machine (`KERN_API_URL`), and then a client of its API is loaded instead. This is the only
place where code reaches against the direction of the layers.
"""

import asyncio
import importlib
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar, cast

from kern.components.component import Component
from kern.components.operations import Operations, OperatorOperations

Result = TypeVar("Result")
Work = Callable[[Operations], Awaitable[Result]]
OperatorWork = Callable[[OperatorOperations], Awaitable[Result]]

_RUNTIME = "kern.client.processes.process_runtime"
# What answers operators' programs where this variable names an API.
_REMOTE, _API_URL = "kern.client.remote.runtime", "KERN_API_URL"


class Runner(Protocol):
    """This process's runtime, which has a thread and an event loop of its own."""

    def call(self, work: Work[Result]) -> Result:
        """Have an operation done, and wait for it in synchronous code, in any thread but its own.

        Raises:
            KernError: the caller is in the runtime's own thread, which would wait for itself.
        """
        ...

    async def acall(self, work: Work[Result]) -> Result:
        """As `call`, from any event loop."""
        ...


class OperatorRunner(Protocol):
    """What answers operators' programs: this process's runtime, or a connection of their own."""

    def call(self, work: OperatorWork[Result]) -> Result:
        """As `Runner.call`."""
        ...

    async def acall(self, work: OperatorWork[Result]) -> Result:
        """As `Runner.acall`."""
        ...


def runner_for(component: Component) -> Runner:
    """Return this process's runtime, starting it for `component` if none is running."""
    module = importlib.import_module(_RUNTIME)
    return cast("Runner", module.runtime_for(component))


async def arunner_for(component: Component) -> Runner:
    """As `runner_for`; in a thread where that may take long: `component` is not in it yet."""
    module = sys.modules.get(_RUNTIME)
    # While another thread imports the module, it is there and still empty.
    running_for = getattr(module, "running_for", None)
    running = None if running_for is None else running_for(component)
    if running is not None:
        return cast("Runner", running)
    return await asyncio.to_thread(runner_for, component)


def is_remote() -> bool:
    """Whether operators' programs are answered over HTTP, where the token says who decides."""
    return bool(os.environ.get(_API_URL))


def operator_runner() -> OperatorRunner:
    """Return what answers operators' programs in this process, which need no component."""
    if is_remote():
        remote = importlib.import_module(_REMOTE)
        return cast("OperatorRunner", remote.remote_runtime())
    module = importlib.import_module(_RUNTIME)
    return cast("OperatorRunner", module.operator_runtime())


async def aoperator_runner() -> OperatorRunner:
    """As `operator_runner`, in a thread: the first call opens the database."""
    return await asyncio.to_thread(operator_runner)
