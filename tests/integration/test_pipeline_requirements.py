"""People in pipelines: before steps and containers, about outputs, routes and failures."""

import json
import threading
import time
from datetime import timedelta

import pytest

from kern.client.processes.runtime import Runtime
from kern.errors import AlreadyResolved, InvalidDecision
from kern.run import RunOutput
from kern.tools import Approval
from kern.values.canonical import canonical_json
from kern.values.ids import new_id
from kern.values.states import RequirementKind, RequirementStatus, RunStatus
from kern.workflow import Condition, HumanReview, Loop, Parallel, Router, Step, StepInput, Steps
from tests.support.pipelines import exclaim, go_on, only, pipeline, upper
from tests.support.waiting import wait_until

CONFIRM = HumanReview(requires_confirmation=True, confirmation_message="Go on?")
REVIEW = HumanReview(requires_output_review=True)


def content(output: RunOutput) -> object:
    assert output.status is RunStatus.completed, output.error
    return output.content


def test_a_confirmed_step_runs_with_what_was_shown(runtime: Runtime) -> None:
    flow = pipeline(upper, Step("shout", exclaim, human_review=CONFIRM))
    output = flow.run("hi")
    assert output.status is RunStatus.paused
    asked = only(output)
    assert (asked.kind, asked.question) == (RequirementKind.confirmation, "Go on?")
    assert asked.arguments == {"input": "HI"}
    assert asked.path[-1] == "shout"
    asked.confirm()
    assert content(go_on(flow, output)) == "HI!"


def test_an_edited_input_is_what_the_step_gets(runtime: Runtime) -> None:
    flow = pipeline(upper, Step("shout", exclaim, human_review=CONFIRM))
    output = flow.run("hi")
    only(output).edit({"input": "Bye"})
    assert content(go_on(flow, output)) == "Bye!"


def both(told: StepInput) -> list[object]:
    return [told.input, told.previous_content, told.item]


def test_an_edited_input_stands_in_the_place_of_the_runs(runtime: Runtime) -> None:
    """In the step, and in all that it holds; what follows has the run's own."""
    inside = Steps([both, both], name="inside", human_review=CONFIRM)
    flow = pipeline(inside, lambda told: [told.input, told.previous_content])
    output = flow.run("hi")
    only(output).edit({"input": "Bye"})
    first = ["Bye", "Bye", None]
    ended = flow.continue_run(output.run_id, output.requirements)
    assert json.loads(str(content(ended))) == ["hi", ["Bye", first, None]]


def test_an_edited_item_is_the_item(runtime: Runtime) -> None:
    flow = pipeline(
        Parallel(Step("first", both, human_review=CONFIRM), both, for_each=lambda: [1, 2])
    )
    output = flow.run("hi")
    wait_until(lambda: len(flow.get_run_output(output.run_id).active_requirements) == 2)
    asked = flow.get_run_output(output.run_id).active_requirements
    assert sorted(canonical_json(one.arguments) for one in asked) == ['{"input":1}', '{"input":2}']
    for one in asked:
        if one.arguments == {"input": 1}:
            one.edit({"input": 7})
        else:
            one.confirm()
    ended = flow.continue_run(output.run_id, asked)
    assert json.loads(str(content(ended))) == [
        ["hi", ["hi", 7, 7], 1],
        ["hi", ["hi", 2, 2], 2],
    ]


def test_a_confirmation_within_an_item_shows_it_and_keeps_it(runtime: Runtime) -> None:
    flow = pipeline(
        Parallel(both, Step("pay", both, human_review=CONFIRM), for_each=lambda: ["ann"])
    )
    output = flow.run("hi")
    asked = only(output)
    assert asked.arguments == {"input": ["hi", "ann", "ann"], "item": "ann"}
    with pytest.raises(InvalidDecision, match="item"):
        flow.continue_run(output.run_id, [asked.edit({"item": "bob"})])
    output = flow.get_run_output(output.run_id)
    only(output).edit({"input": "less"})
    assert json.loads(str(content(go_on(flow, output)))) == [["hi", "less", "ann"]]


