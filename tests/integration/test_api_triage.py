"""Triage over HTTP: claims, delegations, snoozes, comments, and the history of a requirement."""

from datetime import timedelta

import httpx2
import pytest

from kern.models.scripted import Call
from kern.process.clock import utc_now
from kern.requirements import Requirement
from kern.tenants import tenant
from kern.tools import Approval
from kern.values.roles import Role
from kern.values.states import PrincipalKind, RunStatus
from tests.support.agents import Ledger, paying, scripted
from tests.support.api import Api
from tests.support.waiting import wait_until

HOUR = timedelta(hours=1)


def waiting(ledger: Ledger, approval: Approval | None = None, amount: int = 5) -> Requirement:
    agent = scripted([Call("pay", amount=amount), "Paid."], [paying(ledger, approval)])
    (requirement,) = agent.run("Pay").active_requirements
    return requirement


def at(requirement: Requirement, part: str = "") -> str:
    return f"/v1/requirements/{requirement.id}{part}"


def code_of(answer: httpx2.Response) -> tuple[int, str]:
    assert answer.headers["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert body["changed"] is False
    return answer.status_code, body["code"]


def ids(client: httpx2.Client, **filters: str) -> list[str]:
    answer = client.get("/v1/requirements", params=filters)
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["items"]]


def reject(client: httpx2.Client, requirement: Requirement) -> httpx2.Response:
    body = {"verdict": "reject", "note": "No."}
    return client.post(at(requirement, "/decisions"), json=body)


def test_a_claim_is_seen_by_all_and_stops_nobody(api: Api, ledger: Ledger) -> None:
    seen = waiting(ledger)
    with api.as_person("dana") as dana, api.as_person("ravi") as ravi:
        claimed = dana.put(at(seen, "/claim"), json={"minutes": 30})
        assert claimed.json()["claim"]["by"] == "dana"
        assert dana.put(at(seen, "/claim")).status_code == 200
        refused = ravi.put(at(seen, "/claim"))
        assert code_of(refused) == (409, "claimed")
        assert refused.json()["claim"]["by"] == "dana"
        assert code_of(ravi.delete(at(seen, "/claim"))) == (409, "claimed")
        assert ids(ravi, claimed_by="Dana") == ids(dana, claimed_by="me") == [seen.id]
        assert ids(ravi, claimed_by="me") == []
        assert dana.get("/v1/requirements/counts").json()["claimed"] == 1
        assert reject(ravi, seen).status_code == 201
        assert ravi.get(at(seen)).json()["claim"] is None
        late = dana.put(at(seen, "/claim"))
        assert code_of(late) == (409, "already_resolved")
        assert late.json()["resolution"]["by"] == "ravi"


def test_a_claim_is_given_back(api: Api, ledger: Ledger) -> None:
    seen = waiting(ledger)
    with api.as_person("dana") as dana, api.as_person("ravi") as ravi:
        dana.put(at(seen, "/claim"))
        for _ in range(2):
            assert dana.delete(at(seen, "/claim")).json()["claim"] is None
        assert ravi.put(at(seen, "/claim")).json()["claim"]["by"] == "ravi"


@pytest.mark.parametrize("minutes", [0, 481, "30", 1.5])
def test_a_claim_is_for_some_minutes(api: Api, ledger: Ledger, minutes: object) -> None:
    seen = waiting(ledger)
    with api.as_person("dana") as dana:
        refused = dana.put(at(seen, "/claim"), json={"minutes": minutes})
        assert code_of(refused) == (422, "invalid_input")
        assert dana.get(at(seen)).json()["claim"] is None


def test_a_decision_is_handed_on_with_a_note(api: Api, ledger: Ledger) -> None:
    seen = waiting(ledger, Approval(candidates="dana"))
    headers = {"Idempotency-Key": "one"}
    with api.as_person("dana") as dana, api.as_person("eli") as eli:
        assert ids(eli, **{"for": "me"}) == []
        assert code_of(eli.put(at(seen, "/claim"))) == (403, "not_allowed")
        body = {"to": "Eli", "note": "You know them."}
        dana.post(at(seen, "/delegation"), json=body, headers=headers)
        answer = dana.post(at(seen, "/delegation"), json=body, headers=headers)
        assert answer.status_code == 200
        (delegation,) = answer.json()["delegations"]
        assert (delegation["by"]["subject"], delegation["to"]) == ("dana", "Eli")
        assert ids(eli, **{"for": "me"}) == [seen.id]
        assert ids(dana, **{"for": "me"}) == []
        assert [item["text"] for item in eli.get(at(seen, "/comments")).json()["items"]] == [
            "You know them."
        ]
        assert reject(eli, seen).status_code == 201


