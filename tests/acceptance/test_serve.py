"""`kern serve` as operators start it: what it answers, how it ends, and what a kill loses."""

import signal
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from kern.models.scripted import Call
from kern.requirements import Requirement
from kern.testing import isolated_runtime
from kern.values.states import RunStatus
from tests.support.agents import Ledger, paying, scripted
from tests.support.cli import COMMAND, Said, command, environment
from tests.support.desk import Visitor
from tests.support.processes import Process
from tests.support.waiting import wait_until

# Dies by SIGKILL where the code has come to a point, as its machine would.
_DYING = """
import os, signal, sys
from kern.process.checkpoints import arm
point = sys.argv.pop(1)
arm(lambda reached: reached == point and os.kill(os.getpid(), signal.SIGKILL))
from kern.client.cli.main import main
main()
"""


class Server:
    """A process of `kern serve`, and the token of somebody who decides."""

    def __init__(self, process: Process, secret: str) -> None:
        self.process = process
        wait_until(lambda: process.logged("api_served"), timeout=60)
        (line,) = process.logged("api_served")
        self.url = str(line["url"])
        self.secret = secret
        self._headers = {"Authorization": f"Bearer {secret}"}

    def get(self, path: str) -> httpx2.Response:
        return httpx2.get(f"{self.url}{path}", headers=self._headers, timeout=30)

    def decide(self, item: Requirement, key: str, verdict: str = "approve") -> httpx2.Response:
        body = {"verdict": verdict, "digest": item.digest, "note": "ok"}
        headers = {**self._headers, "Idempotency-Key": key}
        path = f"{self.url}/requirements/{item.id}/decisions"
        return httpx2.post(path, json=body, headers=headers, timeout=30)


@dataclass(frozen=True)
class Site:
    """Where a browser finds the console."""

    address: str


@contextmanager
def served(home: Path, *, dies_at: str | None = None, **more: str) -> Generator[Server]:
    """Serve a folder's runs in a process that knows no agent."""
    said = command("token", "create", "dana", "--json", cwd=home, KERN_HOME=str(home))
    secret = said.json["secret"]
    words = ["serve", "--port", "0"]
    log, program = home / "serve.log", COMMAND[1:]
    log.unlink(missing_ok=True)
    if dies_at is not None:
        dying = home / "dying.py"
        dying.write_text(_DYING)
        program = [str(dying), dies_at]
    process = Process([*program, *words], environment(KERN_HOME=str(home), **more), log)
    try:
        yield Server(process, secret)
    finally:
        process.kill()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / ".kern"


def test_an_operator_decides_over_http_and_the_server_ends_by_sigterm(
    home: Path, ledger: Ledger
) -> None:
    agent = scripted([Call("pay", amount=5), "Paid."], [paying(ledger)])
    with isolated_runtime(home):
        run = agent.run("Pay")
        (item,) = run.active_requirements
        with served(home) as server:
            assert server.get("/me").json()["principal"]["name"] == "dana"
            assert server.decide(item, "one").status_code == 201
            wait_until(lambda: agent.get_run_output(run.run_id).status is RunStatus.completed)
            assert server.process.terminate() == 0
    assert ledger.lines == ["paid 5"]


@pytest.mark.parametrize("point", ["resolve.before_store", "resolve.after_store"])
def test_a_decision_is_made_once_though_the_server_dies_before_it_answers(
    home: Path, ledger: Ledger, point: str
) -> None:
    agent = scripted([Call("pay", amount=5), "Paid."], [paying(ledger)])
    with isolated_runtime(home):
        run = agent.run("Pay")
        (item,) = run.active_requirements
        with served(home, dies_at=point) as server:
            with pytest.raises(httpx2.TransportError):
                server.decide(item, "one")
            assert server.process.wait() == -signal.SIGKILL
        with served(home) as server:
            answer = server.decide(item, "one")
            assert answer.status_code == 201
            is_replay = point == "resolve.after_store"
            assert (answer.headers.get("Idempotent-Replay") == "true") is is_replay
            decisions = server.get(f"/requirements/{item.id}/decisions").json()["items"]
            assert [entry["id"] for entry in decisions] == [answer.json()["decision"]["id"]]
            wait_until(lambda: agent.get_run_output(run.run_id).status is RunStatus.completed)
    assert ledger.lines == ["paid 5"]


def test_it_serves_this_machine_only_unless_it_is_told_otherwise(home: Path) -> None:
    home.mkdir()
    refused = command("serve", "--host", "0.0.0.0", cwd=home, KERN_HOME=str(home))  # noqa: S104  it is refused
    assert refused.code == 2
    assert "reached from other machines" in refused.err
    nothing = command("serve", cwd=home, KERN_HOME=str(home))
    assert nothing.code == 3
    assert "nothing was run here yet" in nothing.err


