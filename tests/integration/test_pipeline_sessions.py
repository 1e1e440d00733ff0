"""Workflows in sessions: history, steps to look at, events, and an agent in front."""

from pathlib import Path

import pytest

from kern.client.processes.runtime import Runtime
from kern.errors import Conflict, InvalidDefinition, NotAllowed
from kern.events import (
    RunCompleted,
    RunContent,
    RunStarted,
    StepCompleted,
    StepFailed,
    StepSkipped,
    StepStarted,
)
from kern.media import File
from kern.models.base import ModelRequest
from kern.models.scripted import Call, ScriptedModel
from kern.values.ids import new_id
from kern.values.states import RunStatus
from kern.workflow import HumanReview, Loop, Parallel, Step, StepInput, Workflow, WorkflowAgent
from tests.support.agents import Ledger, paying, scripted
from tests.support.pipelines import exclaim, pipeline, upper


def broken() -> None:
    raise ValueError("no luck")


def in_front(workflow: Workflow, script: object) -> WorkflowAgent:
    return WorkflowAgent(
        id=f"front-{new_id()}",
        workflow=workflow,
        model=ScriptedModel(script),  # type: ignore[arg-type]
    )


def test_steps_are_given_earlier_runs(runtime: Runtime) -> None:
    asked: list[str] = []

    def note(request: ModelRequest) -> str:
        asked.append(request.messages[-1].content)
        return f"{len(asked)}"

    def last(told: StepInput) -> str:
        return " ".join(str(one.assistant) for one in told.history)

    flow = pipeline(scripted(note), last, add_workflow_history_to_steps=True, num_history_runs=2)
    first = done = flow.run("one", user_id="ann")
    for text in ("two", "three", "four"):
        done = flow.run(text, session_id=first.session_id, user_id="ann")
    assert "Asked: one" not in asked[3]
    assert "Asked: two" in asked[3]
    assert asked[3].endswith("four")
    history = flow.get_workflow_history(first.session_id, user_id="ann", num_runs=2)
    assert [(one.input, one.run_id == done.run_id) for one in history] == [
        ("three", False),
        ("four", True),
    ]
    with pytest.raises(NotAllowed):
        flow.get_workflow_history(first.session_id, user_id="bob")


def test_a_step_may_ask_for_history_itself(runtime: Runtime) -> None:
    def count(told: StepInput) -> int:
        return len(told.get_workflow_history(num_runs=5))

    inner = pipeline(count, name="inner")
    flow = pipeline(inner)
    first = flow.run("one")
    assert first.content == "0"
    assert flow.run("two", session_id=first.session_id).content == "1"


def test_the_steps_of_a_run_can_be_read(runtime: Runtime) -> None:
    flow = pipeline(upper, Loop([exclaim], max_iterations=2), scripted(["answer"], name="Writer"))
    output = flow.run("hi", user_id="ann")
    steps = flow.get_steps(output.run_id, user_id="ann")
    assert [(one.depth, one.name, one.place) for one in steps[1:]] == [
        (1, "upper", 0),
        (1, "loop", 1),
        (2, "loop[0]", 0),
        (3, "exclaim", 0),
        (2, "loop[1]", 1),
        (3, "exclaim", 0),
        (1, "Writer", 2),
    ]
    assert {one.outcome for one in steps} == {"completed"}
    assert steps[1].content == "HI"
    child = steps[-1].child_run_id
    assert child is not None
    assert flow.get_run_output(child, user_id="ann").content == "answer"
    assert [one.name for one in flow.get_steps(output.run_id, user_id="ann", after=7)] == ["Writer"]
    with pytest.raises(NotAllowed):
        flow.get_steps(output.run_id, user_id="bob")


def test_a_step_tells_how_long_people_were_asked_about_it(runtime: Runtime, ledger: Ledger) -> None:
    """Not before it began, and also inside the run that executes it."""
    payer = scripted([Call("pay", amount=1), "paid"], [paying(ledger)])
    before = HumanReview(requires_confirmation=True)
    after = HumanReview(requires_output_review=True)
    flow = pipeline(
        Step("before", upper, human_review=before), Step("after", upper, human_review=after), payer
    )
    output = flow.run("hi")
    for _ in range(3):
        assert output.is_paused
        output.active_requirements[0].confirm()
        output = flow.continue_run(output.run_id, output.requirements)
    _, *steps = flow.get_steps(output.run_id)
    for step in steps:
        assert step.started_at is not None
        assert step.finished_at is not None
        took = (step.finished_at - step.started_at).total_seconds()
        assert 0 <= step.waiting_seconds <= took
    assert [step.waiting_seconds > 0 for step in steps] == [False, True, True]


