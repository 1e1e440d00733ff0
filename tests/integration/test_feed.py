"""The feed over HTTP: pages, streams of events, and what they promise to whoever comes back."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import ExitStack
from datetime import timedelta

import httpx2
import pytest

from kern.agent import Agent
from kern.client.processes.runtime import Runtime
from kern.client.service.feed import FeedLook, FeedReset, FeedSelection
from kern.client.service.runtime_service import RuntimeService
from kern.client.web import event_stream
from kern.contracts.feed import FeedEntry
from kern.contracts.viewer import OPERATOR, Viewer
from kern.db.journal import feed
from kern.models.scripted import Call
from kern.process.clock import utc_now
from kern.requirements import Requirement
from kern.run import RunOutput
from kern.tools import Approval
from kern.values.principals import Principal
from kern.values.roles import Role
from kern.values.states import PrincipalKind, RunStatus
from tests.support.agents import Ledger, paying, scripted
from tests.support.api import Api, serving
from tests.support.event_streams import reading
from tests.support.statements import statements_of
from tests.support.waiting import wait_until


def paused(ledger: Ledger, approval: Approval | None = None) -> tuple[Agent, Requirement]:
    agent = scripted([Call("pay", amount=5), "Paid."], [paying(ledger, approval)])
    run: RunOutput = agent.run("Pay")
    (requirement,) = run.active_requirements
    return agent, requirement


def approve(client: httpx2.Client, requirement: Requirement) -> None:
    body = {"verdict": "approve", "digest": requirement.digest}
    answer = client.post(f"/v1/requirements/{requirement.id}/decisions", json=body)
    assert answer.status_code == 201, answer.text


def kinds(client: httpx2.Client, **query: str | list[str]) -> list[str]:
    answer = client.get("/v1/feed", params={"limit": "100", **query})
    assert answer.status_code == 200, answer.text
    return [item["kind"] for item in answer.json()["items"]]


@pytest.fixture
def api_on_each(runtime_on_each: Runtime) -> Iterator[Api]:
    with serving(runtime_on_each) as served:
        yield served


def test_a_page_follows_a_decision_from_waiting_to_done(api: Api, ledger: Ledger) -> None:
    agent, requirement = paused(ledger)
    with api.as_person("dana") as dana:
        wait_until(lambda: kinds(dana) == ["opened"])
        approve(dana, requirement)
        run_id = requirement.run_id
        wait_until(lambda: agent.get_run_output(run_id).status is RunStatus.completed)
        # Whether it was delivered is noted beside the run, which does not wait for that.
        wait_until(lambda: {"run_completed", "delivered"} <= set(kinds(dana)))
        page = dana.get("/v1/feed", params={"limit": 2}).json()
        assert [item["kind"] for item in page["items"]] == ["opened", "resolved"]
        resolved = page["items"][1]
        assert resolved["requirement"] == requirement.id
        assert (resolved["verdict"], resolved["by"], resolved["event"]) == (
            *("approve", "dana", "resolved"),
        )
        assert resolved["text"].startswith("dana approved it at ")
        rest = dana.get("/v1/feed", params={"after": page["next"]}).json()
        assert {"executing", "done", "run_completed"} <= {item["kind"] for item in rest["items"]}
        assert dana.get("/v1/feed", params={"after": rest["next"]}).json()["items"] == []
        assert kinds(dana, kinds=["done", "opened"]) == ["opened", "done"]


def test_a_stream_says_what_happens_as_it_happens(api_on_each: Api, ledger: Ledger) -> None:
    with api_on_each.as_person("dana") as dana, reading(dana) as stream:
        assert stream.wait_for("counts")[0].data == {"inbox": 0}
        _, requirement = paused(ledger)
        (opened,) = stream.wait_for("opened")
        assert opened.data["requirement"] == requirement.id
        assert stream.wait_for("counts", 2)[1].data == {"inbox": 1}
        approve(dana, requirement)
        (resolved,) = stream.wait_for("resolved")
        assert resolved.data["by"] == "dana"
        assert resolved.data["text"].startswith("dana approved it at ")
        wait_until(lambda: "done" in {event.data["kind"] for event in stream.of("state")})
        assert stream.wait_for("counts", 3)[2].data == {"inbox": 0}
        numbers = [int(event.id) for event in stream.of("opened", "resolved", "state")]
        assert numbers == sorted(set(numbers))
        assert max(event.size for event in stream.events) <= 1024
        assert stream.retry == 3000


def test_whoever_comes_back_gets_what_they_missed(api: Api, ledger: Ledger) -> None:
    with api.as_person("dana") as dana:
        with reading(dana) as stream:
            _, requirement = paused(ledger)
            stream.wait_for("opened")
            last = stream.last_id
        approve(dana, requirement)
        _, other = paused(ledger)
        with reading(dana, last_id=last) as stream:
            (resolved,) = stream.wait_for("resolved")
            assert resolved.data["requirement"] == requirement.id
            (opened,) = stream.wait_for("opened")
            assert opened.data["requirement"] == other.id
            assert not stream.of("reset")


def test_for_me_says_only_what_i_may_decide(api: Api, ledger: Ledger) -> None:
    _, mine = paused(ledger, Approval(candidates="dana"))
    _, theirs = paused(ledger, Approval(candidates="ravi"))
    with api.as_person("dana") as dana:
        wait_until(lambda: kinds(dana) == ["opened", "opened"])
        page = dana.get("/v1/feed", params={"for": "me"}).json()
        assert [item["requirement"] for item in page["items"]] == [mine.id]
        with reading(dana, "/v1/feed?for=me&after=0") as stream:
            assert stream.wait_for("opened")[0].data["requirement"] == mine.id
            with api.as_person("ravi") as ravi:
                approve(ravi, theirs)
            approve(dana, mine)
            (resolved,) = stream.wait_for("resolved")
            assert resolved.data["requirement"] == mine.id
    service = api.token("robot", Role.operator, kind=PrincipalKind.service).secret
    with api.client(service) as robot:
        assert kinds(robot, **{"for": "me"}) == []
        assert "opened" in kinds(robot)


def test_nobody_hears_of_another_tenant(api: Api, ledger: Ledger) -> None:
    with (
        api.as_person("dana", tenant="acme") as dana,
        api.as_person("ravi") as ravi,
        reading(dana) as stream,
    ):
        paused(ledger)
        wait_until(lambda: kinds(ravi) == ["opened"])
        assert kinds(dana) == []
        assert not stream.of("opened", "state", "resolved")


def test_a_gap_that_is_too_large_or_gone_is_a_reset(
    api: Api, runtime: Runtime, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kern.client.service.feed.MOST_MISSED", 3)
    with api.as_person("dana") as dana:
        for _ in range(2):
            _, requirement = paused(ledger)
            approve(dana, requirement)
        wait_until(lambda: kinds(dana).count("done") == 2)
        with reading(dana, last_id="0") as stream:
            (reset,) = stream.wait_for("reset")
            page = dana.get("/v1/feed").json()
            assert int(reset.id) >= int(page["items"][-1]["id"])
            # It goes on from there.
            paused(ledger)
            stream.wait_for("opened")
        with reading(dana, last_id="99999999") as stream:
            stream.wait_for("reset")
        later = utc_now() + timedelta(days=1)
        runtime.services.db.write_now(lambda tx: feed.prune(tx, later))
        page = dana.get("/v1/feed", params={"after": 1}).json()
        assert page["reset"]
        assert page["items"] == []
        assert not dana.get("/v1/feed", params={"after": page["next"]}).json()["reset"]


def test_a_beat_is_sent_and_moves_the_last_event_id_on(
    api: Api, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_stream, "_BEAT_SECONDS", 0.05)
    paused(ledger, Approval(candidates="ravi"))
    with api.as_person("dana") as dana, reading(dana, "/v1/feed?for=me&after=0") as stream:
        wait_until(lambda: "beat" in stream.comments)
        wait_until(lambda: stream.last_id not in ("", "0"))
        assert not stream.of("opened")


@pytest.mark.parametrize("last_id", ["x", "-1", "1.5", "٣"])
def test_a_last_event_id_that_is_none_is_refused(api: Api, last_id: str) -> None:
    with api.as_person("dana") as dana:
        headers = {"Accept": "text/event-stream", "Last-Event-ID": last_id.encode()}
        answer = dana.get("/v1/feed", headers=headers)  # type: ignore[arg-type]
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "header.Last-Event-ID"


@pytest.mark.parametrize(
    "query", [{"after": "-1"}, {"after": "x"}, {"kinds": "nonsense"}, {"limit": 0}, {"no": 1}]
)
def test_a_page_that_makes_no_sense_is_refused(api: Api, query: dict[str, object]) -> None:
    with api.as_person("dana") as dana:
        answer = dana.get("/v1/feed", params=query)  # type: ignore[arg-type]
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")


def test_nobody_reads_the_feed_without_a_token(api: Api) -> None:
    with api.client(None) as nobody:
        headers = {"Accept": "text/event-stream"}
        assert nobody.get("/v1/feed", headers=headers).status_code == 401


def test_a_stream_ends_properly_when_its_server_stops(runtime: Runtime) -> None:
    with ExitStack() as left:
        with serving(runtime) as api:
            reader = left.enter_context(reading(left.enter_context(api.as_person("dana"))))
        # A stream that is cut instead has no end: the reader only breaks off.
        wait_until(lambda: reader.has_ended, timeout=5)


def test_a_thousand_readers_are_one_for_the_database(runtime: Runtime, ledger: Ledger) -> None:
    """They all hear of it, and the feed is read as often as for one reader."""
    principal = Principal(issuer="test", subject="dana", name="dana")

    async def follow(service: RuntimeService, count: int) -> list[AsyncGenerator[object]]:
        selection = FeedSelection(OPERATOR, principal)
        readers = [service.feed.follow(selection) for _ in range(count)]
        first = [asyncio.ensure_future(anext(reader)) for reader in readers]
        await asyncio.sleep(0)
        followed.append(asyncio.gather(*first))
        return readers  # type: ignore[return-value]

    followed: list[asyncio.Future[list[FeedEntry | FeedReset]]] = []
    with statements_of(runtime.services.db) as counted:
        runtime.call(lambda service: follow(service, 1000))
        paused(ledger)

        async def first_entries(_service: RuntimeService) -> list[FeedEntry | FeedReset]:
            return await followed[0]

        entries = runtime.call(first_entries)
    assert len(entries) == 1000
    assert {getattr(entry, "kind", None) for entry in entries} == {"opened"}
    assert sum("kern_feed" in statement for statement in counted) < 100


def test_an_owner_hears_of_their_own_runs_alone(runtime: Runtime, ledger: Ledger) -> None:
    agent = scripted([Call("pay", amount=5), "Paid."], [paying(ledger)])
    agent.run("Pay", user_id="ann")

    def kinds_of(user_id: str) -> list[str]:
        page = runtime.call(lambda service: service.feed.page(Viewer(user_id=user_id)))
        return [entry.kind for entry in page.items]

    wait_until(lambda: kinds_of("ann") == ["opened"])
    assert kinds_of("bob") == []


def test_a_look_says_whether_more_may_wait(runtime_on_each: Runtime, ledger: Ledger) -> None:
    def watch_of(viewer: Viewer) -> FeedLook:
        return runtime_on_each.call(lambda service: service.feed.watch(viewer))

    mine, theirs = watch_of(OPERATOR), watch_of(Viewer(is_operator=True, tenant="other"))

    def looks() -> list[bool]:
        return [
            runtime_on_each.call(lambda _: mine.is_new()),
            runtime_on_each.call(lambda _: theirs.is_new()),
        ]

    assert looks() == [True, True]
    wait_until(lambda: looks() == [False, False])
    paused(ledger)
    # Until it is numbered, it may be anybody's.
    wait_until(lambda: looks() == [True, False])
    wait_until(lambda: looks() == [False, False])
