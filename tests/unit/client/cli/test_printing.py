"""What the command line prints: tables on a narrow terminal, and steps as a tree."""

import pytest
from rich.cells import cell_len
from rich.console import Console

from kern.client.cli import printing, progress
from kern.run import StepExecution


@pytest.mark.parametrize("width", [80, 100, 160])
def test_a_long_last_cell_takes_no_room_from_the_others(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    narrow = Console(markup=False, highlight=False, emoji=False, width=width)
    monkeypatch.setattr(printing, "console", lambda: narrow)
    printing.say_table(("ID", "SINCE", "WHAT"), [("…334a4e63", "20 s", "what waits " * 40)])
    heading, row = capsys.readouterr().out.splitlines()
    assert heading.split() == ["ID", "SINCE", "WHAT"]
    assert row.startswith("…334a4e63  20 s   what waits")
    assert row.endswith("…")
    assert len(row) <= width


@pytest.mark.parametrize(
    "text",
    ["a  b" * 30, "x" * 100 + "   " + "y" * 100, "pay(to=" + "漢字 " * 40 + ")", "a b " * 30 + "c"],
)
def test_a_cell_on_several_lines_keeps_every_blank(
    text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    narrow = Console(markup=False, highlight=False, emoji=False, width=33)
    monkeypatch.setattr(printing, "console", lambda: narrow)
    printing.say_table(("ID", "WHAT"), [("1", text)], wraps=True)
    _, *rows = capsys.readouterr().out.splitlines()
    assert len(rows) > 1
    assert "".join(row[4:].rstrip() for row in rows) == text
    assert max(map(cell_len, rows)) <= 33


@pytest.mark.parametrize("char", ["\u200b", "\u2060", "\u00ad", "\ufe0f", "\U000e0041", "\u2800"])
def test_no_invisible_character_is_let_through(char: str) -> None:
    assert printing.safe(f"a{char}b").isascii()
    assert printing.one_line(f"a{char}b").isascii()
    assert printing.safe("ä\n\tb 漢字 🎉") == "ä\n\tb 漢字 🎉"


def test_steps_stand_below_what_holds_them(capsys: pytest.CaptureFixture[str]) -> None:
    """In whatever order they were opened."""
    opened = {"root": None, "a": "root", "b": "root", "a1": "a", "b1": "b", "a2": "a"}
    depth = {"root": 0, "a": 1, "b": 1}
    steps = [
        StepExecution(
            id=name,
            name=name,
            node=name,
            parent_id=parent,
            depth=depth.get(name, 2),
            phase="done",
            outcome="completed",
        )
        for name, parent in opened.items()
    ]
    progress.print_steps(steps, len(steps))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["a", "a1", "a2", "b", "b1"]


def test_a_step_says_whether_it_waits(capsys: pytest.CaptureFixture[str]) -> None:
    for waits, child in [(True, "r1"), (False, "r1"), (True, None)]:
        step = StepExecution(
            id="1",
            name="pay",
            node="pay",
            depth=1,
            phase="work",
            child_run_id=child,
            is_waiting=waits,
        )
        whole = StepExecution(id="0", name="all", node="all", phase="open")
        inside = step.model_copy(update={"parent_id": "0"})
        progress.print_steps([whole, inside], 2)
    said = [" ".join(line.split()[1:]) for line in capsys.readouterr().out.splitlines()]
    assert said == [
        "waits for a person run r1",
        "in progress run r1",
        "waits for a person",
    ]
