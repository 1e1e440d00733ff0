"""The page that sessions were drawn from, sentence by sentence."""

import uuid
from contextlib import closing

import pytest

from kern.agent import Agent
from kern.client.processes import process_runtime as runtime_module
from kern.client.processes.runtime import Runtime
from kern.db import InMemoryDb
from kern.db.engine.databases import store_of
from kern.errors import NotAllowed
from kern.models.base import ModelRequest
from kern.models.scripted import Call, ScriptedModel
from kern.process.settings import Settings
from kern.tools import RunContext, tool
from tests.support.agents import scripted


class Listening:
    """A model's script that notes what the model saw."""

    def __init__(self) -> None:
        self.seen: list[list[str]] = []

    def __call__(self, request: ModelRequest) -> str:
        self.seen.append([message.content for message in request.messages])
        return f"answer {len(self.seen)}"


def remember(word: str, run_context: RunContext) -> str:
    """Remember a word."""
    run_context.session_state.append("words", word)
    return "noted"


def test_agent_run_creates_a_single_interaction_with_no_memory_of_what_just_happened(
    runtime: Runtime,
) -> None:
    heard = Listening()
    agent = scripted(heard)

    agent.run("My name is Ann")
    agent.run("What is my name?")

    assert heard.seen == [["My name is Ann"], ["What is my name?"]]


def test_a_session_is_a_collection_of_back_and_forth_interactions_called_runs(
    runtime: Runtime,
) -> None:
    agent = scripted(["One.", "Two."])
    first = agent.run("1")
    agent.run("2", session_id=first.session_id)

    assert agent.get_session(first.session_id).run_count == 2
    said = agent.get_chat_history(first.session_id)
    assert [message.role for message in said] == ["user", "assistant"] * 2
    assert [message.content for message in said][::2] == ["1", "2"]


def test_each_session_gets_a_unique_session_id_that_ties_together_runs_history_state_and_metrics(
    runtime: Runtime,
) -> None:
    agent = scripted([Call("remember", word="oak"), "Noted."], [remember])
    first = agent.run("Remember oak")
    second = agent.run("And once more", session_id=first.session_id)

    found = agent.get_session(first.session_id)
    used = agent.get_session_metrics(first.session_id)
    assert second.session_id == first.session_id == found.session_id
    assert (found.run_count, found.session_state) == (2, {"words": ["oak", "oak"]})
    assert len(agent.get_chat_history(first.session_id)) == 4
    both = first.metrics.model_calls + second.metrics.model_calls
    assert (used.run_count, used.model_calls, used.tool_calls) == (2, both, 2)


def test_every_time_you_call_run_a_new_run_id_is_created(runtime: Runtime) -> None:
    agent = scripted(["Hello."])
    first = agent.run("Hi")
    others = [agent.run("Hi", session_id=first.session_id).run_id for _ in range(2)]
    assert len({first.run_id, *others}) == 3


def test_a_run_is_one_message_and_response_pair(runtime: Runtime) -> None:
    run = scripted(["Hello."]).run("Hi")
    assert [(m.role, m.content) for m in run.messages] == [("user", "Hi"), ("assistant", "Hello.")]


def test_runs_can_pause_for_requirements_and_continue_after_they_are_resolved(
    runtime: Runtime,
) -> None:
    @tool(requires_confirmation=True)
    def pay() -> str:
        """Pay."""
        return "paid"

    agent = scripted([Call("pay"), "Done."], [pay])
    paused = agent.run("Pay")
    assert paused.is_paused
    paused.requirements[0].confirm(by="dana")

    done = agent.continue_run(paused.run_id, paused.requirements)

    assert (done.content, done.run_id, done.session_id) == (
        *("Done.", paused.run_id),
        paused.session_id,
    )


