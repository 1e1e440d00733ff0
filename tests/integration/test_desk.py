"""The console without a script: what waits, decisions of each kind, and what became of them."""

from datetime import UTC, datetime

import pytest
from pydantic import JsonValue

from kern.agent import Agent
from kern.client.processes.runtime import Runtime
from kern.models.scripted import Call
from kern.requirements import Requirement
from kern.run import RunOutput
from kern.tools import Approval, Bounds, RunContext, Tool, tool
from kern.values.roles import Role
from kern.values.states import RunStatus
from tests.support.agents import Ledger, paying, scripted
from tests.support.api import Api
from tests.support.desk import Page, Visitor, at_the_desk, link_to_the_desk
from tests.support.statements import statements_of
from tests.support.waiting import wait_until

# What the worker of this process reads all the time.
OF_WORKERS = ("kern_feed", "kern_outbox", "kern_deliver", "kern_subscr", "kern_worker", "kern_un")


def asking(tool_: Tool, **arguments: JsonValue) -> tuple[Agent, RunOutput, Requirement]:
    agent = scripted([Call(tool_.name, arguments_text=None, **arguments), "Done."], [tool_])
    run = agent.run("Please")
    (item,) = run.active_requirements
    return agent, run, item


def url(item: Requirement) -> str:
    return f"/desk/requirements/{item.id}"


def ended(agent: Agent, run: RunOutput) -> RunOutput:
    wait_until(lambda: agent.get_run_output(run.run_id).status.is_final)
    return agent.get_run_output(run.run_id)


def dangerous(ledger: Ledger) -> Tool:
    @tool(
        requires_confirmation=True,
        title="Refund {amount} for order {order_id}",
        risk="high",
        confirm="amount",
        amount="amount",
        edit_bounds={"amount": Bounds(only="down")},
    )
    def refund(order_id: str, amount: int) -> str:
        """Refund."""
        ledger.add(f"paid {amount}")
        return f"paid {amount}"

    return refund


def test_a_harmless_call_is_approved_from_its_row(dana: Visitor, ledger: Ledger) -> None:
    agent, run, item = asking(paying(ledger), amount=5)
    inbox = dana.get("/desk/inbox")
    assert "1 decision is waiting for you" in inbox.text
    assert "pay(amount=5)" in inbox.text

    after = dana.send(inbox.form(f"{item.id}/decisions"), verdict="approve")

    assert (after.status, after.path) == (200, "/desk/inbox")
    assert "Nothing is waiting for you" in after.text
    assert ended(agent, run).status is RunStatus.completed
    assert ledger.lines == ["paid 5"]
    page = dana.get(url(item))
    assert "You approved" in page.text
    assert "Done" in page.text
    assert agent.get_run_output(run.run_id).requirements[0].resolution is not None


def test_a_dangerous_call_is_approved_by_typing_its_amount(dana: Visitor, ledger: Ledger) -> None:
    agent, run, item = asking(dangerous(ledger), order_id="77", amount=12500)
    inbox = dana.get("/desk/inbox")
    assert "High risk" in inbox.text
    assert not [form for form in inbox.forms if item.id in form.action]

    page = dana.get(url(item))
    refused = dana.send(page.form("/decisions"), verdict="approve", typed="125000")
    assert refused.status == 422
    assert "What you typed does not match" in refused.text
    assert ledger.lines == []

    # It may be grouped, as titles write it.
    done = dana.send(refused.form("/decisions"), verdict="approve", typed="12,500", note="ok")
    assert done.path == url(item)
    assert ended(agent, run).status is RunStatus.completed
    assert ledger.lines == ["paid 12500"]


