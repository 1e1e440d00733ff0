"""A run asks its model so often and no more, unless a person lets it go on. Nothing is lost."""

import pytest

from kern.components.agents.model_component import DEFAULT_MODEL_CALLS
from kern.models.base import ModelRequest
from kern.models.scripted import Call, Step
from kern.requirements import RequirementKind
from kern.run import RunOutput
from kern.tools import Function, Tool
from kern.values.states import RunStatus
from tests.support.agents import Ledger, scripted
from tests.support.pipelines import go_on, pipeline
from tests.support.teams import delegating, team

pytestmark = pytest.mark.timeout(120)


class Circling:
    """A model that calls a tool so many times before it answers, and counts how often it is asked.

    Its calls are malformed if it is `odd`.
    """

    def __init__(self, turns: int, *, odd: bool = False) -> None:
        self.turns, self.odd, self.asked = turns, odd, 0

    def __call__(self, request: ModelRequest) -> Step:
        self.asked += 1
        done = sum(message.role == "tool" for message in request.messages)
        if done >= self.turns:
            return f"Done after {done}."
        return Call("no_such_tool" if self.odd else "step")


def stepping(ledger: Ledger) -> list[Tool | Function]:
    def step() -> None:
        """Step."""
        ledger.add("step")

    return [step]


def is_at_limit(output: RunOutput) -> None:
    assert output.status is RunStatus.paused
    [item] = output.active_requirements
    assert item.kind is RequirementKind.error
    assert item.arguments["code"] == "model_call_limit"
    assert "model_call_limit=" in str(item.arguments["error"])
    assert "times more" in str(item.question)


@pytest.mark.usefixtures("runtime")
@pytest.mark.parametrize("odd", [False, True])
def test_a_run_without_a_limit_of_its_own_stops_after_the_default(
    ledger: Ledger,
    odd: bool,  # noqa: FBT001
) -> None:
    model = Circling(10_000, odd=odd)
    output = scripted(model, stepping(ledger)).run("Go")
    is_at_limit(output)
    assert model.asked == output.metrics.model_calls == DEFAULT_MODEL_CALLS
    assert len(ledger.lines) == (0 if odd else DEFAULT_MODEL_CALLS)


@pytest.mark.usefixtures("runtime_on_each")
def test_whoever_lets_it_go_on_grants_as_many_calls_again(ledger: Ledger) -> None:
    model = Circling(7)
    agent = scripted(model, stepping(ledger), model_call_limit=3)
    output = agent.run("Go")
    for asked in (3, 6):
        is_at_limit(output)
        assert (model.asked, len(ledger.lines)) == (asked, asked)
        [item] = output.active_requirements
        output = agent.continue_run(output.run_id, [item.run_again(by="dana")])
    assert (output.content, output.metrics.model_calls) == ("Done after 7.", 8)
    assert len(ledger.lines) == 7


@pytest.mark.usefixtures("runtime")
def test_whoever_ends_it_is_told_what_to_set(ledger: Ledger) -> None:
    agent = scripted(Circling(9), stepping(ledger), model_call_limit=2)
    output = agent.run("Go")
    [item] = output.active_requirements
    output = agent.continue_run(output.run_id, [item.fail(by="dana")])
    assert output.error is not None
    assert output.error.code == "model_call_limit"
    assert "model_call_limit=" in output.error.message
    assert len(output.tools) == 2


@pytest.mark.usefixtures("runtime")
def test_none_lifts_it(ledger: Ledger) -> None:
    model = Circling(DEFAULT_MODEL_CALLS + 1)
    output = scripted(model, stepping(ledger), model_call_limit=None).run("Go")
    assert output.status is RunStatus.completed


@pytest.mark.usefixtures("runtime")
def test_a_run_that_answers_with_its_last_call_ends(ledger: Ledger) -> None:
    output = scripted(Circling(2), stepping(ledger), model_call_limit=3).run("Go")
    assert (output.status, output.metrics.model_calls) == (RunStatus.completed, 3)


@pytest.mark.usefixtures("runtime")
def test_each_run_of_a_team_counts_by_itself(ledger: Ledger) -> None:
    member = scripted(Circling(9), stepping(ledger), name="member", model_call_limit=4)
    leader = team([member], delegating((member, "Step.")), model_call_limit=2)
    output = leader.run("Go")
    is_at_limit(output)
    [item] = output.active_requirements
    assert item.run_id != output.run_id
    for _ in range(2):
        [item] = output.active_requirements
        output = leader.continue_run(output.run_id, [item.run_again(by="dana")])
    assert (output.status, output.content) == (RunStatus.completed, "Done after 9.")
    assert len(ledger.lines) == 9


@pytest.mark.usefixtures("runtime")
def test_the_run_of_a_step_pauses_its_workflow(ledger: Ledger) -> None:
    flow = pipeline(scripted(Circling(3), stepping(ledger), model_call_limit=2))
    output = flow.run("Go")
    is_at_limit(output)
    [item] = output.active_requirements
    item.run_again(by="dana")
    done = go_on(flow, output)
    assert done.status is RunStatus.completed
