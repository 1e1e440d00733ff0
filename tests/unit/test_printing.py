"""Tables on a narrow terminal: what is copied from them stays whole."""

import pytest
from rich.console import Console

from kern.client.cli import printing


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