def test_a_probe_by_address_is_answered_and_the_link_of_the_command_opens_the_console(
    home: Path,
) -> None:
    with isolated_runtime(home):
        scripted(["Hello."]).run("Hello")
    with served(home) as server:
        site = server.url.removesuffix("/v1")
        for path in ("/healthz", "/readyz"):
            probe = httpx2.get(site + path, headers={"Host": "10.1.2.3:8420"}, timeout=30)
            assert probe.status_code == 200
        port = site.rpartition(":")[2]
        link = command("desk", "--port", port, cwd=home, KERN_HOME=str(home), KERN_BY="mia").out
        with httpx2.Client(follow_redirects=True, timeout=30) as browser:
            page = browser.get(link.strip())
            assert page.url.path == "/desk/inbox"
            assert "mia" in page.text


def test_what_other_machines_reach_takes_no_link(home: Path) -> None:
    with isolated_runtime(home):
        scripted(["Hello."]).run("Hello")
    with served(home, KERN_OPEN="true", KERN_PUBLIC_URL="http://127.0.0.1") as server:
        link = command("desk", cwd=home, KERN_HOME=str(home)).out.strip()
        secret = link.rpartition("/")[2]
        site = server.process.logged("web_listening")[0]
        answer = httpx2.get(f"http://127.0.0.1:{site['port']}/desk/link/{secret}", timeout=30)
        assert answer.status_code == 404
        said = command("desk", cwd=home, KERN_HOME=str(home), KERN_OPEN="true")
        assert (said.code, "kern token create" in said.err) == (2, True)


@pytest.mark.parametrize("has_token", [False, True])
def test_it_says_when_nobody_can_come_in(home: Path, has_token: bool) -> None:  # noqa: FBT001  a parameter of the test
    home.mkdir()
    assert command("migrate", cwd=home, KERN_HOME=str(home)).code == 0
    if has_token:
        command("token", "create", "dana", cwd=home, KERN_HOME=str(home))
    words = [*COMMAND[1:], "serve", "--port", "0", "--open"]
    process = Process(words, environment(KERN_HOME=str(home)), home / "serve.log")
    try:
        wait_until(lambda: process.logged("api_served"), timeout=60)
        assert bool(process.logged("nobody_can_come_in")) is not has_token
    finally:
        process.kill()


def test_an_identity_provider_that_cannot_work_is_refused_at_the_start(home: Path) -> None:
    home.mkdir()
    issuer: dict[str, Any] = {
        "KERN_OIDC_ISSUER": "https://sso.example",
        "KERN_OIDC_CLIENT_ID": "kern",
    }
    cases: list[tuple[dict[str, Any], str]] = [
        ({}, "KERN_ROLES is empty"),
        ({"KERN_ROLES": "{"}, "use a JSON object"),
        ({"KERN_ROLES": '{"sre": ["root"]}'}, "'root' is no role"),
        ({"KERN_ROLES": '{"sre": ["viewer"]}', "KERN_OPEN": "true"}, "KERN_PUBLIC_URL is missing"),
    ]
    for more, text in cases:
        refused = command("serve", cwd=home, KERN_HOME=str(home), **issuer, **more)
        assert (refused.code, text in refused.err) == (2, True), refused.err


def test_an_operator_signs_somebody_out(home: Path, ledger: Ledger) -> None:
    agent = scripted([Call("pay", amount=5), "Paid."], [paying(ledger)])

    def signout(*words: str) -> Said:
        return command("signout", *words, cwd=home, KERN_HOME=str(home))

    with isolated_runtime(home):
        agent.run("Pay")
        assert "Nobody has signed in" in signout().out
        with served(home) as server:
            site = Site(server.url.removesuffix("/v1"))
            with Visitor(site, server.secret) as visitor:
                assert visitor.get("/desk/inbox").path == "/desk/inbox"
                (session,) = signout("--json").json["sessions"]
                assert session["principal"]["subject"] == "dana"
                assert "dana" in signout().out
                missing = signout("ravi")
                assert (missing.code, "`kern signout` lists" in missing.err) == (3, True)
                assert "1 session ended" in signout("dana").out
                assert visitor.get("/desk/inbox").path == "/desk/signin"
                assert signout("dana").code == 3


def test_the_console_is_not_served_to_other_machines_beside_a_worker_either(
    home: Path, tmp_path: Path
) -> None:
    (tmp_path / "shop.py").write_text(
        "from kern.agent import Agent\n"
        "from kern.models.scripted import ScriptedModel\n"
        'agent = Agent(name="shop", model=ScriptedModel(["Hello."]))\n'
    )
    settings: dict[str, Any] = {"KERN_HOME": str(home), "KERN_HOST": "0.0.0.0"}  # noqa: S104  it is refused
    refused = command("up", "--app", "shop.py:agent", cwd=tmp_path, **settings)
    assert (refused.code, "reached from other machines" in refused.err) == (2, True), refused.err
