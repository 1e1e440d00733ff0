"""Does by hand what the image and docker-compose.yml do: migrate, serve `app/`, run, decide."""

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cli import environment
from tests.support.documents import ROOT
from tests.support.postgres import fresh_database
from tests.support.temporal_server import temporal_server
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(240)

BIN = Path(sys.executable).parent
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8").rpartition("\nFROM ")[2]
ENTRYPOINT: list[str] = json.loads(
    re.findall(r"^ENTRYPOINT (\[.*\])$", DOCKERFILE, re.MULTILINE)[0]
)
HEALTHCHECK: list[str] = json.loads(re.findall(r"^    CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)[0])


def image_environment() -> dict[str, str]:
    """Return the variables that the image sets."""
    (block,) = re.findall(r"^ENV ((?:.*\\\n)*.*)$", DOCKERFILE, re.MULTILINE)
    return dict(item.split("=", 1) for item in shlex.split(block.replace("\\\n", " ")))


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


class Container:
    """What the image starts, with this machine's paths in the place of the image's."""

    def __init__(self, temporal: str, folder: Path) -> None:
        self._environment = environment(
            **image_environment()
            | {
                "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
                "PYTHONPATH": str(ROOT / "app"),
                "KERN_HOME": str(folder / ".kern"),
                "KERN_HEALTH_PORT": str(free_port()),
                "KERN_DATABASE_URL": fresh_database(),
                "TEMPORAL_ADDRESS": temporal,
                # A health check that answer a proxy would find nobody.
                "http_proxy": "http://127.0.0.1:9",
            }
        )

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=ROOT / "app",
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            ENTRYPOINT, cwd=ROOT / "app", env=self._environment, stderr=subprocess.DEVNULL
        )


@pytest.fixture
def container(tmp_path: Path) -> Iterator[Container]:
    with temporal_server() as server:
        yield Container(server.address, tmp_path)


def test_the_app_answers_a_request_and_the_image_says_that_it_is_healthy(
    container: Container,
) -> None:
    assert container.run(*HEALTHCHECK).returncode != 0
    assert container.run("kern", "migrate").returncode == 0
    worker = container.start()
    try:
        wait_until(lambda: container.run(*HEALTHCHECK).returncode == 0, timeout=60)
        answer = container.run(
            "kern", "run", "app:agent", "Refund order 7", "--no-prompt", "--json"
        )
        assert answer.returncode == 10, answer.stdout + answer.stderr
        run = json.loads(answer.stdout)
        [asked] = run["requirements"]
        words = ("approve", asked["id"], "--digest", asked["digest"][:8], "--by", "dana")
        approved = container.run("kern", *words)
        assert approved.returncode == 0, approved.stderr

        def story() -> str:
            return container.run("kern", "show", run["run_id"]).stdout

        wait_until(lambda: "Refunded 40.00 EUR for order 7." in story(), timeout=60)
    finally:
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(60) == 0
    assert not (ROOT / "app" / ".kern").exists()


def test_health_is_reachable_from_outside_the_container() -> None:
    assert image_environment()["KERN_HEALTH_HOST"] == "0.0.0.0"  # noqa: S104  as the image says
