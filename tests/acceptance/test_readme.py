"""What the README tells a newcomer to type, typed: each block in its order, in one folder."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kern.client.server.embedded import EmbeddedServer
from tests.support.cli import output_of, terminal
from tests.support.documents import ROOT, Command, blocks_of, commands_of, steady
from tests.support.model_server import Call, ModelServer
from tests.support.postgres import fresh_database
from tests.support.waiting import wait_until

BIN = Path(sys.executable).parent
README = blocks_of(ROOT / "README.md")
SHOP = next(block.text for block in README if block.language == "python")
DEMO = next(block for block in README if block.language == "text")
TUTORIAL = blocks_of(ROOT / "docs" / "tutorial.md")
MAKE, SCRIPT, DECIDE, PRODUCTION = [block.lines for block in README if block.language == "bash"]

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def answers() -> Iterator[ModelServer]:
    with ModelServer([Call("refund", order_id="1042", amount=40), "Refunded."]) as server:
        yield server


class Shell:
    """A newcomer's shell: the folder that they work in, and what they have exported."""

    def __init__(self, folder: Path, server: ModelServer, shop: str = SHOP) -> None:
        self.folder = folder
        self.environment = {
            **os.environ,
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "OPENAI_BASE_URL": server.base_url,
        }
        (folder / "shop.py").write_text(shop)

    def type(self, line: str, code: int = 0) -> str:
        """Type a line, and return what it prints."""
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, f"{line}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def background(self, line: str) -> subprocess.Popen[str]:
        """Type a line that goes on until it is interrupted."""
        return subprocess.Popen(
            ["bash", "-c", f"exec {line}"],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


def ends(process: subprocess.Popen[str], how: signal.Signals) -> int:
    process.send_signal(how)
    process.communicate(timeout=60)
    return process.returncode


def test_make_knows_the_two_commands() -> None:
    targets = (ROOT / "Makefile").read_text()
    for line in MAKE:
        assert re.search(rf"^{line.split()[1]}:", targets, re.MULTILINE), line


def test_the_first_screen_is_what_the_demonstration_shows(folder: Path) -> None:
    with terminal("demo", cwd=folder) as screen:
        for line in DEMO.lines:
            if line.startswith("a = approve"):
                screen.expect(line.removesuffix("a"))
                screen.type("a")
            else:
                # Whoever decides is the user of the machine.
                screen.expect(line.partition("Approved by dana")[0])
        assert screen.end() == 0


def test_the_first_agent_runs(tmp_path: Path, answers: ModelServer) -> None:
    shell = Shell(tmp_path, answers)

    (line,) = SCRIPT
    assert shell.type(line).splitlines() == [
        "refund {'amount': 40.0, 'order_id': '1042'}",
        "Refunded.",
    ]


def test_deciding_from_the_command_line(tmp_path: Path, answers: ModelServer) -> None:
    shell = Shell(tmp_path, answers)
    run, pending, approve, up, show, audit = DECIDE

    shell.type(run, code=10)
    assert "refund" in shell.type(pending)
    (waiting,) = json.loads(shell.type("kern pending --json"))["requirements"]
    named = approve.replace("REQUIREMENT", waiting["id"])
    shell.type(named.replace("DIGEST", waiting["digest"][:8]))
    serving = shell.background(up)

    wait_until(lambda: output_of(tmp_path, waiting["run_id"]).status == "completed")
    assert ends(serving, signal.SIGINT) in {0, 130}
    story = shell.type(show.replace("RUN", waiting["run_id"]))
    assert "dana" in story
    assert "checked the invoice" in story
    assert "1 decision" in shell.type(audit)


def test_going_to_production(tmp_path: Path, answers: ModelServer) -> None:
    shell = Shell(tmp_path, answers)
    exports, (migrate, worker) = PRODUCTION[:2], PRODUCTION[2:]
    assert [line.split("=")[0] for line in exports] == [
        "export TEMPORAL_ADDRESS",
        "export KERN_DATABASE_URL",
    ]
    server = EmbeddedServer.join(tmp_path / "cluster")
    shell.environment |= {
        "TEMPORAL_ADDRESS": server.address,
        "KERN_DATABASE_URL": fresh_database(),
    }

    shell.type(migrate)
    serving = shell.background(worker.replace("8080", "0"))
    assert shell.type("python shop.py").splitlines()[-1] == "Refunded."
    assert ends(serving, signal.SIGTERM) == 0
    server.leave()


def test_the_tutorial_shows_what_happens(tmp_path: Path, answers: ModelServer) -> None:
    shop = next(block.text for block in TUTORIAL if block.language == "python")
    shell = Shell(tmp_path, answers, shop)
    _install, *consoles = [block for block in TUTORIAL if block.language == "console"]
    run, pending, approve, show, audit = [
        command for block in consoles for command in commands_of(block)
    ]
    (up,) = next(block for block in TUTORIAL if block.language == "bash").lines

    assert steady(shell.type(run.line, code=10)) == steady(run.output)
    assert steady(shell.type(pending.line)) == steady(pending.output)
    (waiting,) = json.loads(shell.type("kern pending --json"))["requirements"]
    line = approve.line.replace(id_in(approve), waiting["id"])
    assert steady(shell.type(line)) == steady(approve.output)

    serving = shell.background(up)
    wait_until(lambda: output_of(tmp_path, waiting["run_id"]).status == "completed")
    assert ends(serving, signal.SIGINT) in {0, 130}
    line = show.line.replace(id_in(show), waiting["run_id"])
    assert steady(shell.type(line)) == steady(show.output)
    assert steady(shell.type(audit.line)) == steady(audit.output)


def id_in(command: Command) -> str:
    """Return the id that a command of the tutorial names."""
    # That of the call, which is the same each time, comes behind it.
    return str(re.findall(r"\b[0-9a-f]{8}\b", command.line)[0])
