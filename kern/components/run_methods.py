"""What callers do with a run that was accepted: continue, read, stream and cancel it."""

from collections.abc import AsyncGenerator, Coroutine, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, overload

from kern.components import event_iterators
from kern.components.component import Component
from kern.components.operations import EventReader, Show
from kern.components.runner import Work, runner_for
from kern.components.served import ServedComponent
from kern.contracts.viewer import Viewer
from kern.events import RunEvent
from kern.requirements import Requirement, bound_reader
from kern.run import RunOutput
from kern.values.ids import require_id


class RunMethods(ServedComponent):
    """A component whose runs can be continued, read, streamed and cancelled.

    Every method has an async twin whose name begins with `a`.
    """

    @overload
    def continue_run(
        self,
        run_id: str | RunOutput,
        requirements: Sequence[Requirement] | None = None,
        *,
        user_id: str | None = None,
        stream: Literal[False] = False,
    ) -> RunOutput: ...

    @overload
    def continue_run(
        self,
        run_id: str | RunOutput,
        requirements: Sequence[Requirement] | None = None,
        *,
        user_id: str | None = None,
        stream: Literal[True],
        stream_events: bool = False,
    ) -> Generator[RunEvent]: ...

    @overload
    def continue_run(
        self,
        run_id: str | RunOutput,
        requirements: Sequence[Requirement] | None = None,
        *,
        user_id: str | None = None,
        stream: bool,
        stream_events: bool = False,
    ) -> RunOutput | Generator[RunEvent]: ...

    def continue_run(
        self,
        run_id: str | RunOutput,
        requirements: Sequence[Requirement] | None = None,
        *,
        user_id: str | None = None,
        stream: bool = False,
        stream_events: bool = False,
    ) -> RunOutput | Generator[RunEvent]:
        """Submit the decisions filled in on `requirements`, and wait for the next stop.

        With nothing filled in it only waits. Runs continue by themselves once a decision is
        accepted, so nobody needs to call this for a run to continue.

        Args:
            run_id: The run's id, or its output, whose requirements are submitted.
            requirements: Those of the run, as `RunOutput.requirements` gave them.
            user_id: The session's owner; default: the user for whom Kern read `requirements`. Pass
                it for requirements that were made of data, such as a request's JSON: their own
                `user_id` counts for nothing.
            stream: As in `run`: what comes after the decisions, which are accepted when this
                returns.
            stream_events: As in `run`.

        Raises:
            AlreadyResolved: somebody decided first; nothing of this call was changed after that.
            ArgumentsChanged: the arguments on the object are not those that were frozen.
            InvalidDecision: the decision does not fit the requirement or its schema.
            NotAllowed: the run belongs to somebody else, or this person may not decide.
        """
        show = event_iterators.selection(stream=stream, stream_events=stream_events)
        submission = self._submission(run_id, requirements, user_id)
        if show is not None:
            runner = runner_for(self)
            reader = runner.call(submission.stream(self, show))
            return event_iterators.events(runner, reader, self._cast_output)
        return self._cast_output(self._do(submission.continue_run(self)))

    @overload
    def acontinue_run(
        self,
        run_id: str | RunOutput,
        requirements: Sequence[Requirement] | None = None,
        *,
        user_id: str | None = None,
        stream: Literal[False] = False,
    ) -> Coroutine[Any, Any, RunOutput]: ...

    @overload
    def acontinue_run(
        self,
        run_id: str | RunOutput,
        requirements: Sequence[Requirement] | None = None,
        *,
        user_id: str | None = None,
        stream: Literal[True],
        stream_events: bool = False,
    ) -> AsyncGenerator[RunEvent]: ...

    @overload
    def acontinue_run(
        self,
        run_id: str | RunOutput,
        requirements: Sequence[Requirement] | None = None,
        *,
        user_id: str | None = None,
        stream: bool,
        stream_events: bool = False,
    ) -> Coroutine[Any, Any, RunOutput] | AsyncGenerator[RunEvent]: ...

    def acontinue_run(
        self,
        run_id: str | RunOutput,
        requirements: Sequence[Requirement] | None = None,
        *,
        user_id: str | None = None,
        stream: bool = False,
        stream_events: bool = False,
    ) -> Coroutine[Any, Any, RunOutput] | AsyncGenerator[RunEvent]:
        """As `continue_run`, for async callers; with `stream=True` iterate over it."""
        show = event_iterators.selection(stream=stream, stream_events=stream_events)
        submission = self._submission(run_id, requirements, user_id)
        if show is None:
            return self._acast_output(submission.continue_run(self))
        return event_iterators.aevents(self, submission.stream(self, show), self._cast_output)

    def stream_run(
        self,
        run_id: str | RunOutput,
        *,
        after: int = 0,
        user_id: str | None = None,
        stream_events: bool = True,
    ) -> Generator[RunEvent]:
        """Read a run's events, of one that goes on or of one that has ended, until it is idle.

        A reader that comes back with the number of the last event that it saw misses none. Text
        has no number: that of a turn that was not complete by then comes again from its beginning,
        after a `RunContentReset`.

        Args:
            run_id: The run's id, or its output.
            after: The number (`seq`) of the last event that is known; 0 for all.
            user_id: The session's owner.
            stream_events: Everything that happens, or with False only text and the stop.

        Raises:
            InvalidInput: `after` is no number of an event.
            NotFound: there is no such run.
            NotAllowed: the run belongs to somebody else.
        """
        show, viewer = event_iterators.shown_with(stream_events), self._viewer(user_id)
        known_id, runner = id_of(run_id), runner_for(self)
        reader = runner.call(lambda service: service.readers.open(viewer, known_id, after, show))
        return event_iterators.events(runner, reader, self._cast_output)

    def astream_run(
        self,
        run_id: str | RunOutput,
        *,
        after: int = 0,
        user_id: str | None = None,
        stream_events: bool = True,
    ) -> AsyncGenerator[RunEvent]:
        """As `stream_run`, for async callers."""
        show, viewer = event_iterators.shown_with(stream_events), self._viewer(user_id)
        known_id = id_of(run_id)
        return event_iterators.aevents(
            self,
            lambda service: service.readers.open(viewer, known_id, after, show),
            self._cast_output,
        )

    def cancel_run(self, run_id: str | RunOutput, *, user_id: str | None = None) -> RunOutput:
        """Cancel a run: it is stored when this returns, and nothing new begins after it.

        A tool call that is being executed and may not be repeated is let end, and what it did is
        kept.

        Raises:
            NotFound: there is no such run.
            NotAllowed: the run belongs to somebody else.
            RunEnded: the run has ended otherwise; one that is cancelled stays cancelled.
        """
        return self._cast_output(self._do(_cancelling(self._viewer(user_id), id_of(run_id))))

    async def acancel_run(
        self, run_id: str | RunOutput, *, user_id: str | None = None
    ) -> RunOutput:
        """As `cancel_run`, for async callers."""
        return await self._acast_output(_cancelling(self._viewer(user_id), id_of(run_id)))

    def retry_run(self, run_id: str | RunOutput, *, user_id: str | None = None) -> RunOutput:
        """Continue a failed run where it failed, and wait for its next stop.

        Stored answers are not asked for again, and calls that have ended are not executed again. In
        a workflow, steps that have ended stay ended, those that failed begin once more, and those
        that were stopped because of the failure continue.

        Raises:
            NotFound: there is no such run.
            NotAllowed: the run belongs to another user.
            Conflict: the run has not failed, or is a child of another run.
        """
        return self._cast_output(self._do(_retrying(self._viewer(user_id), id_of(run_id))))

    async def aretry_run(self, run_id: str | RunOutput, *, user_id: str | None = None) -> RunOutput:
        """As `retry_run`, for async callers."""
        return await self._acast_output(_retrying(self._viewer(user_id), id_of(run_id)))

    def get_run_output(self, run_id: str | RunOutput, *, user_id: str | None = None) -> RunOutput:
        """Read a run as it stands.

        Raises:
            NotFound: there is no such run.
            NotAllowed: the run belongs to somebody else.
        """
        viewer, known_id = self._viewer(user_id), id_of(run_id)
        return self._cast_output(self._do(lambda service: service.runs.read(viewer, known_id)))

    async def aget_run_output(
        self, run_id: str | RunOutput, *, user_id: str | None = None
    ) -> RunOutput:
        """As `get_run_output`, for async callers."""
        viewer, known_id = self._viewer(user_id), id_of(run_id)
        return await self._acast_output(lambda service: service.runs.read(viewer, known_id))

    def _submission(
        self,
        run: str | RunOutput,
        requirements: Sequence[Requirement] | None,
        user_id: str | None,
    ) -> "_Submission":
        run_id = id_of(run)
        if requirements is None:
            requirements = run.requirements if isinstance(run, RunOutput) else ()
        if user_id is None:
            user_id = _owner_of(requirements)
        return _Submission(self._viewer(user_id), run_id, requirements)

    async def _acast_output(self, work: Work[RunOutput]) -> RunOutput:
        return self._cast_output(await self._ado(work))

    def _cast_output(self, output: RunOutput) -> RunOutput:
        """Return the output with its content in the component's own type."""
        return output


