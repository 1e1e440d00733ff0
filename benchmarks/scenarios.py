"""The scenarios: each one runs what it compares in turn, and returns rows of the report."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from temporalio.client import Client

from benchmarks import engine, pipelines
from benchmarks.bare import Bare
from benchmarks.histories import history_of
from benchmarks.measure import Duration, Meter, Sample, Series, alternate, median, p95
from benchmarks.report import Row
from benchmarks.sessions import many_sessions, session_with
from benchmarks.statements import database_usage
from benchmarks.streaming import latencies
from kern.agent import Agent
from kern.client.processes.process_runtime import runtime_for
from kern.db.engine.store import Store

LATENCY_AIM = 1.15
CPU_AIM = 1.5
HISTORY_AIM_KB = 150
LONG_TURNS = 100
LONG_SESSION = 999
# How often scenarios that take seconds are repeated.
FEW = 5
SESSIONS, RUNS_IN_EACH, PAGE = 1000, 3, 100

Run = Callable[[], Awaitable[Duration]]


@dataclass(frozen=True)
class Bench:
    """The parts that all scenarios use."""

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
    history = await history_of(bench.temporal, output.run_id)
    name = f"a run of {output.metrics.model_calls} turns"
    return [
        Row(name, "tool calls", output.metrics.tool_calls),
        Row(name, "history events", history.events),
        Row(name, "history KB", history.size / 1000, aim=HISTORY_AIM_KB),
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
        # Each prompt is longer than the last, so there is no aim.
        *(
            replace(row, ratio_aim=None)
            for row in await _turns(bench, engine.REMEMBERING, "all history")
        ),
    ]


async def listing(bench: Bench) -> list[Row]:
    """Measure the listing of a user's 1,000 sessions, compared with 10."""
    many = await many_sessions(bench.db, engine.PLAIN, SESSIONS, RUNS_IN_EACH)
    few = await many_sessions(bench.db, engine.PLAIN, PAGE // 10, RUNS_IN_EACH)
    all_pages, single_page = list[float](), list[float]()
    count = 0
    for _ in range(bench.runs):
        for user_id, durations in ((many, all_pages), (few, single_page)):
            started_at = time.perf_counter()
            count = max(count, await engine.list_sessions(user_id, PAGE))
            durations.append(1000 * (time.perf_counter() - started_at))
    usage = await database_usage(bench.db.engine, lambda: engine.list_sessions(many, PAGE))
    name = f"{SESSIONS:,} sessions listed"
    return [
        Row(name, "pages", count),
        Row(name, "all pages p50, ms", median(all_pages)),
        Row(
            name,
            "a page, beside one of 10 sessions, ms",
            median(all_pages) / count,
            median(single_page),
        ),
        Row(name, "SQL statements", usage.statements),
    ]


async def deltas(bench: Bench) -> list[Row]:
    """Measure the latency of streamed text, from the model to its reader in one process."""
    await latencies()
    milliseconds = [1000 * value for _ in range(bench.runs) for value in await latencies()]
    return [
        Row("streamed text", "from model to reader p50, ms", median(milliseconds)),
        Row("streamed text", "from model to reader p95, ms", p95(milliseconds)),
    ]


async def pipeline(bench: Bench) -> list[Row]:
    """Measure steps in sequence, compared with a workflow of as many activities, and a loop."""
    count = min(bench.runs, FEW)
    steps = pipelines.STEPS
    ours, theirs = await alternate(
        bench.meter, count, pipelines.sequence, lambda: bench.bare.steps(steps), warm_up=1
    )
    kern, bare = (
        [steps / value for value in series.values(lambda sample: sample.duration.seconds)]
        for series in (ours, theirs)
    )
    history = await history_of(bench.temporal, ours.samples[-1].duration.workflow_id)
    bare_history = await history_of(bench.temporal, theirs.samples[-1].duration.workflow_id)
    usage = await database_usage(bench.db.engine, pipelines.sequence)
    iterations = await bench.meter.sample(pipelines.loop)
    name = f"{steps} steps, {count} runs of each"
    return [
        Row(name, "steps per second p50", median(kern), median(bare)),
        *_cpu(name, ours, theirs),
        Row(name, "history events", history.events, bare_history.events),
        Row(name, "history bytes", history.size, bare_history.size),
        Row(name, "SQL statements a step", usage.statements / steps),
        Row(
            f"a loop of {pipelines.ITERATIONS} iterations, once",
            "iterations per second",
            pipelines.ITERATIONS / iterations.duration.seconds,
        ),
    ]


async def parallel(bench: Bench) -> list[Row]:
    """Measure one `Parallel` over many items."""
    sample = await bench.meter.sample(pipelines.many)
    history = await history_of(bench.temporal, sample.duration.workflow_id)
    name = f"{pipelines.ITEMS:,} items, {pipelines.AT_ONCE} at once, once"
    return [
        Row(name, "seconds", sample.duration.seconds),
        Row(name, "items per second", pipelines.ITEMS / sample.duration.seconds),
        Row(name, "CPU of client and worker, s", sample.client_cpu),
        Row(name, "CPU of the server, s", sample.server_cpu),
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


async def _turns(bench: Bench, agent: Agent, context: str) -> list[Row]:
    hundredth = await session_with(bench.db, agent, LONG_SESSION // 10)
    thousandth = await session_with(bench.db, agent, LONG_SESSION)
    later, latest, first = await alternate(
        bench.meter,
        bench.runs,
        lambda: engine.talk(agent, hundredth),
        lambda: engine.talk(agent, thousandth),
        lambda: engine.talk(agent, None),
    )
    usage = await database_usage(bench.db.engine, lambda: engine.talk(agent, thousandth))
    earlier = await database_usage(bench.db.engine, lambda: engine.talk(agent, hundredth))
    name = f"turn 1,000, {context}"
    return [
        *_compared(f"turn 100, {context}", "beside turn 1", later, first),
        *_compared(name, "beside turn 1", latest, first),
        Row(name, "SQL statements, beside turn 100", usage.statements, earlier.statements),
    ]


async def _beside(bench: Bench, name: str, kern: Run, bare: Run) -> list[Row]:
    ours, theirs = await alternate(bench.meter, bench.runs, kern, bare)
    rows = _latency(name, "latency", ours, theirs, lambda duration: duration.seconds)
    if ours.samples[0].duration.to_end:
        rows += _latency(name, "decision to end", ours, theirs, lambda duration: duration.to_end)
    rows += _cpu(name, ours, theirs)
    kern_history = await history_of(bench.temporal, ours.samples[-1].duration.workflow_id)
    bare_history = await history_of(bench.temporal, theirs.samples[-1].duration.workflow_id)
    rows += [
        Row(name, "history events", kern_history.events, bare_history.events),
        Row(name, "history bytes", kern_history.size, bare_history.size),
    ]
    usage = await database_usage(bench.db.engine, kern)
    return [
        *rows,
        Row(name, "SQL transactions that write", usage.writes),
        Row(name, "SQL transactions that read", usage.reads),
        Row(name, "SQL statements", usage.statements),
    ]


def _latency(
    name: str, measure: str, ours: Series, theirs: Series, of: Callable[[Duration], float]
) -> list[Row]:
    kern = [1000 * value for value in ours.values(lambda sample: of(sample.duration))]
    bare = [1000 * value for value in theirs.values(lambda sample: of(sample.duration))]
    return [
        Row(name, f"{measure} p50, ms", median(kern), median(bare), LATENCY_AIM),
        Row(name, f"{measure} p95, ms", p95(kern), p95(bare), LATENCY_AIM),
    ]


def _cpu(name: str, ours: Series, theirs: Series) -> list[Row]:
    kern, bare = (
        [1000 * median(series.values(of)) for of in (_client_cpu, _server_cpu)]
        for series in (ours, theirs)
    )
    return [
        Row(name, "CPU of client and worker, ms", kern[0], bare[0], CPU_AIM),
        Row(name, "CPU of the server, ms", kern[1], bare[1], CPU_AIM),
    ]


def _compared(name: str, measure: str, ours: Series, theirs: Series) -> list[Row]:
    latency, _ = _latency(
        name, f"{measure}: latency", ours, theirs, lambda duration: duration.seconds
    )
    kern, bare = (1000 * median(series.values(_client_cpu)) for series in (ours, theirs))
    return [
        latency,
        Row(name, f"{measure}: CPU of client and worker, ms", kern, bare, LATENCY_AIM),
    ]


def _client_cpu(sample: Sample) -> float:
    return sample.client_cpu


def _server_cpu(sample: Sample) -> float:
    return sample.server_cpu
