"""Absences in Python, over HTTP and at the desk: who is away is seen, and may still decide."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from kern import inbox
from kern.client.processes.runtime import Runtime
from kern.client.remote.runtime import close_remote_runtime
from kern.errors import InvalidInput, NotAllowed
from kern.models.scripted import Call
from kern.requirements import Principal, Requirement
from kern.tenants import tenant
from kern.tools import Approval
from kern.values.roles import Role
from kern.values.states import PrincipalKind
from tests.support.agents import Ledger, paying, scripted
from tests.support.api import Api, serving
from tests.support.desk import Visitor, at_the_desk, link_to_the_desk
from tests.support.lost_acknowledgements import each_commit_unheard
from tests.support.statements import statements_of

DAY = timedelta(days=1)
NAMED = Approval(candidates=("dana", "ravi", "group:ops"))


@pytest.fixture
def api(runtime: Runtime) -> Iterator[Api]:
    with serving(runtime) as served:
        yield served


def waiting(ledger: Ledger, approval: Approval | None = None) -> Requirement:
    agent = scripted([Call("pay", amount=5), "Paid."], [paying(ledger, approval)])
    (requirement,) = agent.run("Pay").active_requirements
    return requirement


def soon(days: int = 3) -> datetime:
    return datetime.now(UTC).replace(microsecond=0) + days * DAY


def refused(answer: httpx2.Response) -> tuple[int, str]:
    body = answer.json()
    assert body["changed"] is False
    return answer.status_code, body["code"]


def away(client: httpx2.Client) -> list[str]:
    answer = client.get("/v1/absences")
    assert answer.status_code == 200, answer.text
    return [item["by"]["name"] for item in answer.json()["items"]]


def names() -> list[str]:
    return [absence.by.name for absence in inbox.absences().absences]


def test_somebody_is_away_and_back(api: Api) -> None:
    until, later = soon(), soon(5)
    with api.as_person("dana") as dana, api.as_person("vera", Role.viewer) as vera:
        body = {"until": until.isoformat(), "note": "Ask\x00 Ravi."}
        first = dana.put("/v1/me/absence", json=body)
        assert first.status_code == 200
        assert first.json()["by"]["subject"] == "dana"
        assert first.json()["note"] == "Ask\ufffd Ravi."
        assert dana.put("/v1/me/absence", json=body).json() == first.json()
        changed = dana.put("/v1/me/absence", json={"until": later.isoformat()}).json()
        assert datetime.fromisoformat(changed["until"]) == later
        assert (changed["since"], changed["note"]) == (first.json()["since"], None)
        assert away(vera) == ["dana"]
        assert [dana.delete("/v1/me/absence").json() for _ in range(2)] == [
            {"ended": True},
            {"ended": False},
        ]
        assert away(vera) == []


def test_who_is_away_is_listed_in_pages_within_the_tenant(api: Api) -> None:
    for number, name in enumerate(("dana", "ravi", "eli"), 1):
        with api.as_person(name) as client:
            body = {"until": soon(number).isoformat()}
            assert client.put("/v1/me/absence", json=body).status_code == 200
    with api.as_person("dana", tenant="acme") as other:
        assert away(other) == []
        assert other.delete("/v1/me/absence").json() == {"ended": False}
    with api.as_person("eli") as eli:
        first = eli.get("/v1/absences", params={"limit": 2}).json()
        assert [item["by"]["name"] for item in first["items"]] == ["dana", "ravi"]
        rest = eli.get("/v1/absences", params={"after": first["next"]}).json()
        assert ([item["by"]["name"] for item in rest["items"]], rest["next"]) == (["eli"], None)
        assert refused(eli.get("/v1/absences", params={"after": "x"}))[0] == 422


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "until"),
        ({"until": "2099-05-04T03:02:01"}, "until"),
        ({"until": "2020-05-04T03:02:01Z"}, "until"),
        ({"until": "9999-12-31T23:59:59-14:00"}, "until"),
        ({"until": "SOON", "since": "soon"}, "since"),
        ({"until": "SOON", "since": "2001-01-01T00:00:00Z"}, "since"),
        ({"until": "SOON", "since": "2099-01-01T00:00:00Z"}, "since"),
        ({"until": "SOON", "note": " "}, "note"),
        ({"until": "SOON", "note": "x" * 8_001}, "note"),
        ({"until": "SOON", "by": "ravi"}, "by"),
    ],
)
def test_what_makes_no_sense_is_named_and_changes_nothing(
    api: Api, body: dict[str, str], field: str
) -> None:
    with api.as_person("dana") as dana:
        sent = {name: soon().isoformat() if text == "SOON" else text for name, text in body.items()}
        answer = dana.put("/v1/me/absence", json=sent)
        assert refused(answer) == (422, "invalid_input")
        assert field in answer.text
        assert away(dana) == []


def test_services_and_those_who_only_read_are_not_away(api: Api) -> None:
    body = {"until": soon().isoformat()}
    bot = api.token("bot", Role.operator, kind=PrincipalKind.service)
    with api.client(bot.secret) as service, api.as_person("vera", Role.viewer) as vera:
        assert refused(service.put("/v1/me/absence", json=body)) == (403, "person_required")
        assert refused(service.delete("/v1/me/absence")) == (403, "person_required")
        assert refused(vera.put("/v1/me/absence", json=body)) == (403, "not_allowed")
        assert away(vera) == []


def test_whoever_is_away_is_asked_and_decides_as_before(api: Api, ledger: Ledger) -> None:
    with api.as_person("dana") as dana:
        dana.put("/v1/me/absence", json={"until": soon().isoformat()})
        seen = waiting(ledger, Approval(candidates="dana"))
        items = dana.get("/v1/requirements", params={"for": "me"}).json()["items"]
        assert [item["id"] for item in items] == [seen.id]
        path, body = f"/v1/requirements/{seen.id}", {"verdict": "reject", "note": "No."}
        kinds = [item["kind"] for item in dana.get(f"{path}/history").json()["items"]]
        assert kinds == ["opened"]
        assert dana.post(f"{path}/decisions", json=body).status_code == 201


def test_programs_say_who_is_away(runtime: Runtime) -> None:
    until = soon()
    said = inbox.away(until=until, note="Ask Ravi.", by="Dana")
    assert (said.by.name, said.by.is_local, said.until) == ("Dana", True, until)
    assert inbox.away(until=until, note="Ask Ravi.", by="dana").since == said.since
    assert asyncio.run(inbox.aaway(until=until, by="ravi")).note is None
    assert sorted(names()) == ["dana", "ravi"]
    page = asyncio.run(inbox.aabsences(limit=1))
    assert len(page.absences) == 1
    assert len(inbox.absences(cursor=page.next_cursor).absences) == 1
    assert inbox.back(by="DANA")
    assert not inbox.back(by="dana")
    assert asyncio.run(inbox.aback(by="ravi"))
    assert names() == []


def test_programs_name_who_it_is_and_make_sense(runtime: Runtime) -> None:
    service = Principal(issuer="x", subject="x", name="x", kind=PrincipalKind.service)
    wrong: list[tuple[dict[str, Any], str]] = [
        ({}, "Nobody is named"),
        ({"by": " "}, "Nobody is named"),
        ({"by": 7}, "by is 7"),
        ({"by": "dana", "until": "tomorrow"}, "until is 'tomorrow'"),
        ({"by": "dana", "since": "today"}, "since is 'today'"),
        ({"by": "dana", "note": 7}, "note is 7"),
        ({"by": "dana", "until": datetime.max.replace(tzinfo=UTC)}, "within 366 days"),
        ({"by": "dana", "since": datetime.min.replace(tzinfo=UTC)}, "at most 366 days ago"),
    ]
    for arguments, word in wrong:
        values: dict[str, Any] = {"until": soon(), **arguments}
        with pytest.raises(InvalidInput, match=word):
            inbox.away(**values)
    with pytest.raises(NotAllowed, match="only a person is away"):
        inbox.away(until=soon(), by=service)
    with pytest.raises(InvalidInput, match="limit"):
        inbox.absences(limit=0)
    assert names() == []


def test_programs_of_other_tenants_see_nothing(runtime: Runtime) -> None:
    with tenant("acme"):
        inbox.away(until=soon(), by="dana")
        assert names() == ["dana"]
    for other in ("globex", ""):
        with tenant(other):
            assert names() == []
            assert not inbox.back(by="dana")
    assert names() == ["dana"]


def test_what_nobody_heard_of_is_done_once(runtime_on_each: Runtime) -> None:
    with each_commit_unheard(2):
        inbox.away(until=soon(), by="dana")
        assert names() == ["dana"]
        assert inbox.back(by="dana")
    assert names() == []


def test_programs_say_it_over_http(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERN_API_URL", api.address)
    monkeypatch.setenv("KERN_API_TOKEN", api.token("dana").secret)
    try:
        until = soon()
        said = inbox.away(until=until, since=soon(-1), note="Ask Ravi.")
        assert (said.by.issuer, said.until, said.note) == ("kern-token", until, "Ask Ravi.")
        assert inbox.absences().absences == [said]
        with pytest.raises(NotAllowed, match="belongs to 'dana'"):
            inbox.away(until=until, by="ravi")
        with pytest.raises(NotAllowed):
            inbox.back(by="ravi")
        with pytest.raises(InvalidInput, match="until"):
            inbox.away(until=soon(-1))
        assert inbox.back(by="Dana")
        assert not inbox.back()
        assert names() == []
    finally:
        close_remote_runtime()


def test_the_desk_shows_who_is_away_of_those_whom_a_decision_names(
    api: Api, ledger: Ledger
) -> None:
    items = waiting(ledger, NAMED), waiting(ledger)
    with at_the_desk(api, "dana") as dana, at_the_desk(api, "ravi") as ravi:
        until = soon(10)
        form = dana.get("/desk/inbox").form("/desk/absence")
        page = dana.send(form, until=f"{until:%Y-%m-%dT%H:%M}", note="Zanzibar")
        assert page.path == "/desk/inbox"
        day = f"{until.day} {until:%b}"
        assert f"You are away until {day}" in page.text
        seen = ravi.get(f"/desk/requirements/{items[0].id}")
        assert f"away until {day}" in seen.text
        assert seen.text.count("away until") == 1
        assert "Zanzibar" not in seen.text
        assert f"you, away until {day}" in dana.get(f"/desk/requirements/{items[0].id}").text
        assert "away until" not in ravi.get(f"/desk/requirements/{items[1].id}").text
        assert "You are away" not in ravi.get("/desk/inbox").text
        for _ in range(2):
            assert "You are away" not in dana.send(page.form("/absence/end")).text
        assert "away until" not in ravi.get(f"/desk/requirements/{items[0].id}").text


def test_the_desk_keeps_what_was_typed_and_refused(api: Api) -> None:
    with at_the_desk(api, "dana") as dana:
        form = dana.get("/desk/inbox").form("/desk/absence")
        for until, since in (("2020-01-01T09:00", ""), ("", ""), ("2099-01-01T09:00", "soon")):
            page = dana.send(form, until=until, since=since, note="Ask Ravi.")
            assert page.status == 422
            assert "Nothing was changed" in page.text
            assert dict(page.form("/desk/absence").fields)["note"] == "Ask Ravi."
        planned = dana.send(
            form, until=f"{soon(9):%Y-%m-%dT%H:%M}", since=f"{soon():%Y-%m-%dT%H:%M}"
        )
        assert "You are away from" in planned.text
        with api.as_person("ravi") as ravi:
            assert away(ravi) == []


def test_at_the_desk_only_people_who_decide_are_away(runtime: Runtime, api: Api) -> None:
    bot = api.token("bot", Role.operator, kind=PrincipalKind.service)
    for visitor in (at_the_desk(api, "vera", Role.viewer), Visitor(api, bot.secret)):
        with visitor:
            page = visitor.get("/desk/inbox")
            assert not [form for form in page.forms if "absence" in form.action]
    with Visitor(api) as mia:
        mia.get(link_to_the_desk(runtime, api))
        form = mia.get("/desk/inbox").form("/desk/absence")
        assert "You are away" in mia.send(form, until=f"{soon():%Y-%m-%dT%H:%M}").text
        assert names() == ["mia"]


def test_naming_people_takes_one_statement_more(runtime: Runtime, api: Api, ledger: Ledger) -> None:
    anybody, named = waiting(ledger), waiting(ledger, NAMED)
    with at_the_desk(api, "dana") as dana:

        def lookups(item: Requirement) -> int:
            with statements_of(runtime.services.db) as executed:
                assert dana.get(f"/desk/requirements/{item.id}").status == 200
            return sum("kern_absences" in statement for statement in executed)

        assert (lookups(anybody), lookups(named)) == (0, 1)
