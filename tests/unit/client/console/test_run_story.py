"""The story of a run has its turns, calls, decisions and everything inside it, in order."""

from kern.client.console.run_story import story_of
from tests.support.console_places import pipeline_report, run_report


def test_a_turn_holds_its_calls_and_they_their_decisions() -> None:
    user, turn = story_of(run_report("text"))
    assert [user.title, turn.title] == ["Mia Lindqvist", "Turn 1"]
    assert turn.mark == "wait"
    refund, ask = turn.inner
    assert [scene.title for scene in refund.inner] == ["Approved"]
    texts = [part.text for part in refund.parts]
    assert "An earlier attempt ended too late, and was not kept: text" in texts
    assert texts[-1] == "Refunded. text"
    assert [scene.title for scene in ask.inner] == ["Mia Lindqvist", "Turn 1"]


def test_steps_stand_with_their_ends() -> None:
    scenes = story_of(pipeline_report("text"))
    assert [(scene.title, scene.mark) for scene in scenes] == [
        ("read_quote", "done"),
        ("checks", "bad"),
        ("register", "wait"),
        ("welcome text", ""),
    ]
    assert scenes[2].parts[0].link == "/desk/requirements/019ac0cf-d1ba-7efe-a137-b54540f8a27e"
