"""Prepares the input of a step's code, and reads what it returns."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from pydantic import JsonValue

from kern.activities.tool_result import error_text, result_json
from kern.components.steps.blocks import takes_input
from kern.components.steps.values import StepInput, StepOutput, attach_reader
from kern.context.chat_history import PastRun
from kern.db.engine.store import Store
from kern.db.steps.reader import StoredReader
from kern.db.steps.tasks import Evaluate, Execute
from kern.pipeline.frames import Phase
from kern.pipeline.nodes import NodeKind
from kern.session_state import SessionState
from kern.values.validation import described

Function = Callable[..., object]


async def read_step_input(db: Store, task: Execute | Evaluate) -> StepInput:
    """Return the input of a step's code: the frozen arguments, and the run that it is in."""
    facts = task.facts
    if isinstance(task, Execute):
        arguments, name = task.execution.arguments, task.execution.name
        key, attempt = task.execution.idempotency_key, task.execution.attempt
    else:
        arguments, name, key, attempt = task.arguments, task.name, task.step_id, 1
    history: Sequence[PastRun] = ()
    reader = StoredReader(db, facts.run_id)
    if facts.history_runs:
        history = await asyncio.to_thread(reader.workflow_history, facts.history_runs)
    values, feedback = arguments.get("values"), arguments.get("feedback")
    edited = arguments.get("run_input")
    step_input = StepInput(
        input=edited if isinstance(edited, str) else facts.input,
        previous_content=arguments.get("input"),
        step=name,
        item=arguments.get("item"),
        index=_number(arguments.get("index")),
        iteration=_number(arguments.get("iteration")),
        feedback=feedback if isinstance(feedback, str) else None,
        values=values if isinstance(values, dict) else {},
        session_state=SessionState(facts.state),
        run_id=facts.run_id,
        session_id=facts.session_id,
        tenant=facts.tenant,
        user_id=facts.user_id,
        step_id=task.step_id,
        idempotency_key=key,
        attempt=attempt,
        dependencies=facts.dependencies,
        metadata=facts.metadata,
        history=history,
    )
    attach_reader(step_input, reader)
    return step_input


def called_with(function: Function, argument: object) -> Function:
    """Return a function of no arguments that calls code with its argument, or with none."""
    return partial(function, argument) if takes_input(function) else function


def as_output(value: object) -> StepOutput:
    """Return a function's return value as the step's output.

    It never fails, since the effect has happened: what is no JSON is described instead.
    """
    if isinstance(value, StepOutput):
        return value.model_copy(update={"content": result_json(value.content)})
    return StepOutput(content=result_json(value))


def as_answer(
    phase: Phase, kind: NodeKind, names: Sequence[str], value: object
) -> Sequence[JsonValue]:
    """Return the answer of the user's code: the places or items that it chose, or a truth value.

    Raises:
        ValueError: it returned no such answer.
    """
    if phase is Phase.judge:
        return [value is not False]
    if phase is Phase.until:
        return [_require_bool(value)]
    match kind:
        case NodeKind.condition if _require_bool(value):
            return [0]
        case NodeKind.condition:
            return [1] if len(names) > 1 else []
        case NodeKind.router:
            return [_place(route, names) for route in _names_in(value)]
        case _ if isinstance(value, list | tuple):
            return [result_json(item) for item in value]
        case _:
            message = f"for_each returned {described(value)}: return a list"
            raise ValueError(message)


def step_error_text(error: BaseException, step: str) -> str:
    """Return the error of a step's code as a sentence."""
    return error_text(error).replace("The tool", f"The step {step!r}", 1)


def _require_bool(value: object) -> bool:
    if isinstance(value, bool):
        return value
    message = f"{described(value)} was returned: return True or False"
    raise ValueError(message)


def _names_in(value: object) -> Sequence[object]:
    if value is None:
        return ()
    return value if isinstance(value, list | tuple) else (value,)


def _place(route: object, names: Sequence[str]) -> int:
    name = route if isinstance(route, str) else getattr(route, "name", route)
    if name in names:
        return list(names).index(str(name))
    choices = ", ".join(repr(choice) for choice in names)
    message = f"the selector returned {described(name)}, which is none of the choices: {choices}"
    raise ValueError(message)


def _number(value: JsonValue) -> int | None:
    return value if isinstance(value, int) else None
