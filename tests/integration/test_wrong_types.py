"""Whatever a caller passes for whatever parameter: it is taken, or an error of Kern refuses it."""

import asyncio
import inspect
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kern import inbox
from kern.agent import Agent
from kern.client.processes.runtime import Runtime
from kern.errors import InvalidInput, KernError
from kern.models.scripted import Call
from kern.requirements import Requirement
from kern.run import RunOutput
from kern.values.ids import new_id
from kern.workflow import Workflow
from tests.support.agents import Ledger, paying, scripted

LONG = "a" * 10**6
WRONG: list[object] = [
    5, 1.5, True, b"d", [], ["a"], {}, {"a": 1}, {"a"}, object(), "", " ", "\0", "\ud800", LONG,
]  # fmt: skip
_WITHOUT = {"run", "arun"}
_LONGEST_MESSAGE = 1000


def methods_of(component: Agent | Workflow) -> Iterator[Callable[..., object]]:
    for name in sorted(dir(component)):
        method = getattr(component, name)
        if not name.startswith("_") and name not in _WITHOUT and inspect.ismethod(method):
            yield method


def outcome(function: Callable[..., object], arguments: Mapping[str, object]) -> object:
    """Call a function and use up what it returns; an error is returned, too."""

    async def use(value: object) -> object:
        if inspect.isasyncgen(value):
            return [item async for item in value]
        return await value if inspect.isawaitable(value) else value

    try:
        result = function(**arguments)
        if inspect.isgenerator(result):
            return list(result)
        return asyncio.run(use(result))
    except Exception as error:  # noqa: BLE001  the kind of error is the question
        return error


def problems(function: Callable[..., object], valid: Mapping[str, object]) -> Iterator[str]:
    """Say which wrong values cause another error than Kern's, one at a time."""
    parameters = inspect.signature(function).parameters
    required = {
        name: valid[name] for name, item in parameters.items() if item.default is item.empty
    }
    for name in parameters:
        for value in WRONG:
            if name == "autogenerate" and value is True:
                continue  # It waits for a model.
            result = outcome(function, {**required, name: value})
            where = f"{function.__qualname__}({name}={value!r:.40})"
            if not isinstance(result, Exception):
                continue
            if not isinstance(result, KernError):
                yield f"{where}: {type(result).__name__} {str(result)[:200]}"
            elif len(str(result)) > _LONGEST_MESSAGE or "\n" in str(result):
                yield f"{where}: a message of {len(str(result))} characters"


def valid_for(run: RunOutput) -> dict[str, object]:
    [item] = inbox.pending(run_id=run.run_id).requirements
    return {
        "run_id": run.run_id,
        "session_id": run.session_id,
        "requirement_id": item.id,
        "requirement": item.confirm(by="dana"),
        "file_id": "none-such",
        "changes": {"a": 1},
        "input": "Hi",
        "until": datetime.now(UTC) + timedelta(days=1),
    }


def test_no_value_of_a_wrong_type_ends_in_a_raw_error(runtime: Runtime, ledger: Ledger) -> None:
    """Before a database is asked, so one of them is enough; below, both are asked about ids."""
    assert runtime is not None
    agent = scripted([Call("pay", amount=5), "Paid."], [paying(ledger)])
    workflow = Workflow(id=f"flow-{new_id()}", steps=[agent])
    functions = [getattr(inbox, name) for name in inbox.__all__ if name[0].islower()]
    found: list[str] = []
    for function in functions:
        found += problems(function, valid_for(agent.run("Pay")))
    for component in (agent, workflow):
        for method in methods_of(component):
            found += problems(method, valid_for(component.run("Pay")))
    found += problems(scripted(["Hello."]).run, {"input": "Hi"})
    assert found == []
    assert ledger.lines == []


IDS: dict[str, Callable[[Any], object]] = {
    "run_id": lambda value: inbox.pending(run_id=value),
    "session_id": lambda value: inbox.pending(session_id=value),
    "user_id": lambda value: inbox.pending(user_id=value),
    "cursor": lambda value: inbox.pending(cursor=value),
    "component_id": lambda value: inbox.runs(component_id=value),
    "requirement_id": inbox.get,
}


def test_what_can_be_no_id_is_refused_alike_on_each_database(runtime_on_each: Runtime) -> None:
    scripted(["Hello."]).run("Hi")
    for name, call in IDS.items():
        for value in WRONG:
            with pytest.raises(InvalidInput, match=name) as refused:
                call(value)
            assert len(str(refused.value)) < _LONGEST_MESSAGE
    with pytest.raises(InvalidInput, match="cursor"):
        inbox.runs(cursor="")


def test_a_decision_needs_a_requirement_and_a_name(
    runtime_on_each: Runtime, ledger: Ledger
) -> None:
    agent = scripted([Call("pay", amount=5), "Paid."], [paying(ledger)])
    [item] = agent.run("Pay").active_requirements
    for value in ("x", None, 5, {"id": item.id}):
        with pytest.raises(InvalidInput, match="requirement is"):
            inbox.decide(value, by="d")  # type: ignore[arg-type]
    wrong_names: list[Any] = [5, b"d", []]
    for by in wrong_names:
        with pytest.raises(InvalidInput, match="by is"):
            inbox.decide(item.confirm(), by=by)
    forged = Requirement.model_validate({**item.model_dump(), "id": "\0"}).confirm(by="d")
    with pytest.raises(InvalidInput, match="id of the requirement"):
        inbox.decide(forged)


def test_a_run_is_named_by_its_id_or_by_its_output(runtime: Runtime, ledger: Ledger) -> None:
    agent = scripted([Call("pay", amount=5), "Paid."], [paying(ledger)])
    run = agent.run("Pay")
    assert agent.get_run_output(run).run_id == run.run_id
    assert agent.cancel_run(run).status == "cancelled"
    assert list(agent.stream_run(run))[-1].run_id == run.run_id
