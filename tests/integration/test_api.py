"""The API over HTTP: who may call, what it shows, and decisions that are accepted once."""

import json
import time
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest

from kern.agent import Agent
from kern.client.processes.runtime import Runtime
from kern.components.policies import policy_of
from kern.models.scripted import Call
from kern.process.clock import utc_now
from kern.requirements import Requirement
from kern.run import RunOutput
from kern.tenants import tenant
from kern.tools import Approval, Bounds, Tool, tool
from kern.values.roles import Role
from kern.values.states import PrincipalKind, RunStatus
from tests.support.agents import Ledger, paying, scripted
from tests.support.api import Api, serving
from tests.support.statements import statements_of
from tests.support.waiting import wait_until


def payer(ledger: Ledger, approval: Approval | None = None) -> Agent:
    return scripted([Call("pay", amount=5), "Paid."], [paying(ledger, approval)])


def paused(ledger: Ledger, approval: Approval | None = None) -> tuple[Agent, RunOutput]:
    agent = payer(ledger, approval)
    return agent, agent.run("Pay")


def waiting(run: RunOutput) -> Requirement:
    (requirement,) = run.active_requirements
    return requirement


def waiting_for(path: Path) -> Tool:
    """Return a tool that waits until a file is there."""

    @tool(effect="read")
    def wait() -> str:
        """Wait."""
        wait_until(path.exists)
        return "waited"

    return wait


def approval_of(requirement: Requirement, **more: object) -> dict[str, object]:
    return {"verdict": "approve", "digest": requirement.digest[:12], **more}


def decisions(requirement: Requirement) -> str:
    return f"/v1/requirements/{requirement.id}/decisions"


