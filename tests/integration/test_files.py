"""Images and files of runs, from the call to the model, and back to whoever owns them."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from kern.activities.session_texts import transcript
from kern.agent import Agent
from kern.client.processes.runtime import Runtime
from kern.errors import Conflict, InvalidInput, NotAllowed
from kern.events import RunContent
from kern.media import File, FileContent, Image
from kern.models.base import ModelRequest
from kern.models.openai import OpenAIChat, OpenAIResponses
from kern.models.scripted import Call
from kern.run import FileReference, Message
from kern.tools import tool
from kern.values.ids import new_id
from kern.values.states import RunStatus
from tests.support.agents import scripted
from tests.support.model_server import ModelServer
from tests.support.pictures import PDF, png


class Looking:
    """A model's script that notes what it was shown: the files of each message with any."""

    def __init__(self) -> None:
        self.seen: list[list[list[FileContent]]] = []

    def __call__(self, request: ModelRequest) -> str:
        shown = [
            [one for one in message.files if isinstance(one, FileContent)]
            for message in request.messages
            if message.files
        ]
        self.seen.append(shown)
        return "Seen."

    @property
    def bytes(self) -> list[list[list[bytes]]]:
        return [[[one.data for one in files] for files in shown] for shown in self.seen]


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    path = tmp_path / "chart.png"
    path.write_bytes(png())
    return path


def test_a_model_sees_what_came_with_the_input(runtime_on_each: Runtime, chart: Path) -> None:
    model = Looking()
    agent = scripted(model)
    output = agent.run(
        "", images=[Image(path=chart)], files=[File(data=PDF, name="bill.pdf")], user_id="ann"
    )

    assert output.status is RunStatus.completed
    assert model.bytes == [[[png(), PDF]]]
    named = output.messages[0].files
    assert [(one.name, one.media_type, one.size) for one in named] == [
        ("chart.png", "image/png", len(png())),
        ("bill.pdf", "application/pdf", len(PDF)),
    ]
    found = agent.get_file(named[1].id, user_id="ann")
    assert (found.name, found.data) == ("bill.pdf", PDF)
    assert asyncio.run(agent.aget_file(named[0].id, user_id="ann")).data == png()


def test_a_later_turn_still_sees_the_image_through_history(runtime: Runtime, chart: Path) -> None:
    model = Looking()
    agent = scripted(model, add_history_to_context=True)
    first = agent.run("What is this?", images=[Image(path=chart)])
    chart.unlink()
    agent.run("And its colour?", session_id=first.session_id)
    fork = agent.fork_session(first.session_id)
    agent.delete_session(first.session_id)
    agent.run("Are you sure?", session_id=fork)

    assert model.bytes == [[[png()]]] * 3


def test_every_turn_of_a_run_sees_its_files(runtime: Runtime, chart: Path) -> None:
    seen: list[bytes] = []

    @tool(effect="read")
    def look() -> str:
        """Look."""
        return "Looked."

    def script(request: ModelRequest) -> Call | str:
        [file] = request.messages[0].files
        assert isinstance(file, FileContent)
        seen.append(file.data)
        return Call("look") if len(seen) == 1 else "Done."

    output = scripted(script, [look]).run("Look", images=[Image(path=chart)])

    assert output.content == "Done."
    assert seen == [png()] * 2


def test_only_the_owner_reads_a_file(runtime: Runtime) -> None:
    agent = scripted(["Seen."])
    run = agent.run("Read", files=[File(data=PDF)], user_id="ann")
    [file] = run.messages[0].files
    for other in ("eve", None):
        with pytest.raises(NotAllowed):
            agent.get_file(file.id, user_id=other)
    with pytest.raises(InvalidInput, match="belongs to the component"):
        scripted(["Hi."]).get_file(file.id, user_id="ann")


def test_the_same_run_again_is_the_same_and_with_other_files_is_refused(
    runtime: Runtime, chart: Path
) -> None:
    model = Looking()
    agent, run_id = scripted(model), new_id()
    first = agent.run("Look", images=[Image(path=chart)], run_id=run_id)
    again = agent.run("Look", images=[Image(data=png(), name="chart.png")], run_id=run_id)
    assert again.messages == first.messages
    assert len(model.seen) == 1
    with pytest.raises(Conflict, match="other files"):
        agent.run("Look", run_id=run_id)


REFUSED: dict[str, Callable[[Agent, Path], object]] = {
    "run": lambda agent, gone: agent.run("Look", images=[Image(path=gone)]),
    "stream": lambda agent, gone: agent.run("Look", files=[File(path=gone)], stream=True),
    "arun": lambda agent, gone: asyncio.run(agent.arun("Look", images=[Image(path=gone)])),
    "background": lambda agent, gone: agent.run("Hi", files=[File(path=gone)], background=True),
}


@pytest.mark.parametrize("way", REFUSED)
def test_what_cannot_be_read_is_refused_before_anything_is_stored(
    runtime: Runtime, tmp_path: Path, way: str
) -> None:
    agent = scripted(["Seen."])
    with pytest.raises(InvalidInput, match="does not exist"):
        REFUSED[way](agent, tmp_path / "gone.png")
    assert agent.get_sessions().sessions == []


def test_a_streamed_run_takes_files(runtime: Runtime, chart: Path) -> None:
    model = Looking()
    agent = scripted(model)
    events = list(agent.run("Look", images=[Image(path=chart)], stream=True))
    assert "".join(one.content for one in events if isinstance(one, RunContent)) == "Seen."

    async def streamed() -> str:
        said = agent.arun("And?", images=[Image(path=chart)], stream=True)
        return "".join([one.content async for one in said if isinstance(one, RunContent)])

    assert asyncio.run(streamed()) == "Seen."
    assert model.bytes == [[[png()]]] * 2


@pytest.mark.parametrize("kind", [OpenAIResponses, OpenAIChat])
def test_a_server_is_sent_the_image_in_each_turn_that_shows_it(
    runtime: Runtime, chart: Path, kind: type[OpenAIResponses | OpenAIChat]
) -> None:
    with ModelServer(["Seen."]) as server:
        model = kind("m", base_url=server.base_url)
        agent = Agent(id=f"agent-{new_id()}", model=model, add_history_to_context=True)
        first = agent.run("What is this?", images=[Image(path=chart)])
        agent.run("And its colour?", session_id=first.session_id)

    sent = [one.conversation[0]["content"] for one in server.requests]
    assert len(sent) == 2
    assert sent[0] == sent[1]
    assert isinstance(sent[0], list)
    assert "image_url" in str(sent[0][1])


def test_summaries_and_names_are_told_what_came_with_a_message() -> None:
    bill = FileReference(id="1", name="bill.pdf", media_type="application/pdf", size=7)
    said = (Message(role="user", files=[bill]), Message(role="user", content="And?", files=[bill]))
    assert transcript(said) == "user: [bill.pdf]\n\nuser: And?\n[bill.pdf]"
