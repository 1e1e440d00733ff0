"""What the terminal shows of a decision: everything that it is about, in lines that fit.

Nothing is cut. A value is JSON on as many lines as it takes, each of which begins further to the
right than any line of Kern's own: no value passes for another.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.text import Text

from kern.client.cli.inbox import attempt_lines, proposal_lines, short_digest
from kern.client.cli.printing import broken, safe, show_call
from kern.client.cli.walk.keys import Verb, verbs_of
from kern.client.cli.walk.triage import is_claimed_by, labels_of
from kern.client.console.facts import Facts
from kern.client.console.people import people_of
from kern.client.console.requirement import title_of
from kern.client.console.times import moment, until
from kern.requirements import Requirement, RequirementKind, Risk
from kern.values.states import Effect, OnExpiry
from kern.values.triage import Claim
from kern.values.visible_text import character_name, exact, misleading, plain, spelled

if TYPE_CHECKING:
    from pydantic import JsonValue

_NAME = "kern inbox"
_WARNING = "bold yellow"
_INDENT = 3
_LONGEST_NAME = 24
_GAP = 4
# So many characters are named; the escapes stand where they are.
_MOST_NAMES = 3
_ENDINGS = {
    OnExpiry.reject: "rejected",
    OnExpiry.approve: "approved",
    OnExpiry.fail: "the run fails",
}
_AGAIN = {
    Effect.once: "if the first attempt went through, it happens twice",
    Effect.idempotent: "the receiver recognises the key, and nothing happens a second time",
    Effect.read: "it changes nothing outside",
}
# Kinds of which an argument is not what a person approves.
_OUTPUT = "output"


@dataclass(frozen=True)
class Place:
    """Where a decision stands in a walk, and who walks.

    Attributes:
        number: Its position, from 1 on.
        total: How many there are, such as `9` or `100+`.
        scope: Whose decisions are walked through, such as `for dana`.
        person: As whom it is decided.
        now: The present moment.
        news: How many have come since the walk began.
        away: What is said of those who are away, by the keys of their names.
    """

    number: int
    total: str
    scope: str
    person: str
    now: datetime
    news: int = 0
    away: Mapping[str, str] | None = None


def screen_of(
    item: Requirement, place: Place, width: int, effect: Effect | None = None
) -> list[Text]:
    """Return the lines that show a decision, without the keys.

    Args:
        item: What waits.
        place: Where it stands.
        width: How many columns there are.
        effect: What repeating the call would do, where that is asked.
    """
    rows = _Rows(width)
    _head(rows, item, place)
    rows.add(f" {' ' * (_INDENT - 1)}", _origin(item), "dim")
    if item.consequence:
        rows.add("   If approved: ", plain(item.consequence))
    _body(rows, item, effect)
    _warnings(rows, item, place)
    for line in proposal_lines(item):
        rows.add("   So far: ", line)
    if item.claim is not None:
        rows.add("   ", _claim(item.claim, item, place))
    rows.add("   ", _silence(item, place))
    rows.add("   ", _people(item, place))
    rows.add("   Digest ", short_digest(item.current_digest), "dim")
    return rows.lines


def keys_of(item: Requirement, place: Place, width: int) -> list[Text]:
    """Return the lines that name the keys, and as whom they decide."""
    verbs = [verb.label for verb in verbs_of(item)]
    moving = [Verb.label_of(key, word) for key, word in _MOVING]
    lines = [
        f" Decide as {plain(place.person)}:",
        *_filled(verbs, width),
        *_filled(labels_of(item, place.person), width),
        *_filled(moving, width),
    ]
    return [Text(line, style="bold") for text in lines for line in broken(text, width)]


_MOVING = (
    ("w", "why"),
    ("o", "open run"),
    ("n", "next"),
    ("k", "previous"),
    ("u", "list"),
    ("?", "help"),
    ("q", "quit"),
)


def comparison_of(
    item: Requirement, arguments: "dict[str, JsonValue]", digest: str, width: int
) -> list[Text]:
    """Return the lines that show a call as somebody has edited it, beside what was asked for."""
    rows = _Rows(width)
    rows.add(" As edited:", "", "bold")
    _arguments(rows, item.arguments, arguments, "was")
    rows.add("   Digest ", short_digest(digest))
    return rows.lines


def quoted(text: str, width: int) -> list[Text]:
    """Return a text line by line behind a bar, so that it passes for nothing of Kern's own."""
    rows = _Rows(width)
    for line in text.split("\n"):
        rows.add("   │ ", _exact_line(line))
    return rows.lines