def test_an_edit_is_compared_before_it_is_approved(dana: Visitor, ledger: Ledger) -> None:
    agent, run, item = asking(dangerous(ledger), order_id="77", amount=500)
    form = dana.get(f"{url(item)}/edit").form("/edit")
    too_much = dana.send(form, **{"edit.amount": "600", "note": "more"})
    assert (too_much.status, "500 or less" in too_much.text) == (422, True)
    assert dict(too_much.form("/edit").fields)["note"] == "more"
    unchanged = dana.send(form, note="none")
    assert (unchanged.status, "Nothing was changed" in unchanged.text) == (422, True)

    compared = dana.send(form, **{"edit.amount": "400", "note": "less"})
    assert "500 400" in compared.text
    assert dana.get(url(item)).form("/decisions").fields

    # What is typed is the amount that will run.
    done = dana.send(compared.form("/decisions"), verdict="approve", typed="400")
    assert done.path == url(item), done.text
    assert ended(agent, run).status is RunStatus.completed
    assert ledger.lines == ["paid 400"]
    assert "Changed and approved by dana: amount 500" in dana.get(url(item)).text


def test_an_edit_beyond_the_comparison_is_refused(dana: Visitor, ledger: Ledger) -> None:
    _, _, item = asking(dangerous(ledger), order_id="77", amount=500)
    form = dana.get(f"{url(item)}/edit").form("/edit")
    compared = dana.send(form, **{"edit.amount": "400", "note": "less"})

    answer = dana.send(
        compared.form("/decisions"), **{"verdict": "approve", "typed": "300", "edit.amount": "300"}
    )

    assert answer.status == 409
    assert ledger.lines == []


def test_a_rejection_says_why(dana: Visitor, ledger: Ledger) -> None:
    agent, run, item = asking(paying(ledger), amount=5)
    page = dana.get(url(item))
    refused = dana.send(page.form("/decisions"), verdict="reject", note="  ")
    assert (refused.status, "Say why" in refused.text) == (422, True)
    rejected = dana.send(page.form("/decisions"), verdict="reject", note="A fraud.")
    assert "You rejected" in rejected.text
    assert ended(agent, run).tools[0].result is not None
    assert "A fraud." in str(ended(agent, run).tools[0].result)
    assert ledger.lines == []


def test_values_are_asked_again_and_what_was_typed_is_kept(dana: Visitor) -> None:
    @tool(requires_user_input=True, user_input_fields=["days", "name"])
    def order(days: int, name: str, run_context: RunContext) -> str:
        """Order."""
        del run_context
        return f"{name} in {days} days"

    agent, run, item = asking(order)
    page = dana.get(url(item))
    form = page.form("/decisions")
    wrong = dana.send(form, **{"verdict": "answer", "values.days": "soon", "values.name": "Ann"})
    assert (wrong.status, "whole number" in wrong.text) == (422, True)
    kept = dict(wrong.form("/decisions").fields)
    assert (kept["values.days"], kept["values.name"]) == ("soon", "Ann")
    dana.send(wrong.form("/decisions"), **{"verdict": "answer", "values.days": "3"})
    assert ended(agent, run).tools[0].result == "Ann in 3 days"


def test_what_the_agent_found_is_filled_in_with_where_it_found_it(dana: Visitor) -> None:
    @tool(requires_user_input=True, agent_suggests=True)
    def register(name: str, days: int) -> str:
        """Register."""
        return f"{name} in {days} days"

    suggestions: dict[str, JsonValue] = {
        "name": {"value": "Ateliers Roche", "source": "letterhead of quote.pdf"}
    }
    agent, run, item = asking(register, suggestions=suggestions)
    page = dana.get(url(item))
    assert "From the agent: letterhead of quote.pdf" in page.text
    form = page.form("/decisions")
    assert dict(form.fields)["values.name"] == "Ateliers Roche"
    dana.send(form, **{"verdict": "answer", "values.days": "3"})
    assert ended(agent, run).tools[0].result == "Ateliers Roche in 3 days"


def test_whoever_is_second_sees_an_ending(api: Api, dana: Visitor, ledger: Ledger) -> None:
    _, _, item = asking(paying(ledger), amount=5)
    with at_the_desk(api, "ravi") as ravi:
        page, row = ravi.get(url(item)), ravi.get("/desk/inbox")
        dana.send(dana.get(url(item)).form("/decisions"), verdict="approve")
        second = ravi.send(page.form("/decisions"), verdict="reject", note="no")
        assert (second.status, second.path) == (200, url(item))
        assert "dana decided first" in second.text
        again = ravi.send(row.form("/decisions"), verdict="approve")
        assert again.path == "/desk/inbox"
    wait_until(lambda: ledger.lines == ["paid 5"])