def code_of(answer: httpx2.Response) -> tuple[int, str]:
    assert answer.headers["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == answer.status_code
    assert body["changed"] is False
    return answer.status_code, body["code"]


def test_a_person_finds_what_waits_approves_it_and_it_is_executed(api: Api, ledger: Ledger) -> None:
    agent, run = paused(ledger)
    with api.as_person("dana") as dana:
        (item,) = dana.get("/v1/requirements").json()["items"]
        assert (item["tool"], item["arguments"]) == ("pay", {"amount": 5})
        answer = dana.post(
            f"/v1/requirements/{item['id']}/decisions",
            json={"verdict": "approve", "digest": item["digest"], "note": "ok"},
        )
        assert answer.status_code == 201
        accepted = answer.json()
        assert accepted["decision"]["by"]["subject"] == "dana"
        assert accepted["requirement"]["status"] == "resolved"
        assert dana.get(answer.headers["Location"]).json() == accepted["decision"]
        wait_until(lambda: agent.get_run_output(run.run_id).status is RunStatus.completed)
        details = dana.get(f"/v1/runs/{run.run_id}").json()
    assert (details["status"], details["content"]) == ("completed", "Paid.")
    assert [item["verdict"] for item in details["decisions"]] == ["approve"]
    assert ledger.lines == ["paid 5"]


def test_the_same_key_decides_once_and_gives_the_first_answer(api: Api, ledger: Ledger) -> None:
    _, run = paused(ledger, Approval(quorum=2))
    requirement, headers = waiting(run), {"Idempotency-Key": "one"}
    with api.as_person("dana") as dana, api.as_person("ravi") as ravi:
        body = approval_of(requirement, note="ok")
        first = dana.post(decisions(requirement), json=body, headers=headers)
        again = dana.post(decisions(requirement), json=body, headers=headers)
        assert (first.status_code, again.status_code) == (201, 201)
        assert again.headers["Idempotent-Replay"] == "true"
        assert "Idempotent-Replay" not in first.headers
        assert again.json()["decision"] == first.json()["decision"]
        assert again.json()["requirement"]["approvals"] == 1
        other = dana.post(
            decisions(requirement), json={"verdict": "reject", "note": "no"}, headers=headers
        )
        assert code_of(other) == (422, "idempotency_key_reused")
        # A key is its caller's own.
        second = ravi.post(decisions(requirement), json=body, headers=headers)
        assert second.json()["requirement"]["status"] == "resolved"
        late = dana.post(decisions(requirement), json=body, headers=headers)
        assert late.json()["decision"] == first.json()["decision"]


def test_whoever_is_second_is_told_who_was_first(api: Api, ledger: Ledger) -> None:
    _, run = paused(ledger)
    requirement = waiting(run)
    with api.as_person("dana") as dana, api.as_person("ravi") as ravi:
        dana.post(decisions(requirement), json={"verdict": "reject", "note": "A fraud."})
        answer = ravi.post(decisions(requirement), json=approval_of(requirement))
    assert code_of(answer) == (409, "already_resolved")
    resolution = answer.json()["resolution"]
    assert (resolution["verdict"], resolution["by"]) == ("reject", "dana")
    assert ledger.lines == []


def test_what_nobody_decided_in_time_is_gone(api: Api, ledger: Ledger) -> None:
    agent, run = paused(ledger, Approval(due=timedelta(seconds=0.2)))
    requirement = waiting(run)
    wait_until(lambda: agent.get_run_output(run.run_id).status is RunStatus.completed)
    with api.as_person("dana") as dana:
        answer = dana.post(decisions(requirement), json=approval_of(requirement))
    assert code_of(answer) == (410, "expired")


def test_what_is_decided_is_what_was_shown(api: Api, ledger: Ledger) -> None:
    _, run = paused(ledger)
    requirement = waiting(run)
    with api.as_person("dana") as dana:
        wrong = dana.post(decisions(requirement), json={"verdict": "approve", "digest": "0" * 12})
        assert code_of(wrong) == (409, "arguments_changed")
        missing = dana.post(decisions(requirement), json={"verdict": "approve"})
        assert code_of(missing) == (422, "invalid_decision")
        assert [item["field"] for item in missing.json()["errors"]] == ["digest"]
        silent = dana.post(decisions(requirement), json={"verdict": "reject"})
        assert [item["field"] for item in silent.json()["errors"]] == ["note"]


@pytest.mark.parametrize("kind", [PrincipalKind.agent, PrincipalKind.service])
def test_no_agent_and_no_service_decides_for_a_person(
    api: Api, ledger: Ledger, kind: PrincipalKind
) -> None:
    _, run = paused(ledger)
    requirement = waiting(run)
    token = api.token("bot", Role.administrator, kind=kind)
    with api.client(token.secret) as bot:
        answer = bot.post(decisions(requirement), json=approval_of(requirement))
        assert code_of(answer) == (403, "person_required")
        assert bot.get(f"/v1/requirements/{requirement.id}").json()["status"] == "pending"


def test_who_decides_is_who_authenticated_and_no_field_of_the_body(
    api: Api, ledger: Ledger
) -> None:
    _, run = paused(ledger)
    requirement = waiting(run)
    with api.as_person("dana") as dana:
        answer = dana.post(decisions(requirement), json=approval_of(requirement, by="mara"))
    assert code_of(answer) == (422, "invalid_input")
    assert answer.json()["errors"][0]["field"] == "by"


def test_nobody_comes_in_without_a_valid_token(api: Api) -> None:
    expired = api.token("dana", life=timedelta(microseconds=1))
    revoked, valid = api.token("dana"), api.token("root", Role.administrator)
    with api.client(valid.secret) as root:
        assert root.delete(f"/v1/tokens/{revoked.token.id}").json()["revoked_by"] == "root"
    for secret in (None, "kern_wrong", expired.secret, revoked.secret):
        with api.client(secret) as client:
            answer = client.get("/v1/me")
        assert code_of(answer) == (401, "unauthenticated")
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert secret is None or secret not in answer.text


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        (Role.viewer, set[str]()),
        (Role.operator, {"cancel", "decide"}),
        (Role.auditor, {"verify"}),
        (Role.administrator, {"cancel", "decide", "verify", "tokens"}),
    ],
)
def test_a_role_may_do_what_it_says_and_nothing_else(
    api: Api, ledger: Ledger, role: Role, allowed: set[str]
) -> None:
    _, run = paused(ledger)
    requirement = waiting(run)
    # The operator of a tenant verifies a run's part of the log, as on the command line.
    verified = {"run": run.run_id}
    with api.as_person("dana", role) as client:
        assert client.get(f"/v1/runs/{run.run_id}").status_code == 200
        answers = {
            "verify": client.post("/v1/audit/verifications", json=verified),
            "tokens": client.get("/v1/tokens"),
            "decide": client.post(
                decisions(requirement), json={"verdict": "reject", "note": "No."}
            ),
            "cancel": client.post(f"/v1/runs/{run.run_id}/cancellation"),
        }
    assert {name for name, answer in answers.items() if answer.status_code != 403} == allowed


