"""Keys and lines at a real pseudo-terminal: what is meant, what is hasty, and what interrupts."""

import fcntl
import io
import os
import pty
import select
import signal
import struct
import sys
import termios
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from kern.client.cli.walk.keyboard import HASTE_SECONDS, Key, Keyboard
from tests.support.waiting import wait_until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no pseudo-terminal")


@dataclass
class Typist:
    """Somebody who types at the other side of the terminal."""

    keyboard: Keyboard
    master: int
    slave: int

    def press(self, keys: str) -> None:
        """Press keys."""
        os.write(self.master, keys.encode())

    def settled(self) -> Keyboard:
        """Wait until keys count."""
        wait_until(lambda: not self.keyboard.haste_left)
        return self.keyboard


@pytest.fixture
def typist(monkeypatch: pytest.MonkeyPatch) -> Iterator[Typist]:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    with (
        os.fdopen(slave, "r+b", buffering=0) as end,
        io.TextIOWrapper(end, encoding="utf-8", write_through=True) as stream,
    ):
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.delenv("EDITOR", raising=False)
        monkeypatch.delenv("VISUAL", raising=False)
        with Keyboard(stream, stream).opened() as keyboard:
            yield Typist(keyboard, master, slave)
    os.close(master)


def test_a_key_counts_once_the_screen_has_settled(typist: Typist) -> None:
    typist.keyboard.settle()
    typist.press("a")
    assert typist.keyboard.key(10) == Key("a", is_hasty=True)
    typist.settled()
    typist.press("a")
    assert typist.keyboard.key(10) == Key("a")
    typist.press("a")
    assert typist.keyboard.key(10) == Key("a", is_hasty=True)
    assert typist.keyboard.haste_left > HASTE_SECONDS / 2


def test_what_was_typed_before_a_screen_is_dropped(typist: Typist) -> None:
    typist.settled()
    typist.press("aaa")
    wait_until(lambda: typist.slave in select.select([typist.slave], [], [], 0)[0])
    typist.keyboard.settle()
    assert typist.keyboard.key(0.01) is None


def test_several_keys_at_once_decide_nothing(typist: Typist) -> None:
    typist.settled()
    typist.press("approve")
    assert [typist.keyboard.key(10) for _ in "approve"] == [
        Key(char, is_hasty=True) for char in "approve"
    ]


def test_a_paste_is_one_key_that_decides_nothing(typist: Typist) -> None:
    typist.settled()
    typist.press("\x1b[200~a\x1b[201~")
    assert typist.keyboard.key(10) == Key("paste", is_hasty=True)


@pytest.mark.parametrize(
    ("keys", "name"),
    [("\x1b[A", "up"), ("\x1b[B", "down"), ("\r", "enter"), ("\x1b", "escape"), ("ä", "ä")],
)  # fmt: skip
def test_keys_have_names(typist: Typist, keys: str, name: str) -> None:
    typist.settled()
    typist.press(keys)
    assert typist.keyboard.key(10) == Key(name)


def test_ctrl_c_interrupts_a_key_and_a_line(typist: Typist) -> None:
    typist.press("\x03")
    with pytest.raises(KeyboardInterrupt):
        typist.keyboard.key(10)
    typist.press("half\x03")
    with pytest.raises(KeyboardInterrupt):
        typist.keyboard.line("What? ")


def test_a_signal_interrupts_the_wait(typist: Typist) -> None:
    signal.raise_signal(signal.SIGWINCH)
    assert typist.keyboard.key(10) == Key("resized")


def test_a_line_begins_with_a_text_that_can_be_edited(typist: Typist) -> None:
    typist.press("\x7f5\r")
    assert typist.keyboard.line("How much? ", "124") == "125"
    typist.press("\x1b")
    assert typist.keyboard.line("How much? ", "124") is None


def test_a_text_of_several_lines_keeps_them(typist: Typist) -> None:
    typist.press("!\x1b\r")
    assert typist.keyboard.line("Text: ", "one\ntwo") == "one\ntwo!"


def test_a_secret_is_not_echoed(typist: Typist) -> None:
    typist.press("4711\r")
    assert typist.keyboard.line("PIN: ", is_secret=True) == "4711"
    os.set_blocking(typist.master, False)
    shown = os.read(typist.master, 65536).decode()
    assert "PIN" in shown
    assert "4711" not in shown
    assert "*" not in shown


def test_an_editor_edits_a_text(typist: Typist, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "EDITOR", f"{sys.executable} -c \"import sys; open(sys.argv[1], 'a').write('more')\""
    )
    assert typist.keyboard.text("Text: ", "some ") == "some more"
