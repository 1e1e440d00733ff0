"""Ten thousand tool calls in one run: its workflow continues as new, and none runs twice."""

from collections import Counter
from pathlib import Path

import pytest

from kern.client.processes import process_runtime as runtime_module
from kern.client.processes.runtime import Runtime
from kern.db.engine.stores import SqliteStore
from kern.models.base import ModelRequest
from kern.models.scripted import Call, Step, answers_since_user
from kern.process.settings import Settings
from tests.support.agents import scripted
from tests.support.workflow_handles import handle_of

TURNS, CALLS = 500, 20


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_ten_thousand_calls_run_once_each(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = settings.model_copy(update={"turns_per_history": 100, "heartbeat_seconds": 10.0})
    runtime = Runtime(few, SqliteStore(tmp_path / "kern.db"))
    monkeypatch.setattr(runtime_module, "_runtime", runtime)
    done: Counter[int] = Counter()

    def step(number: int) -> str:
        """Step."""
        done[number] += 1
        return str(number)

    def script(request: ModelRequest) -> Step:
        turn = answers_since_user(request)
        if turn == TURNS:
            return "Done."
        return [Call("step", number=turn * CALLS + index) for index in range(CALLS)]

    output = scripted(script, [step], model_call_limit=None).run("Go")

    assert output.content == "Done."
    assert done == Counter(range(TURNS * CALLS))
    handle = handle_of(runtime, output.run_id)
    history = runtime.call(lambda _: handle.fetch_history())
    assert len(history.events) < 15_000
    runtime.close()
