"""Samples of latency and CPU time, and their medians and 95th percentiles."""

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

# Work that a run leaves for after its answer (confirmations, evictions) counts as its own.
_AFTERMATH_SECONDS = 0.06


@dataclass(frozen=True)
class Duration:
    """The duration of one run, in seconds: to its first stop, and from a decision to its end."""

    workflow_id: str
    to_stop: float
    to_end: float = 0.0

    @property
    def seconds(self) -> float:
        """The total time that a caller waited."""
        return self.to_stop + self.to_end


@dataclass(frozen=True)
class Sample:
    """A run's duration, and the CPU seconds it used in this process and in the server."""

    duration: Duration
    client_cpu: float
    server_cpu: float


@dataclass
class Series:
    """The samples of one kind of run."""

    samples: list[Sample] = field(default_factory=list)

    def values(self, of: Callable[[Sample], float]) -> list[float]:
        """Return one figure for each sample."""
        return [of(sample) for sample in self.samples]


class Meter:
    """Measures runs one at a time."""

    def __init__(self, server_pid: int) -> None:
        self._server_pid = server_pid

    async def sample(self, run: Callable[[], Awaitable[Duration]]) -> Sample:
        """Run once, and measure the CPU time until a moment after its end."""
        client, server = time.process_time(), server_cpu(self._server_pid)
        duration = await run()
        await asyncio.sleep(_AFTERMATH_SECONDS)
        return Sample(duration, time.process_time() - client, server_cpu(self._server_pid) - server)


def server_cpu(pid: int) -> float:
    """Return the CPU seconds of another process; NaN where the system cannot tell."""
    if sys.platform != "linux":
        return float("nan")
    # The clock of a process, as Linux numbers it: clock_getcpuclockid(3), which Python lacks.
    return time.clock_gettime((~pid << 3) | 2)


async def alternate(
    meter: Meter, count: int, *runs: Callable[[], Awaitable[Duration]], warm_up: int = 3
) -> list[Series]:
    """Run each in turn, `count` times, so that noise of the machine affects all alike.

    The order is reversed every time, so that no run always follows the same one.
    """
    for run in runs:
        for _ in range(warm_up):
            await run()
    series = [Series() for _ in runs]
    order = list(zip(series, runs, strict=True))
    for _ in range(count):
        for target, run in order:
            target.samples.append(await meter.sample(run))
        order.reverse()
    return series


def median(values: list[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def p95(values: list[float]) -> float:
    """Return the 95th percentile: the smallest value that 95 in 100 do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * 95 // 100) - 1)]
