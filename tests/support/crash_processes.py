"""The processes that die: forked in milliseconds, awaited and killed."""

import asyncio
import os
from pathlib import Path

from tests.support import forked
from tests.support.crash_spec import Spec

_SETTINGS = ("KERN_", "TEMPORAL_", "OPENAI_")
_POLL_SECONDS = 0.02


class Child:
    """A process of a case.

    Args:
        spec: What it is to be.
        environment: All of its environment.
    """

    def __init__(self, spec: Spec, environment: dict[str, str]) -> None:
        self.spec = spec
        command = ["-m", "tests.support.crash_roles", spec.model_dump_json()]
        with Path(spec.log).open("ab") as log, open(os.devnull, "rb") as nothing:  # noqa: PTH123  no path of ours
            written = log.fileno()
            streams = (nothing.fileno(), written, written)
            self._process = forked.fork(command, cwd=forked.ROOT, env=environment, streams=streams)

    async def ended(self) -> int:
        """Wait until it has ended; return its exit code, negative if a signal ended it."""
        while (code := self._process.poll()) is None:  # noqa: ASYNC110  the kernel sets no event
            await asyncio.sleep(_POLL_SECONDS)
        return code

    async def kill(self) -> None:
        """End it as the kernel would, and wait until it is gone."""
        self._process.kill()
        await self.ended()

    @property
    def story(self) -> str:
        """What it wrote before it ended."""
        path = Path(self.spec.log)
        return path.read_text(errors="replace")[-3000:] if path.exists() else ""


def environment() -> dict[str, str]:
    """Return this process's environment without settings: those of a child are in its `Spec`."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_SETTINGS)}
