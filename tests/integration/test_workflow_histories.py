"""Law 5: what models, tools, people and providers say is in SQL, never in Temporal's history."""

import base64
import json
import re

import pytest

from kern.client.processes.runtime import Runtime
from kern.media import File, Image
from kern.models.scripted import Call
from kern.tools import tool
from tests.integration.test_hard_inputs import over_http
from tests.support.agents import scripted
from tests.support.model_server import Failure, ModelServer
from tests.support.workflow_handles import handle_of

WORD = "unmistakable"


def told_to_temporal(runtime: Runtime, run_id: str) -> str:
    """Return a run's history as text, its payloads decoded."""
    handle = handle_of(runtime, run_id)
    text = runtime.call(lambda _: handle.fetch_history()).to_json()
    payloads = re.findall(r'"data": ?"([^"]*)"', text)
    return text + "".join(base64.b64decode(data).decode(errors="replace") for data in payloads)


@tool(requires_confirmation=True)
def pay(to: str) -> str:
    """Pay."""
    return f"{WORD} result for {to}"


def test_no_text_of_anybody_is_in_the_history(runtime: Runtime) -> None:
    agent = scripted([Call("pay", to=f"{WORD} argument"), f"{WORD} answer"], [pay])
    paused = agent.run(f"{WORD} input", user_id=f"{WORD}-user", metadata={"key": WORD})
    paused.requirements[0].confirm(note=f"{WORD} note", by=f"{WORD} person")
    output = agent.continue_run(paused.run_id, paused.requirements)

    assert WORD in json.dumps(output.model_dump(mode="json"))
    told = told_to_temporal(runtime, output.run_id)
    assert output.run_id in told
    assert WORD not in told


def test_no_bytes_of_files_are_in_the_history_events_or_logs(
    runtime: Runtime, capfd: pytest.CaptureFixture[str]
) -> None:
    file = File(data=WORD.encode(), name=f"{WORD}.txt")
    agent = scripted(["Seen."])
    output = agent.run("Read", files=[file], images=[Image(url=f"https://x.org/{WORD}.png")])

    assert [one.name for one in output.messages[0].files] == [f"{WORD}.png", f"{WORD}.txt"]
    assert WORD not in told_to_temporal(runtime, output.run_id)
    events = list(agent.stream_run(output.run_id))
    told = [one.model_dump_json(exclude={"output"}) for one in events]
    assert told
    assert not [one for one in told if WORD in one]
    logged = capfd.readouterr()
    assert WORD not in logged.out + logged.err


def test_no_text_of_a_provider_is_in_the_history(runtime: Runtime) -> None:
    with ModelServer(["Hello."]) as server:
        server.fail(
            Failure(status=500, body={"error": {"message": f"{WORD} sk-test"}}),
            Failure(status=400, body={"error": {"message": f"{WORD} sk-test"}}),
        )
        output = over_http(server).run("Hi")

    assert output.error is not None
    assert WORD in output.error.message
    assert "sk-test" not in output.error.message
    told = told_to_temporal(runtime, output.run_id)
    assert WORD not in told
    assert "sk-test" not in told


def test_no_text_of_a_failing_tool_is_in_the_history(runtime: Runtime) -> None:
    @tool(effect="read", retries=1)
    def look() -> str:
        """Look."""
        raise LookupError(WORD)

    output = scripted([Call("look"), "Done."], [look]).run("Look")

    assert WORD in (output.tools[0].result or "")
    assert WORD not in told_to_temporal(runtime, output.run_id)


@pytest.mark.parametrize("error", [TypeError(WORD), KeyError(WORD)])
def test_no_text_of_a_broken_model_is_in_the_history(runtime: Runtime, error: Exception) -> None:
    agent = scripted(lambda _: (_ for _ in ()).throw(error))
    accepted = agent.run("Hi", background=True)
    agent.cancel_run(accepted.run_id)

    assert WORD not in told_to_temporal(runtime, accepted.run_id)
