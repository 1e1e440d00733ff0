"""The sample from which the project started, run verbatim in a process of its own."""

import os
import re
import subprocess
import sys
from pathlib import Path
from uuid import UUID

from tests.support.model_server import ModelServer

SAMPLE = """\
from kern.agent import Agent
from kern.models.openai import OpenAIResponses

agent = Agent(model=OpenAIResponses(id="gpt-5.2"))

# Run the agent - Kern auto-generates session_id and run_id
response = agent.run("Tell me a 5 second short story about a robot")
print(response.content)
print(f"Run ID: {response.run_id}") # Auto-generated UUID
print(f"Session ID: {response.session_id}") # Auto-generated UUID
"""


def run_in(folder: Path, code: str, server: ModelServer) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "OPENAI_API_KEY": "sk-test",
        "OPENAI_BASE_URL": server.base_url,
    }
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_sample_runs_verbatim(tmp_path: Path) -> None:
    with ModelServer(["A robot woke, saw the sea, and smiled."]) as server:
        done = run_in(tmp_path, SAMPLE, server)

    assert done.returncode == 0, done.stderr
    story, run, session = done.stdout.splitlines()
    assert story == "A robot woke, saw the sea, and smiled."
    for line, label in ((run, "Run ID"), (session, "Session ID")):
        found = re.fullmatch(rf"{label}: (\S+)", line)
        assert found is not None
        assert UUID(found[1]).version == 7
    assert done.stderr == ""
    assert not (tmp_path / ".kern" / "server.json").exists(), "it left a server behind"


def test_short_scripts_end_with_their_own_code(tmp_path: Path) -> None:
    code = SAMPLE + "\nraise SystemExit(7)"
    with ModelServer(["Hello."]) as server:
        codes = [run_in(tmp_path, code, server).returncode for _ in range(2)]

    assert codes == [7] * 2
