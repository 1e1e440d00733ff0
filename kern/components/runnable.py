"""Components that can be run, with all that callers do with their runs and sessions."""

from collections.abc import (
    AsyncGenerator,
    Coroutine,
    Generator,
    Mapping,
    Sequence,
)
from typing import Any, Literal, Unpack, overload

from pydantic import JsonValue, ValidationError

from kern import media
from kern.components import event_iterators
from kern.components.operations import EventReader, Show
from kern.components.run_methods import RunMethods
from kern.components.run_options import RequestOptions, RunOptions, StreamOptions
from kern.components.runner import Work, runner_for
from kern.components.session_methods import SessionMethods
from kern.contracts.requests import Input, RunRequest, input_text
from kern.contracts.viewer import Viewer
from kern.errors import InvalidInput
from kern.events import RunEvent
from kern.media import File, Image
from kern.process.tenants import present_tenant
from kern.run import RunOutput
from kern.values.validation import misfit


class Runnable(RunMethods, SessionMethods):
    """A component whose runs are durable and wait for people.

    Every method has an async twin whose name begins with `a`.
    """

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
            on_busy: What becomes of it while another run of the session is active: it waits for
                its turn (`queue`), runs beside it (`parallel`), or is refused (`reject`). Nobody
                waits behind a paused run.
            dependencies: Passed on to tools as JSON.
            metadata: Kept with the run as JSON.

        Raises:
            NotAllowed: the session belongs to somebody else.
            InvalidInput: a value cannot be stored, a file cannot be read, or the session is another
                component's.
            Conflict: `run_id` is taken by a run with another input, other files, state or metadata,
                or an id is taken in another tenant.
            SessionBusy: another run of the session is active, and `on_busy` is `reject`.
        """
        show = event_iterators.selection(
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
        if show is not None:
            runner = runner_for(self)
            reader = runner.call(self._streaming(request, show))
            return event_iterators.events(runner, reader, self._cast_output)
        return self._cast_output(self._do(self._running(request, background=background)))

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
        show = event_iterators.selection(
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
            return self._acast_output(self._running(request, background=background))
        return event_iterators.aevents(self, self._streaming(request, show), self._cast_output)

    def _running(self, request: RunRequest, *, background: bool) -> Work[RunOutput]:
        viewer = Viewer(request.user_id, tenant=present_tenant())
        return lambda service: service.interaction.run(viewer, self, request, background=background)

    def _streaming(self, request: RunRequest, show: Show) -> Work[EventReader]:
        viewer = Viewer(request.user_id, tenant=present_tenant())
        return lambda service: service.interaction.stream(viewer, self, request, show)

    def _request(self, text: Input, **options: Unpack[RequestOptions]) -> RunRequest:
        images, files = options.pop("images", ()), options.pop("files", ())
        values = {
            **{name: value for name, value in options.items() if value is not None},
            "component_id": self.id,
            "input": input_text(text),
            "media": media.collect(images, files),
        }
        try:
            return RunRequest.model_validate(values)
        except ValidationError as error:
            message = f"The run was not accepted: {misfit(error)}"
            raise InvalidInput(message) from None
