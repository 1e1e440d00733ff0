"""A bank on this machine that loses connections before, during and after a payment.

What it did is the ledger: it lives outside Kern, and nothing of Kern writes to it.
"""

import json
import random
import socket
import threading
import time
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast

from tests.support.threaded_server import ThreadedServer

# How a payment goes, and how often in a hundred.
_MOODS = {
    "paid": 72,
    "lost before": 7,
    "lost after": 7,
    "late": 5,
    "late and lost": 4,
    "paid and 502": 5,
}


@dataclass(frozen=True)
class Payment:
    """One effect: money moved."""

    way: str
    key: str
    run_id: str
    amount: int
    at: datetime


class Bank(ThreadedServer):
    """Serves payments while it is entered.

    `/pay` moves money each time that it is asked, as a bank without idempotency keys does.
    `/charge` moves it once for each key. `GET /payments/KEY` says whether a key has moved money.
    """

    def __init__(self, seed: int) -> None:
        self.is_calm = False
        self._payments: list[Payment] = []
        self._random = random.Random(seed)  # noqa: S311  a storm is repeated by its seed
        self._lock = threading.Lock()
        http = _Http(("127.0.0.1", 0), _Handler)
        http.bank = self
        super().__init__(http)

    @property
    def payments(self) -> list[Payment]:
        """The ledger."""
        with self._lock:
            return list(self._payments)

    def of_key(self, key: str) -> list[Payment]:
        """Return what moved under a key."""
        return [payment for payment in self.payments if payment.key == key]

    def mood(self) -> tuple[str, float]:
        """Return how the next payment goes, and how late it is if it is late."""
        with self._lock:
            if self.is_calm:
                return "paid", 0.0
            (mood,) = self._random.choices(list(_MOODS), weights=list(_MOODS.values()))
            return mood, self._random.uniform(0.3, 2.0)

    def pay(self, way: str, asked: dict[str, object]) -> None:
        """Move money."""
        key = str(asked["key"])
        with self._lock:
            if way == "charge" and any(payment.key == key for payment in self._payments):
                return
            amount, now = int(cast("int", asked["amount"])), datetime.now(UTC)
            self._payments.append(Payment(way, key, str(asked["run_id"]), amount, now))


class _Http(ThreadingHTTPServer):
    bank: Bank
    request_queue_size = 128
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: whoever asked has died."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    @property
    def _bank(self) -> Bank:
        return cast("_Http", self.server).bank

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the ledger is what is looked at."""

    def do_GET(self) -> None:
        key = urllib.parse.unquote(self.path.rpartition("/")[2])
        self._answer(200, {"paid": bool(self._bank.of_key(key))})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        mood, delay = self._bank.mood()
        acts: dict[str, Callable[[], None]] = {
            "late": lambda: time.sleep(delay),
            "late and lost": lambda: time.sleep(delay),
        }
        acts.get(mood, bool)()
        if mood == "lost before":
            self._hang_up()
            return
        self._bank.pay(self.path.strip("/"), asked)
        if mood.endswith("lost") or mood == "lost after":
            self._hang_up()
            return
        self._answer(502 if mood == "paid and 502" else 200, {"receipt": asked["key"]})

    def _answer(self, status: int, body: dict[str, object]) -> None:
        data = json.dumps(body).encode()
        try:
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
        except OSError:
            # Whoever asked has died.
            self.close_connection = True

    def _hang_up(self) -> None:
        self.close_connection = True
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            return
