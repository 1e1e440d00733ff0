"""What a workflow refuses to be declared as, and what stays the same when its code changes."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from kern.agent import Agent
from kern.components.component import definition_of
from kern.errors import InvalidDefinition
from kern.models.scripted import ScriptedModel
from kern.pipeline.nodes import Shape
from kern.tools import Approval
from kern.workflow import (
    Condition,
    HumanReview,
    Loop,
    Parallel,
    Router,
    Step,
    StepInput,
    StepOutput,
    Steps,
    Workflow,
    WorkflowAgent,
)


def work(told: StepInput) -> str:
    return str(told.previous_content)


def other() -> None: ...


def two(one: object, another: object) -> None: ...


def many() -> Any:  # noqa: ANN401  a generator
    yield 1


def agent(name: str, **options: Any) -> Agent:  # noqa: ANN401  as an agent takes them
    return Agent(name=name, model=ScriptedModel(["."]), **options)


CONFIRM = HumanReview(requires_confirmation=True)
WRONG: dict[str, tuple[Callable[[], object], str]] = {
    "no steps": (lambda: Workflow(steps=[]), "has no steps"),
    "no list": (lambda: Workflow(steps=work), "needs a list"),  # type: ignore[arg-type]
    "no step": (lambda: Workflow(steps=[3]), "is no step"),  # type: ignore[list-item]
    "empty name": (lambda: Step(" ", work), "needs a name"),
    "odd id": (lambda: Step("a", work, id="A/B"), "lower case"),
    "same ids": (lambda: Workflow(steps=[Step("a", work, id="x"), Step("b", work, id="x")]), "two"),
    "a number as name": (lambda: Step(3, work), "a text as its name"),  # type: ignore[arg-type]
    "a dict as review": (
        lambda: Step("a", work, human_review={"requires_confirmation": True}),  # type: ignore[arg-type]
        "needs a HumanReview",
    ),
    "a list as branch": (lambda: Parallel([work, work]), "write Parallel"),
    "a text as bound": (lambda: Parallel(work, max_concurrency="3"), "whole number"),  # type: ignore[arg-type]
    "half an iteration": (lambda: Loop([work], max_iterations=2.5), "whole number"),  # type: ignore[arg-type]
    "a duration": (
        lambda: Step("a", work, timeout=timedelta(seconds=3)),  # type: ignore[arg-type]
        "needs seconds",
    ),
    "no function": (lambda: Step("a", "work"), "needs a function"),  # type: ignore[arg-type]
    "two arguments": (lambda: Step("a", two), "takes more than a StepInput"),
    "endless timeout": (lambda: Step("a", work, timeout=float("inf")), "timeout above 0 seconds"),
    "endless backoff": (lambda: Step("a", work, backoff=float("inf")), "backoff from 0 seconds"),
    "far too many retries": (
        lambda: Step("a", work, effect="read", retries=10**30),
        "more than 1,000,000 retries",
    ),
    "a name that is no text": (lambda: Step("a\ud800", work), "characters that no text may have"),
    "a generator": (lambda: Step("a", many), "generator"),
    "blind retries": (lambda: Step("a", work, retries=1), "effect='once'"),
    "negative retries": (lambda: Step("a", work, retries=-1, effect="read"), "negative"),
    "no time": (lambda: Step("a", work, timeout=0), "above 0"),
    "odd effect": (lambda: Step("a", work, effect="twice"), "effect"),  # type: ignore[arg-type]
    "odd error": (lambda: Step("a", work, on_error="stop"), "on_error"),  # type: ignore[arg-type]
    "timeout of a run": (lambda: Step("a", agent("x"), timeout=1), "executed by a run"),
    "effect of a run": (lambda: Step("a", agent("x"), effect="read"), "executed by a run"),
    "branches of one name": (lambda: Parallel(work, work), "two branches"),
    "choices of one name": (lambda: Router(work, [work, work]), "two choices"),
    "no bound": (lambda: Parallel(work, other, max_concurrency=0), "from 1 to"),
    "no end of branches": (lambda: Parallel(work, max_concurrency=1001), "from 1 to"),
    "no iterations": (lambda: Loop([work], max_iterations=0), "above 0"),
    "nobody selects": (lambda: Router(choices=[work]), "selector"),
    "two select": (
        lambda: Router(work, [work], human_review=HumanReview(requires_route_choice=True)),
        "selector",
    ),
    "iterations of a step": (
        lambda: Step("a", work, human_review=HumanReview(requires_iteration_review=True)),
        "iterations",
    ),
    "routes of a step": (
        lambda: Step("a", work, human_review=HumanReview(requires_route_choice=True)),
        "routes",
    ),
    "approval of nothing": (
        lambda: Step("a", work, human_review=HumanReview(approval=Approval(candidates=("d",)))),
        "waits for nobody",
    ),
    "its own id": (lambda: Workflow(id="x", steps=[agent("x")]), "same id"),
    "two agents of one id": (
        lambda: Workflow(steps=[agent("x"), agent("x", instructions="Other.")]),
        "Two different components",
    ),
    "empty workflow name": (lambda: Workflow(name="", steps=[work]), "empty"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_declaration_says_what_is_wrong(case: str) -> None:
    declare, said = WRONG[case]
    with pytest.raises(InvalidDefinition, match=said):
        declare()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"requires_confirmation": True, "requires_user_input": True}, "choose one"),
        ({"requires_user_input": True}, "names no fields"),
        ({"user_input_fields": ["input"]}, "'input'"),
        ({"requires_confirmation": True, "on_reject": "retry"}, "only try again"),
        (
            {
                "user_input_fields": ["city"],
                "approval": Approval(on_expiry="approve", due=timedelta(days=1)),
            },
            "approve on expiry",
        ),
        ({"user_input_fields": ["city"], "approval": Approval(quorum=2)}, "quorum"),
        ({"unknown": 1}, "unknown"),
        ({"requires_confirmation": "no"}, "valid boolean"),
        ({"requires_output_review": "yes"}, "valid boolean"),
        ({"user_input_fields": "city"}, "user_input_fields"),
        ({"user_input_fields": ["city", "city"]}, "one name"),
        ({"user_input_fields": [" "]}, "without a name"),
    ],
)
def test_a_review_that_contradicts_itself_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidDefinition, match=said):
        HumanReview(**options)


def test_a_value_that_a_review_cannot_have_is_told_in_one_sentence() -> None:
    given: Any = {"requires_confirmation": "no"}
    with pytest.raises(InvalidDefinition) as caught:
        HumanReview(**given)
    said = "HumanReview: requires_confirmation is 'no': input should be a valid boolean."
    assert str(caught.value) == said


def nodes(*steps: Any) -> list[str]:  # noqa: ANN401  whatever a workflow takes
    flow = Workflow(name="w", steps=list(steps))
    return [node.id for node in definition_of(flow).layout.shape.nodes]


def test_ids_come_from_names_and_stay_when_other_steps_come() -> None:
    loop = Loop([Step("Draft it", work)], name="writing")
    before = nodes(loop)
    after = nodes(other, loop, work)
    assert before == ["workflow", "writing", "writing/body", "writing/body/draft-it"]
    assert set(before) < set(after)


def test_ids_of_equal_names_are_told_apart() -> None:
    assert nodes(work, work, Step("work", work, id="work-2")) == [
        "workflow",
        "work",
        "work-3",
        "work-2",
    ]


def test_every_container_is_laid_out() -> None:
    found = nodes(
        Steps([work]),
        Parallel(work, other),
        Parallel(work, for_each=list),
        Condition(work, [work], [other]),
        Router(work, [work, other]),
        [work, other],
    )
    assert {one for one in found if one.count("/") == 1} >= {
        "steps/work",
        "parallel/work",
        "parallel/other",
        "parallel-2/each",
        "condition/then",
        "condition/else",
        "router/other",
        "steps-2/work",
    }


def test_a_pinned_shape_is_read_as_it_was_written() -> None:
    class Address(BaseModel):
        city: str
        zip_code: str = "0"

    review = HumanReview(user_input_schema=Address, approval=Approval(due=timedelta(days=1)))
    flow = Workflow(
        name="w",
        steps=[
            Step("a", work, human_review=review, on_error="pause", effect="read", retries=2),
            Step("b", agent("x", output_schema=Address)),
        ],
    )
    shape = definition_of(flow).layout.shape
    again = Shape.read(json.loads(json.dumps(shape.pinned)))
    assert again == shape
    assert again.digest == shape.digest
    gate = again.by_id["a"].gate
    assert gate is not None
    assert [(field.name, field.required) for field in gate.fields] == [
        ("city", True),
        ("zip_code", False),
    ]
    assert again.by_id["b"].structured


def test_the_fingerprint_follows_the_declaration() -> None:
    def made(**options: Any) -> str:  # noqa: ANN401  as a workflow takes them
        return definition_of(Workflow(name="w", steps=[work], **options)).fingerprint

    assert made() == made()
    assert made() != made(session_state={"a": 1})
    read = Workflow(name="w", steps=[Step("work", work, effect="read")])
    assert made() != definition_of(read).fingerprint
    assert made() != made(add_workflow_history_to_steps=True)


def test_what_runs_is_registered_with_the_workflow() -> None:
    inner = Workflow(name="inner", steps=[agent("deep")])
    outer = Workflow(name="outer", steps=[Parallel(inner, agent("beside"))])
    assert [part.id for part in definition_of(outer).parts] == ["inner", "beside"]


def test_a_step_output_takes_models_and_refuses_what_is_no_json() -> None:
    class Price(BaseModel):
        amount: int

    assert StepOutput.model_validate({"content": Price(amount=3)}).content == {"amount": 3}
    with pytest.raises(ValidationError):
        StepOutput.model_validate({"content": object()})


def test_nesting_has_an_end() -> None:
    block: Any = work
    for _ in range(60):
        block = Steps([block])
    with pytest.raises(InvalidDefinition, match="nested deeper"):
        Workflow(steps=[block])


def test_of_a_failure_nothing_can_be_approved() -> None:
    review = HumanReview(approval=Approval(due=timedelta(hours=1), on_expiry="approve"))
    with pytest.raises(InvalidDefinition, match="nothing can be approved"):
        Step("a", work, on_error="pause", human_review=review)
    with pytest.raises(InvalidDefinition, match="nothing can be approved"):
        Step("a", work, on_error="pause", human_review=HumanReview(approval=Approval(quorum=2)))


def test_an_agent_stands_before_a_workflow() -> None:
    nothing: Any = None
    with pytest.raises(InvalidDefinition, match="needs a workflow, got None"):
        WorkflowAgent(workflow=nothing, model=ScriptedModel(["a"]))


def test_parts_of_one_id_are_told_apart_by_their_code() -> None:
    def shipping(order: str) -> Workflow:
        return Workflow(name="shipping", steps=[Step("notify", lambda: order)])

    with pytest.raises(InvalidDefinition, match="Two different components have the id 'shipping'"):
        Workflow(name="outer", steps=[shipping("A"), shipping("B")])
    twice = Workflow(name="twice", steps=[shipping("A"), shipping("A")])
    assert len(definition_of(twice).parts) == 1