def test_a_form_that_is_sent_twice_counts_once(dana: Visitor, ledger: Ledger) -> None:
    _, _, item = asking(paying(ledger, Approval(quorum=2)), amount=5)
    form = dana.get(url(item)).form("/decisions")
    first, second = (dana.send(form, verdict="approve") for _ in range(2))
    assert (first.status, second.status) == (200, 200)
    assert "1 of 2" in second.text
    assert ledger.lines == []


def test_an_approval_is_withdrawn_until_the_call_begins(dana: Visitor, ledger: Ledger) -> None:
    _, _, item = asking(paying(ledger, Approval(quorum=2)), amount=5)
    dana.send(dana.get(url(item)).form("/decisions"), verdict="approve")
    page = dana.get(url(item))
    assert "1 of 2" in page.text


def test_whoever_may_not_decide_is_told_whom_it_waits_for(
    api: Api, dana: Visitor, ledger: Ledger
) -> None:
    _, _, item = asking(paying(ledger, Approval(candidates="ravi")), amount=5)
    page = dana.get(url(item))
    assert "You cannot decide this one" in page.text
    assert not [form for form in page.forms if form.action.endswith("/decisions")]
    assert "Nothing is waiting for you" in dana.get("/desk/inbox").text
    rows = dana.get("/desk/inbox?for=all")
    assert "pay(amount=5)" in rows.text
    assert not [form for form in rows.forms if item.id in form.action]
    with at_the_desk(api, "ravi") as ravi:
        assert ravi.get(url(item)).form("/decisions").fields


def test_runs_and_sessions_are_found_and_shown(dana: Visitor, ledger: Ledger) -> None:
    agent, run, item = asking(paying(ledger), amount=5)
    runs = dana.get("/desk/runs")
    assert f"/desk/runs/{run.run_id}" in runs.links
    assert f"/desk/runs/{run.run_id}" in dana.get(f"/desk/runs?q={agent.id}").links
    assert f"/desk/runs/{run.run_id}" not in dana.get("/desk/runs?q=nowhere").links
    assert "pay needs approval" in runs.text
    story = dana.get(f"/desk/runs/{run.run_id}")
    assert url(item) in story.links
    session = dana.get(f"/desk/sessions/{run.session_id}")
    assert "pay(amount=5)" in session.text
    renamed = dana.send(session.form("/rename"), name="The refund")
    assert "The refund" in renamed.text
    assert f"/desk/sessions/{run.session_id}" in dana.get("/desk/sessions?q=refund").links


def test_a_run_is_cancelled_and_its_question_closes(dana: Visitor, ledger: Ledger) -> None:
    agent, run, item = asking(paying(ledger), amount=5)
    story = dana.get(f"/desk/runs/{run.run_id}")
    dana.send(story.form("/cancel"))
    assert ended(agent, run).status is RunStatus.cancelled
    assert "Its run was cancelled" in dana.get(url(item)).text
    assert ledger.lines == []


@pytest.mark.parametrize(
    "path",
    [
        "/desk/requirements/nowhere",
        "/desk/requirements/nowhere/edit",
        "/desk/runs/nowhere",
        "/desk/sessions/nowhere",
        "/desk/static/nowhere.css",
        "/desk/nowhere",
    ],
)
def test_what_is_not_there_is_said_on_a_page(dana: Visitor, path: str) -> None:
    page: Page = dana.get(path)
    assert page.status == 404
    assert "There is nothing at this address" in page.text