def test_what_belongs_to_another_tenant_is_not_there(api: Api, ledger: Ledger) -> None:
    with tenant("acme"):
        _, run = paused(ledger)
    requirement = waiting(run)
    with api.as_person("mallory", Role.administrator, tenant="other") as other:
        for path in (
            f"/v1/requirements/{requirement.id}",
            f"/v1/requirements/{requirement.id}/decisions",
            f"/v1/runs/{run.run_id}",
            f"/v1/sessions/{run.session_id}",
            f"/v1/sessions/{run.session_id}/messages",
        ):
            assert code_of(other.get(path)) == (404, "not_found"), path
        assert other.get("/v1/requirements").json()["items"] == []
        assert other.get("/v1/runs").json()["items"] == []
        assert other.get("/v1/sessions").json()["items"] == []
        answer = other.post(decisions(requirement), json=approval_of(requirement))
        assert code_of(answer) == (404, "not_found")
        assert code_of(other.post(f"/v1/runs/{run.run_id}/cancellation")) == (404, "not_found")
        assert code_of(other.delete(f"/v1/sessions/{run.session_id}")) == (404, "not_found")
    with api.as_person("dana", tenant="acme") as dana:
        assert dana.get(f"/v1/runs/{run.run_id}").json()["tenant"] == "acme"


def test_lists_come_in_pages(api: Api, ledger: Ledger) -> None:
    agent = payer(ledger)
    ids = [waiting(agent.run("Pay")).id for _ in range(3)]
    with api.as_person("dana") as dana:
        first = dana.get("/v1/requirements", params={"limit": 2}).json()
        second = dana.get("/v1/requirements", params={"limit": 2, "after": first["next"]}).json()
        assert [item["id"] for item in first["items"] + second["items"]] == ids
        assert second["next"] is None
        assert code_of(dana.get("/v1/requirements", params={"limit": 0})) == (422, "invalid_input")
        unknown = dana.get("/v1/requirements", params={"statsu": "pending"})
        assert code_of(unknown) == (422, "invalid_input")


def test_what_the_caller_has_already_is_not_sent_again(api: Api, ledger: Ledger) -> None:
    _, run = paused(ledger)
    path = f"/v1/requirements/{waiting(run).id}"
    with api.as_person("dana") as dana:
        first = dana.get(path)
        same = dana.get(path, headers={"If-None-Match": first.headers["ETag"]})
        assert (same.status_code, same.content) == (304, b"")
        dana.post(f"{path}/decisions", json={"verdict": "reject", "note": "No."})
        changed = dana.get(path, headers={"If-None-Match": first.headers["ETag"]})
        assert changed.json()["status"] == "resolved"


def test_a_request_that_is_too_large_or_no_json_is_refused(api: Api, ledger: Ledger) -> None:
    _, run = paused(ledger)
    path = decisions(waiting(run))
    with api.as_person("dana") as dana:
        large = {"verdict": "reject", "note": "n" * 2_000_000}
        assert code_of(dana.post(path, json=large)) == (413, "too_large")
        chunks = (b" " * 100_000 for _ in range(20))
        assert code_of(dana.post(path, content=chunks)) == (413, "too_large")
        json_type = {"Content-Type": "application/json"}
        status, _ = code_of(dana.post(path, content=b"{", headers=json_type))
        assert status == 422
        assert code_of(dana.post(path, content=b"\xff", headers=json_type)) == (400, "malformed")
        assert code_of(dana.get("/v1/nothing")) == (404, "not_found")


def test_more_decisions_than_one_person_makes_are_refused(api: Api, ledger: Ledger) -> None:
    _, run = paused(ledger)
    path = decisions(waiting(run))
    with api.as_person("dana") as dana, api.as_person("ravi") as ravi:
        wrong = {"verdict": "approve", "digest": "0" * 12}
        statuses = [dana.post(path, json=wrong).status_code for _ in range(61)]
        assert statuses == [409] * 60 + [429]
        assert ravi.post(path, json=wrong).status_code == 409


def test_every_answer_tells_browsers_to_trust_nothing(api: Api) -> None:
    with api.client(None) as client:
        answers = [client.get("/v1/me"), client.get("/nothing"), client.get("/v1/openapi.json")]
    for answer in answers:
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"


def test_the_log_is_verified_and_exported(api: Api, ledger: Ledger) -> None:
    _, run = paused(ledger)
    requirement = waiting(run)
    with api.as_person("dana", Role.operator, Role.auditor) as dana:
        dana.post(decisions(requirement), json={"verdict": "reject", "note": "No."})
        report = dana.post("/v1/audit/verifications", json={"run": run.run_id}).json()
        assert (report["intact"], report["report"]["decisions"]) == (True, 1)
        lines = dana.get("/v1/audit/export", params={"run": run.run_id}).text.splitlines()
        assert len(lines) > 2


