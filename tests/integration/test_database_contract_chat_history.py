"""The database contract: what a model may read of the past is its owner's, on every database."""

import pytest

from kern.context.chat_history import PastRun
from kern.db.reading.chat_history import StoredPast
from kern.values.ids import new_id
from tests.support.stored_runs import Stored, after


def ended(stored: Stored, text: str, session_id: str | None = None, **request: object) -> str:
    """Make a run that has answered; each is newer than the one before."""
    run_id, _ = stored.accept(session_id=session_id, input=text, **request)  # type: ignore[arg-type]
    stored.answer(run_id, content=f"answer to {text}")
    return run_id


def past(stored: Stored, session_id: str | None = None, **request: object) -> StoredPast:
    """Return the past of a run that begins now."""
    run_id, _ = stored.accept(session_id=session_id, **request)  # type: ignore[arg-type]
    return StoredPast(stored.database, run_id)


def asked(found: list[PastRun]) -> list[str]:
    return [one.user for one in found]


def test_a_session_is_read_in_pages_that_end_before_the_run(stored: Stored) -> None:
    session = new_id()
    for n in range(1, 6):
        ended(stored, f"q{n}", session)
    of_sixth = past(stored, session)
    ended(stored, "later", session)
    assert asked(of_sixth.chat_history(2, None)) == ["q4", "q5"]
    assert asked(of_sixth.chat_history(2, 4)) == ["q2", "q3"]
    assert asked(of_sixth.chat_history(10, None)) == ["q1", "q2", "q3", "q4", "q5"]
    assert asked(of_sixth.chat_history(3, 10**6)) == ["q3", "q4", "q5"]
    (first,) = of_sixth.chat_history(1, 2)
    assert (first.number, first.assistant, first.status) == (1, "answer to q1", "completed")


def test_long_texts_are_cut(stored: Stored) -> None:
    session = new_id()
    ended(stored, "x" * 9000, session)
    (read,) = past(stored, session).chat_history(1, None)
    assert 2000 <= len(read.user) <= 2001


def test_a_search_finds_all_words_in_the_owners_other_sessions_newest_first(
    stored: Stored,
) -> None:
    user = new_id()
    here = new_id()
    ended(stored, "Refund ORDER 1042", user_id=user, at=after(1))
    ended(stored, "order 1042 again, a refund", user_id=user, at=after(2))
    ended(stored, "order 1043, a refund", user_id=user)
    ended(stored, "refund order 1042 here", here, user_id=user)
    looking = past(stored, here, user_id=user)
    found = looking.search("refund order 1042", 10)
    assert asked(found) == ["order 1042 again, a refund", "Refund ORDER 1042"]
    assert asked(looking.search("refund order 1042", 1)) == ["order 1042 again, a refund"]
    assert looking.search("  ", 10) == []


def test_a_search_never_leaves_its_owner_and_its_component(stored: Stored) -> None:
    user, other, word = new_id(), new_id(), new_id()
    ended(stored, f"{word} others", user_id=other)
    ended(stored, f"{word} nobodys")
    ended(stored, f"{word} elsewhere", user_id=user, component_id="billing")
    ended(stored, f"{word} mine", user_id=user)
    stored.accept(input=f"{word} unanswered", user_id=user)
    assert asked(past(stored, user_id=user).search(word, 10)) == [f"{word} mine"]
    assert asked(past(stored, user_id=other).search(word, 10)) == [f"{word} others"]


def test_callers_without_a_name_search_their_own_session_alone(stored: Stored) -> None:
    word, mine = new_id(), new_id()
    ended(stored, f"{word} of another caller")
    ended(stored, f"{word} mine", mine)
    looking = past(stored, mine)
    ended(stored, f"{word} later", mine)
    assert asked(looking.search(word, 10)) == [f"{word} mine"]
    assert past(stored).search(word, 10) == []


@pytest.mark.parametrize("wildcard", ["%", "_", "/", "\\", "a%b", "a_b"])
def test_wildcards_are_letters_like_any_other(stored: Stored, wildcard: str) -> None:
    user = new_id()
    ended(stored, "axb", user_id=user)
    ended(stored, f"<{wildcard}>", user_id=user)
    assert asked(past(stored, user_id=user).search(wildcard, 10)) == [f"<{wildcard}>"]


def test_an_excerpt_shows_where_the_words_are(stored: Stored) -> None:
    user = new_id()
    ended(stored, f"{'x ' * 2000}needle {'y ' * 2000}", user_id=user)
    (found,) = past(stored, user_id=user).search("NEEDLE", 10)
    assert "needle" in found.user
    assert len(found.user) <= 402