def test_a_run_id_and_a_session_id_are_generated_when_none_is_given(runtime: Runtime) -> None:
    response = scripted(["A robot slept."]).run("Tell me a 5 second short story about a robot")
    assert response.content == "A robot slept."
    assert uuid.UUID(response.run_id) != uuid.UUID(response.session_id)


def test_this_creates_a_new_session_with_a_single_run(runtime: Runtime) -> None:
    agent = scripted(["Hello."])
    first, second = agent.run("Hi"), agent.run("Hi")
    assert first.session_id != second.session_id
    assert agent.get_session(first.session_id).run_count == 1


def test_without_a_database_configured_the_folders_own_one_keeps_the_session(
    runtime: Runtime,
) -> None:
    """The one sentence that is not true of Kern: nothing is lost for want of a database."""
    agent = Agent(name="no-database", model=ScriptedModel(["One.", "Two."]))
    first = agent.run("1")
    assert agent.run("2", session_id=first.session_id).number == 2


def test_even_an_in_memory_db_works_for_conversations_of_many_turns(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard, memory = Listening(), InMemoryDb()
    with closing(Runtime(settings, store_of(memory))) as running:
        monkeypatch.setattr(runtime_module, "_runtime", running)
        agent = scripted(heard, db=memory, add_history_to_context=True)
        session = agent.run("one", user_id="ann").session_id
        for text in ("two", "three"):
            agent.run(text, session_id=session, user_id="ann")
        assert heard.seen[-1] == ["one", "answer 1", "two", "answer 2", "three"]
        assert agent.get_session(session, user_id="ann").run_count == 3


def test_sessions_keep_the_threads_of_many_users_isolated(runtime: Runtime) -> None:
    heard = Listening()
    agent = scripted(heard, add_history_to_context=True)
    threads = {user: agent.run(f"I am {user}", user_id=user).session_id for user in ("ann", "bob")}
    for user, session in threads.items():
        agent.run("Who am I?", user_id=user, session_id=session)

    assert heard.seen[2] == ["I am ann", "answer 1", "Who am I?"]
    assert heard.seen[3] == ["I am bob", "answer 2", "Who am I?"]
    for other, session in (("bob", threads["ann"]), (None, threads["ann"])):
        with pytest.raises(NotAllowed):
            agent.run("Who am I?", user_id=other, session_id=session)
    assert len(heard.seen) == 4


def test_user_id_distinguishes_the_person_using_your_product(runtime: Runtime) -> None:
    agent = scripted(["Hello."])
    of_ann = agent.run("Hi", user_id="ann")
    agent.run("Hi", user_id="bob")
    assert of_ann.user_id == "ann"
    found = agent.get_sessions(user_id="ann").sessions
    assert [one.session_id for one in found] == [of_ann.session_id]


def test_session_id_distinguishes_conversation_threads_for_that_user_like_chat_tabs(
    runtime: Runtime,
) -> None:
    heard = Listening()
    agent = scripted(heard, add_history_to_context=True)
    tabs = ("work", "home")
    for tab in tabs:
        agent.run(f"This is {tab}", user_id="ann", session_id=f"{tab}-{agent.id}")
    agent.run("And now?", user_id="ann", session_id=f"home-{agent.id}")

    assert heard.seen[-1] == ["This is home", "answer 2", "And now?"]
    assert len(agent.get_sessions(user_id="ann").sessions) == len(tabs)


@pytest.mark.parametrize("is_enabled", [True, False])
def test_history_only_flows_into_the_run_when_you_enable_it(
    runtime: Runtime, *, is_enabled: bool
) -> None:
    heard = Listening()
    agent = scripted(heard, add_history_to_context=is_enabled, num_history_runs=1)
    session = agent.run("one").session_id
    for text in ("two", "three"):
        agent.run(text, session_id=session)

    earlier = ["two", "answer 2"] if is_enabled else []
    assert heard.seen[-1] == [*earlier, "three"]
    # It is kept either way.
    assert len(agent.get_chat_history(session)) == 6