def test_each_tenant_verifies_and_exports_its_part_of_the_log(api: Api, ledger: Ledger) -> None:
    waits = {}
    for name in ("acme", "globex"):
        with tenant(name):
            waits[name] = waiting(paused(ledger)[1])
    for name, other in (("acme", "globex"), ("globex", "acme")):
        with api.as_person("dana", Role.operator, Role.auditor, tenant=name) as dana:
            rejected = dana.post(
                decisions(waits[name]), json={"verdict": "reject", "note": f"No, {name}."}
            )
            assert rejected.status_code == 201
            answer = dana.post("/v1/audit/verifications", json={}).json()
            assert (answer["intact"], answer["report"]["tenant"]) == (True, name)
            assert answer["report"]["decisions"] == 1
            head = answer["report"]["head"]
            noted = dana.post("/v1/audit/verifications", json={"head": head}).json()
            assert noted["intact"]
            unknown = dana.post("/v1/audit/verifications", json={"head": "f" * 64}).json()
            assert "whose 1 decisions" in unknown["broken"]
            exported = dana.get("/v1/audit/export", params={"text": True})
            assert f"No, {name}." in exported.text
            assert waits[name].run_id in exported.text
            assert waits[other].run_id not in exported.text
            foreign = dana.post("/v1/audit/verifications", json={"run": waits[other].run_id})
            assert code_of(foreign) == (404, "not_found")


def test_a_time_narrows_an_export_and_has_a_zone(api: Api, ledger: Ledger) -> None:
    requirement = waiting(paused(ledger)[1])
    with api.as_person("dana", Role.operator, Role.auditor) as dana:
        dana.post(decisions(requirement), json={"verdict": "reject", "note": "No."})
        past = {"from": "2000-01-01T00:00:00Z", "to": "2001-01-01T00:00:00+01:00"}
        answer = dana.get("/v1/audit/export", params=past)
        first, end = map(json.loads, answer.text.splitlines())
        assert (first["from"], first["to"]) == (
            "2000-01-01T00:00:00+00:00",
            "2000-12-31T23:00:00+00:00",
        )
        assert end["lines"] == 1
        since = {"from": "2001-01-01T00:00:00Z"}
        assert requirement.run_id in dana.get("/v1/audit/export", params=since).text
        for name in ("from", "to"):
            refused = dana.get("/v1/audit/export", params={name: "2026-05-04T03:02:01"})
            assert code_of(refused) == (422, "invalid_input")
            assert [error["field"] for error in refused.json()["errors"]] == [f"query.{name}"]
        backwards = dana.get("/v1/audit/export", params={"from": past["to"], "to": past["from"]})
        assert code_of(backwards) == (422, "invalid_input")


def test_a_token_is_made_shown_once_and_revoked(api: Api) -> None:
    with api.as_person("root", Role.administrator) as root:
        made = root.post(
            "/v1/tokens", json={"label": "dana's script", "subject": "dana", "roles": ["viewer"]}
        )
        assert made.status_code == 201
        secret = made.json()["secret"]
        listed = root.get("/v1/tokens")
        assert "dana's script" in [item["label"] for item in listed.json()["items"]]
        assert secret not in listed.text
        with api.client(secret) as dana:
            assert dana.get("/v1/me").json()["principal"]["subject"] == "dana"
            root.delete(f"/v1/tokens/{made.json()['token']['id']}")
            assert dana.get("/v1/me").status_code == 401
        refused = root.post("/v1/tokens", json={"label": "x", "subject": "d", "roles": ["king"]})
        assert code_of(refused) == (422, "invalid_input")


def test_an_administrator_has_the_tokens_of_their_tenant_alone(api: Api) -> None:
    theirs = api.token("dana", tenant="acme")
    with api.as_person("root", Role.administrator, tenant="other") as root:
        assert theirs.token.id not in root.get("/v1/tokens").text
        assert code_of(root.delete(f"/v1/tokens/{theirs.token.id}")) == (404, "not_found")
        body = {"label": "mine", "subject": "d", "roles": ["viewer"]}
        made = root.post("/v1/tokens", json=body).json()
        assert made["token"]["principal"]["tenant"] == "other"
    with api.client(theirs.secret) as dana:
        assert dana.get("/v1/me").status_code == 200


