"""The list of a walk: a line for each decision, from which one is opened."""

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from kern.client.cli.walk.items import Items
from kern.client.cli.walk.terminal import Terminal
from kern.client.console.facts import Facts
from kern.client.console.requirement import title_of
from kern.client.console.times import until
from kern.process.clock import utc_now
from kern.requirements import Requirement
from kern.values.states import RequirementStatus, Risk
from kern.values.visible_text import spelled

_DOWN = frozenset({"j", "n", "down"})
_UP = frozenset({"k", "p", "up"})
_OPENING = frozenset({"enter", "o", " "})
_BACK = frozenset({"u", "escape"})
# Above and below the list.
_AROUND = 4


def choose_from(terminal: Terminal, items: Items, index: int) -> int | None:
    """Have the person open one of the decisions; None if they quit."""
    start = index = min(index, len(items) - 1)
    while True:
        terminal.begin()
        terminal.show(list_lines(items, index, terminal.width, terminal.height))
        key = terminal.key()
        if key.name in _DOWN:
            if index + 1 < len(items) or items.load():
                index += 1
        elif key.name in _UP:
            index = max(index - 1, 0)
        elif key.name in _OPENING:
            return index
        elif key.name in _BACK:
            return start
        elif key.name == "q":
            return None


def list_lines(items: Items, index: int, width: int, height: int) -> list[Text]:
    """Return the lines of the list around the decision at an index."""
    room = max(height - _AROUND, 1)
    first = max(0, min(index - room // 2, len(items) - room))
    numbers = range(first, min(first + room, len(items)))
    return [
        Text(f" {items.total} decisions", "dim"),
        *(_line(items[number], number, width, is_present=number == index) for number in numbers),
        Text(" [j] down  [k] up  [Enter] open  [u] back  [q]uit", "bold"),
    ]


def _line(item: Requirement, number: int, width: int, *, is_present: bool) -> Text:
    title = spelled(title_of(item, Facts(title=item.title)), is_escaped=True)
    is_open = item.status is RequirementStatus.pending
    due = "" if item.due_at is None else f"due {until(item.due_at, utc_now())}"
    state = due if is_open else item.status.value
    risk = f"{item.risk.value} risk  " if item.risk is not Risk.normal else ""
    tail = f"  {risk}{state}".rstrip()
    head = f" {'>' if is_present else ' '} {number + 1:>3}  "
    room = max(width - cell_len(head) - cell_len(tail), 1)
    # No decision is made here, so that a title may be cut; it says so.
    text = title if cell_len(title) <= room else f"{set_cell_size(title, room - 1)}…"
    return Text(f"{head}{text}{tail}", "bold" if is_present else "" if is_open else "dim")
