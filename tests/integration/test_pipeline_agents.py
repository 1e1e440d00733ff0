"""Agents, teams and workflows as steps: runs inside the pipeline's run."""

import time

import pytest
from pydantic import BaseModel

from kern.activities import endings
from kern.agent import Agent
from kern.client.processes.runtime import Runtime
from kern.components.component import Component
from kern.components.registry import Registry
from kern.components.runnable import Runnable
from kern.contracts.viewer import OPERATOR
from kern.errors import InvalidDecision
from kern.models.base import ModelRequest, ProviderError
from kern.models.scripted import Call
from kern.tools import tool
from kern.values.ids import new_id
from kern.values.states import RequirementKind, RunStatus
from kern.workflow import Condition, HumanReview, Loop, Parallel, Step, StepInput, Steps
from tests.support.agents import Ledger, paying, scripted
from tests.support.pipelines import exclaim, go_on, only, pipeline, upper
from tests.support.teams import delegating, team
from tests.support.waiting import wait_until

CONFIRM = HumanReview(requires_confirmation=True)


def last_input(request: ModelRequest) -> str:
    return request.messages[-1].content


def test_an_agent_answers_what_the_step_before_came_to(runtime_on_each: Runtime) -> None:
    agent = scripted(lambda request: f"answer to {last_input(request)}", name="Writer")
    output = pipeline(upper, agent, exclaim).run("hi", user_id="ann")
    assert output.content == "answer to HI!"
    assert output.metrics.model_calls == 1
    assert output.metrics.tool_calls == 0


def test_a_structured_answer_is_what_it_says(runtime: Runtime) -> None:
    class Price(BaseModel):
        amount: int

    agent = scripted(['{"amount": 3}'], output_schema=Price)

    def double(told: StepInput) -> int:
        assert isinstance(told.previous_content, dict)
        return int(str(told.previous_content["amount"])) * 2

    assert pipeline(agent, double).run("hi").content == "6"


def test_a_team_is_a_step(runtime: Runtime) -> None:
    member = scripted(["blue"], role="Knows colours")
    output = pipeline(upper, team([member], delegating((member, "?"))), exclaim).run("hi")
    assert output.content == "blue!"


def test_a_person_has_an_agent_try_again(runtime: Runtime) -> None:
    asked: list[str] = []

    def write(request: ModelRequest) -> str:
        asked.append(last_input(request))
        return f"draft {len(asked)}"

    review = HumanReview(requires_output_review=True)
    flow = pipeline(Step("write", scripted(write), human_review=review))
    output = flow.run("about cats")
    only(output).reject("funnier")
    output = go_on(flow, output)
    assert only(output).arguments == {"output": "draft 2"}
    assert "funnier" in asked[1]
    assert "draft 1" in asked[1]
    only(output).confirm()
    assert go_on(flow, output).content == "draft 2"


def sender(ledger: Ledger, *answers: str) -> Agent:
    """Return an agent that sends something, which must happen only once, and then answers."""

    @tool
    def send() -> str:
        ledger.add("sent")
        return "sent"

    return scripted([Call("send"), *answers], [send])


@pytest.mark.parametrize("held", [False, True])
def test_a_reviewer_is_told_what_would_be_done_again(
    runtime: Runtime, ledger: Ledger, *, held: bool
) -> None:
    agent = sender(ledger, "sent it")
    review = HumanReview(requires_output_review=True, output_review_message="Fine?")
    block = Steps([agent, upper], human_review=review)
    flow = pipeline(block if held else Step("send", agent, human_review=review))
    output = flow.run("hi")
    question = only(output).question or ""
    assert question.startswith("Fine?")
    assert "send (done)" in question
    only(output).run_again("better")
    output = go_on(flow, output)
    assert "send (done) 2 times" in (only(output).question or "")
    assert ledger.lines == ["sent", "sent"]


def test_whoever_decides_about_a_failure_is_told_what_was_done_before_it(
    runtime: Runtime, ledger: Ledger
) -> None:
    flow = pipeline(Step("send", sender(ledger), on_error="pause"))
    output = flow.run("hi")
    asked = only(output)
    assert asked.kind is RequirementKind.error
    assert "send (done)" in (asked.question or "")


def test_a_run_that_fails_is_tried_again(runtime: Runtime) -> None:
    asked: list[int] = []

    def answer(request: ModelRequest) -> str:
        asked.append(1)
        if len(asked) < 3:
            raise ProviderError("bad", code="refused", retryable=False)
        return "at last"

    flow = pipeline(Step("ask", scripted(answer), retries=2, backoff=0.01))
    assert flow.run("hi").content == "at last"