def test_an_edit_of_something_else_is_refused(runtime: Runtime) -> None:
    flow = pipeline(Step("shout", exclaim, human_review=CONFIRM))
    output = flow.run("hi")
    only(output).edit({"other": "Bye"})
    with pytest.raises(InvalidDecision):
        go_on(flow, output)


def test_a_rejected_step_never_runs(runtime: Runtime) -> None:
    ran: list[str] = []
    flow = pipeline(Step("pay", lambda: ran.append("paid"), human_review=CONFIRM))
    output = flow.run("hi")
    only(output).reject("too much", by="dana")
    output = go_on(flow, output)
    assert output.status is RunStatus.error
    assert output.error is not None
    assert output.error.code == "rejected"
    assert "too much" in output.error.message
    assert not ran


def test_a_rejected_step_may_be_left_out(runtime: Runtime) -> None:
    review = HumanReview(requires_confirmation=True, on_reject="skip")
    flow = pipeline(upper, Step("pay", exclaim, human_review=review), upper)
    output = flow.run("hi")
    only(output).reject()
    assert content(go_on(flow, output)) == "HI"


def test_what_a_person_fills_in_reaches_the_steps(runtime: Runtime) -> None:
    def greet(told: StepInput) -> str:
        return f"{told.values['greeting']}, {told.previous_content}"

    review = HumanReview(requires_user_input=True, user_input_fields=["greeting"])
    flow = pipeline(Steps([greet, greet], name="greetings", human_review=review))
    output = flow.run("Ann")
    asked = only(output)
    assert [field.name for field in asked.fields] == ["greeting"]
    asked.provide_user_input({"greeting": "Hello"})
    assert content(go_on(flow, output)) == "Hello, Hello, Ann"


def test_a_person_chooses_the_route(runtime: Runtime) -> None:
    review = HumanReview(requires_route_choice=True)
    flow = pipeline(Router(choices=[upper, exclaim], human_review=review))
    output = flow.run("hi")
    asked = only(output)
    assert (asked.kind, asked.choices) == (RequirementKind.user_feedback, ["upper", "exclaim"])
    asked.provide_user_feedback("exclaim")
    assert content(go_on(flow, output)) == "hi!"


def test_several_routes_are_taken_one_after_another(runtime: Runtime) -> None:
    review = HumanReview(requires_route_choice=True, allow_multiple_routes=True)
    flow = pipeline(Router(choices=[upper, exclaim], human_review=review))
    output = flow.run("hi")
    only(output).provide_user_feedback(["exclaim", "upper"])
    assert content(go_on(flow, output)) == "HI!"


def test_an_output_is_done_again_with_the_note(runtime: Runtime) -> None:
    def draft(told: StepInput) -> str:
        return f"draft after {told.feedback!r}"

    flow = pipeline(Step("draft", draft, effect="read", human_review=REVIEW), exclaim)
    output = flow.run("hi")
    asked = only(output)
    assert asked.kind is RequirementKind.output_review
    assert asked.needs_output_review
    assert asked.arguments == {"output": "draft after None"}
    asked.reject("shorter")
    output = go_on(flow, output)
    assert only(output).arguments == {"output": "draft after 'shorter'"}
    only(output).confirm()
    assert content(go_on(flow, output)) == "draft after 'shorter'!"


def test_an_edited_output_takes_the_place_of_the_steps_own(runtime: Runtime) -> None:
    flow = pipeline(Parallel(upper, exclaim, human_review=REVIEW), lambda told: told.input)
    output = flow.run("hi")
    assert only(output).arguments == {"output": {"upper": "HI", "exclaim": "hi!"}}
    only(output).edit({"output": [1, 2]})
    assert content(go_on(flow, output)) == "hi"


def test_revisions_have_an_end(runtime: Runtime) -> None:
    review = HumanReview(requires_output_review=True, max_revisions=1)
    flow = pipeline(Step("draft", upper, effect="read", human_review=review))
    output = flow.run("hi")
    for _ in range(2):
        only(output).reject("no")
        output = go_on(flow, output)
    assert output.status is RunStatus.error


