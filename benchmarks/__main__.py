"""The command: `python -m benchmarks [--runs N] [--only NAME] [--json]`."""

import argparse
import asyncio
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.bare import bare_temporal
from benchmarks.engine import start_runtime
from benchmarks.measure import Meter
from benchmarks.report import Report, Row
from benchmarks.scenarios import SCENARIOS, Bench
from kern.client.processes.process_runtime import close_runtime
from kern.client.processes.runtime import Runtime

_CONFIGURED_ELSEWHERE = (
    "TEMPORAL_ADDRESS",
    "TEMPORAL_PROFILE",
    "TEMPORAL_CONFIG_FILE",
    "KERN_DATABASE_URL",
)


def main() -> None:
    """Measure in a temporary folder, print the report, and exit."""
    options = _options()
    # A cluster or database that the shell configures is neither measured nor filled.
    for name in _CONFIGURED_ELSEWHERE:
        os.environ.pop(name, None)
    with tempfile.TemporaryDirectory(prefix="kern-bench-") as home:
        os.environ["KERN_HOME"] = str(Path(home) / "kern")
        runtime = start_runtime()
        try:
            rows = asyncio.run(_measure(runtime, options.only or list(SCENARIOS), options.runs))
        finally:
            close_runtime()
    machine = f"{os.cpu_count()} CPUs, {platform.system()}, Python {platform.python_version()}"
    report = Report(rows, options.runs, machine)
    (report.print_json if options.json else report.print_table)()
    sys.stdout.flush()
    # The SDK may abort an interpreter that ends in the ordinary way.
    os._exit(0)


async def _measure(runtime: Runtime, names: Sequence[str], runs: int) -> list[Row]:
    services = runtime.services
    if services.server is None:
        message = "The embedded runtime has no server of its own."
        raise RuntimeError(message)
    rows: list[Row] = []
    async with bare_temporal(services.server.address) as bare:
        bench = Bench(services.db, services.temporal, bare, Meter(services.server.pid), runs)
        for name in names:
            rows += await SCENARIOS[name](bench)
    return rows


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--runs", type=int, default=50, help="how many of each (default: 50)")
    parser.add_argument("--only", action="append", choices=SCENARIOS, help="only this; repeatable")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser.parse_args()


if __name__ == "__main__":
    main()
