"""Ctrl-C ends a prompt, whichever thread takes the signal."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kern.client.cli import prompts
from tests.support.waiting import wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture
def another_thread_takes_signals() -> Iterator[None]:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    yield
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def interrupt_once_it_waits() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    wait_until(is_waiting, timeout=60)
    os.kill(os.getpid(), signal.SIGINT)


def is_waiting() -> bool:
    main = threading.main_thread()
    frames = sys._current_frames()  # pyright: ignore[reportPrivateUsage]  there is no other way
    frame = frames[main.ident or 0]
    state = Path(f"/proc/self/task/{main.native_id}/stat").read_text().rpartition(") ")[2][0]
    return frame.f_code.co_filename == prompts.__file__ and state == "S"


@pytest.mark.timeout(30)
def test_a_signal_that_another_thread_takes_ends_the_wait(
    another_thread_takes_signals: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    never, typed = os.pipe()
    thread = threading.Thread(target=interrupt_once_it_waits)
    with os.fdopen(never) as stdin, os.fdopen(typed, "w"):
        monkeypatch.setattr(sys, "stdin", stdin)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            prompts.read_line("What? ")
        thread.join()


def test_a_line_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading) as stdin, os.fdopen(writing, "w") as keyboard:
        monkeypatch.setattr(sys, "stdin", stdin)
        keyboard.write("  yes \n")
        keyboard.flush()
        assert prompts.read_line("What? ") == "yes"