def test_a_decision_is_not_handed_to_who_is_excluded(api: Api, ledger: Ledger) -> None:
    seen = waiting(ledger, Approval(candidates="dana", excluded="mia"))
    with api.as_person("dana") as dana:
        refused = dana.post(at(seen, "/delegation"), json={"to": "mia"})
        assert code_of(refused) == (403, "not_allowed")
        for wrong in ({}, {"to": ""}, {"to": "dana"}, {"to": "a\u200bb"}, {"to": "eli", "by": "x"}):
            assert code_of(dana.post(at(seen, "/delegation"), json=wrong))[0] == 422


def test_what_is_put_off_is_hidden_until_then(api: Api, ledger: Ledger) -> None:
    seen = waiting(ledger)
    until = (utc_now() + 2 * HOUR).isoformat()
    with api.as_person("dana") as dana, api.as_person("ravi") as ravi:
        answer = dana.put(at(seen, "/snooze"), json={"until": until})
        assert answer.json()["requirement"] == seen.id
        assert ids(dana, **{"for": "me"}) == []
        assert ids(dana, snoozed="me") == [seen.id]
        assert ids(ravi, **{"for": "me"}) == [seen.id]
        counts = dana.get("/v1/requirements/counts").json()
        assert (counts["for_me"], counts["snoozed"], counts["all"]) == (0, 1, 1)
        assert dana.delete(at(seen, "/snooze")).status_code == 200
        assert ids(dana, **{"for": "me"}) == [seen.id]
        for wrong in (
            "2026-05-04T03:02:01",
            (utc_now() - HOUR).isoformat(),
            (utc_now() + timedelta(days=31)).isoformat(),
        ):
            refused = dana.put(at(seen, "/snooze"), json={"until": wrong})
            assert code_of(refused) == (422, "invalid_input")


def test_comments_are_kept_once_under_a_key_and_by_services_too(api: Api, ledger: Ledger) -> None:
    seen, headers = waiting(ledger), {"Idempotency-Key": "one"}
    bot = api.token("tickets", Role.operator, kind=PrincipalKind.service)
    agent = api.token("agent", Role.operator, kind=PrincipalKind.agent)
    with api.as_person("dana") as dana, api.client(bot.secret) as service:
        first = dana.post(at(seen, "/comments"), json={"text": "Hm."}, headers=headers)
        again = dana.post(at(seen, "/comments"), json={"text": "Hm."}, headers=headers)
        assert (first.status_code, again.status_code) == (201, 201)
        assert first.json() == again.json()
        assert "Idempotent-Replay" not in first.headers
        assert again.headers["Idempotent-Replay"] == "true"
        other = dana.post(at(seen, "/comments"), json={"text": "Other."}, headers=headers)
        assert code_of(other) == (422, "idempotency_key_reused")
        reject(dana, seen)
        assert service.post(at(seen, "/comments"), json={"text": "TICKET-7"}).status_code == 201
        with api.client(agent.secret) as robot:
            refused = robot.post(at(seen, "/comments"), json={"text": "Do it."})
            assert code_of(refused) == (403, "not_allowed")
        page = dana.get(at(seen, "/comments"), params={"limit": 1}).json()
        assert [item["text"] for item in page["items"]] == ["Hm."]
        rest = dana.get(at(seen, "/comments"), params={"after": page["next"]}).json()
        assert [(item["text"], item["by"]["kind"]) for item in rest["items"]] == [
            ("TICKET-7", "service")
        ]
        for text in ("", " \n", "x" * 8_001):
            assert code_of(dana.post(at(seen, "/comments"), json={"text": text}))[0] == 422
        for cursor in ("nonsense", seen.id):
            refused = dana.get(at(seen, "/comments"), params={"after": cursor})
            assert code_of(refused) == (422, "invalid_input")


def test_the_history_shows_all_of_it_in_order(api: Api, ledger: Ledger) -> None:
    seen = waiting(ledger)
    with api.as_person("dana") as dana:
        dana.put(at(seen, "/claim"))
        dana.post(at(seen, "/comments"), json={"text": "Hm\x00."})
        dana.post(at(seen, "/delegation"), json={"to": "group:ops"})
        reject(dana, seen)
        items = dana.get(at(seen, "/history")).json()["items"]
    assert [(item["kind"], item["by"], item["text"]) for item in items] == [
        ("opened", None, ""),
        ("claimed", "dana", ""),
        ("commented", "dana", "Hm\ufffd."),
        ("delegated", "dana", ""),
        ("decided", "dana", "No."),
    ]
    assert (items[3]["to"], items[4]["verdict"]) == (["group:ops"], "reject")