def test_what_a_workflow_came_to_is_said_to_readers(runtime: Runtime) -> None:
    *text, end = pipeline(upper, exclaim).run("hi", stream=True)
    assert [one.content for one in text if isinstance(one, RunContent)] == ["HI!"]
    assert isinstance(end, RunCompleted)


def test_progress_counts_what_is_known(runtime: Runtime) -> None:
    review = HumanReview(requires_confirmation=True)
    flow = pipeline(upper, Parallel(exclaim, Step("asked", upper, human_review=review)), upper)
    output = flow.run("hi")
    assert output.progress is not None
    assert (output.progress.done, output.progress.known) == (2, 4)
    assert output.progress.current == ["asked"]
    output.active_requirements[0].confirm()
    output = flow.continue_run(output.run_id, output.requirements)
    assert output.progress is not None
    assert (output.progress.done, output.progress.known, output.progress.current) == (4, 4, [])


def test_events_tell_of_steps(runtime: Runtime) -> None:
    flow = pipeline(upper, Step("bad", broken, on_error="skip"), exclaim)
    told = list(flow.run("hi", stream=True, stream_events=True))
    kinds = [type(one) for one in told]
    assert kinds[0] is RunStarted
    assert kinds[-1] is RunCompleted
    assert kinds.count(StepStarted) == 3
    ends = [one for one in told if isinstance(one, StepCompleted | StepSkipped)]
    assert [(one.step, one.done, one.known) for one in ends] == [
        ("upper", 1, 3),
        ("bad", 2, 3),
        ("exclaim", 3, 3),
    ]
    failing = pipeline(broken)
    (failed,) = [
        one
        for one in failing.run("hi", stream=True, stream_events=True)
        if isinstance(one, StepFailed)
    ]
    assert "no luck" in str(failed.message)


def test_files_reach_the_agents_that_read_the_input(runtime: Runtime, tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    path.write_text("the note")

    def read(request: ModelRequest) -> str:
        return ",".join(one.name for one in request.messages[-1].files)

    flow = pipeline(Parallel(scripted(read, name="a"), scripted(read, name="b")))
    assert flow.run("hi", files=[File(path=path)]).content == '{"a":"note.txt","b":"note.txt"}'


def test_an_agent_in_front_runs_the_workflow_or_answers_itself(runtime: Runtime) -> None:
    flow = pipeline(upper, exclaim)

    def decide(request: ModelRequest) -> Call | str:
        said = request.messages[-1].content
        if said.startswith("again"):
            (before,) = [one.content for one in request.messages if "!" in one.content]
            return f"I said {before}"
        return Call("run_workflow", request=said)

    agent = in_front(flow, decide)
    first = agent.run("shout", user_id="ann")
    assert (first.status, first.content) == (RunStatus.completed, "SHOUT!")
    second = agent.run("again?", session_id=first.session_id, user_id="ann")
    assert second.content == "I said SHOUT!"
    assert second.metrics.tool_calls == 0


def test_a_part_of_a_run_that_went_on_without_it_is_not_retried(runtime: Runtime) -> None:
    def broken() -> None:
        raise ValueError("no luck")

    flow = pipeline(broken)
    agent = in_front(flow, [Call("run_workflow", request="go"), "It failed."])
    output = agent.run("go")
    child = output.tools[0].child_run_id
    assert child is not None
    with pytest.raises(Conflict, match=f"which received its failure .* start '{flow.id}' anew"):
        flow.retry_run(child)


def test_an_agent_stands_before_workflows_only(runtime: Runtime) -> None:
    with pytest.raises(InvalidDefinition):
        in_front(scripted(["no"]), ["no"])  # type: ignore[arg-type]


def test_deleting_a_session_deletes_its_steps(runtime_on_each: Runtime) -> None:
    flow = pipeline(upper, Parallel(exclaim, for_each=lambda: [1, 2, 3]), scripted(["answer"]))
    output = flow.run("hi")
    assert output.status is RunStatus.completed, output.error
    flow.delete_session(output.session_id)
    again = flow.run("hi", session_id=output.session_id)
    assert again.number == 1
