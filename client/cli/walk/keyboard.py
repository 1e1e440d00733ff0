"""Reads single keys, and lines that can be edited, from the terminal at which a person sits.

A key that decides has to be meant for what is on the screen. So keys carry whether they came in
haste: before anybody can have read a screen, right after another key, or pasted. Whoever reads them
lets those decide nothing.
"""

import os
import select
import signal
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import TextIO

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app
from prompt_toolkit.data_structures import Size
from prompt_toolkit.input import create_input
from prompt_toolkit.input.typeahead import clear_typeahead
from prompt_toolkit.key_binding import KeyBindings, KeyPress
from prompt_toolkit.key_binding.key_processor import KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.layout.processors import PasswordProcessor
from prompt_toolkit.output.vt100 import Vt100_Output

# As on the desk: nobody reads a page faster.
HASTE_SECONDS = 0.4
# An escape sequence that is not complete by then is the key Escape.
_ESCAPE_SECONDS = 0.05
_PASTING, _NOT_PASTING = "\x1b[?2004h", "\x1b[?2004l"
_NAMES: dict[str, str] = {
    Keys.ControlM.value: "enter",
    Keys.ControlJ.value: "enter",
    Keys.Escape.value: "escape",
    Keys.Up.value: "up",
    Keys.Down.value: "down",
    Keys.Left.value: "up",
    Keys.Right.value: "down",
    Keys.BracketedPaste.value: "paste",
}
RESIZED = "resized"
# Of a terminal that does not say.
_LINES, _COLUMNS = 24, 80


@dataclass(frozen=True)
class Key:
    """A key that was pressed.

    Attributes:
        name: The character, or `enter`, `escape`, `up`, `down`; `resized` if the window was.
        is_hasty: Whether it may have been meant for what was on the screen before.
    """

    name: str
    is_hasty: bool = False


class Keyboard:
    """The keyboard of a terminal, which echoes nothing while this is open.

    Ctrl-C raises `KeyboardInterrupt` wherever something is read.

    Args:
        stdin: The terminal's input; by default the process's.
        stdout: Its output.
    """

    def __init__(self, stdin: TextIO | None = None, stdout: TextIO | None = None) -> None:
        self._stdout = stdout or sys.stdout
        self._input = create_input(stdin or sys.stdin)
        self._output = Vt100_Output(
            self._stdout, self._size, term=os.environ.get("TERM"), enable_cpr=False
        )
        self._pending: list[Key] = []
        self._last_at = time.monotonic()
        self._is_resized = False
        self._woken, self._waking = os.pipe()

    @contextmanager
    def opened(self) -> Generator["Keyboard"]:
        """Take keys one by one for as long as the block lasts."""
        os.set_blocking(self._waking, False)
        os.set_blocking(self._woken, False)
        before = signal.signal(signal.SIGWINCH, self._resize)
        try:
            with self._input.raw_mode():
                self._write(_PASTING)
                yield self
        finally:
            self._write(_NOT_PASTING)
            signal.signal(signal.SIGWINCH, before)
            os.close(self._woken)
            os.close(self._waking)

    @property
    def haste_left(self) -> float:
        """For how many seconds a key would still count as hasty."""
        return max(0.0, self._last_at + HASTE_SECONDS - time.monotonic())

    def settle(self) -> None:
        """Begin anew: a screen was drawn, and what was typed before it was not meant for it."""
        if self._is_readable(0):
            self._take(self._read())
        clear_typeahead(self._input)
        self._pending = []
        self._last_at = time.monotonic()

    def key(self, timeout: float) -> Key | None:
        """Return the next key; None if there is none within `timeout` seconds.

        Raises:
            KeyboardInterrupt: it is Ctrl-C, or the terminal has gone.
        """
        deadline = time.monotonic() + timeout
        while not self._pending:
            if self._is_resized:
                self._is_resized = False
                return Key(RESIZED)
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            if self._is_readable(left):
                self._take(self._read())
        return self._pending.pop(0)

    def line(self, question: str, text: str = "", *, is_secret: bool = False) -> str | None:
        """Ask for a line, which begins with a text to be edited; None if the person leaves it.

        A text of several lines is edited as such, and ends with Escape and then Enter.
        """
        is_long = "\n" in text
        session = self._session(is_long=is_long)
        answer = session.prompt(
            question,
            default=text,
            multiline=is_long,
            is_password=False,
            input_processors=[PasswordProcessor("")] if is_secret else [],
        )
        self._last_at = time.monotonic()
        return answer

    def text(self, question: str, text: str) -> str | None:
        """Have a text edited, in the editor that `VISUAL` or `EDITOR` names, or else in place."""
        if not (os.environ.get("VISUAL") or os.environ.get("EDITOR")):
            return self.line(question, text)
        session = self._session(is_long=True)
        answer = session.prompt(question, default=text, multiline=True, pre_run=_open_editor)
        self._last_at = time.monotonic()
        return answer

    def _session(self, *, is_long: bool) -> PromptSession[str | None]:
        session: PromptSession[str | None] = PromptSession(
            input=self._input, output=self._output, key_bindings=_bindings(is_long=is_long)
        )
        session.app.ttimeoutlen = _ESCAPE_SECONDS
        return session

    def _read(self) -> Sequence[KeyPress]:
        presses = self._input.read_keys()
        if self._input.closed:
            raise KeyboardInterrupt
        if not presses and not self._is_readable(_ESCAPE_SECONDS):
            presses = self._input.flush_keys()
        return presses

    def _take(self, presses: Sequence[KeyPress]) -> None:
        now = time.monotonic()
        # Several at once were typed ahead or pasted.
        is_hasty = len(presses) > 1 or now < self._last_at + HASTE_SECONDS
        for press in presses:
            if press.key in {Keys.ControlC, Keys.SIGINT}:
                raise KeyboardInterrupt
            name = _name(press)
            if name:
                self._pending.append(Key(name, is_hasty or name == "paste"))
        self._last_at = now

    def _is_readable(self, timeout: float) -> bool:
        # A signal may be taken by another thread, and then it interrupts no wait of this one. Set
        # each time: the loop in which lines are edited leaves none.
        before = signal.set_wakeup_fd(self._waking, warn_on_full_buffer=False)
        try:
            ready, _, _ = select.select([self._input.fileno(), self._woken], [], [], timeout)
        finally:
            signal.set_wakeup_fd(before)
        if self._woken in ready:
            os.read(self._woken, 4096)
        return self._input.fileno() in ready

    def _size(self) -> Size:
        size = os.get_terminal_size(self._stdout.fileno())
        return Size(rows=size.lines or _LINES, columns=size.columns or _COLUMNS)

    def _write(self, text: str) -> None:
        self._stdout.write(text)
        self._stdout.flush()

    def _resize(self, _number: int, _frame: FrameType | None) -> None:
        self._is_resized = True


def _name(press: KeyPress) -> str:
    name = press.key.value if isinstance(press.key, Keys) else press.key
    return _NAMES.get(name, name if len(name) == 1 and name.isprintable() else "")


def _bindings(*, is_long: bool) -> KeyBindings:
    bindings = KeyBindings()
    if is_long:

        @bindings.add("c-d")
        def _(event: KeyPressEvent) -> None:
            event.app.exit(result=None)
    else:

        @bindings.add("escape", eager=True)
        @bindings.add("c-d")
        def _(event: KeyPressEvent) -> None:
            event.app.exit(result=None)

    return bindings


def _open_editor() -> None:
    get_app().current_buffer.open_in_editor(validate_and_handle=True)
