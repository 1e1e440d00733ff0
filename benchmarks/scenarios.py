"""What is measured: each scenario runs what it compares in turn and returns its rows."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from temporalio.client import Client

from benchmarks import engine
from benchmarks.bare import Bare
from benchmarks.histories import history_of
from benchmarks.measure import Meter, Sample, Series, Took, alternate, median, p95
from benchmarks.report import Row
from benchmarks.sessions import session_with
from benchmarks.statements import asked_by
from benchmarks.streaming import latencies
from kern.client.runtime import runtime_for
from kern.db import Database

LATENCY_AIM = 1.15
CPU_AIM = 1.5
HISTORY_AIM_KB = 150
LONG_TURNS = 100
LONG_SESSION = 999

Run = Callable[[], Awaitable[Took]]


@dataclass(frozen=True)
class Bench:
    """What every scenario works with."""

    db: Database
    temporal: Client
    bare: Bare
    meter: Meter
    runs: int


async def plain(bench: Bench) -> list[Row]:
    """Measure a run of one turn beside a workflow of one activity."""
    return await _beside(bench, "plain run", engine.plain, bench.bare.plain)


async def gated(bench: Bench) -> list[Row]:
    """Measure a run with one approval beside three activities and a signal."""
    return await _beside(bench, "approval-gated run", engine.gated, bench.bare.gated)


async def history(bench: Bench) -> list[Row]:
    """Measure the history of one long run."""
    agent = engine.long_agent(LONG_TURNS)
    runtime_for(agent)
    output = await agent.arun("Look everything up")
    found = await history_of(bench.temporal, output.run_id)
    name = f"a run of {output.metrics.model_calls} turns"
    return [
        Row(name, "tool calls", output.metrics.tool_calls),
        Row(name, "history events", found.events),
        Row(name, "history KB", found.size / 1000, aim=HISTORY_AIM_KB),
    ]


async def session(bench: Bench) -> list[Row]:
    """Measure turn 1,000 of a session beside turn 1, and beside one that sees as much history."""
    short = await session_with(bench.db, engine.TALKING.num_history_runs)
    long = await session_with(bench.db, LONG_SESSION)
    thousandth, first, fourth = await alternate(
        bench.meter,
        bench.runs,
        lambda: engine.talk(long),
        lambda: engine.talk(None),
        lambda: engine.talk(short),
    )
    name = "turn 1,000 of a session"
    return [
        *_compared(name, "beside turn 1", thousandth, first),
        *_compared(name, "beside turn 4", thousandth, fourth),
    ]


async def deltas(bench: Bench) -> list[Row]:
    """Measure how long text takes from the model to its reader, in one process."""
    await latencies()
    took = [1000 * value for _ in range(bench.runs) for value in await latencies()]
    return [
        Row("streamed text", "from model to reader p50, ms", median(took)),
        Row("streamed text", "from model to reader p95, ms", p95(took)),
    ]


SCENARIOS = {
    "plain": plain,
    "gated": gated,
    "history": history,
    "session": session,
    "deltas": deltas,
}


async def _beside(bench: Bench, name: str, kern: Run, bare: Run) -> list[Row]:
    ours, theirs = await alternate(bench.meter, bench.runs, kern, bare)
    rows = _latency(name, "latency", ours, theirs, lambda took: took.seconds)
    if ours.samples[0].took.to_end:
        rows += _latency(name, "decision to end", ours, theirs, lambda took: took.to_end)
    rows += _cpu(name, ours, theirs)
    mine = await history_of(bench.temporal, ours.samples[-1].took.workflow_id)
    other = await history_of(bench.temporal, theirs.samples[-1].took.workflow_id)
    rows += [
        Row(name, "history events", mine.events, other.events),
        Row(name, "history bytes", mine.size, other.size),
    ]
    asked = await asked_by(bench.db.engine, kern)
    return [
        *rows,
        Row(name, "SQL transactions that write", asked.writes),
        Row(name, "SQL transactions that read", asked.reads),
        Row(name, "SQL statements", asked.statements),
    ]


def _latency(
    name: str, measure: str, ours: Series, theirs: Series, of: Callable[[Took], float]
) -> list[Row]:
    mine = [1000 * value for value in ours.values(lambda sample: of(sample.took))]
    other = [1000 * value for value in theirs.values(lambda sample: of(sample.took))]
    return [
        Row(name, f"{measure} p50, ms", median(mine), median(other), LATENCY_AIM),
        Row(name, f"{measure} p95, ms", p95(mine), p95(other), LATENCY_AIM),
    ]


def _cpu(name: str, ours: Series, theirs: Series) -> list[Row]:
    mine, other = (
        [1000 * median(series.values(of)) for of in (_client_cpu, _server_cpu)]
        for series in (ours, theirs)
    )
    return [
        Row(name, "CPU of client and worker, ms", mine[0], other[0], CPU_AIM),
        Row(name, "CPU of the server, ms", mine[1], other[1], CPU_AIM),
    ]


def _compared(name: str, measure: str, ours: Series, theirs: Series) -> list[Row]:
    latency, _ = _latency(name, f"{measure}: latency", ours, theirs, lambda took: took.seconds)
    mine, other = (1000 * median(series.values(_client_cpu)) for series in (ours, theirs))
    return [
        latency,
        Row(name, f"{measure}: CPU of client and worker, ms", mine, other, LATENCY_AIM),
    ]


def _client_cpu(sample: Sample) -> float:
    return sample.client_cpu


def _server_cpu(sample: Sample) -> float:
    return sample.server_cpu