def id_of(run: str | RunOutput) -> str:
    """Return the id of a run that a caller names by its id or by its output.

    Raises:
        InvalidInput: it can be no id.
    """
    return run.run_id if isinstance(run, RunOutput) else require_id("run_id", run)


def _owner_of(requirements: object) -> str | None:
    # What is no list of requirements, the service refuses.
    first: object = (
        requirements[0] if isinstance(requirements, list | tuple) and requirements else None
    )
    return bound_reader(first) if isinstance(first, Requirement) else None


@dataclass(frozen=True)
class _Submission:
    """Decisions on their way to a run, and the viewer who made them."""

    viewer: Viewer
    run_id: str
    requirements: Sequence[Requirement]

    def continue_run(self, component: Component) -> Work[RunOutput]:
        return lambda service: service.interaction.continue_run(
            self.viewer, component, self.run_id, self.requirements
        )

    def stream(self, component: Component, show: Show) -> Work[EventReader]:
        return lambda service: service.interaction.stream_continued(
            self.viewer, component, self.run_id, self.requirements, show
        )


def _cancelling(viewer: Viewer, run_id: str) -> Work[RunOutput]:
    return lambda service: service.interaction.cancel(viewer, run_id)


def _retrying(viewer: Viewer, run_id: str) -> Work[RunOutput]:
    return lambda service: service.interaction.retry(viewer, run_id)
