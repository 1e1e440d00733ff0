"""Random pipelines with people and failures come to what a plain interpreter comes to."""

import pytest
from hypothesis import HealthCheck, given, settings

from kern.client.processes.runtime import Runtime
from kern.components.steps.blocks import Steps
from kern.db.steps.inputs import as_text
from kern.values.ids import new_id
from kern.values.states import RunStatus
from kern.workflow import Workflow
from tests.support.pipeline_lives import People, Work
from tests.support.pipeline_specs import Interpreter, Spec, block_of, pipelines

GIVEN = "the input"
_CHECKS = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@pytest.mark.timeout(300)
@settings(max_examples=8, deadline=None, suppress_health_check=_CHECKS, database=None)
@given(spec=pipelines())
def test_a_run_comes_to_what_a_plain_interpreter_comes_to(
    runtime_on_each: Runtime, spec: Spec
) -> None:
    work = Work()
    block = block_of(spec, work)
    assert isinstance(block, Steps)
    flow = Workflow(id=f"workflow-{new_id()}", name="root", steps=block.steps)
    people = People(spec, runtime_on_each.services.db)
    output = flow.run(GIVEN)
    while output.is_paused:
        for asked in output.active_requirements:
            people.decide(asked)
        output = flow.continue_run(output.run_id, output.requirements)
    expected = Interpreter().run(spec, GIVEN)
    if expected.outcome == "failed":
        assert output.status is RunStatus.error
    else:
        assert output.status is RunStatus.completed, output.error
        assert output.content == as_text(expected.content)
    assert max(work.done.values(), default=1) == 1
