#!/usr/bin/env bash
# One would guess: a program that runs `Server.serve()` in a task beside its own work, and awaits the
# task in a `try`, learns there that the application could not start, by an exception or by
# `Server.started`, and goes on without the server.
#
# What happens: `serve` raises `SystemExit(3)` in the task. asyncio lets that out of the event loop at
# once, past whoever awaits the task: `except SystemExit` and `except Exception` around the `await`
# never see it. The awaiting task is cancelled as the loop is torn down, and the program ends with 3,
# although nothing in it ever called `exit`. Awaited without a task, the same call can be caught.
#
# What to do instead: wrap `serve` in a coroutine that turns `SystemExit` into an error of your own,
# and make the task of that coroutine.
#
# Versions: uvicorn 0.54.0, Python 3.11.7.
# Source: `Server.startup` of uvicorn; `Task.__step` of asyncio, which raises `SystemExit` again.
# Date: 2026-11-30.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check uvicorn==0.54.0
cat > "$folder/finding.py" <<'PYTHON'
import asyncio
import sys

import uvicorn


async def application(scope, receive, send):
    """An application of which the database is away."""
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no database"})


def server():
    config = uvicorn.Config(application, port=0, lifespan="on", log_level="critical")
    return uvicorn.Server(config)


async def watch(serving):
    try:
        await serving
    except SystemExit:
        print("seen where it is awaited: SystemExit")
    except Exception as error:
        print("seen where it is awaited:", type(error).__name__)
    except asyncio.CancelledError:
        print("seen where it is awaited: nothing but a cancellation")
        raise
    print("the program goes on")


async def main():
    print("awaited without a task:")
    await watch(server().serve())
    print("awaited in a task:")
    await watch(asyncio.create_task(server().serve()))


try:
    asyncio.run(main())
finally:
    print("left the event loop with:", repr(sys.exc_info()[1]))
PYTHON
"$folder/venv/bin/python" "$folder/finding.py" > "$folder/output" || echo "exit status: $?" >> "$folder/output"
cat "$folder/output"
diff - "$folder/output" <<'OUTPUT'
awaited without a task:
seen where it is awaited: SystemExit
the program goes on
awaited in a task:
seen where it is awaited: nothing but a cancellation
left the event loop with: SystemExit(3)
exit status: 3
OUTPUT
