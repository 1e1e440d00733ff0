"""Clocks, samples and what is said of them: medians, 95th percentiles and ratios of medians."""

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

# What a run leaves to be done after its answer (notes, evictions) is counted as its own.
_AFTERMATH_SECONDS = 0.06


@dataclass(frozen=True)
class Took:
    """One run: its workflow's id, the seconds to its first stop, and from a decision to its end."""

    workflow_id: str
    to_stop: float
    to_end: float = 0.0

    @property
    def seconds(self) -> float:
        """The time that a caller waited in all."""
        return self.to_stop + self.to_end


@dataclass(frozen=True)
class Sample:
    """A run with the CPU seconds it took: this process's, and the server's if the system tells."""

    took: Took
    client_cpu: float
    server_cpu: float


@dataclass
class Series:
    """The samples of one kind of run."""

    samples: list[Sample] = field(default_factory=list)

    def values(self, of: Callable[[Sample], float]) -> list[float]:
        """Return one figure of every sample."""
        return [of(sample) for sample in self.samples]


class Meter:
    """Measures runs one at a time."""

    def __init__(self, server_pid: int) -> None:
        self._server_pid = server_pid

    async def sample(self, run: Callable[[], Awaitable[Took]]) -> Sample:
        """Run once, and count the CPU until a moment after its end."""
        client, server = time.process_time(), server_cpu(self._server_pid)
        took = await run()
        await asyncio.sleep(_AFTERMATH_SECONDS)
        return Sample(took, time.process_time() - client, server_cpu(self._server_pid) - server)


def server_cpu(pid: int) -> float:
    """Return the CPU seconds of another process; not a number where the system does not tell."""
    if sys.platform != "linux":
        return float("nan")
    # The clock of a process, as Linux numbers it: clock_getcpuclockid(3), which Python lacks.
    return time.clock_gettime((~pid << 3) | 2)


async def alternate(
    meter: Meter, count: int, *runs: Callable[[], Awaitable[Took]], warm_up: int = 3
) -> list[Series]:
    """Run each in turn, `count` times, so that the machine's moods fall on all alike.

    The order is turned round every time, so that none always follows the same one.
    """
    for run in runs:
        for _ in range(warm_up):
            await run()
    series = [Series() for _ in runs]
    order = list(zip(series, runs, strict=True))
    for _ in range(count):
        for kept, run in order:
            kept.samples.append(await meter.sample(run))
        order.reverse()
    return series


def median(values: list[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def p95(values: list[float]) -> float:
    """Return the 95th percentile: the smallest value that 95 in 100 do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * 95 // 100) - 1)]