def test_what_its_author_says_is_shown_and_its_value_is_typed(api: Api, ledger: Ledger) -> None:
    @tool(
        requires_confirmation=True,
        approval=Approval(candidates="dana"),
        title="Pay {amount} EUR",
        risk="high",
        confirm="amount",
        edit_bounds={"amount": Bounds(only="down")},
    )
    def pay(amount: int) -> str:
        """Pay."""
        ledger.add(f"paid {amount}")
        return f"paid {amount}"

    agent = scripted([Call("pay", amount=5), "Paid."], [pay])
    requirement = waiting(agent.run("Pay"))
    with api.as_person("dana") as dana, api.as_person("ravi") as ravi:
        (item,) = dana.get("/v1/requirements", params={"for": "me", "risk": "high"}).json()["items"]
        assert (item["title"], item["risk"], item["confirm_value"]) == ("Pay 5 EUR", "high", "5")
        assert item["bounds"]["amount"]["only"] == "down"
        counts = {"all": 1, "claimed": 0, "snoozed": 0, "unknown": 0}
        assert dana.get("/v1/requirements/counts").json() == {"for_me": 1, **counts}
        assert ravi.get("/v1/requirements", params={"for": "me"}).json()["items"] == []
        assert ravi.get("/v1/requirements/counts").json() == {"for_me": 0, **counts}
        path = decisions(requirement)
        for confirm in (None, "6"):
            refused = dana.post(path, json=approval_of(requirement, confirm=confirm))
            assert code_of(refused) == (422, "confirmation_mismatch")
        more = approval_of(requirement, confirm="6", edit={"amount": 6})
        assert code_of(dana.post(path, json=more)) == (422, "invalid_decision")
        # What is typed is what would run.
        less = approval_of(requirement, confirm="5", edit={"amount": 4})
        assert code_of(dana.post(path, json=less)) == (422, "confirmation_mismatch")
        accepted = dana.post(path, json=approval_of(requirement, confirm="5"))
        assert accepted.json()["requirement"]["status"] == "resolved"
        wait_until(lambda: ledger.lines == ["paid 5"])


def test_lists_come_in_the_order_that_is_asked_for(api: Api, ledger: Ledger) -> None:
    later = waiting(payer(ledger, Approval(due=timedelta(hours=2))).run("Pay"))
    soon = waiting(payer(ledger, Approval(due=timedelta(hours=1))).run("Pay"))
    with api.as_person("dana") as dana:
        by_due = dana.get("/v1/requirements", params={"sort": "due"}).json()["items"]
        assert [item["id"] for item in by_due] == [soon.id, later.id]
        moment = (utc_now() + timedelta(minutes=90)).isoformat()
        due = dana.get("/v1/requirements", params={"due_before": moment}).json()["items"]
        assert [item["id"] for item in due] == [soon.id]


def test_the_list_of_workers_reads_no_calls(api: Api, runtime: Runtime) -> None:
    with api.as_person("dana") as dana:
        assert min(reads_of_calls(runtime, dana) for _ in range(4)) == 0


def reads_of_calls(runtime: Runtime, dana: httpx2.Client) -> int:
    with statements_of(runtime.services.db) as executed:
        dana.get("/v1/workers")
    return sum("kern_tool_calls" in statement for statement in executed)


def test_a_run_is_started_by_the_id_of_a_component_that_a_worker_has(
    api: Api, ledger: Ledger, runtime: Runtime
) -> None:
    agent = scripted(
        [Call("pay", amount=5), "Paid."], [paying(ledger)], session_state={"plan": "pro"}
    )
    runtime.add(agent)
    body = {"component": agent.id, "input": "Pay", "user": "mara", "metadata": {"ticket": 7}}
    with api.as_person("dana") as dana:
        wait_until(lambda: agent.id in str(dana.get("/v1/workers").json()))
        first = dana.post("/v1/runs", json=body, headers={"Idempotency-Key": "one"})
        assert first.status_code == 202
        run_id = first.json()["run"]
        assert first.headers["Location"] == f"/v1/runs/{run_id}"
        again = dana.post("/v1/runs", json=body, headers={"Idempotency-Key": "one"})
        assert (again.json()["run"], again.headers["Idempotent-Replay"]) == (run_id, "true")
        other = dana.post(
            "/v1/runs", json={**body, "input": "Pay more"}, headers={"Idempotency-Key": "one"}
        )
        assert code_of(other) == (422, "idempotency_key_reused")
        wait_until(lambda: dana.get(f"/v1/runs/{run_id}").json()["status"] == "paused")
        details = dana.get(f"/v1/runs/{run_id}").json()
        assert (details["user"], details["metadata"]) == ("mara", {"ticket": 7})
        # As the component declares it, whose code the server need not have.
        assert details["state"] == {"plan": "pro"}
        assert details["policy"]["digest"] == policy_of(agent).policy.digest
        (requirement,) = details["requirements"]
        assert requirement["kind"] == "confirmation"
        missing = dana.post("/v1/runs", json={"component": "nobody", "input": "Pay"})
        assert code_of(missing) == (404, "not_found")
    with api.as_person("vera", Role.viewer) as vera:
        assert code_of(vera.post("/v1/runs", json=body)) == (403, "not_allowed")


