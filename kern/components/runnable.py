"""What can be run: `run`, `continue_run` and the rest of what callers do with runs."""

from collections.abc import (
    AsyncGenerator,
    Coroutine,
    Generator,
    Mapping,
    Sequence,
)
from typing import Any, Literal, Unpack, overload

from pydantic import BaseModel, JsonValue, ValidationError

from kern import media
from kern.components import event_iterators
from kern.components.run_options import RequestOptions, RunOptions, StreamOptions
from kern.components.runner import EventReader, arunner_for, runner_for
from kern.components.session_methods import SessionComponent
from kern.contracts.requests import Input, RunRequest, input_text
from kern.errors import InvalidInput
from kern.events import RunEvent
from kern.media import File, Image
from kern.requirements import Requirement
from kern.run import RunOutput
from kern.values.validation import misfit


class Runnable(SessionComponent):
    """A component whose runs are durable and wait for people.

    Every method has an async twin whose name begins with `a`.
    """

    output_schema: type[BaseModel] | None = None

    @overload
    def run(
        self, input: Input, *, stream: Literal[False] = False, **options: Unpack[RunOptions]
    ) -> RunOutput: ...

    @overload
    def run(
        self, input: Input, *, stream: Literal[True], **options: Unpack[StreamOptions]
    ) -> Generator[RunEvent]: ...

    @overload
    def run(
        self, input: Input, *, stream: bool, **options: Unpack[StreamOptions]
    ) -> RunOutput | Generator[RunEvent]: ...

    def run(
        self,
        input: Input,
        *,
        images: Sequence[Image] | None = None,
        files: Sequence[File] | None = None,
        session_id: str | None = None,
        user_id: str | None = None,
        session_state: Mapping[str, JsonValue] | None = None,
        stream: bool = False,
        stream_events: bool = False,
        background: bool = False,
        run_id: str | None = None,
        on_busy: Literal["queue", "parallel", "reject"] = "queue",
        dependencies: Mapping[str, JsonValue] | None = None,
        metadata: Mapping[str, JsonValue] | None = None,
    ) -> RunOutput | Generator[RunEvent]:
        """Run until the first stop: it has answered, failed, or waits for a person.

        Once accepted, the run survives the death of any process, this one included.

        Args:
            input: What the user says; a pydantic model, dict or list becomes JSON.
            images: What the model is to look at, up to 20 MB each.
            files: What it is to read, up to 20 MB each.
            session_id: The conversation; default: a new one.
            user_id: Whose conversation it is. A session belongs to the user who began it.
            session_state: Keys to set in the session's state before the run.
            stream: Return the text while it is written: an iterator of `RunContent` and, rarely,
                `RunContentReset`, and at its end the stop, whose `output` is the run. The run is
                accepted when this returns; leaving the iterator does not end the run.
            stream_events: With `stream`, also everything else that happens (`kern.events`).
            background: Return as soon as the run is accepted.
            run_id: An id of your own: the same call again returns the same run and starts nothing;
                with another input, state, metadata or dependencies it is refused.
            on_busy: What becomes of it while another run of the session moves: it waits for its
                turn (`queue`), goes on beside it (`parallel`), or is refused (`reject`). Nobody
                waits behind a paused run.
            dependencies: Passed on to tools as JSON.
            metadata: Kept with the run as JSON.

        Raises:
            NotAllowed: the session belongs to somebody else.
            InvalidInput: a value cannot be stored, a file cannot be read, or the session is another
                component's.
            Conflict: `run_id` is taken by a run with another input, other files, state or metadata.
            SessionBusy: another run of the session moves, and `on_busy` is `reject`.
        """
        show = event_iterators.shown(
            stream=stream, stream_events=stream_events, background=background
        )
        request = self._request(
            input,
            images=images,
            files=files,
            session_id=session_id,
            user_id=user_id,
            session_state=session_state,
            run_id=run_id,
            on_busy=on_busy,
            dependencies=dependencies,
            metadata=metadata,
        )
        runner = runner_for(self)
        if show is not None:
            reader = runner.call(runner.stream(self, request, show))
            return event_iterators.events(runner, reader, self._typed)
        return self._typed(runner.call(runner.run(self, request, background=background)))

    @overload
    def arun(
        self, input: Input, *, stream: Literal[False] = False, **options: Unpack[RunOptions]
    ) -> Coroutine[Any, Any, RunOutput]: ...

    @overload
    def arun(
        self, input: Input, *, stream: Literal[True], **options: Unpack[StreamOptions]
    ) -> AsyncGenerator[RunEvent]: ...

    @overload
    def arun(
        self, input: Input, *, stream: bool, **options: Unpack[StreamOptions]
    ) -> Coroutine[Any, Any, RunOutput] | AsyncGenerator[RunEvent]: ...

    def arun(
        self,
        input: Input,
        *,
        images: Sequence[Image] | None = None,
        files: Sequence[File] | None = None,
        session_id: str | None = None,
        user_id: str | None = None,
        session_state: Mapping[str, JsonValue] | None = None,
        stream: bool = False,
        stream_events: bool = False,
        background: bool = False,
        run_id: str | None = None,
        on_busy: Literal["queue", "parallel", "reject"] = "queue",
        dependencies: Mapping[str, JsonValue] | None = None,
        metadata: Mapping[str, JsonValue] | None = None,
    ) -> Coroutine[Any, Any, RunOutput] | AsyncGenerator[RunEvent]:
        """As `run`, for async callers: await it, or with `stream=True` iterate over it.

        A streamed run is accepted when its first event is asked for.
        """
        show = event_iterators.shown(
            stream=stream, stream_events=stream_events, background=background
        )
        request = self._request(
            input,
            images=images,
            files=files,
            session_id=session_id,
            user_id=user_id,
            session_state=session_state,
            run_id=run_id,
            on_busy=on_busy,
            dependencies=dependencies,
            metadata=metadata,
        )
        if show is None:
            return self._arun(request, background=background)

        async def opened() -> EventReader:
            return await (await arunner_for(self)).stream(self, request, show)

        return event_iterators.aevents(opened, self._typed)

    @overload
    def continue_run(
        self,
        run_id: str,
        requirements: Sequence[Requirement] = (),
        *,
        user_id: str | None = None,
        stream: Literal[False] = False,
    ) -> RunOutput: ...

    @overload
    def continue_run(
        self,
        run_id: str,
        requirements: Sequence[Requirement] = (),
        *,
        user_id: str | None = None,
        stream: Literal[True],
        stream_events: bool = False,
    ) -> Generator[RunEvent]: ...

    @overload
    def continue_run(
        self,
        run_id: str,
        requirements: Sequence[Requirement] = (),
        *,
        user_id: str | None = None,
        stream: bool,
        stream_events: bool = False,
    ) -> RunOutput | Generator[RunEvent]: ...

    def continue_run(
        self,
        run_id: str,
        requirements: Sequence[Requirement] = (),
        *,
        user_id: str | None = None,
        stream: bool = False,
        stream_events: bool = False,
    ) -> RunOutput | Generator[RunEvent]:
        """Submit the decisions filled in on `requirements`, and wait for the next stop.

        With nothing filled in it only waits. Runs continue by themselves once a decision is
        accepted, so nobody needs to call this for a run to go on.

        Args:
            run_id: The run.
            requirements: Those of the run, as `RunOutput.requirements` gave them; they speak for
                the user who read them.
            user_id: The session's owner; default: the one for whom `requirements` were read.
            stream: As in `run`: what comes after the decisions, which are accepted when this
                returns.
            stream_events: As in `run`.

        Raises:
            AlreadyResolved: somebody decided first; nothing of this call was changed after that.
            ArgumentsChanged: the arguments on the object are not those that were frozen.
            InvalidDecision: the decision does not fit the requirement or its schema.
            NotAllowed: the run belongs to somebody else, or this person may not decide.
        """
        show = event_iterators.shown(stream=stream, stream_events=stream_events)
        runner = runner_for(self)
        if show is not None:
            opening = runner.stream_continued(self, run_id, requirements, user_id, show)
            return event_iterators.events(runner, runner.call(opening), self._typed)
        return self._typed(runner.call(runner.continue_run(self, run_id, requirements, user_id)))

    @overload
    def acontinue_run(
        self,
        run_id: str,
        requirements: Sequence[Requirement] = (),
        *,
        user_id: str | None = None,
        stream: Literal[False] = False,
    ) -> Coroutine[Any, Any, RunOutput]: ...

    @overload
    def acontinue_run(
        self,
        run_id: str,
        requirements: Sequence[Requirement] = (),
        *,
        user_id: str | None = None,
        stream: Literal[True],
        stream_events: bool = False,
    ) -> AsyncGenerator[RunEvent]: ...

    @overload
    def acontinue_run(
        self,
        run_id: str,
        requirements: Sequence[Requirement] = (),
        *,
        user_id: str | None = None,
        stream: bool,
        stream_events: bool = False,
    ) -> Coroutine[Any, Any, RunOutput] | AsyncGenerator[RunEvent]: ...

    def acontinue_run(
        self,
        run_id: str,
        requirements: Sequence[Requirement] = (),
        *,
        user_id: str | None = None,
        stream: bool = False,
        stream_events: bool = False,
    ) -> Coroutine[Any, Any, RunOutput] | AsyncGenerator[RunEvent]:
        """As `continue_run`, for async callers; with `stream=True` iterate over it."""
        show = event_iterators.shown(stream=stream, stream_events=stream_events)
        if show is None:
            return self._acontinue(run_id, requirements, user_id)

        async def opened() -> EventReader:
            runner = await arunner_for(self)
            return await runner.stream_continued(self, run_id, requirements, user_id, show)

        return event_iterators.aevents(opened, self._typed)

    def stream_run(
        self,
        run_id: str,
        *,
        after: int = 0,
        user_id: str | None = None,
        stream_events: bool = True,
    ) -> Generator[RunEvent]:
        """Read a run's events, of one that goes on or of one that has ended, until it stands still.

        A reader that comes back with the number of the last event that it saw misses none. Text
        has no number: that of a turn that was not complete by then comes again from its beginning,
        after a `RunContentReset`.

        Args:
            run_id: The run.
            after: The number (`seq`) of the last event that is known; 0 for all.
            user_id: The session's owner.
            stream_events: Everything that happens, or with False only text and the stop.

        Raises:
            InvalidInput: `after` is no number of an event.
            NotFound: there is no such run.
            NotAllowed: the run belongs to somebody else.
        """
        runner = runner_for(self)
        opening = runner.stream_run(
            self, run_id, after, user_id, event_iterators.chosen(stream_events)
        )
        return event_iterators.events(runner, runner.call(opening), self._typed)

    def astream_run(
        self,
        run_id: str,
        *,
        after: int = 0,
        user_id: str | None = None,
        stream_events: bool = True,
    ) -> AsyncGenerator[RunEvent]:
        """As `stream_run`, for async callers."""
        show = event_iterators.chosen(stream_events)

        async def opened() -> EventReader:
            runner = await arunner_for(self)
            return await runner.stream_run(self, run_id, after, user_id, show)

        return event_iterators.aevents(opened, self._typed)

    def cancel_run(self, run_id: str, *, user_id: str | None = None) -> RunOutput:
        """Cancel a run: it is stored when this returns, and nothing new begins after it.

        A tool call that is being executed and may not be repeated is let end, and what it did is
        kept.

        Raises:
            NotFound: there is no such run.
            NotAllowed: the run belongs to somebody else.
            RunEnded: the run has ended already.
        """
        runner = runner_for(self)
        return self._typed(runner.call(runner.cancel_run(self, run_id, user_id)))

    async def acancel_run(self, run_id: str, *, user_id: str | None = None) -> RunOutput:
        """As `cancel_run`, for async callers."""
        runner = await arunner_for(self)
        return self._typed(await runner.cancel_run(self, run_id, user_id))

    def get_run_output(self, run_id: str, *, user_id: str | None = None) -> RunOutput:
        """Read a run as it stands.

        Raises:
            NotFound: there is no such run.
            NotAllowed: the run belongs to somebody else.
        """
        runner = runner_for(self)
        return self._typed(runner.call(runner.get_run_output(self, run_id, user_id)))

    async def aget_run_output(self, run_id: str, *, user_id: str | None = None) -> RunOutput:
        """As `get_run_output`, for async callers."""
        runner = await arunner_for(self)
        return self._typed(await runner.get_run_output(self, run_id, user_id))

    async def _arun(self, request: RunRequest, *, background: bool) -> RunOutput:
        runner = await arunner_for(self)
        return self._typed(await runner.run(self, request, background=background))

    async def _acontinue(
        self, run_id: str, requirements: Sequence[Requirement], user_id: str | None
    ) -> RunOutput:
        runner = await arunner_for(self)
        return self._typed(await runner.continue_run(self, run_id, requirements, user_id))

    def _request(self, given: Input, **options: Unpack[RequestOptions]) -> RunRequest:
        images, files = options.pop("images", ()), options.pop("files", ())
        said = {name: value for name, value in options.items() if value is not None}
        came = media.given(images, files)
        told = {"component_id": self.id, "input": input_text(given), "media": came, **said}
        try:
            return RunRequest.model_validate(told)
        except ValidationError as error:
            message = f"The run was not accepted: {misfit(error)}"
            raise InvalidInput(message) from None

    def _typed(self, output: RunOutput) -> RunOutput:
        """Return the output with its content in the component's own type."""
        return output
