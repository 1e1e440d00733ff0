"""`kern inbox` at a real terminal, on runs that a real worker executes."""

import shlex
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from kern.db.engine.from_settings import database_path
from kern.values.states import RunStatus
from tests.support import seeds
from tests.support.cli import Terminal, command, output_of, terminal, worker
from tests.support.documents import ROOT, blocks_of
from tests.support.templates import sqlite_with_tables
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(240)

APP = "tests.support.inbox_app"
# The languages of the blocks with the app and the screens of the page.
SHOWN = ("python", "text")
PROMPT = "\r > "


@pytest.fixture(scope="module", autouse=True)
def served(folder: Path) -> Iterator[None]:
    """A worker that executes what is decided."""
    command("run", f"{APP}:refunds", "First.", "--background", cwd=folder)
    with worker(APP, folder):
        yield


def waiting(folder: Path, agent: str, user: str) -> str:
    """Have a run come to a decision, and return the id of the run."""
    words = ("run", f"{APP}:{agent}", f"Please do {agent}", "--user", user, "--background")
    run_id: str = command(*words, "--json", cwd=folder).json["run_id"]
    wait_until(lambda: output_of(folder, run_id).status is RunStatus.paused, timeout=60)
    return run_id


def decide(screen: Terminal, key: str) -> None:
    """Press a key once keys count."""
    screen.expect(PROMPT)
    screen.press(key)


def is_done(folder: Path, run_id: str) -> bool:
    return output_of(folder, run_id).status is RunStatus.completed


def decision_of(folder: Path, run_id: str) -> tuple[str, str, str | None]:
    resolution = output_of(folder, run_id).requirements[-1].resolution
    assert resolution is not None
    return resolution.verdict.value, resolution.by, resolution.note


def test_a_key_approves_and_the_next_one_follows(folder: Path) -> None:
    first, second = (waiting(folder, "refunds", "walk") for _ in range(2))
    with terminal("inbox", "--user", "walk", "--by", "dana", cwd=folder) as screen:
        screen.expect("1 of 2   for dana")
        screen.expect("Refund 40 EUR for order 1042")
        screen.expect("[a]pprove  [r]eject  [e]dit")
        decide(screen, "a")
        screen.expect("Accepted (number 1 in the log of its run) → delivered")
        screen.expect("done in ")
        screen.expect(": refunded 40 for 1042")
        decide(screen, "n")
        screen.expect("2 of 2   for dana")
        screen.expect("Decide as dana")
        decide(screen, "r")
        screen.expect("Why is it rejected")
        screen.type("\r")
        screen.expect("It is needed")
        screen.press("Too late\r")
        screen.expect("→ rejected")
        decide(screen, "n")
        screen.expect("2 decisions made")
        assert screen.end() == 0
    wait_until(lambda: is_done(folder, first) and is_done(folder, second), timeout=60)
    assert decision_of(folder, first) == ("approve", "dana", None)
    assert decision_of(folder, second) == ("reject", "dana", "Too late")


def test_what_is_typed_ahead_decides_nothing(folder: Path) -> None:
    run_id = waiting(folder, "refunds", "haste")
    with terminal("inbox", "--user", "haste", "--by", "dana", cwd=folder) as screen:
        screen.press("aaaa")
        decide(screen, "approve\r")
        decide(screen, "q")
        screen.expect("0 decisions made")
        assert screen.end() == 0
    assert output_of(folder, run_id).active_requirements