def test_whoever_only_reads_changes_nothing(api: Api, ledger: Ledger) -> None:
    seen = waiting(ledger)
    until = (utc_now() + HOUR).isoformat()
    calls: list[tuple[str, str, object]] = [
        ("PUT", "/claim", {}),
        ("DELETE", "/claim", None),
        ("POST", "/delegation", {"to": "eli"}),
        ("PUT", "/snooze", {"until": until}),
        ("DELETE", "/snooze", None),
        ("POST", "/comments", {"text": "Hm."}),
    ]
    with tenant("acme"):
        elsewhere = waiting(ledger)
    service = api.token("bot", kind=PrincipalKind.service)
    with api.as_person("vera", Role.viewer) as vera, api.as_person("dana") as dana:
        for method, part, body in calls:
            answer = vera.request(method, at(seen, part), json=body)
            assert code_of(answer) == (403, "not_allowed"), part
            answer = dana.request(method, at(elsewhere, part), json=body)
            assert code_of(answer) == (404, "not_found"), part
        for part in ("/comments", "/history"):
            assert vera.get(at(seen, part)).status_code == 200
            assert code_of(dana.get(at(elsewhere, part))) == (404, "not_found")
    with api.client(service.secret) as bot:
        for part, body in (("/claim", {}), ("/snooze", {"until": until})):
            assert code_of(bot.put(at(seen, part), json=body)) == (403, "person_required")
        answer = bot.post(at(seen, "/delegation"), json={"to": "eli"})
        assert code_of(answer) == (403, "person_required")


def test_what_is_closed_is_listed_and_searched(api: Api, ledger: Ledger) -> None:
    first, second, third = (waiting(ledger, amount=amount) for amount in (71111, 72222, 73333))
    with api.as_person("dana") as dana:
        reject(dana, second)
        reject(dana, first)
        page = dana.get("/v1/requirements", params={"status": "closed", "limit": 1}).json()
        assert [item["id"] for item in page["items"]] == [first.id]
        assert ids(dana, status="closed", after=page["next"]) == [second.id]
        assert ids(dana, status="closed", q="72222") == [second.id]
        assert ids(dana) == [third.id]
        assert ids(dana, q="73333") == ids(dana, q="PAY") == [third.id]
        assert ids(dana, q="72222") == []
        late = (utc_now() + HOUR).isoformat()
        assert ids(dana, created_after=late) == []
        for wrong in ({"for": "me"}, {"sort": "due"}, {"snoozed": "me"}, {"after": first.id}):
            refused = dana.get("/v1/requirements", params={"status": "closed", **wrong})
            assert code_of(refused) == (422, "invalid_input"), wrong


def test_what_a_group_may_decide_is_listed(api: Api, ledger: Ledger) -> None:
    waiting(ledger)
    seen = waiting(ledger, Approval(candidates="group:finance"))
    with api.as_person("dana") as dana:
        assert ids(dana, group="Finance") == [seen.id]
        assert ids(dana, group="ops") == []


def items_of(*requirements: Requirement, **more: object) -> dict[str, object]:
    items = [{"requirement_id": item.id, "digest": item.digest[:12]} for item in requirements]
    return {"verdict": "approve", "items": items, **more}