def test_a_predicate_lets_pass_only_what_it_says_false_of(runtime: Runtime) -> None:
    def broken(_output: object) -> bool:
        raise ValueError

    passing = HumanReview(requires_output_review=lambda output: output.content != "HI")
    closed = HumanReview(requires_output_review=broken)
    assert content(pipeline(Step("a", upper, human_review=passing)).run("hi")) == "HI"
    assert pipeline(Step("a", upper, human_review=passing)).run("ho").is_paused
    assert pipeline(Step("a", upper, human_review=closed)).run("hi").is_paused


def test_each_iteration_is_reviewed(runtime: Runtime) -> None:
    review = HumanReview(requires_iteration_review=True)
    flow = pipeline(Loop([exclaim], max_iterations=2, human_review=review))
    output = flow.run("hi")
    assert only(output).arguments == {"output": "hi!"}
    only(output).confirm()
    output = go_on(flow, output)
    assert only(output).arguments == {"output": "hi!!"}
    only(output).confirm()
    assert content(go_on(flow, output)) == "hi!!"


def test_a_person_decides_about_a_failure(runtime: Runtime) -> None:
    tries: list[int] = []

    def flaky() -> str:
        tries.append(1)
        if len(tries) < 3:
            raise ValueError("not yet")
        return "at last"

    flow = pipeline(Step("flaky", flaky, on_error="pause"))
    output = flow.run("hi")
    asked = only(output)
    assert (asked.kind, asked.needs_error_decision) == (RequirementKind.error, True)
    assert "not yet" in str(asked.arguments["error"])
    asked.run_again()
    output = go_on(flow, output)
    only(output).run_again()
    assert content(go_on(flow, output)) == "at last"


@pytest.mark.parametrize("said", ["skip", "fail", "reject"])
def test_a_failure_is_skipped_or_stands(runtime: Runtime, said: str) -> None:
    def broken() -> None:
        raise ValueError("no luck")

    flow = pipeline(upper, Step("bad", broken, on_error="pause"))
    output = flow.run("hi")
    asked = only(output)
    getattr(asked, said)()
    output = go_on(flow, output)
    assert output.status is (RunStatus.completed if said == "skip" else RunStatus.error)
    assert output.content == ("HI" if said == "skip" else None)


def test_other_branches_go_on_while_one_waits(runtime: Runtime) -> None:
    ran: list[str] = []
    waiting = Steps([Step("asked", upper, human_review=CONFIRM)], name="waiting")
    going = Steps([exclaim, lambda: ran.append("on")], name="going")
    flow = pipeline(Parallel(waiting, going))
    output = flow.run("hi")
    assert output.is_paused
    assert ran == ["on"]
    only(output).confirm()
    assert content(go_on(flow, output)) == '{"going":null,"waiting":"HI"}'


def test_two_wait_in_two_branches_deep_inside(runtime: Runtime) -> None:
    def two() -> Parallel:
        left = Step("left", upper, human_review=CONFIRM)
        right = Step("right", exclaim, human_review=CONFIRM)
        return Parallel(left, right)

    flow = pipeline(Condition(lambda: True, [Loop([two()], max_iterations=2)]))
    output = flow.run("hi")
    for _ in range(2):
        assert {one.path[-1] for one in output.active_requirements} == {"left", "right"}
        first, second = output.active_requirements
        first.confirm()
        output = flow.continue_run(output.run_id, [first])
        assert output.is_paused
        assert only(output).id == second.id
        only(output).confirm()
        output = go_on(flow, output)
    assert output.status is RunStatus.completed


def test_containers_are_confirmed_too(runtime: Runtime) -> None:
    flow = pipeline(
        Parallel(upper, exclaim, human_review=CONFIRM),
        Loop([exclaim], max_iterations=1, human_review=CONFIRM),
        Condition(lambda: False, [upper], [exclaim], human_review=CONFIRM),
    )
    output = flow.run("hi")
    only(output).edit({"input": "ho"})
    output = go_on(flow, output)
    assert only(output).arguments == {"input": {"upper": "HO", "exclaim": "ho!"}}
    only(output).confirm()
    output = go_on(flow, output)
    only(output).confirm()
    assert str(content(go_on(flow, output))).endswith("!!")


