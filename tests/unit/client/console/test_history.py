"""What has happened to a decision, in order, and the conversation before it."""

from kern.client.console.history import Event, changes_of, history_of, messages_of
from kern.requirements import RequirementStatus
from kern.run import Message
from tests.support.console_samples import ago, dangerous_view, report, requirement


def test_events_and_decisions_stand_in_order() -> None:
    history = dangerous_view("note").history
    assert [event.title for event in history] == [
        "Asked",
        "Reminded",
        "Changed and approved",
        "Waiting for another person",
    ]
    assert history[0].text == "by support, for Mia Lindqvist"
    assert history[2].text == "by Sam Okafor: amount 14250 \u2192 12500"
    assert history[2].note == "note"


def test_a_deadline_that_has_passed_is_an_end() -> None:
    expired = requirement(status=RequirementStatus.expired)
    assert [event.title for event in history_of(expired, None)] == ["Asked", "Deadline passed"]
    closed = requirement(status=RequirementStatus.cancelled)
    late = Event("Commented", "by Ravi", ago(1))
    assert history_of(closed, None, [late])[1:] == [late]


def test_an_edit_names_only_what_it_changes() -> None:
    item = requirement()
    assert changes_of(item, {**item.arguments, "amount": 1}) == "amount 14250 \u2192 1"
    assert changes_of(item, None) == ""


def test_the_latest_messages_stand_with_their_turns() -> None:
    base = report()
    messages = [Message(role="user", content=str(number)) for number in range(8)]
    answer = Message(role="assistant", content="answer")
    silent = Message(role="assistant")
    tool = Message(role="tool", content="a result")
    run = base.run.model_copy(update={"messages": [*messages, silent, tool, answer]})
    speeches, count = messages_of(base.model_copy(update={"run": run}))
    assert count == 9
    assert [speech.text for speech in speeches] == ["3", "4", "5", "6", "7", "answer"]
    assert (speeches[-1].turn, speeches[-1].speaker, speeches[0].is_user) == (2, "support", True)
    assert messages_of(None) == ([], 0)
