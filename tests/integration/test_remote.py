"""`kern.inbox` and readers over HTTP: decisions are made once, whatever happens to the answer."""

import asyncio
import select
import socket
import threading
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from kern import inbox
from kern.client.processes.runtime import Runtime
from kern.client.remote.address import configured_address
from kern.client.remote.runtime import close_remote_runtime
from kern.client.remote.service import RemoteService
from kern.components.operations import EventReader
from kern.contracts.viewer import OPERATOR
from kern.errors import (
    AlreadyResolved,
    ArgumentsChanged,
    InvalidDecision,
    InvalidInput,
    NotAllowed,
    NotFound,
    Unauthenticated,
    Unavailable,
)
from kern.events import RunCompleted, RunEvent
from kern.models.scripted import Call
from kern.requirements import Requirement
from kern.run import RunOutput
from kern.tools import Approval, tool
from kern.values.roles import Role
from kern.values.states import PrincipalKind, RequirementKind, RunStatus
from tests.support.agents import Ledger, paying, scripted
from tests.support.api import Api
from tests.support.waiting import wait_until


@pytest.fixture
def remote(api: Api, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """Have `kern.inbox` work over HTTP, as Dana."""
    monkeypatch.setenv("KERN_API_URL", api.address)
    monkeypatch.setenv("KERN_API_TOKEN", api.token("dana").secret)
    yield api
    close_remote_runtime()


def waiting(run: RunOutput) -> Requirement:
    (requirement,) = run.active_requirements
    return requirement


class LosingProxy:
    """Forwards connections to a server, and loses answers once told to: the server has acted."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.lost = 0
        self.to_lose = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._forward, args=(connection,), daemon=True).start()

    def _forward(self, client: socket.socket) -> None:
        is_post = False
        with closing(client), socket.create_connection(("127.0.0.1", self._target)) as server:
            while True:
                readable, _, _ = select.select([client, server], [], [])
                data = readable[0].recv(1_000_000)
                if not data:
                    return
                if readable[0] is client:
                    is_post = data.startswith(b"POST") or (is_post and not data.startswith(b"GET"))
                    server.sendall(data)
                elif is_post and self.to_lose > 0:
                    self.to_lose -= 1
                    self.lost += 1
                    return
                else:
                    client.sendall(data)


@contextmanager
def losing(api: Api, monkeypatch: pytest.MonkeyPatch) -> Generator[LosingProxy]:
    proxy = LosingProxy(int(api.address.rpartition(":")[2]))
    monkeypatch.setenv("KERN_API_URL", f"http://127.0.0.1:{proxy.port}")
    try:
        yield proxy
    finally:
        close_remote_runtime()
        proxy.close()


def test_a_program_finds_what_waits_and_decides_over_http(remote: Api, ledger: Ledger) -> None:
    agent = scripted([Call("pay", amount=5), "Paid."], [paying(ledger)])
    run = agent.run("Pay")
    page = inbox.pending(run_id=run.run_id, kind="confirmation")
    (item,) = page.requirements
    # What is due to be asked of the database is asked of the API: the same object comes back.
    assert item == waiting(run)
    assert inbox.get(item.id[-8:]) == item
    receipt = inbox.decide(item.approve(note="ok"))
    assert receipt.requirement.resolution is not None
    assert receipt.requirement.resolution.by == "dana"
    assert receipt.delivered is True
    wait_until(lambda: agent.get_run_output(run.run_id).status is RunStatus.completed)
    assert [item.run_id for item in inbox.runs(status="completed").runs] == [run.run_id]
    assert ledger.lines == ["paid 5"]


async def test_the_async_twins_work_over_http_too(remote: Api, ledger: Ledger) -> None:
    run = await scripted([Call("pay", amount=5), "Paid."], [paying(ledger)]).arun("Pay")
    (item,) = (await inbox.apending()).requirements
    assert item.run_id == run.run_id
    receipt = await inbox.adecide((await inbox.aget(item.id)).reject("No."))
    assert receipt.requirement.status.value == "resolved"


@pytest.mark.parametrize("lost", [1, 2])
def test_a_decision_whose_answer_is_lost_is_made_once(
    remote: Api, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, lost: int
) -> None:
    run = scripted([Call("pay", amount=5), "Paid."], [paying(ledger, Approval(quorum=2))]).run("P")
    item = inbox.get(waiting(run).id)
    with losing(remote, monkeypatch) as proxy:
        proxy.to_lose = lost
        receipt = inbox.decide(item.approve())
        assert proxy.lost == lost
        assert (receipt.requirement.approvals, receipt.delivered) == (1, None)
        assert len(inbox.get(item.id).proposals[0].by) == 1


def test_a_decision_that_nobody_answers_may_be_made_and_the_error_says_so(
    remote: Api, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = scripted([Call("pay", amount=5), "Paid."], [paying(ledger)]).run("Pay")
    item = inbox.get(waiting(run).id)
    with losing(remote, monkeypatch) as proxy:
        proxy.to_lose = 10
        with pytest.raises(Unavailable, match="not known whether the change was made") as caught:
            inbox.decide(item.approve())
        assert f"http://127.0.0.1:{proxy.port}" in str(caught.value)
        assert proxy.lost == 3
        assert inbox.get(item.id).status.value == "resolved"


def test_refusals_are_the_errors_that_a_database_raises(remote: Api, ledger: Ledger) -> None:
    run = scripted([Call("pay", amount=5), "Paid."], [paying(ledger)]).run("Pay")
    item = inbox.get(waiting(run).id)
    with pytest.raises(NotFound, match="no requirement"):
        inbox.get("nothing")
    with pytest.raises(InvalidInput, match="limit"):
        inbox.pending(limit=0)
    with pytest.raises(NotFound):
        inbox.pending(cursor="nothing")
    with pytest.raises(InvalidDecision, match="No decision was filled in"):
        inbox.decide(item)
    with pytest.raises(InvalidDecision, match="note"):
        inbox.decide(item.reject())
    with pytest.raises(NotAllowed, match="belongs to 'dana'"):
        inbox.decide(item.reject("No."), by="eli")
    with pytest.raises(ArgumentsChanged):
        inbox.decide(item.approve(), digest="0" * 12)
    changed = inbox.get(item.id)
    changed.arguments["amount"] = 5000
    with pytest.raises(ArgumentsChanged):
        inbox.decide(changed.approve())
    inbox.decide(item.reject("A fraud."), by="dana")
    with pytest.raises(AlreadyResolved, match="'dana' decided 'reject'"):
        inbox.decide(changed.reject("No."))
    assert ledger.lines == []


def test_a_service_decides_nothing_and_a_wrong_token_lets_nobody_in(
    api: Api, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = scripted([Call("pay", amount=5), "Paid."], [paying(ledger)]).run("Pay")
    monkeypatch.setenv("KERN_API_URL", api.address)
    bot = api.token("bot", Role.operator, kind=PrincipalKind.service)
    monkeypatch.setenv("KERN_API_TOKEN", bot.secret)
    with pytest.raises(NotAllowed, match="no person"):
        inbox.decide(inbox.get(waiting(run).id).approve())
    monkeypatch.setenv("KERN_API_TOKEN", "kern_wrong")
    with pytest.raises(Unauthenticated) as caught:
        inbox.pending()
    assert "kern_wrong" not in str(caught.value)
    close_remote_runtime()


def test_no_run_approves_itself_over_http(remote: Api, ledger: Ledger) -> None:
    refusals: list[str] = []

    @tool
    def decide_for_dana() -> str:
        """Approve what waits."""
        for item in inbox.pending().requirements:
            try:
                inbox.decide(item.approve())
            except NotAllowed as error:
                refusals.append(str(error))
        return "done"

    agent = scripted(
        [[Call("pay", amount=5), Call("decide_for_dana")], "Paid."],
        [paying(ledger), decide_for_dana],
    )
    run = agent.run("Pay")
    (refusal,) = refusals
    assert "no run approves its own calls" in refusal
    assert waiting(run).kind is RequirementKind.confirmation
    assert ledger.lines == []


async def test_a_reader_gets_every_event_once_although_its_connections_break(
    remote: Api, runtime: Runtime, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = scripted([Call("pay", amount=5), "Paid."], [paying(ledger)])
    run = await agent.arun("Pay")
    service = RemoteService(configured_address())
    first = await service.readers.open(OPERATOR, run.run_id, 0, "everything")
    seen = await all_of(first)
    assert [event.kind for event in seen][-1] == "run_paused"
    last = max(getattr(event, "seq", 0) for event in seen)
    # The run continues while nobody reads: a reader that comes back misses nothing.
    item = await service.inbox.read(OPERATOR, waiting(run).id)
    await service.inbox.decide(OPERATOR, item.approve())
    await asyncio.to_thread(
        wait_until, lambda: agent.get_run_output(run.run_id).status is RunStatus.completed
    )
    again = await service.readers.open(OPERATOR, run.run_id, last, "everything")
    rest = await all_of(again)
    numbers = [number for event in [*seen, *rest] if (number := getattr(event, "seq", None))]
    assert numbers == list(range(1, len(numbers) + 1))
    stop = rest[-1]
    assert isinstance(stop, RunCompleted)
    assert stop.output.content == "Paid."
    with pytest.raises(InvalidInput, match="after is"):
        await all_of(await service.readers.open(OPERATOR, run.run_id, 10_000, "everything"))
    await service.close()


async def all_of(reader: EventReader) -> list[RunEvent]:
    events: list[RunEvent] = []
    while batch := await reader.read():
        events += batch
    return events


def test_what_answers_and_is_not_kern_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(100_000)
                connection.sendall(
                    b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n"
                    b"Content-Length: 0\r\nConnection: close\r\n\r\n"
                )

        threading.Thread(target=answer, daemon=True).start()
        monkeypatch.setenv("KERN_API_URL", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("KERN_API_TOKEN", "kern_x")
        with pytest.raises(Unavailable, match="sends elsewhere, where the token is not sent"):
            inbox.pending()
    close_remote_runtime()
