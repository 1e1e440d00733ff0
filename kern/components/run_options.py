"""What a run may be asked for with, as the types of keyword arguments."""

from collections.abc import Mapping, Sequence
from typing import Literal, TypedDict

from pydantic import JsonValue

from kern.media import File, Image


class RequestOptions(TypedDict, total=False):
    """What a run is asked for with, beside its input; `run` says what each means."""

    images: Sequence[Image] | None
    files: Sequence[File] | None
    session_id: str | None
    user_id: str | None
    session_state: Mapping[str, JsonValue] | None
    run_id: str | None
    on_busy: Literal["queue", "parallel", "reject"]
    dependencies: Mapping[str, JsonValue] | None
    metadata: Mapping[str, JsonValue] | None


class RunOptions(RequestOptions, total=False):
    """As `RequestOptions`, and how the caller waits."""

    background: bool


class StreamOptions(RunOptions, total=False):
    """As `RunOptions`, and what a stream shows."""

    stream_events: bool