def test_silence_is_no_wish_for_another_try(runtime: Runtime) -> None:
    review = HumanReview(requires_output_review=True, approval=Approval(due=timedelta(seconds=0.5)))
    flow = pipeline(Step("draft", upper, effect="read", human_review=review))
    output = flow.continue_run(flow.run("hi").run_id)
    while not output.status.is_final:
        output = flow.continue_run(output.run_id)
    assert output.status is RunStatus.error
    assert output.requirements[0].status is RequirementStatus.expired


def test_only_candidates_decide_and_only_once(runtime: Runtime) -> None:
    review = HumanReview(requires_confirmation=True, approval=Approval(candidates=("dana",)))
    flow = pipeline(Step("pay", upper, human_review=review))
    output = flow.run("hi")
    stale = only(output).model_copy(deep=True)
    only(output).confirm(by="dana")
    assert content(go_on(flow, output)) == "HI"
    stale.confirm(by="dana")
    with pytest.raises(AlreadyResolved):
        flow.continue_run(output.run_id, [stale])


def test_a_run_that_waits_is_cancelled(runtime: Runtime) -> None:
    flow = pipeline(Parallel(Step("a", upper, human_review=CONFIRM), exclaim))
    output = flow.cancel_run(flow.run("hi").run_id)
    assert output.status is RunStatus.cancelled
    assert output.requirements[0].status is RequirementStatus.cancelled
    assert {step.outcome for step in flow.get_steps(output.run_id)} == {"completed", "cancelled"}


def test_a_nested_workflow_waits_with_its_path(runtime: Runtime) -> None:
    inner = pipeline(Step("shout", exclaim, human_review=CONFIRM), name="inner")
    flow = pipeline(Parallel(inner, upper), name="outer")
    output = flow.run("hi")
    assert output.is_paused
    assert only(output).path[-2:] == ["inner", "shout"]
    only(output).confirm()
    assert content(go_on(flow, output)) == '{"inner":"hi!","upper":"HI"}'


TWO = HumanReview(requires_confirmation=True, approval=Approval(quorum=2))


@pytest.mark.parametrize("kind", ["root", "nested", "beside"])
def test_a_run_stays_paused_until_enough_have_approved(runtime: Runtime, kind: str) -> None:
    pay = Step("pay", exclaim, human_review=TWO)
    inner = pipeline(Step("shout", upper, human_review=CONFIRM), name="inner")
    one = {"root": pay, "nested": pipeline(pay, name="inner"), "beside": Parallel(pay, inner)}[kind]
    flow = pipeline(one)
    output = flow.run("hi")
    for by in ("ann", "bob"):
        assert output.is_paused
        asked = next(ask for ask in output.active_requirements if ask.path[-1] == "pay")
        output = flow.continue_run(output.run_id, [asked.confirm(by=by)])
    if kind == "beside":
        assert output.is_paused
        only(output).confirm()
        output = go_on(flow, output)
    assert output.status is RunStatus.completed


def test_a_question_without_enough_approvals_keeps_no_run_of_its_session_waiting(
    runtime: Runtime,
) -> None:
    flow = pipeline(Step("pay", exclaim, human_review=TWO))
    output = flow.run("hi", session_id="quorum")
    output = flow.continue_run(output.run_id, [only(output).confirm(by="ann")])
    assert output.is_paused
    assert flow.run("ho", session_id="quorum").is_paused


@pytest.mark.parametrize("kind", ["step", "container"])
def test_a_failed_step_runs_again_only_if_as_many_agree_as_before_it(
    runtime: Runtime, kind: str
) -> None:
    tries: list[str] = []

    def fails_once(told: StepInput) -> str:
        tries.append(str(told.input))
        if len(tries) == 1:
            raise RuntimeError("the bank hung up")
        return "paid"

    gate = HumanReview(
        requires_confirmation=True, approval=Approval(candidates=("ann", "bob"), quorum=2)
    )
    if kind == "step":
        failing: Step | Steps = Step("pay", fails_once, on_error="pause", human_review=gate)
    else:
        pay = Step("pay", fails_once, on_error="pause")
        failing = Steps([pay], name="all", human_review=gate)
    flow = pipeline(failing)
    output = flow.run("hi")
    for by in ("ann", "bob"):
        output = flow.continue_run(output.run_id, [only(output).confirm(by=by)])
    asked = only(output)
    assert (asked.kind, asked.quorum) == (RequirementKind.error, 2)
    assert asked.candidates == ["ann", "bob"]
    output = flow.continue_run(output.run_id, [asked.run_again(by="ann")])
    assert output.is_paused
    assert len(tries) == 1
    output = flow.continue_run(output.run_id, [only(output).run_again(by="bob")])
    assert content(output) == "paid"


