"""The example of an inbox in a web application, served as its users serve it."""

import re
import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from kern.models.scripted import Call
from kern.testing import isolated_runtime
from tests.support.agents import Ledger, paying, scripted
from tests.support.cli import environment
from tests.support.documents import ROOT
from tests.support.waiting import wait_until

DANA = {"X-User": "dana"}


@contextmanager
def served(home: Path) -> Generator[httpx2.Client]:
    """Serve the example on a folder's runs, in a process that knows no agent."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = (sys.executable, "-m", "uvicorn", "inbox_app:app", "--port", port)
    server = subprocess.Popen(
        [*command, "--app-dir", str(ROOT / "examples")],
        cwd=home,
        env=environment(KERN_HOME=str(home)),
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            wait_until(lambda: answers(client) or server.poll() is not None, timeout=60)
            assert server.poll() is None, server.stderr and server.stderr.read()
            yield client
    finally:
        server.terminate()
        server.communicate(timeout=60)


def answers(client: httpx2.Client) -> bool:
    try:
        return client.get("/docs").status_code == 200
    except httpx2.TransportError:
        return False


def test_an_approver_needs_a_browser_only(folder: Path, ledger: Ledger) -> None:
    agent = scripted([Call("pay", amount=5), "Paid."], [paying(ledger)])
    home = folder / ".kern"
    with isolated_runtime(home):
        run = agent.run("Pay")
        with served(home) as client:
            page = client.get("/").text
            assert "pay(amount=5)" in page
            (action,) = re.findall(r'action="([^"]+)"', page)
            (digest,) = re.findall(r'name="digest" value="([^"]+)"', page)
            form = {"verdict": "approve", "note": "fine", "digest": digest}
            assert client.post(action, data=form).status_code == 422, "nobody signed on"
            other = client.post(action, data={**form, "digest": "0" * 64}, headers=DANA)
            assert (other.status_code, "you saw another one" in other.text) == (409, True)
            accepted = client.post(action, data=form, headers=DANA)
            assert (accepted.status_code, accepted.headers["location"]) == (303, "/")
            late = client.post(action, data=form, headers={"X-User": "erin"})
            assert (late.status_code, "'dana' decided 'approve'" in late.text) == (409, True)
            assert client.post("/requirements/nope", data=form, headers=DANA).status_code == 404
            assert agent.continue_run(run).content == "Paid."
            assert "Nothing waits." in client.get("/").text
            refused = client.get("/", params={"cursor": "no-such"})
            assert (refused.status_code, "no requirement with the id" in refused.text) == (
                404,
                True,
            )
            refused = client.get("/", params={"cursor": ""})
            assert (refused.status_code, "cursor is empty" in refused.text) == (422, True)
    assert ledger.lines == ["paid 5"]


def test_before_the_first_run_the_page_says_why_it_is_empty(tmp_path: Path) -> None:
    with served(tmp_path) as client:
        page = client.get("/")
        assert (page.status_code, "There is no database at" in page.text) == (404, True)
        assert "Traceback" not in page.text


def test_the_example_is_short() -> None:
    lines = (ROOT / "examples" / "inbox_app.py").read_text(encoding="utf-8").splitlines()
    assert sum(1 for line in lines if line.strip()) <= 40