def test_an_auditor_finds_who_decided_what_and_verifies_the_log(
    api: Api, dana: Visitor, ledger: Ledger
) -> None:
    agent, run, item = asking(paying(ledger), amount=5)
    dana.send(dana.get(url(item)).form("/decisions"), verdict="approve", note="As agreed.")
    ended(agent, run)
    assert dana.get("/desk/audit").status == 403
    with at_the_desk(api, "ada", Role.auditor) as ada:
        page = ada.get("/desk/audit")
        assert "approved pay" in page.text
        assert "As agreed." in page.text
        assert url(item) in page.links
        assert "No such decisions" in ada.get("/desk/audit?q=nobody").text
        assert "approved pay" in ada.get("/desk/audit?q=dana&verdict=approve").text
        assert "No such decisions" in ada.get("/desk/audit?to=2000-01-01").text
        assert "Intact:" in ada.send(page.form("/verify")).text
        assert run.run_id in ada.http.get("/desk/audit/export").text
        dates = ("export-from", "export-to")
        assert all(f'id="{name}"' in page.answer.text for name in dates)
        today = f"{datetime.now(UTC):%Y-%m-%d}"
        # The last day is part of it, as in the list.
        for query, is_there in (
            (f"from={today}&to={today}", True),
            ("from=&to=", True),
            ("to=2000-01-01", False),
        ):
            text = ada.http.get(f"/desk/audit/export?{query}").text
            assert (run.run_id in text) == is_there
        assert ada.http.get(f"/desk/audit/export?from={today}&to=2000-01-01").status_code == 422
    with at_the_desk(api, "eve", Role.auditor, tenant="globex") as eve:
        assert "Intact: 0 decisions" in eve.send(eve.get("/desk/audit").form("/verify")).text
        assert run.run_id not in eve.http.get("/desk/audit/export").text


def test_the_operator_of_the_installation_verifies_and_exports_the_log(
    runtime: Runtime, api: Api, ledger: Ledger
) -> None:
    agent, run, item = asking(paying(ledger), amount=5)
    with Visitor(api) as mia:
        mia.get(link_to_the_desk(runtime, api))
        mia.send(mia.get(url(item)).form("/decisions"), verdict="approve")
        ended(agent, run)
        page = mia.get("/desk/audit")
        assert "Intact: 1 decision" in mia.send(page.form("/verify")).text
        wrong = mia.send(page.form("/verify"), head="1" * 64)
        assert "The log does not verify" in wrong.text
        answer = mia.http.get("/desk/audit/export")
        assert "attachment" in answer.headers["Content-Disposition"]
        assert len(answer.text.splitlines()) > 2


def test_what_is_stuck_is_listed_and_counted(dana: Visitor) -> None:
    page = dana.get("/desk/stuck")
    assert "Nothing is stuck" in page.text
    assert "online" in page.text


def test_an_administrator_sees_who_is_told_and_has_it_sent_again(
    api: Api, dana: Visitor, ledger: Ledger
) -> None:
    with api.as_person("root", Role.administrator) as root:
        added = root.post("/v1/webhooks", json={"url": "https://hooks.example/kern"})
        assert added.status_code == 201
    asking(paying(ledger), amount=5)
    assert dana.get("/desk/deliveries").status == 403
    with at_the_desk(api, "root", Role.administrator) as visitor:
        assert "/desk/deliveries" in visitor.get("/desk/stuck").links
        wait_until(lambda: "attempt" in visitor.get("/desk/deliveries").text)
        page = visitor.get("/desk/deliveries")
        assert "https://hooks.example/kern" in page.answer.text.replace("<wbr>", "")
        assert "No such deliveries" in visitor.get("/desk/deliveries?status=delivered").text
        again = visitor.send(next(form for form in page.forms if "/replay" in form.action))
        assert again.path == "/desk/deliveries"
        with api.as_person("root", Role.administrator) as root:
            root.delete(f"/v1/webhooks/{added.json()['webhook']['id']}")
        page = visitor.get("/desk/deliveries")
        assert not any("/replay" in form.action for form in page.forms)


def test_what_is_missing_of_look_alikes_is_skipped_with_its_reason(
    dana: Visitor, ledger: Ledger
) -> None:
    agent = scripted([Call("pay", amount=5), "Paid."], [paying(ledger)])
    for _ in range(2):
        agent.run("Pay")
    form = dana.get("/desk/inbox").form("/batches")
    present = [value for name, value in form.fields if name == "item"]
    missing = f"019ac0e2-9f4f-7c31-a5d0-2f0f26799eb1:{'0' * 12}"

    page = dana.send(form, verdict="approve", item=[present[0], missing, present[1]])

    assert page.status == 200, page.text
    assert "2 of 3 calls of pay approved" in page.text
    assert "1 was skipped" in page.text
    assert "There is no requirement" in page.text
    assert page.text.count("approved, decision 1 of its run") == 2
    wait_until(lambda: ledger.lines == ["paid 5", "paid 5"])

    alone = dana.send(form, verdict="approve", item=[missing], decision_id="another")
    assert (alone.status, "0 of 1 calls approved" in alone.text) == (200, True)