def test_branches_that_wait_for_people_give_their_places_to_others(runtime: Runtime) -> None:
    ran: list[str] = []

    def free(told: StepInput) -> str:
        ran.append("free")
        return "free"

    flow = pipeline(Parallel(Step("asked", exclaim, human_review=CONFIRM), free, max_concurrency=1))
    output = flow.run("hi")
    assert output.is_paused
    assert ran == ["free"]
    only(output).confirm()
    assert json.loads(str(content(go_on(flow, output)))) == {"asked": "hi!", "free": "free"}


def test_all_items_come_to_the_people_who_are_asked_about_them(runtime: Runtime) -> None:
    """Though no more than ten run at once."""
    going = most = 0
    guard = threading.Lock()

    def check(told: StepInput) -> object:
        nonlocal going, most
        with guard:
            going += 1
            most = max(most, going)
        time.sleep(0.01)
        with guard:
            going -= 1
        return told.item

    pay = Step("pay", lambda told: told.item, human_review=CONFIRM)
    flow = pipeline(Parallel(check, pay, for_each=lambda: list(range(33))))
    output = flow.run("hi")
    assert output.is_paused
    assert len(output.active_requirements) == 33
    assert most <= 10
    for one in output.active_requirements:
        one.confirm()
    assert json.loads(str(content(go_on(flow, output)))) == list(range(33))


def test_an_unknown_outcome_says_whose_it_is(runtime: Runtime) -> None:
    """Also where several steps have one name; what ends one for good asks nobody again."""
    slow = Step("pay", lambda: time.sleep(0.5), timeout=0.1, on_error="pause")
    branches = [Steps([slow], name=name) for name in ("Anna", "Bert")]
    flow = pipeline(Parallel(*branches, name="both"))
    paused = flow.run("hi")
    wait_until(lambda: len(flow.get_run_output(paused.run_id).active_requirements) == 2)
    asked = flow.get_run_output(paused.run_id).active_requirements
    paths = sorted(one.path[1:] for one in asked)
    assert paths == [["both", "Anna", "pay"], ["both", "Bert", "pay"]]
    output = flow.continue_run(paused.run_id, [asked[0].fail("enough")])
    assert output.status is RunStatus.error


def test_whoever_has_a_container_done_again_is_told_what_happened_in_it(runtime: Runtime) -> None:
    charged: list[str] = []

    def charge() -> str:
        charged.append("charged")
        return "charged"

    def look() -> None:
        raise ValueError("nothing there")

    steps = Steps([charge, Step("look", look, effect="read")], name="both", on_error="pause")
    flow = pipeline(steps)
    asked = only(flow.run("hi"))
    assert "charge (done)" in (asked.question or "")
    assert "look (" not in (asked.question or "")


@pytest.mark.parametrize("asks", ["before", "after"])
def test_a_nested_workflow_that_fails_while_a_person_is_asked_in_it_ends(
    runtime: Runtime, asks: str
) -> None:
    review = HumanReview(
        requires_confirmation=asks == "before", requires_output_review=asks == "after"
    )

    def fail(told: StepInput) -> str:
        wait_until(lambda: bool(flow.get_run_output(run_id).active_requirements))
        raise ValueError(told.previous_content)

    run_id = new_id()
    inner = pipeline(Parallel(fail, Step("asked", upper, human_review=review)), name="inner")
    flow = pipeline(inner)
    output = flow.run("hi", run_id=run_id)
    assert output.status is RunStatus.error
    assert output.active_requirements == []
