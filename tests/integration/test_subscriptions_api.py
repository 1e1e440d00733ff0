"""Webhooks and channels over HTTP and on the command line, up to what a receiver gets."""

from pathlib import Path

import pytest

from kern.db.engine.stores import SqliteStore
from kern.models.scripted import Call
from kern.process.settings import Settings
from kern.values.roles import Role
from tests.support.agents import Ledger, paying, scripted
from tests.support.api import Api
from tests.support.cli import Cli
from tests.support.http_receiver import Receiver
from tests.support.mail_server import mail_server
from tests.support.waiting import wait_until


@pytest.fixture
def settings(folder: Path) -> Settings:
    return Settings(home=folder, relay_seconds=0.1, outbound_allow="127.0.0.0/8")


def test_an_administrator_adds_a_webhook_and_a_worker_sends_to_it(
    api: Api, receiver: Receiver, ledger: Ledger
) -> None:
    with api.as_person("ada", Role.administrator) as ada:
        added = ada.post("/v1/webhooks", json={"url": receiver.url(), "kinds": ["opened"]})
        assert added.status_code == 201, added.text
        webhook, secret = added.json()["webhook"], added.json()["secret"]
        scripted([Call("pay", amount=5), "Paid."], [paying(ledger)]).run("Pay")
        wait_until(lambda: receiver.kinds == ["opened"])
        assert receiver.received[0].is_signed_with(secret)
        listed = ada.get("/v1/webhooks").json()["items"]
        assert [item["id"] for item in listed] == [webhook["id"]]
        assert secret not in ada.get("/v1/webhooks").text
        path = f"/v1/deliveries?subscription={webhook['id']}"
        wait_until(lambda: [i["status"] for i in ada.get(path).json()["items"]] == ["delivered"])
        (delivery,) = ada.get(path).json()["items"]
        assert ada.post(f"/v1/deliveries/{delivery['id']}/replay").status_code == 200
        wait_until(lambda: receiver.kinds == ["opened", "opened"])
        rotated = ada.post(f"/v1/webhooks/{webhook['id']}/rotation", json={"overlap_hours": 1})
        assert rotated.json()["secret"] != secret
        again = ada.post(f"/v1/webhooks/{webhook['id']}/replays", json={"after": 0})
        assert again.json() == {"count": 1}
        wait_until(lambda: len(receiver.received) == 3)
        assert receiver.received[2].is_signed_with(rotated.json()["secret"])
        removed = ada.delete(f"/v1/webhooks/{webhook['id']}").json()
        assert removed["disabled_why"] == "Removed by ada."


def test_an_administrator_has_a_person_reached(api: Api, ledger: Ledger) -> None:
    with mail_server() as mailbox, api.as_person("ada", Role.administrator) as ada:
        body = {"recipient": "dana", "url": mailbox.url("dana@example.com")}
        added = ada.post("/v1/channels", json=body)
        assert added.status_code == 201, added.text
        assert "dana@example.com" not in added.text
        scripted([Call("pay", amount=5), "Paid."], [paying(ledger)]).run("Pay")
        wait_until(lambda: mailbox.subjects("dana@example.com"))
        assert "kern show" in mailbox.text("dana@example.com")
        assert ada.get("/v1/channels").json()["items"][0]["recipient"] == "dana"
        assert ada.delete(f"/v1/channels/{added.json()['id']}").status_code == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/webhooks", {"url": "ftp://example.com"}),
        ("/v1/webhooks", {"url": "https://10.0.0.1/"}),
        ("/v1/webhooks", {"url": "https://example.com", "kinds": ["x"]}),
        ("/v1/webhooks", {"url": "https://example.com", "tools": [""]}),
        ("/v1/channels", {"recipient": "dana", "url": "nonsense"}),
        ("/v1/channels", {"recipient": "", "url": "json://127.0.0.1/"}),
        ("/v1/channels", {"recipient": "dana", "url": "json://x/", "digest_minutes": 0}),
    ],
)
def test_what_can_be_no_subscription_is_refused(
    api: Api, path: str, body: dict[str, object]
) -> None:
    with api.as_person("ada", Role.administrator) as ada:
        answer = ada.post(path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")
        assert ada.get(path).json()["items"] == []


def test_only_an_administrator_reaches_subscriptions(api: Api) -> None:
    with api.as_person("dana", Role.operator) as dana:
        for path in ("/v1/webhooks", "/v1/channels", "/v1/deliveries"):
            assert dana.get(path).status_code == 403
        assert dana.post("/v1/webhooks", json={"url": "https://example.com"}).status_code == 403


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.setenv("KERN_HOME", str(tmp_path))
    database = SqliteStore(tmp_path / "kern.db")
    database.open()
    database.close()
    return Cli(capsys)


def test_the_command_line_keeps_webhooks(cli: Cli) -> None:
    added = cli(
        *("webhooks", "add", "https://example.com/hook", "--kind", "opened"),
        *("--risk-from", "normal", "--by", "dana", "--json"),
    ).json
    assert added["secret"].startswith("whsec_")
    assert sorted(added["risks"]) == ["high", "normal"]
    listed = cli("webhooks", "list")
    assert "https://example.com/hook" in listed.out
    assert added["secret"] not in listed.out
    rotated = cli("webhooks", "rotate", added["id"], "--json").json
    assert rotated["secret"] != added["secret"]
    assert cli("webhooks", "attempts").out == "There are no deliveries.\n"
    assert cli("webhooks", "replay", added["id"], "--since", "0").out.startswith("0 deliveries")
    assert cli("webhooks", "remove", added["id"]).code == 0
    assert "off since" in cli("webhooks", "list").out
    cli("webhooks", "remove", "nothing", code=3)
    cli("webhooks", "add", "https://127.0.0.1/", code=2)
    cli("webhooks", "add", "https://example.com", "--kind", "nonsense", code=2)


def test_the_command_line_keeps_channels(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERN_CHANNEL_URL", "mailto://127.0.0.1:25?from=a@example.com&to=b@c.de")
    cli("channels", "add", "group:leads", "--digest", "60", "--risk-from", "high")
    (channel,) = cli("channels", "list", "--json").json["channels"]
    assert (channel["recipient"], channel["digest_seconds"]) == ("group:leads", 3600)
    assert "b@c.de" not in cli("channels", "list").out
    cli("channels", "remove", channel["id"])