def test_the_inbox_and_a_decision_take_few_statements(
    runtime: Runtime, dana: Visitor, ledger: Ledger
) -> None:
    items = [asking(paying(ledger), amount=5)[2] for _ in range(5)]
    dana.get("/desk/inbox")

    # How many things are stuck is read every few seconds: the fewest are those of the page alone.
    assert min(reads(runtime, dana, "/desk/inbox") for _ in range(8)) == 6
    assert min(reads(runtime, dana, url(items[0])) for _ in range(8)) == 11
    named = asking(paying(ledger, Approval(candidates=("dana", "eli"))), amount=5)[2]
    assert min(reads(runtime, dana, url(named)) for _ in range(8)) == 12


def test_a_fragment_reads_only_what_it_shows(
    runtime: Runtime, dana: Visitor, ledger: Ledger
) -> None:
    _, _, item = asking(paying(ledger), amount=5)
    dana.http.headers["HX-Request-Type"] = "partial"

    assert min(reads(runtime, dana, f"{url(item)}/state") for _ in range(8)) == 9
    assert min(reads(runtime, dana, url(item)) for _ in range(8)) == 10


def reads(runtime: Runtime, dana: Visitor, path: str) -> int:
    with statements_of(runtime.services.db) as executed:
        dana.get(path)
    return sum(
        statement.startswith(("SELECT", "WITH"))
        and not any(table in statement for table in OF_WORKERS)
        for statement in executed
    )


def test_whoever_may_only_look_is_offered_nothing_to_decide(api: Api, ledger: Ledger) -> None:
    _, _, item = asking(paying(ledger), amount=5)
    with at_the_desk(api, "vera", Role.viewer) as vera:
        assert "Inbox 0 wait for you" in vera.get("/desk/inbox").text
        everything = vera.get("/desk/inbox?for=all")
        assert "pay" in everything.text
        page = vera.get(url(item))
        for shown in (everything, page):
            assert not any(form.action.endswith("/decisions") for form in shown.forms)
        assert "You cannot decide this one" in page.text


def test_what_was_decided_already_is_said_where_it_is_sent_again(
    dana: Visitor, ledger: Ledger
) -> None:
    _, _, item = asking(paying(ledger, Approval(quorum=2)), amount=5)
    form = dana.get(url(item)).form("/decisions")
    dana.send(form, verdict="approve")
    again = dana.send(dana.get(url(item)).form("/decisions"), verdict="approve")
    assert again.status == 409
    assert "You have decided so already" in again.text


def test_an_edit_of_an_edit_changes_what_is_under_review(
    api: Api, dana: Visitor, ledger: Ledger
) -> None:
    @tool(requires_confirmation=True, approval=Approval(quorum=2))
    def wire(account: str, amount: int) -> str:
        """Wire."""
        ledger.add(f"{account} {amount}")
        return "wired"

    agent, run, item = asking(wire, account="DE1", amount=9)
    with at_the_desk(api, "ravi") as ravi:
        edit = ravi.get(f"{url(item)}/edit").form("/edit")
        compared = ravi.send(edit, **{"edit.amount": "7", "note": "Less."})
        ravi.send(compared.form("/decisions"), verdict="approve")
    edit = dana.get(f"{url(item)}/edit").form("/edit")
    compared = dana.send(edit, **{"edit.account": "DE2", "note": "Another account."})
    accepted = dana.send(compared.form("/decisions"), verdict="approve")
    assert accepted.status == 200, accepted.text
    shown = dana.get(url(item)).text
    assert "DE2" in shown
    with at_the_desk(api, "eli") as eli:
        eli.send(eli.get(url(item)).form("/decisions"), verdict="approve")
    ended(agent, run)
    assert ledger.lines == ["DE2 7"]
