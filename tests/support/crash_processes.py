"""The tests' side of the zygote: processes that are started in milliseconds, awaited and killed."""

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Self

from tests.support.crash_spec import Born, Ended, Spec

_SETTINGS = ("KERN_", "TEMPORAL_", "OPENAI_")
ROOT = Path(__file__).resolve().parent.parent.parent


class Child:
    """A process that the zygote forked."""

    def __init__(self, spec: Spec) -> None:
        loop = asyncio.get_running_loop()
        self.spec = spec
        self.pid: asyncio.Future[int] = loop.create_future()
        self.code: asyncio.Future[int] = loop.create_future()

    async def ended(self) -> int:
        """Wait until it has ended; return its exit code, negative if a signal ended it."""
        return await asyncio.shield(self.code)

    async def kill(self) -> None:
        """End it as the kernel would, and wait until it is gone."""
        pid = await self.pid
        if not self.code.done():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await self.ended()

    @property
    def story(self) -> str:
        """What it wrote before it ended."""
        path = Path(self.spec.log)
        return path.read_text(errors="replace")[-3000:] if path.exists() else ""


class Zygote:
    """Forks processes on demand, from one that has imported everything."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._children: dict[int, Child] = {}
        self._last = 0
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def start(cls) -> Self:
        """Start the process that is forked."""
        command = (sys.executable, "-m", "tests.support.crash_zygote")
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(_SETTINGS)
        }
        return cls(
            await asyncio.create_subprocess_exec(
                *command, stdin=PIPE, stdout=PIPE, cwd=ROOT, env=environment
            )
        )

    def fork(self, spec: Spec) -> Child:
        """Start a process."""
        self._last += 1
        child = self._children[self._last] = Child(spec.model_copy(update={"id": self._last}))
        assert self._process.stdin is not None
        self._process.stdin.write(f"{child.spec.model_dump_json()}\n".encode())
        return child

    async def close(self) -> None:
        """End the zygote and with it whatever it forked."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()
        await self._listening

    async def _listen(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            if b'"pid"' in line:
                born = Born.model_validate_json(line)
                self._children[born.id].pid.set_result(born.pid)
            else:
                ended = Ended.model_validate_json(line)
                self._children.pop(ended.id).code.set_result(ended.code)
