"""What the API reads besides, narrows, and takes back: states, details, withdrawals, reasons."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from kern.client.processes.runtime import Runtime
from kern.models.scripted import Call
from kern.process.clock import utc_now
from kern.requirements import Requirement
from kern.run import RunOutput
from kern.tools import Approval, Tool, tool
from kern.values.roles import Role
from kern.values.states import RunStatus
from tests.support.agents import Ledger, paying, scripted
from tests.support.api import Api, serving
from tests.support.waiting import wait_until


@pytest.fixture
def api(runtime: Runtime) -> Iterator[Api]:
    with serving(runtime) as served:
        yield served


def paused(tool: Tool, amount: int = 5, asked: str = "Pay") -> RunOutput:
    return scripted([Call("pay", amount=amount), "Done."], [tool]).run(asked)


def waiting(run: RunOutput) -> Requirement:
    (requirement,) = run.active_requirements
    return requirement


def path(requirement: Requirement, part: str = "") -> str:
    return f"/v1/requirements/{requirement.id}{part}"


def approval(requirement: Requirement) -> dict[str, object]:
    return {"verdict": "approve", "digest": requirement.digest}


def slow(begun: Path, go_on: Path) -> Tool:
    """Return a gated tool that says that it has begun, and waits until it may go on."""

    @tool(requires_confirmation=True)
    def pay(amount: int) -> str:
        """Pay."""
        begun.touch()
        wait_until(go_on.exists)
        return f"paid {amount}"

    return pay


def test_the_state_of_a_decision_is_what_its_rows_say(api: Api, tmp_path: Path) -> None:
    begun, go_on = tmp_path / "begun", tmp_path / "go on"
    requirement = waiting(paused(slow(begun, go_on)))
    with api.as_person("dana") as dana:
        state = dana.get(path(requirement, "/state")).json()
        assert (state["state"], state["attempt"]) == ("waiting", 0)
        dana.post(path(requirement, "/decisions"), json=approval(requirement))
        wait_until(begun.exists)
        state = dana.get(path(requirement, "/state")).json()
        assert (state["state"], state["attempt"], state["can_withdraw"]) == ("executing", 1, False)
        assert state["since"] is not None
        go_on.touch()
        wait_until(lambda: dana.get(path(requirement, "/state")).json()["state"] == "done")
        assert dana.get(path(requirement, "/state")).json()["result"] == "paid 5"


def test_an_approval_is_taken_back_by_whoever_gave_it_until_the_call_has_begun(
    api: Api, ledger: Ledger, tmp_path: Path
) -> None:
    begun, go_on = tmp_path / "begun", tmp_path / "go on"
    go_on.touch()
    requirement = waiting(paused(paying(ledger, Approval(quorum=2))))
    with api.as_person("dana") as dana, api.as_person("ravi") as ravi:
        accepted = dana.post(path(requirement, "/decisions"), json=approval(requirement)).json()
        own = {"decision_id": accepted["decision"]["id"]}
        assert ravi.post(path(requirement, "/withdrawal"), json=own).status_code == 404
        body, headers = own | {"note": "Wrong order."}, {"Idempotency-Key": "back"}
        first = dana.post(path(requirement, "/withdrawal"), json=body, headers=headers)
        assert (first.status_code, first.json()["requirement"]["approvals"]) == (200, 0)
        again = dana.post(path(requirement, "/withdrawal"), json=body, headers=headers)
        assert again.headers["Idempotent-Replay"] == "true"
        assert again.json()["decision"] == first.json()["decision"]
        late = waiting(paused(slow(begun, go_on)))
        dana.post(path(late, "/decisions"), json=approval(late))
        wait_until(lambda: dana.get(path(late, "/state")).json()["state"] == "done")
        refused = dana.post(path(late, "/withdrawal"))
        assert (refused.status_code, refused.json()["code"]) == (409, "call_started")
        assert "can no longer be withdrawn" in refused.json()["detail"]


def test_a_requirement_is_read_with_what_is_asked_for_besides(api: Api, ledger: Ledger) -> None:
    requirement = waiting(paused(paying(ledger)))
    with api.as_person("dana") as dana:
        plain = dana.get(path(requirement)).json()
        assert not {"history", "messages", "similar", "session_effects"} & plain.keys()
        full = dana.get(path(requirement), params={"expand": "history,messages"}).json()
        assert full.items() >= plain.items()
        assert [entry["kind"] for entry in full["history"]] == ["opened"]
        assert full["messages"][0]["content"] == "Pay"
        assert "similar" not in full
        both = {"expand": ["similar", "session_effects"]}
        assert dana.get(path(requirement), params=both).json()["similar"] is None
        refused = dana.get(path(requirement), params={"expand": "everything"})
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "expand")


def test_decisions_about_as_much_are_similar(api: Api) -> None:
    @tool(requires_confirmation=True, amount="amount")
    def pay(amount: int) -> str:
        """Pay."""
        return f"paid {amount}"

    with api.as_person("dana") as dana:
        for amount, body in (
            (20, {"edit": {"amount": 21}}),
            (30, {}),
            (99, {"verdict": "reject", "note": "No."}),
            (100, {}),
        ):
            item = waiting(paused(pay, amount))
            answer = dana.post(path(item, "/decisions"), json=approval(item) | body)
            assert answer.status_code == 201, answer.text
        item = waiting(paused(pay, 50))
        similar = dana.get(path(item), params={"expand": "similar"}).json()["similar"]
        assert similar["median_seconds"] > 0
        counts = (similar["approved"], similar["edited"], similar["rejected"], similar["band"])
        assert counts == (2, 1, 1, 2)


def test_runs_and_sessions_are_narrowed(api: Api, ledger: Ledger) -> None:
    before = utc_now()
    first = paused(paying(ledger))
    between = utc_now()
    second = paused(paying(ledger), asked="Pay the second")
    with api.as_person("dana") as dana:

        def runs(**query: str) -> list[str]:
            return [item["id"] for item in dana.get("/v1/runs", params=query).json()["items"]]

        def sessions(**query: str) -> list[str]:
            return [item["id"] for item in dana.get("/v1/sessions", params=query).json()["items"]]

        assert runs(session=first.session_id or "") == [first.run_id]
        assert runs(created_after=between.isoformat()) == [second.run_id]
        assert runs(created_after=before.isoformat()) == [second.run_id, first.run_id]
        assert runs(q="SECOND") == [second.run_id]
        assert sessions(component=first.component_id) == [first.session_id]
        assert sessions(q=second.component_id) == [second.session_id]
        refused = dana.get("/v1/runs", params={"created_after": "2026-11-30T10:00:00"})
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (
            422,
            "query.created_after",
        )


def test_a_run_says_who_cancelled_it_and_why(api: Api, ledger: Ledger) -> None:
    run = paused(paying(ledger))
    with api.as_person("dana") as dana:
        too_long = {"note": "x" * 8_001}
        url = f"/v1/runs/{run.run_id}/cancellation"
        assert dana.post(url, json=too_long).status_code == 422
        assert dana.get(f"/v1/runs/{run.run_id}").json()["status"] == RunStatus.paused
        for _ in range(2):
            assert dana.post(url, json={"note": "A duplicate."}).status_code == 202
        details = dana.get(f"/v1/runs/{run.run_id}").json()
        (change,) = details["changes"]
        entries = dana.get("/v1/feed", params={"kinds": "run_cancelled"}).json()["items"]
    assert (change["kind"], change["by"], change["note"]) == ("cancelled", "dana", "A duplicate.")
    assert "dana cancelled the run" in entries[-1]["text"]


def test_what_waits_is_counted_as_it_is_listed(api: Api, ledger: Ledger) -> None:
    first, second = paused(paying(ledger)), paused(paying(ledger))
    with api.as_person("dana") as dana:

        def counts(**query: str) -> tuple[int, int]:
            answer = dana.get("/v1/requirements/counts", params=query)
            assert answer.status_code == 200, answer.text
            return answer.json()["all"], answer.json()["for_me"]

        assert counts() == (2, 2)
        assert counts(run=first.run_id) == (1, 1)
        assert counts(component=second.component_id, tool="pay") == (1, 1)
        assert counts(kind="user_input") == (0, 0)
        assert counts(group="finance") == (0, 0)
        assert counts(created_after=utc_now().isoformat()) == (0, 0)
        assert dana.get("/v1/requirements/counts", params={"color": "red"}).status_code == 422


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/requirements?due_before=9999-12-31T23:59:59-14:00", "due_before"),
        ("/v1/requirements/counts?created_after=0001-01-01T00:00:00%2B14:00", "created_after"),
        ("/v1/runs?created_after=0001-01-01T00:00:00%2B14:00", "created_after"),
        ("/v1/decisions?from=0001-01-01T00:00:00%2B14:00", "since"),
        ("/v1/audit/export?to=9999-12-31T23:59:59-14:00", "until"),
    ],
)
def test_a_time_that_is_out_of_range_is_refused(api: Api, path: str, name: str) -> None:
    with api.as_person("root", Role.administrator) as root:
        refused = root.get(path)
    assert refused.status_code == 422
    assert name in refused.json()["detail"]


def test_whoever_has_decided_so_already_is_told_and_may_take_it_back(
    api: Api, ledger: Ledger
) -> None:
    requirement = waiting(paused(paying(ledger, Approval(quorum=2))))
    with api.as_person("dana") as dana:
        assert dana.post(path(requirement, "/decisions"), json=approval(requirement)).is_success
        again = dana.post(path(requirement, "/decisions"), json=approval(requirement))
        assert (again.status_code, again.json()["code"]) == (409, "already_decided_by_you")
        state = dana.get(path(requirement, "/state")).json()
        assert (state["state"], state["can_withdraw"]) == ("waiting_for_more", True)
        assert dana.post(path(requirement, "/withdrawal")).status_code == 200
        assert not dana.get(path(requirement, "/state")).json()["can_withdraw"]


def test_a_key_of_a_run_is_that_of_its_tenant(api: Api, ledger: Ledger) -> None:
    agent = scripted(["Done."], [paying(ledger)])
    assert agent.run("Begin").run_id is not None
    body = {"component": agent.id, "input": "Go"}
    headers = {"Idempotency-Key": "one"}
    with api.as_person("dana") as dana, api.as_person("dana", tenant="acme") as other:
        first = dana.post("/v1/runs", json=body, headers=headers)
        second = other.post("/v1/runs", json=body, headers=headers)
        assert (first.status_code, second.status_code) == (202, 202)
        assert first.json()["run"] != second.json()["run"]


def test_a_head_that_can_be_no_hash_is_a_wrong_value_and_no_forgery(api: Api) -> None:
    with api.as_person("root", Role.administrator) as root:
        refused = root.post("/v1/audit/verifications", json={"head": "5c55e5f8"})
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_input")
    assert "64 hexadecimal digits" in refused.json()["detail"]


def test_a_filter_that_stands_twice_is_refused(api: Api) -> None:
    with api.as_person("dana") as dana:
        refused = dana.get("/v1/requirements?tool=pay&tool=refund&limit=1")
        assert (refused.status_code, refused.json()["errors"]) == (
            422,
            [{"field": "query.tool", "message": "several values"}],
        )
        assert dana.get("/v1/feed?kinds=opened&kinds=resolved").status_code == 200