def test_a_run_that_fails_for_good_fails_the_step(runtime: Runtime) -> None:
    def answer(request: ModelRequest) -> str:
        raise ProviderError("bad", code="refused", retryable=False)

    output = pipeline(Parallel(scripted(answer), upper)).run("hi")
    assert output.status is RunStatus.error
    assert output.error is not None
    assert "bad" in output.error.message


def test_gates_of_tools_deep_inside_wait_side_by_side(runtime: Runtime, ledger: Ledger) -> None:
    def pays(amount: int) -> Step:
        once = (Call("pay", amount=amount), f"done {amount}")
        payer = scripted([*once, *once], [paying(ledger)], name=f"payer {amount}")
        return Step(f"pay-{amount}", payer)

    flow = pipeline(Condition(lambda: True, [Loop([Parallel(pays(1), pays(2))], max_iterations=2)]))
    output = flow.run("hi", user_id="ann")
    for _ in range(2):
        assert output.is_paused
        first, second = output.active_requirements
        assert {first.tool_name, second.tool_name} == {"pay"}
        first.confirm()
        output = flow.continue_run(output.run_id, [first])
        assert output.is_paused, output.error
        only(output).confirm()
        output = go_on(flow, output)
    assert output.status is RunStatus.completed, output.error
    assert sorted(ledger.lines) == ["paid 1", "paid 1", "paid 2", "paid 2"]


def test_cancelling_reaches_everything_inside(runtime: Runtime, ledger: Ledger) -> None:
    agent = scripted([[Call("pay", amount=1)], "done"], [paying(ledger)])
    inner = pipeline(agent, upper, name="inner")
    flow = pipeline(Parallel(inner, Step("asked", exclaim, human_review=CONFIRM)))
    output = flow.run("hi")
    assert len(output.active_requirements) == 2
    output = flow.cancel_run(output.run_id)
    assert output.status is RunStatus.cancelled
    assert not output.active_requirements
    assert not ledger.lines


def test_a_branch_that_fails_stops_the_runs_beside_it(runtime: Runtime, ledger: Ledger) -> None:
    agent = scripted([[Call("pay", amount=1)], "done"], [paying(ledger)])

    def broken() -> None:
        time.sleep(0.3)
        raise ValueError("no luck")

    both = Parallel(Step("pay", agent), Step("bad", broken), on_error="skip")
    output = pipeline(upper, both, exclaim).run("hi")
    assert output.content == "HI!"
    assert not output.active_requirements
    assert not ledger.lines


def test_new_histories_find_what_is_open(short_histories: Runtime, ledger: Ledger) -> None:
    agent = scripted([[Call("pay", amount=1)], "done"], [paying(ledger)], name="payer")
    asked = Steps([upper, Step("asked", exclaim, human_review=CONFIRM), upper], name="asked steps")
    flow = pipeline(Parallel(agent, asked, Loop([upper, exclaim], max_iterations=3)), upper)
    output = flow.run("hi")
    assert output.is_paused
    for _ in range(2):
        output.active_requirements[0].confirm()
        output = go_on(flow, output)
    assert output.status is RunStatus.completed, output.error
    assert ledger.lines == ["paid 1"]
    assert "DONE" in str(output.content)


def test_the_run_is_paused_when_only_people_are_waited_for(
    runtime: Runtime, ledger: Ledger
) -> None:
    agent = scripted([[Call("pay", amount=1)], "done"], [paying(ledger)])
    flow = pipeline(Parallel(agent, upper))
    run = flow.run("hi", background=True)
    wait_until(lambda: flow.get_run_output(run.run_id).is_paused)
    output = flow.get_run_output(run.run_id)
    assert [one.name for one in flow.get_steps(run.run_id) if one.is_waiting] == [agent.name]
    only(output).reject("no")
    assert go_on(flow, output).status is RunStatus.completed
    assert not any(one.is_waiting for one in flow.get_steps(run.run_id))


def test_what_is_asked_in_a_run_of_its_own_says_where(runtime: Runtime, ledger: Ledger) -> None:
    agent = scripted(lambda request: [Call("pay", amount=1)], [paying(ledger)], name="ag")
    flow = pipeline(Parallel(Step("ask", agent), name="all", for_each=lambda: [1, 2, 3]))
    output = flow.run("hi")
    paths = sorted(item.path[1:] for item in output.active_requirements)
    assert paths == [[f"all[{place}]", "ask", "pay"] for place in range(3)]
    flow.cancel_run(output.run_id)


