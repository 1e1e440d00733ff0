"""Workers and clients as processes of their own, which tests signal, kill and talk to."""

import json
import os
import signal
import urllib.error
import urllib.request
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from tests.support import forked
from tests.support.temporal_server import stop_servers_below
from tests.support.waiting import wait_until

ROOT = forked.ROOT
APP = "tests.support.apps:agents"
READY_SECONDS = 100.0

Json = dict[str, object]


class Process:
    """A process whose output is kept in a file."""

    def __init__(
        self, command: list[str], environment: Mapping[str, str], log: Path, *, talks: bool = False
    ) -> None:
        self.log = log
        self.stdin: BinaryIO | None = None
        self.stdout: BinaryIO | None = None
        with ExitStack() as theirs:
            written = theirs.enter_context(log.open("ab")).fileno()
            heard, said = theirs.enter_context(open(os.devnull, "rb")).fileno(), written  # noqa: PTH123  no path of ours
            if talks:
                heard, self.stdin = _pipe(theirs, into=True)
                said, self.stdout = _pipe(theirs, into=False)
            self.process = forked.fork(
                command,
                cwd=ROOT,
                env={**_inherited(), **environment},
                streams=(heard, said, written),
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def wait(self, timeout: float = 60.0) -> int:
        """Wait for the end and return the exit code."""
        return self.process.wait(timeout)

    def terminate(self) -> int:
        """Ask the process to end gracefully, and return its exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """End the process at once, with SIGKILL."""
        self.process.kill()
        self.process.wait(30)
        for stream in (self.stdin, self.stdout):
            if stream is not None:
                stream.close()

    def lines(self) -> list[Json]:
        """Return what it logged; every line has to be a JSON object."""
        *whole, _ = self.log.read_text().split("\n")
        return [cast("Json", json.loads(line)) for line in whole]

    def logged(self, event: str) -> list[Json]:
        """Return what it logged of one event."""
        return [line for line in self.lines() if line.get("event") == event]


class WorkerProcess(Process):
    """`python worker.py`, asked for its health on a port that was free."""

    def __init__(
        self, environment: Mapping[str, str], log: Path, *options: str, app: str = APP
    ) -> None:
        command = ["worker.py", "--app", app, "--health-port", "0", *options]
        super().__init__(command, environment, log)
        self._url = ""

    def get(self, path: str) -> tuple[int, Json]:
        """Ask for a page of its health; status 0 when nobody answers."""
        try:
            with urllib.request.urlopen(self.address + path, timeout=20) as answer:  # noqa: S310  our own
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)
        except OSError:
            return 0, {}

    def readiness(self) -> int:
        """Return the status of `/readyz`."""
        return self.get("/readyz")[0]

    def until_ready(self) -> None:
        """Wait until it can work."""
        wait_until(self._is_ready_or_ended, timeout=READY_SECONDS)
        assert self.process.poll() is None, "the worker ended before it was ready"

    def _is_ready_or_ended(self) -> bool:
        return self.process.poll() is not None or self.readiness() == 200

    @property
    def address(self) -> str:
        if not self._url:
            wait_until(
                lambda: self.process.poll() is not None or self.logged("health_listening"),
                timeout=READY_SECONDS,
            )
            ports = [line["port"] for line in self.logged("health_listening")]
            if not ports:
                raise ConnectionError
            self._url = f"http://127.0.0.1:{ports[-1]}"
        return self._url


class ClientProcess(Process):
    """A process that runs agents, and does what it is told one line at a time."""

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        super().__init__(["-m", "tests.support.client_process"], environment, log, talks=True)

    def ask(self, **order: object) -> Json:
        """Have it do something, and return the run's output, or `{"failed": …}`."""
        assert self.stdin is not None
        assert self.stdout is not None
        self.stdin.write(json.dumps(order).encode() + b"\n")
        self.stdin.flush()
        answer = self.stdout.readline()
        assert answer, "the client ended"
        assert answer.startswith(b"{"), answer
        return cast("Json", json.loads(answer))

    def run(self, agent: str, *, background: bool = False) -> Json:
        """Run an agent."""
        return self.ask(do="run", agent=agent, background=background)

    def output(self, run: Json) -> Json:
        """Read a run."""
        return self.ask(do="output", run_id=run["run_id"])

    def approve(self, run: Json) -> Json:
        """Approve whatever the run waits for, and wait for its next stop."""
        return self.ask(do="approve", run_id=run["run_id"])

    def decide(self, run: Json) -> Json:
        """Approve whatever the run waits for, and wait for nothing."""
        return self.ask(do="decide", run_id=run["run_id"])

    def read(self, agent: str, until: str) -> list[Json]:
        """Stream a run of an agent, or go on with it, until an event of this kind was read."""
        return cast("list[Json]", self.ask(do="read", agent=agent, until=until)["events"])

    def until(self, run: Json, status: str) -> Json:
        """Wait until the run has a status, and return its output."""
        wait_until(lambda: self.output(run)["status"] == status, timeout=READY_SECONDS)
        return self.output(run)


class Processes:
    """The processes of one test; what they logged is shown when it fails."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.environment = dict(environment)
        self._all: list[Process] = []

    def worker(self, *options: str, app: str = APP, **environment: str) -> WorkerProcess:
        """Start a worker, which may not be ready yet."""
        found = WorkerProcess(
            {**self.environment, **environment}, self._log("worker"), *options, app=app
        )
        self._all.append(found)
        return found

    def ready_worker(self, **environment: str) -> WorkerProcess:
        """Start a worker, and wait until it is ready."""
        found = self.worker(**environment)
        found.until_ready()
        return found

    def client(self, **environment: str) -> ClientProcess:
        """Start a client."""
        found = ClientProcess({**self.environment, **environment}, self._log("client"))
        self._all.append(found)
        return found

    def close(self) -> None:
        """Kill what still runs, and print what all of them logged.

        A server that they shared has lost its users by that, who would have stopped it.
        """
        for process in self._all:
            process.kill()
        stop_servers_below(self.folder)
        for process in self._all:
            print(f"--- {process.log.name}\n{process.log.read_text()}")  # noqa: T201  shown on failure

    def _log(self, kind: str) -> Path:
        return self.folder / f"{kind}-{len(self._all)}.log"


@contextmanager
def processes(folder: Path, environment: Mapping[str, str]) -> Generator[Processes]:
    """Have processes for as long as the block runs."""
    started = Processes(folder, environment)
    try:
        yield started
    finally:
        started.close()


def _pipe(theirs: ExitStack, *, into: bool) -> tuple[int, BinaryIO]:
    """Return the process's end of a pipe, which is closed here once it has it, and ours."""
    read, write = os.pipe()
    their, our = (read, write) if into else (write, read)
    theirs.callback(os.close, their)
    return their, os.fdopen(our, "wb" if into else "rb")


def _inherited() -> dict[str, str]:
    """Return this process's environment without settings that would reach the child by accident."""
    own = ("KERN_", "TEMPORAL_", "OPENAI_", "COV_", "PYTEST_")
    return {name: value for name, value in os.environ.items() if not name.startswith(own)}
