"""What is measured: each scenario runs what it compares in turn and returns its rows."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from temporalio.client import Client

from benchmarks import engine, pipelines
from benchmarks.bare import Bare
from benchmarks.histories import history_of
from benchmarks.measure import Meter, Sample, Series, Took, alternate, median, p95
from benchmarks.report import Row
from benchmarks.sessions import many_sessions, session_with
from benchmarks.statements import asked_by
from benchmarks.streaming import latencies
from kern.agent import Agent
from kern.client.processes.process_runtime import runtime_for
from kern.db.engine.store import Store

LATENCY_AIM = 1.15
CPU_AIM = 1.5
HISTORY_AIM_KB = 150
LONG_TURNS = 100
LONG_SESSION = 999
# How often what takes seconds is measured.
FEW = 5
SESSIONS, RUNS_IN_EACH, PAGE = 1000, 3, 100

Run = Callable[[], Awaitable[Took]]


@dataclass(frozen=True)
class Bench:
    """What every scenario works with."""

    db: Store
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
    """Measure turns 100 and 1,000 of a session beside turn 1: with a window of 3, and with all."""
    windowed = await _turns(bench, engine.TALKING, "a window of 3 runs")
    fourth = await session_with(bench.db, engine.TALKING, engine.TALKING.num_history_runs)
    long = await session_with(bench.db, engine.TALKING, LONG_SESSION)
    late, early = await alternate(
        bench.meter,
        bench.runs,
        lambda: engine.talk(engine.TALKING, long),
        lambda: engine.talk(engine.TALKING, fourth),
    )
    return [
        *windowed,
        *_compared("turn 1,000, a window of 3 runs", "beside turn 4", late, early),
        # More is shown each time, so nothing is aimed at.
        *(
            replace(row, ratio_aim=None)
            for row in await _turns(bench, engine.REMEMBERING, "all history")
        ),
    ]


async def listing(bench: Bench) -> list[Row]:
    """Measure the pages in which a user's 1,000 sessions are listed, beside those of 10."""
    many = await many_sessions(bench.db, engine.PLAIN, SESSIONS, RUNS_IN_EACH)
    few = await many_sessions(bench.db, engine.PLAIN, PAGE // 10, RUNS_IN_EACH)
    pages, one = [list[float](), list[float]()]
    count = 0
    for _ in range(bench.runs):
        for user_id, took in ((many, pages), (few, one)):
            began = time.perf_counter()
            count = max(count, await engine.list_sessions(user_id, PAGE))
            took.append(1000 * (time.perf_counter() - began))
    asked = await asked_by(bench.db.engine, lambda: engine.list_sessions(many, PAGE))
    name = f"{SESSIONS:,} sessions listed"
    return [
        Row(name, "pages", count),
        Row(name, "all pages p50, ms", median(pages)),
        Row(
            name,
            "a page, beside one of 10 sessions, ms",
            median(pages) / count,
            median(one),
        ),
        Row(name, "SQL statements", asked.statements),
    ]


async def deltas(bench: Bench) -> list[Row]:
    """Measure how long text takes from the model to its reader, in one process."""
    await latencies()
    took = [1000 * value for _ in range(bench.runs) for value in await latencies()]
    return [
        Row("streamed text", "from model to reader p50, ms", median(took)),
        Row("streamed text", "from model to reader p95, ms", p95(took)),
    ]


async def pipeline(bench: Bench) -> list[Row]:
    """Measure steps one after another beside a workflow of as many activities, and a loop."""
    count = min(bench.runs, FEW)
    steps = pipelines.STEPS
    ours, theirs = await alternate(
        bench.meter, count, pipelines.sequence, lambda: bench.bare.steps(steps), warm_up=1
    )
    mine, other = (
        [steps / took for took in series.values(lambda sample: sample.took.seconds)]
        for series in (ours, theirs)
    )
    history = await history_of(bench.temporal, ours.samples[-1].took.workflow_id)
    beside = await history_of(bench.temporal, theirs.samples[-1].took.workflow_id)
    asked = await asked_by(bench.db.engine, pipelines.sequence)
    repeated = await bench.meter.sample(pipelines.loop)
    name = f"{steps} steps, {count} runs of each"
    return [
        Row(name, "steps per second p50", median(mine), median(other)),
        *_cpu(name, ours, theirs),
        Row(name, "history events", history.events, beside.events),
        Row(name, "history bytes", history.size, beside.size),
        Row(name, "SQL statements a step", asked.statements / steps),
        Row(
            f"a loop of {pipelines.ITERATIONS} iterations, once",
            "iterations per second",
            pipelines.ITERATIONS / repeated.took.seconds,
        ),
    ]


async def parallel(bench: Bench) -> list[Row]:
    """Measure one `Parallel` over many items."""
    found = await bench.meter.sample(pipelines.many)
    history = await history_of(bench.temporal, found.took.workflow_id)
    name = f"{pipelines.ITEMS:,} items, {pipelines.AT_ONCE} at once, once"
    return [
        Row(name, "seconds", found.took.seconds),
        Row(name, "items per second", pipelines.ITEMS / found.took.seconds),
        Row(name, "CPU of client and worker, s", found.client_cpu),
        Row(name, "CPU of the server, s", found.server_cpu),
        Row(name, "history events", history.events),
        Row(name, "history KB", history.size / 1000),
    ]


SCENARIOS = {
    "plain": plain,
    "gated": gated,
    "history": history,
    "session": session,
    "listing": listing,
    "deltas": deltas,
    "pipeline": pipeline,
    "parallel": parallel,
}


async def _turns(bench: Bench, agent: Agent, shown: str) -> list[Row]:
    hundredth = await session_with(bench.db, agent, LONG_SESSION // 10)
    thousandth = await session_with(bench.db, agent, LONG_SESSION)
    later, latest, first = await alternate(
        bench.meter,
        bench.runs,
        lambda: engine.talk(agent, hundredth),
        lambda: engine.talk(agent, thousandth),
        lambda: engine.talk(agent, None),
    )
    asked = await asked_by(bench.db.engine, lambda: engine.talk(agent, thousandth))
    beside = await asked_by(bench.db.engine, lambda: engine.talk(agent, hundredth))
    name = f"turn 1,000, {shown}"
    return [
        *_compared(f"turn 100, {shown}", "beside turn 1", later, first),
        *_compared(name, "beside turn 1", latest, first),
        Row(name, "SQL statements, beside turn 100", asked.statements, beside.statements),
    ]


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