def test_the_containers_of_a_step_are_in_the_path(runtime: Runtime, ledger: Ledger) -> None:
    agent = scripted(lambda request: [Call("pay", amount=1)], [paying(ledger)], name="ag")
    deep = Parallel(Step("call", agent), name="side by side")
    nest = pipeline(
        Condition(lambda: True, [Loop([deep], max_iterations=2, name="loop")]), name="in"
    )
    flow = pipeline(Steps([Step("nest", nest)], name="outer"))
    output = flow.run("hi")
    where = ["outer", "nest", "condition", "loop[0]", "side by side", "call", "pay"]
    assert only(output).path[1:] == where
    only(output).edit({"amount": 2.5})
    with pytest.raises(InvalidDecision):
        go_on(flow, output)
    flow.cancel_run(output.run_id)


def test_whoever_waits_hears_what_follows_a_cancel_inside(runtime: Runtime, ledger: Ledger) -> None:
    agent = scripted([[Call("pay", amount=1)]], [paying(ledger)])
    inner = pipeline(agent)
    flow = pipeline(inner)
    output = flow.run("hi")
    assert output.is_paused
    agent.cancel_run(only(output).run_id)
    output = flow.continue_run(output.run_id)
    assert output.status is RunStatus.error


def test_a_run_that_fails_beside_one_that_waits_ends_soon(runtime: Runtime, ledger: Ledger) -> None:
    agent = scripted([[Call("pay", amount=1)]], [paying(ledger)])
    run_id = new_id()
    ended: list[float] = []

    def boom() -> None:
        wait_until(lambda: bool(flow.get_run_output(run_id).active_requirements))
        ended.append(time.monotonic())
        raise ValueError("no luck")

    flow = pipeline(Parallel(agent, boom))
    assert flow.run("hi", run_id=run_id).status is RunStatus.error
    assert time.monotonic() - ended[0] < 5


@pytest.mark.parametrize("held_by", ["a team", "a workflow"])
def test_what_this_worker_has_not_is_waited_for_and_asked_of_nobody(
    runtime: Runtime, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, held_by: str
) -> None:
    """An approved call that was not begun is in no doubt, whichever worker takes it first."""

    def book() -> str:
        ledger.add("booked")
        return "booked"

    payer = scripted([Call("pay", amount=1), "paid"], [paying(ledger)])
    part: Component = payer
    whole: Runnable = team([payer], delegating((payer, "pay")))
    if held_by == "a workflow":
        part = pipeline(Step("book", book, human_review=CONFIRM))
        whole = pipeline(part)
    output = whole.run("go")
    missed: list[str] = []
    find, away = Registry.find, True

    def finding(self: Registry, component_id: str) -> Component | None:
        if away and component_id == part.id:
            missed.append(component_id)
            return None
        return find(self, component_id)

    monkeypatch.setattr(Registry, "find", finding)
    only(output).confirm()
    runtime.call(lambda service: service.inbox.decide_all(OPERATOR, output.active_requirements))
    wait_until(lambda: missed)
    assert not ledger.lines
    away = False
    wait_until(lambda: whole.get_run_output(output.run_id).status is RunStatus.completed)
    assert len(ledger.lines) == 1
    asked = whole.get_run_output(output.run_id).requirements
    assert [one.kind for one in asked] == [RequirementKind.confirmation]


def test_an_agent_that_waits_for_a_person_gives_its_place_to_others(
    runtime: Runtime, ledger: Ledger
) -> None:
    payer = scripted([Call("pay", amount=1), "paid"], [paying(ledger)], name="payer")
    ran: list[int] = []

    def note(told: StepInput) -> str:
        ran.append(1)
        return "noted"

    flow = pipeline(Parallel(payer, note, Step("more", note), max_concurrency=1))
    output = flow.run("hi")
    assert output.is_paused
    assert len(ran) == 2
    only(output).confirm()
    output = go_on(flow, output)
    assert output.content == '{"more":"noted","note":"noted","payer":"paid"}'
    assert ledger.lines == ["paid 1"]


def test_what_began_in_the_place_of_an_agent_is_not_lost_with_an_answer(
    runtime: Runtime, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The activity dies after it has stored what begins, and before anybody hears of it."""
    payer = scripted([Call("pay", amount=1), "paid"], [paying(ledger)], name="payer")
    lost: list[str] = []

    def dying(point: str) -> None:
        if point == "pause_run.after_store" and not lost:
            lost.append(point)
            raise OSError(point)

    monkeypatch.setattr(endings, "reach", dying)
    asked = Step("asked", upper, human_review=CONFIRM)
    flow = pipeline(Parallel(payer, exclaim, asked, max_concurrency=1))
    output = flow.run("hi")
    assert lost
    assert len(output.active_requirements) == 2
    for one in output.active_requirements:
        one.confirm()
    output = go_on(flow, output)
    assert output.content == '{"asked":"HI","exclaim":"hi!","payer":"paid"}'