def test_danger_is_typed_and_an_edit_keeps_to_its_bounds(folder: Path) -> None:
    run_id = waiting(folder, "payments", "danger")
    with terminal("inbox", "--user", "danger", "--by", "dana", cwd=folder) as screen:
        screen.expect("HIGH RISK")
        decide(screen, "a")
        screen.expect("Type 12500 to approve")
        screen.press("y\r")
        screen.expect("That is not 12500.")
        screen.press("\x1b")
        screen.expect("It stays open: nothing was decided.")
        decide(screen, "x")
        screen.expect("HIGH RISK")
        decide(screen, "e")
        screen.expect("Fixed by the author of the call: currency, order_id")
        screen.press("\x7f" * 5 + "13000\r")
        screen.expect("may only go down from 12500")
        screen.press("\x7f" * 5 + "12000\r")
        screen.expect("! amount    12000    was 12500")
        screen.expect("Type 12000 to approve it as edited")
        screen.press("12000\r")
        screen.expect(": paid 12000 EUR for 88-10423")
        decide(screen, "q")
        assert screen.end() == 0
    wait_until(lambda: is_done(folder, run_id), timeout=60)


def test_danger_is_typed_wherever_it_is_approved(folder: Path) -> None:
    run_id = waiting(folder, "payments", "approving")
    with terminal("approve", run_id, "--by", "dana", cwd=folder) as screen:
        screen.expect("Approve this call? y = yes")
        screen.type("y")
        screen.expect("Type 12500 to approve")
        screen.type("y")
        screen.expect("Type 12500 to approve")
        screen.type("12500")
        screen.expect("Approved by dana")
        assert screen.end() == 0
    wait_until(lambda: is_done(folder, run_id), timeout=60)


def test_values_are_checked_at_once_and_secrets_are_not_shown(folder: Path) -> None:
    run_id = waiting(folder, "deliveries", "values")
    with terminal("inbox", "--user", "values", "--by", "dana", cwd=folder) as screen:
        decide(screen, "a")
        screen.expect("floor <Whole number, 0 to 9>")
        screen.press("12\r")
        screen.expect("Has to be 9 or less.")
        screen.press("\x7f\x7f8\r")
        screen.expect("pin")
        screen.press("47\r")
        screen.expect("Has to have 4 characters or more.")
        screen.press("4711\r")
        screen.expect('As answered: deliver(item="a book", floor=8, pin="(not shown)")')
        decide(screen, "y")
        screen.expect("a book to floor 8 with a pin of 4")
        decide(screen, "q")
        assert screen.end() == 0
        assert "4711" not in screen.raw
    wait_until(lambda: is_done(folder, run_id), timeout=60)


def test_choices_and_results_are_given_with_keys(folder: Path) -> None:
    question, look_up = (waiting(folder, agent, "kinds") for agent in ("questions", "look_ups"))
    words = ("inbox", "--user", "kinds", "--by", "dana", "--sort", "created")
    with terminal(*words, cwd=folder) as screen:
        screen.expect("2  blue")
        decide(screen, "2")
        screen.expect("Accepted")
        decide(screen, "n")
        screen.expect('name  "Nordlicht"')
        decide(screen, "a")
        screen.expect("Its result, JSON or text")
        screen.press('{"found": true}\r')
        screen.expect("Accepted")
        decide(screen, "q")
        assert screen.end() == 0
    wait_until(lambda: is_done(folder, question) and is_done(folder, look_up), timeout=60)
    assert decision_of(folder, question)[0] == "choose"


def test_ctrl_c_leaves_it_open_and_says_so(folder: Path) -> None:
    run_id = waiting(folder, "refunds", "interrupted")
    words = ("inbox", "--user", "interrupted", "--by", "dana")
    with terminal(*words, cwd=folder) as screen:
        decide(screen, "r")
        screen.expect("Why is it rejected")
        screen.press("half a no\x03")
        screen.expect("stays open: nothing was decided.")
        assert screen.end() == 130
    with terminal(*words, cwd=folder) as screen:
        screen.expect(PROMPT)
        screen.interrupt()
        screen.expect("stays open: nothing was decided.")
        assert screen.end() == 130
    assert output_of(folder, run_id).active_requirements