def test_the_events_of_a_run_are_a_page_or_a_stream(api: Api, ledger: Ledger) -> None:
    _, run = paused(ledger)
    path = f"/v1/runs/{run.run_id}/events"
    with api.as_person("dana") as dana:
        page = dana.get(path).json()
        kinds = [item["kind"] for item in page["items"]]
        assert (kinds[0], kinds[-1], page["is_idle"]) == ("run_started", "run_paused", True)
        rest = dana.get(path, params={"after": page["next"]}).json()
        assert (rest["items"], rest["next"]) == ([], page["next"])
        accepting = {"Accept": "text/event-stream"}
        stream = dana.get(path, headers={**accepting, "Last-Event-ID": str(page["next"] - 1)})
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        ids = [line for line in stream.text.splitlines() if line.startswith("id: ")]
        assert ids == [f"id: {page['next']}"]
        ahead = dana.get(path, headers={**accepting, "Last-Event-ID": "9999"})
        assert code_of(ahead) == (422, "invalid_input")


def test_a_stream_goes_on_while_the_run_does(api: Api, ledger: Ledger, tmp_path: Path) -> None:
    agent = scripted([Call("wait"), "Done."], [waiting_for(tmp_path / "go")])
    run = agent.run("Wait", background=True)
    path = f"/v1/runs/{run.run_id}/events"
    with (
        api.as_person("dana") as dana,
        dana.stream("GET", path, headers={"Accept": "text/event-stream"}) as live,
    ):
        events: list[str] = []
        for line in live.iter_lines():
            events += [line.removeprefix("event: ")] if line.startswith("event: ") else []
            if events and events[-1] == "tool_call_started":
                (tmp_path / "go").touch()
    assert events[0] == "run_started"
    assert events[-1] == "run_completed"


def test_a_stream_of_a_run_ends_properly_when_its_server_stops(
    runtime: Runtime, tmp_path: Path
) -> None:
    agent = scripted([Call("wait"), "Done."], [waiting_for(tmp_path / "go")])
    run = agent.run("Wait", background=True)
    path = f"/v1/runs/{run.run_id}/events"
    with ExitStack() as left:
        with serving(runtime) as api:
            dana = left.enter_context(api.as_person("dana"))
            headers = {"Accept": "text/event-stream"}
            live = left.enter_context(dana.stream("GET", path, headers=headers)).iter_lines()
            assert any(line == "event: tool_call_started" for line in live)
            begun = time.monotonic()
        assert time.monotonic() - begun < 2
        # A stream that is cut instead has no end: reading it raises.
        assert "event: run_completed" not in list(live)
    (tmp_path / "go").touch()


def test_the_log_and_what_is_stuck_are_listed(api: Api, ledger: Ledger) -> None:
    agent = payer(ledger)
    requirements = [waiting(agent.run("Pay")) for _ in range(2)]
    with api.as_person("dana", Role.operator, Role.auditor) as dana:
        for requirement in requirements:
            dana.post(decisions(requirement), json={"verdict": "reject", "note": "No."})
        ours = {item.id for item in requirements}
        first = dana.get("/v1/decisions", params={"limit": 1, "by": "dana"}).json()
        rest = dana.get("/v1/decisions", params={"before": first["next"]}).json()
        listed = [item["requirement"] for item in first["items"] + rest["items"]]
        assert [item for item in listed if item in ours] == [item.id for item in requirements[::-1]]
        early = {"to": "2020-01-01T00:00:00Z"}
        assert dana.get("/v1/decisions", params=early).json()["items"] == []
        stuck = dana.get("/v1/stuck").json()
        assert stuck["is_complete"] is True
    with api.as_person("eli", Role.operator) as eli:
        assert code_of(eli.get("/v1/decisions")) == (403, "not_allowed")
