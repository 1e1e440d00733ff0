"""The earlier runs that Kern's own tools may read: those that the run's owner may read."""

from dataclasses import dataclass, field
from typing import Protocol

from pydantic import AwareDatetime, BaseModel, ConfigDict

from kern.tools.run_context import RunContext
from kern.values.states import RunStatus


class PastRun(BaseModel):
    """An earlier run as a model sees it; long texts are cut.

    Attributes:
        number: Its number in its session.
    """

    model_config = ConfigDict(frozen=True)

    session_id: str
    session_name: str | None = None
    number: int
    at: AwareDatetime
    status: RunStatus
    user: str
    assistant: str | None = None


class Past(Protocol):
    """Reads the runs before one run, of its session and of its owner's other sessions."""

    def chat_history(self, runs: int, before: int | None) -> list[PastRun]:
        """Return the session's runs that come before this one, or before a number, in order."""
        ...

    def search(self, words: str, limit: int) -> list[PastRun]:
        """Return the owner's completed runs that hold all of the words, the newest first."""
        ...


class _NoPast:
    """The past of a context outside a run, as in a test of a tool."""

    def chat_history(self, runs: int, before: int | None) -> list[PastRun]:
        """Return nothing."""
        del runs, before
        return []

    def search(self, words: str, limit: int) -> list[PastRun]:
        """Return nothing."""
        del words, limit
        return []


@dataclass
class PastContext(RunContext):
    """The context of a call with the past, for Kern's own tools."""

    past: Past = field(default_factory=_NoPast, repr=False)