def test_being_second_is_an_ending(folder: Path) -> None:
    run_id = waiting(folder, "refunds", "second")
    [item] = output_of(folder, run_id).active_requirements
    with terminal("inbox", "--user", "second", "--by", "dana", cwd=folder) as screen:
        decide(screen, "r")
        screen.expect("Why is it rejected")
        first = command("approve", run_id, "--digest", item.digest, "--by", "eli", cwd=folder)
        assert first.code == 0
        screen.press("No\r")
        screen.expect("eli decided first: approve, at ")
        screen.expect("Nothing was changed.")
        screen.expect("It is ")
        decide(screen, "q")
        assert screen.end() == 0
    assert decision_of(folder, run_id) == ("approve", "eli", None)


def test_what_somebody_else_decides_closes_on_the_screen(folder: Path) -> None:
    run_id = waiting(folder, "refunds", "closing")
    with terminal("inbox", "--user", "closing", "--by", "dana", cwd=folder) as screen:
        screen.expect(PROMPT)
        assert command("reject", run_id, "--by", "eli", "--note", "no", cwd=folder).code == 0
        screen.expect("eli decided first: reject")
        decide(screen, "q")
        assert screen.end() == 0


def test_a_window_of_another_size_is_drawn_anew(folder: Path) -> None:
    waiting(folder, "payments", "resized")
    with terminal("inbox", "--user", "resized", "--by", "dana", cwd=folder) as screen:
        screen.expect(PROMPT)
        screen.resize(40)
        screen.expect("If approved: The customer is paid at\n                 once.")
        screen.expect(PROMPT)
        screen.resize(40, lines=10)
        screen.expect("Not all of")
        decide(screen, "a")
        decide(screen, " ")
        screen.expect("May decide: dana")
        decide(screen, "q")
        assert screen.end() == 0


def test_why_the_run_the_list_and_the_help_are_a_key_away(folder: Path) -> None:
    run_id = waiting(folder, "refunds", "reading")
    with terminal("inbox", "--user", "reading", "--by", "dana", cwd=folder) as screen:
        decide(screen, "w")
        screen.expect("│ Please do refunds")
        decide(screen, "x")
        decide(screen, "o")
        screen.expect(f"Run {run_id}")
        decide(screen, "x")
        decide(screen, "?")
        screen.expect("decides nothing")
        decide(screen, "x")
        decide(screen, "u")
        screen.expect(">   1  Refund 40 EUR for order 1042")
        decide(screen, "\r")
        screen.expect("Decide as dana")
        decide(screen, "q")
        assert screen.end() == 0


def test_watching_rings_for_what_is_new(folder: Path) -> None:
    words = ("inbox", "--user", "watched", "--by", "dana", "--watch")
    with terminal(*words, cwd=folder) as screen:
        screen.expect("Nothing more waits for dana. New ones appear here.")
        waiting(folder, "refunds", "watched")
        screen.expect("\a")
        screen.expect("1 of 1   for dana · 1 new")
        decide(screen, "n")
        screen.expect("New ones appear here.")
        decide(screen, "q")
        assert screen.end() == 0


def test_only_what_waits_for_the_person_is_walked_through(folder: Path) -> None:
    waiting(folder, "payments", "others")
    with terminal("inbox", "--user", "others", "--by", "eve", cwd=folder) as screen:
        screen.expect("Nothing waits for eve. Checked ")
        assert screen.end() == 0
    words = ("inbox", "--user", "others", "--by", "eve", "--for", "dana")
    with terminal(*words, cwd=folder) as screen:
        screen.expect("for dana")
        decide(screen, "a")
        screen.expect("Type 12500")
        screen.press("12500\r")
        screen.expect("eve")
        screen.expect("Any key shows it again.")
        decide(screen, "q")
        assert screen.end() == 0


def test_a_second_approval_of_the_same_call_is_waited_for(folder: Path) -> None:
    run_id = waiting(folder, "releases", "quorum")
    with terminal("inbox", "--user", "quorum", "--by", "dana", cwd=folder) as screen:
        screen.expect("LOW RISK · 0 of 2")
        decide(screen, "a")
        screen.expect("Accepted and kept: 1 more approval of the same call needed.")
        decide(screen, "q")
        assert screen.end() == 0
    with terminal("inbox", "--user", "quorum", "--by", "eli", cwd=folder) as screen:
        screen.expect("LOW RISK · 1 of 2")
        screen.expect('So far: 1 of 2 publish(version="1.4") (by dana')
        decide(screen, "a")
        screen.expect("published 1.4")
        decide(screen, "q")
        assert screen.end() == 0
    wait_until(lambda: is_done(folder, run_id), timeout=60)


