"""The terminal of one person: shows lines, a screen at a time, and reads keys and texts."""

import sys
from collections.abc import Callable, Sequence

from rich.text import Text

from kern.client.cli.printing import console, safe
from kern.client.cli.walk.keyboard import RESIZED, Key, Keyboard

# How often what is shown is compared with the rows while nobody presses a key.
IDLE_SECONDS = 1.0
MORE_KEYS = frozenset({" ", "enter", "down"})
_CLEAR = "\x1b[H\x1b[2J"
# For the line that asks, and an empty one.
_RESERVED = 2
_NARROWEST = 20
_SHORTEST = 4


class Terminal:
    """Shows lines and reads keys, with a prompt once a key counts."""

    def __init__(self, keyboard: Keyboard) -> None:
        self._keyboard = keyboard

    @property
    def width(self) -> int:
        """How many columns there are."""
        return max(console().width, _NARROWEST)

    @property
    def height(self) -> int:
        """How many lines there are."""
        return max(console().height, _SHORTEST)

    def show(self, lines: Sequence[Text]) -> None:
        """Print lines, which are as wide as the terminal at most."""
        for line in lines:
            console().print(line, soft_wrap=True)
        sys.stdout.flush()

    def write(self, text: str) -> None:
        r"""Print a text without an end of line; only `\r` and `\n` at its ends may steer."""
        head, tail = ("\r" if text.startswith("\r") else ""), ("\n" if text.endswith("\n") else "")
        sys.stdout.write(f"{head}{safe(text.removeprefix(head).removesuffix(tail))}{tail}")
        sys.stdout.flush()

    def ring(self) -> None:
        """Have the terminal ring."""
        sys.stdout.write("\a")
        sys.stdout.flush()

    def begin(self) -> None:
        """Begin a screen. What was typed for the one before is dropped."""
        sys.stdout.write(_CLEAR)
        sys.stdout.flush()
        self._keyboard.settle()

    def pages(self, lines: Sequence[Text], reserved: int = 0) -> list[Sequence[Text]]:
        """Return lines in parts that fit; `reserved` are needed at the end."""
        room = max(self.height - _RESERVED, 1)
        if len(lines) + reserved <= room:
            return [lines]
        return [lines[start : start + room] for start in range(0, len(lines), room)]

    def key(self, is_changed: Callable[[], bool] | None = None) -> Key:
        """Return the next key, after a prompt as soon as keys count.

        Args:
            is_changed: Whether what is shown has changed meanwhile: then it is to be drawn anew,
                as when the window was resized.
        """
        is_prompted = False
        while True:
            wait = self._keyboard.haste_left
            if not wait and not is_prompted:
                is_prompted = True
                self.write("\r > ")
            key = self._keyboard.key(wait or IDLE_SECONDS)
            if key is not None:
                if key.name != RESIZED and is_prompted:
                    self.write(f"{key.name if key.name.strip() else 'space'}\n")
                return key
            if not wait and is_changed is not None and is_changed():
                return Key(RESIZED)

    def deciding_key(self) -> Key:
        """Return the next key that was not pressed in haste."""
        while True:
            key = self.key()
            if not key.is_hasty and key.name != RESIZED:
                return key

    def is_pressed(self, seconds: float) -> bool:
        """Wait for so many seconds; whether a key was pressed, and not in haste."""
        key = self._keyboard.key(seconds)
        return key is not None and not key.is_hasty and key.name != RESIZED

    def agrees(self, question: str) -> bool:
        """Ask for `y`; False for any other key."""
        self.show([Text(safe(question))])
        return self.deciding_key().name == "y"

    def line(self, question: str, text: str = "", *, is_secret: bool = False) -> str | None:
        """Ask for a line that begins with a text; None if the person leaves it."""
        return self._keyboard.line(safe(question), text, is_secret=is_secret)

    def text(self, question: str, text: str) -> str | None:
        """Have a text edited; None if the person leaves it."""
        return self._keyboard.text(safe(question), text)
