"""Walks through what waits: one decision fills the screen, a key answers it, the next follows."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Literal

from rich.text import Text

from kern.client.cli.access import Connection
from kern.client.cli.deciding import LATER, consequence_of
from kern.client.cli.printing import count, one_line, show_id
from kern.client.cli.typed_confirmation import submitted_confirmation
from kern.client.cli.walk import reading
from kern.client.cli.walk.dialogs import Dialogs
from kern.client.cli.walk.following import (
    ending_text,
    follow,
    progress_of,
    read_progress,
    stage_text,
)
from kern.client.cli.walk.items import Items
from kern.client.cli.walk.keyboard import RESIZED, Key
from kern.client.cli.walk.keys import HELP, TRIAGE_KEYS, Verb, verb_for
from kern.client.cli.walk.listing import choose_from
from kern.client.cli.walk.query import InboxQuery
from kern.client.cli.walk.screen import Place, keys_of, screen_of
from kern.client.cli.walk.terminal import MORE_KEYS, Terminal
from kern.client.cli.walk.triage import Triage
from kern.client.console.times import moment
from kern.contracts.reports import Decision, Receipt
from kern.contracts.viewer import present_operator
from kern.errors import AlreadyResolved, InvalidDecision, KernError
from kern.process.clock import utc_now
from kern.requirements import Requirement
from kern.values.ids import new_id
from kern.values.states import Effect, RequirementKind, RequirementStatus

Move = Literal["stay", "next", "previous", "list", "quit"]
_MOVES: dict[str, Move] = {
    "n": "next",
    "j": "next",
    "down": "next",
    "k": "previous",
    "p": "previous",
    "up": "previous",
    "u": "list",
    "q": "quit",
    RESIZED: "stay",
}
# After an ending, what people press without thinking goes on.
_ONWARD = frozenset({"enter", " "})
_INTERRUPTED = 130
_RED, _BOLD = "red", "bold"


class Walk:
    """One person's walk through what waits.

    Args:
        connection: The service.
        query: What is walked through.
        name: As whom it is decided.
        terminal: Where the person sits.
        is_watching: Whether to stay for what comes later.
    """

    def __init__(
        self,
        connection: Connection,
        query: InboxQuery,
        name: str,
        terminal: Terminal,
        *,
        is_watching: bool = False,
    ) -> None:
        self._connection = connection
        self._query = query
        self._name = name
        self._terminal = terminal
        self._is_watching = is_watching
        self._items = Items(connection, query, name)
        self._triage = Triage(connection, terminal, name)
        self._dialogs: dict[str, Dialogs] = {}
        self._index = 0
        self._decided = 0
        # What Ctrl-C leaves open, and whether a decision about it is on its way.
        self._open: Requirement | None = None
        self._is_sending = False

    def run(self) -> int:
        """Walk until the person quits or nothing is left, and return the exit code."""
        try:
            self._items.load()
            if not len(self._items) and not self._is_watching:
                self._say_nothing_waits()
                return 0
            while self._step():
                pass
        except KeyboardInterrupt:
            self._say_interrupted()
            return _INTERRUPTED
        self._say_summary()
        return 0

    def _step(self) -> bool:
        """Visit the present decision and move on; whether the walk goes on."""
        if self._index >= len(self._items) and not self._items.load() and not self._wait_for_news():
            return False
        if self._index >= len(self._items):
            return True
        move = self._visit()
        self._open = None
        if move == "list":
            index = choose_from(self._terminal, self._items, self._index)
            move, self._index = ("quit", self._index) if index is None else ("stay", index)
        if move == "next":
            self._index += 1
        elif move == "previous":
            self._index = max(self._index - 1, 0)
        return move != "quit"

    def _visit(self) -> Move:
        try:
            item = self._items.refresh(self._index)
        except KernError as error:
            return self._ending([Text(f" {one_line(str(error))}", _RED)])
        self._open = item if item.status is RequirementStatus.pending else None
        effect = self._effect_of(item)
        place = self._place(item)
        lines = screen_of(item, place, self._terminal.width, effect)
        if item.status is not RequirementStatus.pending:
            return self._show_closed(item, lines)
        keys = keys_of(item, place, self._terminal.width)
        self._terminal.begin()
        *before, last = self._terminal.pages(lines, len(keys))
        for page in before:
            self._terminal.show(page)
            move = self._turn_page(len(lines))
            if move is not None:
                return move
        self._terminal.show([*last, *keys])
        return self._take_keys(item)

    def _turn_page(self, line_count: int) -> Move | None:
        """Wait until the person wants to see more; return how they leave otherwise."""
        self._terminal.show([Text(f" Not all of {line_count} lines: space shows more.", _BOLD)])
        while True:
            key = self._terminal.key()
            if key.name in MORE_KEYS:
                return None
            if key.name in _MOVES:
                return _MOVES[key.name]

    def _take_keys(self, item: Requirement) -> Move:
        while True:
            key = self._terminal.key(self._is_changed)
            if key.name in _MOVES:
                return _MOVES[key.name]
            if key.name in {"w", "o", "?"}:
                self._look_aside(item, key)
                return "stay"
            if key.name in TRIAGE_KEYS and not key.is_hasty:
                return self._act(item, key)
            verb = verb_for(item, key.name)
            if verb is not None and not key.is_hasty:
                return self._decide(item, verb, key)

    def _act(self, item: Requirement, key: Key) -> Move:
        """Claim, put off or comment; what is put off is left behind."""
        try:
            done = self._triage.act(item, key.name)
        except AlreadyResolved:
            return self._show_closed(self._items.refresh(self._index), [])
        except KernError as error:
            self._terminal.show([Text(f" {one_line(str(error))}", _RED)])
            return self._pause()
        if done is None:
            return "stay"
        lines = [Text(f" {done}")]
        if key.name == "s":
            return self._ending(lines)
        self._terminal.show(lines)
        return self._pause()

    def _decide(self, item: Requirement, verb: Verb, key: Key) -> Move:
        dialogs = self._dialogs.get(item.id)
        if dialogs is None:
            dialogs = Dialogs(self._terminal, item, self._name, lambda: self._terminal.width)
            self._dialogs[item.id] = dialogs
        dialogs.item = item
        problem = ""
        while dialogs.decide(verb.action, key.name, problem):
            try:
                receipt, decision_id = self._submit(item)
            except AlreadyResolved:
                return self._show_closed(self._items.refresh(self._index), [])
            except InvalidDecision as error:
                problem = str(error)
                self._terminal.show([Text(f" {one_line(problem)}", _RED)])
                if verb.action not in {"edit", "answer"}:
                    return self._pause()
            except KernError as error:
                self._terminal.show([Text(f" {one_line(str(error))}", _RED)])
                return self._pause()
            else:
                self._decided += 1
                self._open = None
                return self._echo(receipt, decision_id)
        self._terminal.show([Text(" It stays open: nothing was decided.")])
        return self._pause()

    def _submit(self, item: Requirement) -> tuple[Receipt, str]:
        """Have a decision accepted, and return its id too."""
        viewer, decision_id, confirm = present_operator(), new_id(), submitted_confirmation(item)
        self._is_sending = True
        try:
            receipt = self._connection.call(
                lambda service: service.inbox.decide(
                    viewer, item, self._name, decision_id=decision_id, confirm=confirm
                )
            )
        except KernError:
            self._is_sending = False
            raise
        self._is_sending = False
        return receipt, decision_id

    def _echo(self, receipt: Receipt, decision_id: str) -> Move:
        """Say that a decision is in the log, and follow what becomes of it."""
        try:
            return self._follow(receipt, decision_id)
        except KernError as error:
            self._terminal.write("\n")
            text = f" Your decision is recorded. It cannot be followed: {one_line(str(error))}"
            return self._ending([Text(text, _RED)])

    def _follow(self, receipt: Receipt, decision_id: str) -> Move:
        item, viewer = receipt.requirement, present_operator()
        decisions = self._connection.call(lambda service: service.inbox.decisions(viewer, item.id))
        number = _number_of(decisions, decision_id, self._name)
        self._terminal.write(f" Accepted (number {number:,} in the log of its run)")
        if receipt.delivered is None:
            self._terminal.write("\n")
            return self._ending([Text(f" {consequence_of(receipt)}")])
        progress = follow(
            lambda: self._connection.call(lambda service: read_progress(service, viewer, item.id)),
            self._terminal.write,
            self._terminal.is_pressed,
            is_delivered=receipt.delivered,
        )
        self._terminal.write("\n")
        if not receipt.delivered and progress.requirement.delivered_at is None:
            return self._ending([Text(f" {LATER}")])
        if progress.is_last:
            return self._ending([])
        command = f"kern show {show_id(item.run_id)}"
        return self._ending([Text(f" It has not ended yet. `{command}` shows how it goes.")])

    def _show_closed(self, item: Requirement, lines: list[Text]) -> Move:
        """Show the ending of what somebody else decided, or nobody did: it is no error."""
        viewer, now = present_operator(), utc_now()
        progress = self._connection.call(lambda service: progress_of(service, viewer, item))
        if lines:
            self._terminal.begin()
        self._open = None
        text = ending_text(item, self._name, lambda at: moment(at, now, seconds=True))
        state = f" It is {stage_text(progress, progress.state.name)}."
        return self._ending([*lines, Text(f" {text}", _BOLD), Text(state)])

    def _ending(self, lines: list[Text]) -> Move:
        self._terminal.show([*lines, Text(" [n]ext  [k] previous  [u] list  [q]uit", _BOLD)])
        while True:
            key = self._terminal.key()
            if key.name in _ONWARD and not key.is_hasty:
                return "next"
            if key.name in _MOVES and key.name != RESIZED:
                return _MOVES[key.name]

    def _pause(self) -> Move:
        self._terminal.show([Text(" Any key shows it again.", _BOLD)])
        key = self._terminal.deciding_key()
        return _MOVES.get(key.name, "stay")

    def _look_aside(self, item: Requirement, key: Key) -> None:
        look: Callable[[], list[Text]] = {
            "w": lambda: reading.why(self._connection, item, self._terminal.width),
            "o": lambda: reading.run_lines(self._connection, item.run_id),
            "?": lambda: [Text(f" {line}") for line in HELP],
        }[key.name]
        try:
            lines = look()
        except KernError as error:
            lines = [Text(f" {one_line(str(error))}", _RED)]
        self._terminal.begin()
        *before, last = self._terminal.pages(lines, 1)
        for page in before:
            self._terminal.show(page)
            if self._turn_page(len(lines)) is not None:
                return
        self._terminal.show([*last, Text(" Any key goes back.", _BOLD)])
        self._terminal.key()

    def _is_changed(self) -> bool:
        """Whether the present decision is closed by now, or new ones have come."""
        if self._is_watching and self._has_news():
            return True
        with suppress(KernError):
            item = self._items.refresh(self._index)
            return self._open is not None and (
                item.status is not RequirementStatus.pending
                or item.current_digest != self._open.current_digest
                or item.approvals != self._open.approvals
                or item.claim != self._open.claim
            )
        return False

    def _wait_for_news(self) -> bool:
        """Wait for new decisions, where that is wanted; False once the person quits."""
        if not self._is_watching:
            return False
        self._terminal.begin()
        text = f" Nothing more waits {self._scope()}. New ones appear here."
        self._terminal.show([Text(text), Text(" [k] previous  [q]uit", _BOLD)])
        while True:
            key = self._terminal.key(self._has_news)
            if self._index < len(self._items):
                return True
            if key.name in {"q", "escape"}:
                return False
            if _MOVES.get(key.name) == "previous" and self._index:
                self._index -= 1
                return True

    def _has_news(self) -> bool:
        """Add what is new, and ring for it; whether there was any."""
        if self._items.load_new():
            self._terminal.ring()
            return True
        return False

    def _effect_of(self, item: Requirement) -> Effect | None:
        if item.kind is not RequirementKind.unknown_outcome:
            return None
        return reading.effect_of(self._connection, item)

    def _place(self, item: Requirement) -> Place:
        now = utc_now()
        return Place(
            self._index + 1,
            self._items.total,
            self._query.scope,
            self._name,
            now,
            self._items.news,
            reading.away(self._connection, item, now),
        )

    def _scope(self) -> str:
        return "for a person" if self._query.person is None else self._query.scope

    def _say_nothing_waits(self) -> None:
        number, at = self._items.checked()
        most = 1_000
        checked = f"{most:,}+" if number > most else f"{number:,}"
        self._say(
            f"Nothing waits {self._scope()}. Checked {checked} open decisions, {_clock(at)} UTC."
        )

    def _say_summary(self) -> None:
        self._say(f" {count(self._decided, 'decision')} made. What is open stays so.")

    def _say_interrupted(self) -> None:
        self._terminal.write("\n")
        if self._is_sending and self._open is not None:
            self._say(
                " Interrupted while the decision was sent: it may have been recorded. See `kern "
                f"show {show_id(self._open.id)}`."
            )
        elif self._open is not None:
            self._say(
                f" Interrupted. Decision {show_id(self._open.id)} stays open: nothing was decided."
            )
        else:
            self._say(" Interrupted. What was decided is kept.")

    def _say(self, text: str) -> None:
        self._terminal.show([Text(text)])


def _number_of(decisions: Sequence[Decision], decision_id: str, name: str) -> int:
    """Return where a decision stands in the log. Over HTTP its id is another: it is the last."""
    numbers = {item.id: item.seq for item in decisions if item.by == name}
    return numbers.get(decision_id) or max(numbers.values(), default=0)


def _clock(at: datetime) -> str:
    return moment(at, at, seconds=True)
