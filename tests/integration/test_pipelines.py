"""Pipelines of functions on a real server: what comes next, and what becomes of failures."""

from kern.client.processes.runtime import Runtime
from kern.values.states import RunStatus
from kern.workflow import Condition, Loop, Parallel, Router, Step, StepInput, StepOutput
from tests.support.pipelines import exclaim, pipeline, upper


def test_steps_run_one_after_another(runtime: Runtime) -> None:
    output = pipeline(upper, exclaim).run("hello")
    assert output.status is RunStatus.completed, output.error
    assert output.content == "HELLO!"


def test_a_condition_takes_one_side(runtime: Runtime) -> None:
    def is_long(told: StepInput) -> bool:
        return len(told.input) > 3

    chosen = pipeline(Condition(is_long, [upper], [exclaim]))
    assert chosen.run("hello").content == "HELLO"
    assert chosen.run("hi").content == "hi!"


def test_a_loop_ends_when_its_condition_says_so(runtime: Runtime) -> None:
    def is_enough(told: StepInput) -> bool:
        return str(told.previous_content).count("!") == 3

    assert pipeline(Loop([exclaim], is_enough, 10)).run("hi").content == "hi!!!"
    assert pipeline(Loop([exclaim], max_iterations=2)).run("hi").content == "hi!!"


def test_branches_come_together_as_a_dict(runtime: Runtime) -> None:
    output = pipeline(Parallel(upper, exclaim)).run("hi")
    assert output.content == '{"exclaim":"hi!","upper":"HI"}'


def test_items_come_together_in_their_order(runtime: Runtime) -> None:
    def numbers() -> list[int]:
        return list(range(25))

    def double(told: StepInput) -> int:
        assert isinstance(told.item, int)
        assert told.index == told.item
        return told.item * 2

    output = pipeline(Parallel(double, for_each=numbers, max_concurrency=4)).run("")
    assert output.content == str([number * 2 for number in range(25)]).replace(" ", "")


def test_a_router_takes_what_its_selector_names(runtime: Runtime) -> None:
    def select(told: StepInput) -> list[str]:
        return told.input.split()

    routes = pipeline(Router(select, [upper, exclaim]))
    assert routes.run("upper exclaim").content == "UPPER EXCLAIM!"
    wrong = routes.run("sideways")
    assert wrong.status is RunStatus.error
    assert "none of the choices" in str(wrong.error)


def test_a_step_may_end_the_workflow(runtime: Runtime) -> None:
    def stop() -> StepOutput:
        return StepOutput(content="enough", stop=True)

    assert pipeline(upper, Loop([stop]), exclaim).run("hi").content == "enough"


def test_a_failed_step_fails_the_run(runtime: Runtime) -> None:
    def broken() -> None:
        raise ValueError("no luck")

    output = pipeline(upper, broken, exclaim).run("hi")
    assert output.status is RunStatus.error
    assert output.error is not None
    assert output.error.code == "step_failed"
    assert output.error.message == "The step 'broken' failed: ValueError: no luck"


def test_a_failed_step_may_be_left_out(runtime: Runtime) -> None:
    def broken() -> None:
        raise ValueError("no luck")

    assert pipeline(upper, Step("bad", broken, on_error="skip"), exclaim).run("hi").content == "HI!"


def test_a_step_is_tried_again_as_often_as_it_may(runtime: Runtime) -> None:
    tries: list[int] = []

    def flaky(told: StepInput) -> str:
        tries.append(told.attempt)
        if len(tries) < 3:
            raise ValueError("not yet")
        return "at last"

    step = Step("flaky", flaky, retries=2, backoff=0.01, effect="idempotent")
    assert pipeline(step).run("hi").content == "at last"
    assert tries == [1, 2, 3]


def test_workflows_are_steps(runtime: Runtime) -> None:
    inner = pipeline(upper, lambda: {"shout": 1})
    output = pipeline(inner, lambda told: told.previous_content["shout"]).run("hi")
    assert output.status is RunStatus.completed, output.error
    assert output.content == "1"


def test_steps_share_the_state_of_the_session(runtime: Runtime) -> None:
    def count(told: StepInput) -> None:
        told.session_state.increment("count")

    output = pipeline(count, Parallel(Step("a", count), Step("b", count))).run("hi")
    assert output.session_state == {"count": 3}


def test_steps_find_what_others_came_to(runtime: Runtime) -> None:
    def both(told: StepInput) -> str:
        return f"{told.get_step_content('upper')} {told.get_step_content('exclaim')}"

    assert pipeline(Parallel(upper, exclaim), both).run("hi").content == "HI hi!"
