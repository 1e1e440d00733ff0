"""The seam between what users import and what executes runs.

`Agent.run` must reach the client, which lies below it. So the client's runtime is loaded by name,
the first time that a component needs it. This is the only place where code reaches against the
direction of the layers.
"""

import asyncio
import importlib
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, Protocol, TypeVar, cast

from pydantic import JsonValue

from kern.components.component import Component
from kern.contracts.requests import RunRequest
from kern.contracts.viewer import Viewer
from kern.events import RunEvent
from kern.media import FileContent
from kern.requirements import Requirement
from kern.run import Message, RunOutput, StepExecution
from kern.session import Session, SessionMetrics, SessionPage
from kern.session_state import StateChange

Result = TypeVar("Result")

# What a reader wants: text and the end, or every event.
Show = Literal["content", "everything"]

_RUNTIME = "kern.client.processes.runtime"


class EventReader(Protocol):
    """Reads a run's events. Every method may be called from any thread."""

    async def read(self) -> Sequence[RunEvent]:
        """Wait for the next events; none when the run stands still and all were read."""
        ...

    def close(self) -> None:
        """Read no more, which the run does not notice."""
        ...


class Runner(Protocol):
    """What a component needs of the client.

    Every method may be awaited from any event loop or thread.
    """

    def call(self, awaitable: Awaitable[Result]) -> Result:
        """Wait for `awaitable` from synchronous code."""
        ...

    async def run(
        self, component: Component, request: RunRequest, *, background: bool
    ) -> RunOutput:
        """Accept a run, and wait for its first stop unless it goes on in the background."""
        ...

    async def continue_run(
        self,
        component: Component,
        run_id: str,
        requirements: Sequence[Requirement],
        user_id: str | None,
    ) -> RunOutput:
        """Submit what was filled in and wait for the next stop."""
        ...

    async def cancel_run(self, component: Component, run_id: str, user_id: str | None) -> RunOutput:
        """Cancel a run; it is stored when this returns."""
        ...

    async def retry_run(self, component: Component, run_id: str, user_id: str | None) -> RunOutput:
        """Have a pipeline that failed go on where it failed, and wait for its next stop."""
        ...

    async def get_run_output(
        self, component: Component, run_id: str, user_id: str | None
    ) -> RunOutput:
        """Read a run."""
        ...

    async def get_steps(
        self, component: Component, run_id: str, user_id: str | None, limit: int, after: int
    ) -> list[StepExecution]:
        """Read the steps that a pipeline has opened."""
        ...

    async def with_sessions(self, work: Callable[["SessionRunner"], Awaitable[Result]]) -> Result:
        """Do something with sessions."""
        ...

    async def stream(self, component: Component, request: RunRequest, show: Show) -> EventReader:
        """Accept a run, and read its events until it stands still."""
        ...

    async def stream_continued(
        self,
        component: Component,
        run_id: str,
        requirements: Sequence[Requirement],
        user_id: str | None,
        show: Show,
    ) -> EventReader:
        """Submit what was filled in, and read what follows until the run stands still."""
        ...

    async def stream_run(
        self, component: Component, run_id: str, after: int, user_id: str | None, show: Show
    ) -> EventReader:
        """Read a run's events after a number until it stands still."""
        ...


def runner_for(component: Component) -> Runner:
    """Return this process's runtime, starting it for `component` if none runs yet."""
    module = importlib.import_module(_RUNTIME)
    return cast("Runner", module.runtime_for(component))


async def arunner_for(component: Component) -> Runner:
    """As `runner_for`, in a thread where that may take long: not if `component` is in it yet."""
    module = sys.modules.get(_RUNTIME)
    # While another thread imports the module, it is there and has nothing in it yet.
    running_for = getattr(module, "running_for", None)
    running = None if running_for is None else running_for(component)
    if running is not None:
        return cast("Runner", running)
    return await asyncio.to_thread(runner_for, component)


class SessionRunner(Protocol):
    """Reads and changes sessions, each as far as the viewer may.

    Every method raises NotFound where there is no such session, NotAllowed where it belongs to
    somebody else, and InvalidInput where it belongs to another component.
    """

    async def read(self, session_id: str, viewer: Viewer) -> Session:
        """Read a session."""
        ...

    async def page(self, viewer: Viewer, limit: int, cursor: str | None) -> SessionPage:
        """List the viewer's sessions."""
        ...

    async def chat_history(
        self, session_id: str, viewer: Viewer, limit: int | None
    ) -> list[Message]:
        """Read what was asked and answered."""
        ...

    async def workflow_history(
        self, session_id: str, viewer: Viewer, limit: int
    ) -> list[RunOutput]:
        """Read the latest completed runs: inputs and what they came to."""
        ...

    async def messages(self, session_id: str, viewer: Viewer, limit: int | None) -> list[Message]:
        """Read the messages of all runs."""
        ...

    async def update_state(
        self, session_id: str, viewer: Viewer, changes: Sequence[StateChange]
    ) -> dict[str, JsonValue]:
        """Change the state, and return the new one."""
        ...

    async def metrics(self, session_id: str, viewer: Viewer) -> SessionMetrics:
        """Sum up what the runs used."""
        ...

    async def rename(self, session_id: str, viewer: Viewer, name: str) -> Session:
        """Give a session a name."""
        ...

    async def name_by_model(self, session_id: str, viewer: Viewer) -> Session:
        """Have the model give a session a name, and wait for it."""
        ...

    async def fork(self, session_id: str, viewer: Viewer, run_id: str | None) -> str:
        """Copy a session, and return the id of the copy."""
        ...

    async def file(self, file_id: str, viewer: Viewer) -> FileContent:
        """Read a file with its bytes."""
        ...

    async def delete(self, session_id: str, viewer: Viewer) -> None:
        """Cancel what goes on in a session, and delete it."""
        ...
