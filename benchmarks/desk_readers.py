"""Many readers of the feed: for how long an entry is on its way to all of them."""

import asyncio
import json
import os
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

_ENTRIES = 20
_PATIENCE = 30
_TICKS = os.sysconf("SC_CLK_TCK")


class _Reader:
    """A connection to the feed, and when it has read each entry."""

    def __init__(self) -> None:
        self.at: dict[str, float] = {}

    async def read(self, port: int, token: str, is_open: asyncio.Event) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = (
            f"GET /v1/feed?kinds=resolved HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
            f"Authorization: Bearer {token}\r\nAccept: text/event-stream\r\n\r\n"
        )
        writer.write(head.encode())
        try:
            while line := await reader.readline():
                is_open.set()
                if line.startswith(b"data:") and b'"requirement"' in line:
                    fact = json.loads(line[5:])
                    self.at.setdefault(fact["requirement"], time.perf_counter())
        finally:
            writer.close()


async def measure_readers(
    port: int, tokens: Sequence[str], count: int, server: int, say: Callable[[str], None]
) -> None:
    """Open `count` streams of the feed, decide some, and say when everybody knew."""
    readers = [_Reader() for _ in range(count)]
    opened = [asyncio.Event() for _ in range(count)]
    tasks = [
        asyncio.create_task(reader.read(port, tokens[number % len(tokens)], opened[number]))
        for number, reader in enumerate(readers)
    ]
    start = time.perf_counter()
    await asyncio.gather(*(event.wait() for event in opened))
    say(f"{count:,} readers of the feed, opened in {time.perf_counter() - start:.1f} s")
    items = await _items(port, tokens[1])
    idle = await _cpu_during(server, asyncio.sleep(10))
    say(f"{'server while nothing happens':36} {idle / 10:8.1%} of a CPU")
    delays: list[float] = []
    cpu_start, wall_start = _cpu(server), time.perf_counter()
    for number, item in enumerate(items[:_ENTRIES]):
        decided_at = time.perf_counter()
        await _decide(port, tokens[number % len(tokens)], item)
        while not all(item["id"] in reader.at for reader in readers):
            if time.perf_counter() - decided_at > _PATIENCE:
                reached = sum(item["id"] in reader.at for reader in readers)
                say(f"after {_PATIENCE} s, {reached:,} of {count:,} readers have the entry")
                return
            await asyncio.sleep(0.005)
        delays.append(max(reader.at[item["id"]] for reader in readers) - decided_at)
    spent = _cpu(server) - cpu_start
    p50, most = statistics.median(delays) * 1000, max(delays) * 1000
    name = "from a decision to the last reader"
    say(f"{name:36} p50 {p50:7.1f} ms   max {most:7.1f} ms   ({len(delays)})")
    say(
        f"{'server, an entry to all readers':36} {spent / len(delays) * 1000:8.1f} ms of CPU, "
        f"{spent / (time.perf_counter() - wall_start):.0%} of one"
    )
    for task in tasks:
        task.cancel()


async def _cpu_during(pid: int, work: "asyncio.Future[None] | object") -> float:
    start = _cpu(pid)
    await work  # type: ignore[misc]
    return _cpu(pid) - start


def _cpu(pid: int) -> float:
    """Return the CPU seconds of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


async def _items(port: int, token: str) -> list[dict[str, str]]:
    body = await _request(port, token, "GET", "/v1/requirements?for=me&limit=100")
    return list(json.loads(body)["items"])


async def _decide(port: int, token: str, item: dict[str, str]) -> None:
    body = json.dumps({"verdict": "approve", "digest": item["digest"]})
    await _request(port, token, "POST", f"/v1/requirements/{item['id']}/decisions", body)


async def _request(port: int, token: str, method: str, path: str, body: str = "") -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n"
    )
    writer.write(head.encode() + body.encode())
    answer = (await reader.read()).decode()
    writer.close()
    if " 20" not in answer.partition("\r\n")[0]:
        raise RuntimeError(answer)
    return answer.partition("\r\n\r\n")[2]
