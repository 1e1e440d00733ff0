"""Whatever code of users raises is a warning that says where, and has no words and values."""

import logging
from collections.abc import Callable
from typing import Annotated

import pytest
from pydantic import AfterValidator

from kern.activities import reconciliation
from kern.agent import Agent
from kern.client.processes.runtime import Runtime
from kern.errors import OutcomeUnknown
from kern.models.base import ModelRequest
from kern.models.scripted import Call
from kern.run import RunOutput
from kern.tools import tool
from kern.workflow import (
    Condition,
    HumanReview,
    Loop,
    Router,
    Step,
    StepInput,
    StepOutput,
    Workflow,
)
from tests.support.agents import scripted
from tests.support.pipelines import pipeline, upper

SECRET = "sesame"


def fail(*_arguments: object) -> None:
    raise RuntimeError(SECRET)


def check(value: int) -> int:
    fail()
    return value


def agent_of(function: Callable[..., object], **options: object) -> Agent:
    declared = tool(**options)(function)  # type: ignore[call-overload]
    return scripted([Call("pay", amount=3), "Done."], [declared])


def of_tool() -> Agent:
    def pay(amount: int) -> str:
        """Pay."""
        fail(amount)
        return "paid"

    return agent_of(pay)


def of_gate() -> Agent:
    def needs_approval(amount: int) -> bool:
        fail(amount)
        return False

    def pay(amount: int) -> str:
        """Pay."""
        return f"paid {amount}"

    return agent_of(pay, requires_confirmation=needs_approval)


def of_model() -> Agent:
    def script(_request: ModelRequest) -> str:
        fail()
        return "Done."

    return scripted(script)


def of_validator() -> Agent:
    def pay(amount: Annotated[int, AfterValidator(check)]) -> str:
        """Pay."""
        return f"paid {amount}"

    return agent_of(pay)


def of_reconciler() -> Agent:
    def look_up(key: str, arguments: dict[str, object]) -> None:
        fail(key, arguments)

    def pay(amount: int) -> str:
        """Pay."""
        raise OutcomeUnknown(f"{SECRET} {amount}")

    return agent_of(pay, reconcile=look_up)


def of_step() -> Workflow:
    def pay(_text: StepInput) -> str:
        fail()
        return "paid"

    return pipeline(Step("pay", pay))


def of_condition() -> Workflow:
    def is_due(_text: StepInput) -> bool:
        fail()
        return True

    return pipeline(Condition(is_due, [Step("pay", upper)], name="due"))


def of_router() -> Workflow:
    def choose(_text: StepInput) -> str:
        fail()
        return "pay"

    return pipeline(Router(choose, [Step("pay", upper)], name="route"))


def of_loop() -> Workflow:
    def is_over(_text: StepInput) -> bool:
        fail()
        return True

    return pipeline(
        Loop([Step("pay", upper)], end_condition=is_over, max_iterations=2, name="loop")
    )


def of_review() -> Workflow:
    def is_odd(_output: StepOutput) -> bool:
        fail()
        return False

    review = HumanReview(requires_output_review=is_odd)
    return pipeline(Step("pay", upper, human_review=review))


@pytest.mark.parametrize(
    ("component", "role"),
    [
        (of_tool, "tool"),
        (of_gate, "predicate"),
        (of_model, "model"),
        (of_validator, "validator"),
        (of_reconciler, "reconciler"),
        (of_step, "step"),
        (of_condition, "evaluator"),
        (of_router, "evaluator"),
        (of_loop, "evaluator"),
        (of_review, "predicate"),
    ],
)
def test_what_code_raises_is_a_warning_with_its_place_and_without_its_words(
    runtime: Runtime,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    component: Callable[[], Agent | Workflow],
    role: str,
) -> None:
    _ = runtime
    monkeypatch.setattr(reconciliation, "_PAUSES", ())
    output: RunOutput = component().run("Pay 3")
    assert output.run_id
    lines = [
        record.getMessage()
        for record in caplog.records
        if record.levelno == logging.WARNING and "code_raised" in record.getMessage()
    ]
    of_kind = [line for line in lines if f"role={role}" in line.replace("'", "")]
    assert of_kind, lines
    assert f"{__file__}:" in of_kind[0]
    assert " in fail" in of_kind[0]
    assert "RuntimeError" in of_kind[0]
    assert SECRET not in caplog.text
    assert not [line for line in of_kind if f"run_id={output.run_id}" not in line]
    if role == "model" or component is of_gate:
        assert f"session_id={output.session_id}" in of_kind[0]