def test_an_output_is_sent_back_edited_and_a_failed_step_executed_again(folder: Path) -> None:
    run_id = waiting(folder, "letters", "letters")
    with terminal("inbox", "--user", "letters", "--by", "dana", "--watch", cwd=folder) as screen:
        screen.expect("│ My very dear Mia,")
        decide(screen, "b")
        screen.expect("What should be different")
        screen.press("Shorter\r")
        screen.expect("Accepted")
        decide(screen, "n")
        screen.expect("│ Dear Mia,")
        decide(screen, "e")
        screen.expect("output:")
        screen.press(" yours\r")
        screen.expect('! output  "Dear Mia, yours"')
        decide(screen, "y")
        screen.expect("Accepted")
        decide(screen, "n")
        screen.expect("It failed:")
        screen.expect("the office is closed")
        (folder / "open").touch()
        decide(screen, "a")
        decide(screen, "y")
        screen.expect("→ recorded")
        decide(screen, "q")
        assert screen.end() == 0
    wait_until(lambda: is_done(folder, run_id), timeout=60)
    assert output_of(folder, run_id).content == "posted: Dear Mia, yours"


def test_what_may_have_happened_is_looked_up_first(tmp_path: Path) -> None:
    db = sqlite_with_tables(database_path(tmp_path / ".kern"))
    seeded = seeds.torn(db, ["nothing was found"])
    db.close()
    with terminal("inbox", "--by", "dana", cwd=tmp_path) as screen:
        screen.expect("Its worker was lost")
        screen.expect("idempotency key")
        screen.expect("reconciler  nothing was found")
        screen.expect("Run again: the same arguments and key; if the first attempt went through")
        decide(screen, "a")
        screen.expect("Type send to run it again")
        screen.press("\x1b")
        decide(screen, "x")
        decide(screen, "h")
        screen.expect("Its result, JSON or text")
        screen.press("sent at noon\r")
        screen.expect("What did you check")
        screen.press("The mailbox\r")
        screen.expect("Accepted (number 1 in the log of its run) → done: sent at noon")
        screen.expect("it will be acted on when a worker runs")
        decide(screen, "q")
        assert screen.end() == 0
    assert decision_of(tmp_path, seeded.run_id) == ("happened", "dana", "The mailbox")


def test_the_page_shows_what_happens(tmp_path: Path) -> None:
    blocks = blocks_of(ROOT / "docs" / "how-to" / "inbox-in-the-terminal.md")
    shop, walk = (next(block for block in blocks if block.language == name) for name in SHOWN)
    runs, inbox = [block.lines for block in blocks if block.language == "bash"][:2]
    (tmp_path / "shop.py").write_text(shop.text)
    for line in runs:
        assert command(*shlex.split(line)[1:], cwd=tmp_path).code == 0
    with worker("shop.py", tmp_path):
        pending = partial(command, "pending", "--json", cwd=tmp_path)
        wait_until(lambda: len(pending().json["requirements"]) == 2, timeout=60)
        with terminal(*shlex.split(inbox[0])[1:], cwd=tmp_path, COLUMNS="80") as screen:
            for line in walk.lines:
                follow_page(screen, line)
            assert screen.end() == 0


def follow_page(screen: Terminal, line: str) -> None:
    """Press the key that a line of the page shows, type what it shows, or wait for it."""
    question, is_typed, text = line.rpartition(": ")
    if line.startswith(" > "):
        decide(screen, line.removeprefix(" > "))
    elif is_typed and text == "12000":
        screen.expect(question)
        erased = "\x7f" * 5 if "amount" in question else ""
        screen.press(f"{erased}{text}\r")
    else:
        screen.expect(line)