def test_look_alikes_are_approved_together_and_each_is_its_own_decision(
    api: Api, ledger: Ledger
) -> None:
    agent = scripted([Call("pay", amount=5), "Paid."], [paying(ledger)])
    seen = [agent.run("Pay").active_requirements[0] for _ in range(3)]
    headers = {"Idempotency-Key": "batch"}
    with api.as_person("dana") as dana, api.as_person("ravi") as ravi:
        reject(ravi, seen[1])
        body = items_of(*seen)
        answer = dana.post("/v1/batches", json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        results = answer.json()["items"]
        assert [item["requirement"] for item in results] == [item.id for item in seen]
        assert [item["code"] for item in results] == [None, "already_resolved", None]
        assert "'ravi' decided" in results[1]["detail"]
        hashes = {item["decision"]["hash"] for item in results if item["decision"]}
        assert len(hashes) == 2
        wait_until(lambda: ledger.lines == ["paid 5", "paid 5"])
        again = dana.post("/v1/batches", json=body, headers=headers)
        assert again.json() == answer.json()
        assert again.headers["Idempotent-Replay"] == "true"
        other = dana.post("/v1/batches", json=items_of(seen[0]), headers=headers)
        assert code_of(other) == (422, "idempotency_key_reused")
        # A key is its caller's own.
        assert ravi.post("/v1/batches", json=body, headers=headers).json() != answer.json()


def test_a_batch_that_was_answered_decides_nothing_later(api: Api, ledger: Ledger) -> None:
    seen = waiting(ledger, Approval(quorum=2))
    headers = {"Idempotency-Key": "batch"}
    with api.as_person("dana") as dana, api.as_person("ravi") as ravi:
        first = dana.post("/v1/batches", json=items_of(seen), headers=headers)
        assert first.json()["items"][0]["code"] == "more_approvals"
        body = {"verdict": "approve", "digest": seen.digest}
        assert ravi.post(at(seen, "/decisions"), json=body).status_code == 201
        again = dana.post("/v1/batches", json=items_of(seen), headers=headers)
        assert again.json() == first.json()
        assert dana.get(at(seen)).json()["status"] == "pending"
        done = dana.post("/v1/batches", json=items_of(seen))
        assert done.json()["items"][0]["decision"]["verdict"] == "approve"


def test_what_changed_or_reads_wrong_is_left_as_it_is(api: Api, ledger: Ledger) -> None:
    seen = waiting(ledger)
    with api.as_person("dana") as dana:
        body = items_of(seen)
        body["items"] = [{"requirement_id": seen.id, "digest": "0" * 12}]
        (result,) = dana.post("/v1/batches", json=body).json()["items"]
        assert (result["decision"], result["code"]) == (None, "arguments_changed")
        body["items"] = [
            {"requirement_id": "019ac0e2-9f4f-7c31-a5d0-2f0f26799eb1", "digest": "0" * 8}
        ]
        (result,) = dana.post("/v1/batches", json=body).json()["items"]
        assert result["code"] == "not_found"
    assert ledger.lines == []


def test_a_batch_has_one_shape_and_no_high_risk(api: Api, ledger: Ledger) -> None:
    from kern.tools import tool

    @tool(requires_confirmation=True, risk="high")
    def wire(amount: int) -> str:
        """Wire."""
        ledger.add(f"wired {amount}")
        return "wired"

    seen = waiting(ledger)
    agent = scripted([Call("wire", amount=5), "Done."], [wire])
    (risky,) = agent.run("Wire").active_requirements
    with api.as_person("dana") as dana:
        mixed = dana.post("/v1/batches", json=items_of(seen, risky))
        assert code_of(mixed) == (422, "mixed_shapes")
        assert code_of(dana.post("/v1/batches", json=items_of(risky))) == (422, "high_risk")
        assert code_of(dana.post("/v1/batches", json=items_of(seen, seen)))[0] == 422
        assert code_of(dana.post("/v1/batches", json=items_of()))[0] == 422
        many = {"verdict": "reject", "note": "No.", "items": [{"requirement_id": "x"}] * 26}
        assert code_of(dana.post("/v1/batches", json=many))[0] == 422
        blank = {"verdict": "approve", "items": [{"requirement_id": seen.id}]}
        refused = dana.post("/v1/batches", json=blank)
        assert code_of(refused) == (422, "invalid_decision")
        assert refused.json()["errors"][0]["field"] == "items.0.digest"
        assert len(ids(dana)) == 2
        note = {"verdict": "reject", "note": "No.", "items": [{"requirement_id": seen.id}]}
        (result,) = dana.post("/v1/batches", json=note).json()["items"]
        assert result["decision"]["verdict"] == "reject"


def test_a_batch_counts_as_many_decisions(api: Api, ledger: Ledger) -> None:
    seen = waiting(ledger)
    unknown = [
        {"requirement_id": f"019ac0e2-9f4f-7c31-a5d0-{n:012}", "digest": "0" * 8} for n in range(25)
    ]
    with api.as_person("dana") as dana:
        body = {"verdict": "approve", "items": unknown}
        statuses = [dana.post("/v1/batches", json=body).status_code for _ in range(3)]
        assert statuses == [200, 200, 429]
        assert reject(dana, seen).status_code == 201


def test_a_claim_is_over_with_the_run(api: Api, ledger: Ledger) -> None:
    agent = scripted([Call("pay", amount=5), "Paid."], [paying(ledger)])
    run = agent.run("Pay")
    (seen,) = run.active_requirements
    with api.as_person("dana") as dana:
        dana.put(at(seen, "/claim"))
        assert dana.post(f"/v1/runs/{run.run_id}/cancellation").status_code == 202
        wait_until(lambda: agent.get_run_output(run.run_id).status is RunStatus.cancelled)
        assert code_of(dana.put(at(seen, "/claim"))) == (410, "cancelled")
        assert dana.get(at(seen, "/history")).json()["items"][-1]["kind"] == "cancelled"
