"""Measures the desk: `python -m benchmarks.desk --database postgresql://… [--requirements N]`.

The database has to be an empty one on Postgres, and is filled. It prints the time to the first byte
of the inbox and of a decision's page, the time of a decision over HTTP beside that of the service
call alone, and for how long an entry of the feed is on its way to many readers.
"""

import argparse
import asyncio
import contextlib
import http.client
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlencode

import psycopg

from benchmarks.desk_readers import measure_readers
from benchmarks.desk_rows import copy_requirements
from kern.agent import Agent
from kern.client.processes.operator_runtime import OperatorRuntime
from kern.client.processes.process_runtime import close_runtime
from kern.client.server.embedded import EmbeddedServer
from kern.contracts.viewer import Viewer
from kern.models.scripted import Call, ScriptedModel
from kern.process.settings import read_settings
from kern.tools import Approval, tool
from kern.values.principals import Principal

_KERN = (sys.executable, "-m", "kern.client.cli.main")
_RULES = {
    "anybody": Approval(),
    "person": Approval(candidates=("dana", "ravi")),
    "group": Approval(candidates=("group:finance",)),
    "others": Approval(candidates=("mia",)),
}


def main() -> None:
    """Fill the database, serve it, measure, and print."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="kern-desk-") as home:
        os.environ["KERN_HOME"] = str(Path(home) / "kern")
        os.environ["KERN_DATABASE_URL"] = options.database
        if not options.filled:
            _fill(options)
        temporal = EmbeddedServer.join(Path(home) / "kern")
        tokens = [_token(name) for name in ("dana", *(f"person-{n}" for n in range(9)))]
        with _serving(options.port, Path(home) / "serve.log") as server:
            _measure(options, tokens, server)
        temporal.leave()
    sys.stdout.flush()
    # The SDK may abort an interpreter that ends in the ordinary way.
    os._exit(0)


def _fill(options: argparse.Namespace) -> None:
    _kern("migrate")
    run_ids, start = _ask(), time.monotonic()
    copies = options.requirements // len(run_ids)
    with psycopg.connect(options.database) as connection:
        copy_requirements(connection, run_ids, copies, options.pending)
    say(f"{copies * len(run_ids):,} requirements, in {time.monotonic() - start:.0f} s")


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


def _ask() -> list[str]:
    """Have a few runs ask, one for each rule."""
    run_ids: list[str] = []
    for name, rule in _RULES.items():

        @tool(
            requires_confirmation=True,
            approval=rule,
            title="Refund {amount} {currency} for order {order_id}",
            amount="amount",
            unit="currency",
            subject="order_id",
        )
        def refund(order_id: str, amount: float, currency: str) -> str:
            """Pay the customer back."""
            return f"refunded {amount} {currency} of {order_id}"

        script: list[Call | str] = [
            Call("refund", order_id="1042", amount=40.0, currency="EUR"),
            "Done.",
        ]
        agent = Agent(id=f"bench-{name}", model=ScriptedModel(script), tools=[refund])
        run_ids.append(str(agent.run("Refund order 1042").run_id))
    close_runtime()
    return run_ids


def _kern(*arguments: str) -> str:
    return subprocess.run([*_KERN, *arguments], check=True, capture_output=True, text=True).stdout


def _token(name: str) -> str:
    made = _kern(
        *("token", "create", name, "--role", "operator", "--group", "finance"),
        *("--tenant", "", "--json"),
    )
    return str(json.loads(made)["secret"])


@contextlib.contextmanager
def _serving(port: int, log: Path) -> Generator[subprocess.Popen[bytes]]:
    with log.open("wb") as file:
        server = subprocess.Popen([*_KERN, "serve", "--port", str(port)], stdout=file, stderr=file)
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                if _request(port, "GET", "/healthz")[0] == http.client.OK:
                    break
            time.sleep(0.2)
        else:
            raise RuntimeError(log.read_text())
        yield server
    finally:
        server.terminate()
        server.wait(30)


def _measure(
    options: argparse.Namespace, tokens: Sequence[str], server: subprocess.Popen[bytes]
) -> None:
    port: int = options.port
    cookie = _signed_in(port, tokens[0])
    headers = {"Cookie": cookie}
    first = _items(port, tokens[0], 25)
    for name, path in {
        "inbox": "/desk/inbox",
        "inbox, by risk": "/desk/inbox?sort=risk",
        "inbox, all": "/desk/inbox?for=all",
        "decided": "/desk/inbox?status=closed",
        "decision": f"/desk/requirements/{first[0]['id']}",
        "API, a page for me": "/v1/requirements?for=me&sort=due",
        "API, counts": "/v1/requirements/counts",
    }.items():
        sent = headers if path.startswith("/desk") else {"Authorization": f"Bearer {tokens[0]}"}
        _report(name, _samples(lambda: _first_byte(port, path, sent), options.samples))  # noqa: B023
    _measure_decisions(port, tokens)
    asyncio.run(measure_readers(port, tokens, options.readers, server.pid, say))


def _measure_decisions(port: int, tokens: Sequence[str]) -> None:
    """Decide over HTTP and by the service call alone, in turn."""
    over_http: list[float] = []
    alone: list[float] = []
    runtime = OperatorRuntime(read_settings())
    principal = Principal(issuer="bench", subject="eve", name="eve", groups=("finance",))
    viewer = Viewer(is_operator=True, principal=principal, tenant="")
    # Whoever is in the group may decide them, whatever their name.
    items = _items(port, tokens[1], 100)
    try:
        for number, item in enumerate(items):
            if number % 2:
                token = tokens[number // 2 % len(tokens)]
                over_http.append(_seconds(lambda: _decide(port, token, item)))  # noqa: B023
            else:
                call = runtime.call(lambda service: service.inbox.read(viewer, item["id"]))  # noqa: B023
                alone.append(
                    _seconds(
                        lambda: runtime.call(
                            lambda service: service.inbox.decide(viewer, call.approve())  # noqa: B023
                        )
                    )
                )
    finally:
        runtime.close()
    _report("decision, service call alone", alone)
    _report("decision over HTTP", over_http)
    ratio = statistics.median(over_http) / statistics.median(alone)
    say(f"{'decision over HTTP beside it, p50':36} {ratio:8.2f}")


def _decide(port: int, token: str, item: Mapping[str, str]) -> None:
    status, body, _ = _request(
        port,
        "POST",
        f"/v1/requirements/{item['id']}/decisions",
        {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        json.dumps({"verdict": "approve", "digest": item["digest"]}),
    )
    if status != http.client.CREATED:
        raise RuntimeError(body)


def _items(port: int, token: str, limit: int) -> list[dict[str, str]]:
    path = f"/v1/requirements?for=me&limit={limit}"
    _, body, _ = _request(port, "GET", path, {"Authorization": f"Bearer {token}"})
    return list(json.loads(body)["items"])


def _signed_in(port: int, token: str) -> str:
    """Sign in at the desk as a browser does; return the cookies."""
    _, page, first = _request(port, "GET", "/desk/signin")
    csrf = re.search(r'name="csrf" value="([0-9a-f]+)"', page)
    if csrf is None:
        raise RuntimeError(page)
    headers = {
        "Cookie": _cookies(first),
        "Content-Type": "application/x-www-form-urlencoded",
        "Sec-Fetch-Site": "same-origin",
    }
    form = urlencode({"csrf": csrf[1], "token": token})
    _, _, signed_in = _request(port, "POST", "/desk/signin/token", headers, form)
    return _cookies(signed_in)


def _cookies(answer: http.client.HTTPMessage) -> str:
    return "; ".join(value.partition(";")[0] for value in answer.get_all("Set-Cookie", []))


def _request(
    port: int,
    method: str,
    path: str,
    headers: Mapping[str, str] | None = None,
    body: str | None = None,
) -> tuple[int, str, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body, dict(headers or {}))
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), answer.headers
    finally:
        connection.close()


def _first_byte(port: int, path: str, headers: Mapping[str, str]) -> None:
    status, body, _ = _request(port, "GET", path, headers)
    if status != http.client.OK:
        raise RuntimeError(f"{status}: {body[:500]}")


def _samples(work: Callable[[], None], count: int) -> list[float]:
    work()
    return [_seconds(work) for _ in range(count)]


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _report(name: str, seconds: Sequence[float]) -> None:
    p50, p95 = statistics.median(seconds), statistics.quantiles(seconds, n=20)[18]
    say(f"{name:36} p50 {p50 * 1000:7.1f} ms   p95 {p95 * 1000:7.1f} ms   ({len(seconds)})")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.desk")
    parser.add_argument("--database", required=True, help="an empty database on Postgres")
    parser.add_argument("--requirements", type=int, default=1_000_000)
    parser.add_argument("--filled", action="store_true", help="an earlier run has filled it")
    parser.add_argument("--pending", type=float, default=0.5, help="the part that waits")
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--readers", type=int, default=1_000)
    parser.add_argument("--port", type=int, default=8497)
    return parser.parse_args()


if __name__ == "__main__":
    main()