class _Rows:
    """Lines of text, broken where they are too wide."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.lines: list[Text] = []

    def add(self, start: str, text: str, style: str = "") -> None:
        """Add a text after a start; the lines that follow begin as far to the right."""
        indent = cell_len(start)
        if indent > self.width // 2:
            self.lines += [Text(line, style) for line in broken(safe(start), self.width)]
            start, indent = " " * _GAP, _GAP
        bar = start if start.endswith("│ ") else " " * indent
        parts = broken(safe(text), max(self.width - indent, 1))
        self.lines += [
            Text(f"{start if number == 0 else bar}{part}" if part else start.rstrip(), style)
            for number, part in enumerate(parts)
        ]

    def add_pair(self, left: str, right: str, style: str = "") -> None:
        """Add a text with another one at the right edge, if both fit, else below it."""
        room = self.width - cell_len(left) - cell_len(right)
        if right and room >= _GAP // 2:
            self.lines.append(Text(f"{left}{' ' * room}{right}", style))
            return
        self.add(" ", left.lstrip(), style)
        if right:
            self.add("   ", right, style)


def _head(rows: _Rows, item: Requirement, place: Place) -> None:
    due = "" if item.due_at is None else f" · due {until(item.due_at, place.now)}"
    news = f" · {place.news} new" if place.news else ""
    position = f" {place.number} of {place.total}   {place.scope}{due}{news}"
    has_room = cell_len(position) + cell_len(_NAME) + _GAP <= rows.width
    rows.add_pair(position, _NAME if has_room else "", "dim")
    risk = "" if item.risk is Risk.normal else f"{item.risk.value.upper()} RISK"
    quorum = f"{item.approvals} of {item.quorum}" if item.quorum > 1 else ""
    tag = " · ".join(part for part in (risk, quorum) if part)
    title = spelled(title_of(item, Facts(title=item.title)), is_escaped=True)
    rows.add_pair(f" {title}", tag, "bold red" if item.risk is Risk.high else "bold")


def _origin(item: Requirement) -> str:
    names = " → ".join(plain(name, "→·") for name in item.path[:-1]) or "a run"
    owner = f" · for {plain(item.user_id, '·')}" if item.user_id else ""
    tenant = f" · tenant {plain(item.tenant, '·')}" if item.tenant else ""
    return f"{plain(item.tool_name or 'a step', '·')} in {names}{owner}{tenant}"


def _body(rows: _Rows, item: Requirement, effect: Effect | None) -> None:
    arguments = dict(item.current_arguments or item.arguments)
    output = arguments.get(_OUTPUT)
    is_text = item.kind is RequirementKind.output_review and isinstance(output, str)
    if is_text:
        del arguments[_OUTPUT]
    _arguments(rows, item.arguments, arguments, "the agent asked for", item.edited_by)
    if is_text and isinstance(output, str):
        rows.add("   Output:", "")
        rows.lines += quoted(output, rows.width)
    for field in item.fields:
        about = f"  {plain(field.description)}" if field.description else ""
        need = "" if field.required else ", optional"
        rows.add(" ? ", f"{spelled(field.name)}  ({plain(field.type)}{need}){about}")
    for number, choice in enumerate(item.choices, 1):
        rows.add(f"   {number}  ", plain(choice))
    _unknown(rows, item, effect)
    if item.question and item.kind is RequirementKind.error:
        rows.add(" ! It failed: ", plain(item.question), _WARNING)


def _unknown(rows: _Rows, item: Requirement, effect: Effect | None) -> None:
    if item.attempt is not None:
        rows.add(" ! ", plain(item.attempt.sentence), _WARNING)
        for line in attempt_lines(item):
            rows.add("   ", line)
    if item.kind is not RequirementKind.unknown_outcome:
        return
    if item.where_to_look:
        rows.add("   Where to look: ", plain(item.where_to_look))
    if effect is not None:
        rows.add("   Run again: ", f"the same arguments and key; {_AGAIN[effect]}.")


def _arguments(
    rows: _Rows,
    before: "dict[str, JsonValue]",
    arguments: "dict[str, JsonValue]",
    origin: str,
    editor: str | None = None,
) -> None:
    names = [spelled(name) for name in arguments]
    longest = min(max((cell_len(name) for name in names), default=0), _LONGEST_NAME)
    for name, (key, value) in zip(names, arguments.items(), strict=True):
        is_changed = key not in before or before[key] != value
        mark = " ! " if is_changed else "   "
        start = f"{mark}{name}{' ' * (longest - cell_len(name))}  "
        text = exact(value)
        if not is_changed:
            rows.add(start, text)
            continue
        author = f", {plain(editor, ',')} changed it" if editor else ""
        was = exact(before[key]) if key in before else "nothing"
        remark = f"{origin} {was}{author}"
        if cell_len(start + text + remark) + _GAP <= rows.width:
            rows.add(start, f"{text}{' ' * _GAP}{remark}", _WARNING)
        else:
            rows.add(start, text, _WARNING)
            rows.add(" " * min(cell_len(start), _INDENT + _GAP), remark, _WARNING)


def _warnings(rows: _Rows, item: Requirement, place: Place) -> None:
    names = _misleading_names(item)
    if names:
        more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
        listed = ", ".join(names[:_MOST_NAMES])
        rows.add(" ! ", f"Spelled out, since the eye could miss it: {listed}{more}", _WARNING)
    for earlier in item.earlier_calls:
        call = show_call(item.tool_name, earlier.arguments)
        at = moment(earlier.at, place.now)
        rows.add(" ! ", f"This session did {call} before: {earlier.outcome}, {at} UTC", _WARNING)


def _misleading_names(item: Requirement) -> list[str]:
    values = [item.current_arguments or item.arguments, list(item.choices)]
    text = json.dumps(values, ensure_ascii=False)
    characters = {text[index] for index in misleading(text, is_escaped=True)}
    return [character_name(char) for char in sorted(characters)]


def _silence(item: Requirement, place: Place) -> str:
    if item.due_at is None:
        return "Nobody → it waits until somebody decides."
    return f"Nobody until {moment(item.due_at, place.now)} UTC → {_ENDINGS[item.on_expiry]}."


def _claim(claim: Claim, item: Requirement, place: Place) -> str:
    name = "you" if is_claimed_by(item, place.person) else plain(claim.by, ",")
    return f"Claimed by {name} until {moment(claim.until, place.now)} UTC."


def _people(item: Requirement, place: Place) -> str:
    rows = people_of(item, place.person, place.away or {})
    able = [_with_note(row.name, row.note) for row in rows if row.mark == ""]
    unable = [_with_note(row.name, row.note) for row in rows if row.mark == "not"]
    parts = [f"May decide: {', '.join(able)}." if able else "", _not(unable)]
    return "    ".join(part for part in parts if part)


def _not(names: Sequence[str]) -> str:
    return f"Not: {', '.join(names)}." if names else ""


def _with_note(name: str, note: str) -> str:
    return f"{plain(name, ',()')} ({note})" if note else plain(name, ",()")


def _exact_line(line: str) -> str:
    """Return a line as it is if it can be misread for no other, else as JSON."""
    spelling = exact(line)
    is_plain = spelling == json.dumps(line, ensure_ascii=False) and "\\" not in line
    is_plain = is_plain and line.isprintable()
    return line if is_plain and line == line.rstrip() and line[:1] != '"' else spelling


def _filled(labels: Sequence[str], width: int) -> Iterator[str]:
    line = ""
    for label in labels:
        if line and cell_len(line) + cell_len(label) + 2 > width:
            yield line
            line = ""
        line = f"{line}  {label}" if line else f" {label}"
    if line:
        yield line
