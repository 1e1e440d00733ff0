"""A server on this machine that speaks Responses and Chat Completions from a script."""

import json
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import cast

from pydantic import JsonValue

from kern.models.scripted import Call
from tests.support import model_answers
from tests.support.model_answers import Answer, Json, Raw, Step
from tests.support.threaded_server import ThreadedServer

__all__ = ["Answer", "Asked", "Call", "Failure", "ModelServer", "Raw", "Stall", "Step"]


@dataclass(frozen=True)
class Asked:
    """One request as it came; header names are lower case, `port` tells connections apart."""

    path: str
    body: Json
    headers: dict[str, str]
    port: int

    @property
    def conversation(self) -> list[Json]:
        """What was posted as `input` or `messages`."""
        posted = self.body.get("input", self.body.get("messages", []))
        if isinstance(posted, str):
            return [{"role": "user", "content": posted}]
        return cast("list[Json]", posted)

    @property
    def user_text(self) -> str:
        """The last thing that the user said."""
        texts = [item.get("content") for item in self.conversation if item.get("role") == "user"]
        return str(texts[-1]) if texts else ""

    @property
    def turn(self) -> int:
        """How many answers the conversation holds since the user spoke last."""
        turns, in_answer = 0, False
        for item in self.conversation:
            if item.get("role") == "user":
                turns, in_answer = 0, False
                continue
            said = item.get("role") == "assistant" or item.get("type") in {
                "function_call",
                "reasoning",
            }
            # One answer is several items in a response and one message in a chat.
            turns += said and not (in_answer and "input" in self.body)
            in_answer = said
        return turns


class Stall:
    """Holds an answer back until a test has seen that the request came."""

    def __init__(self) -> None:
        self.arrived = threading.Event()
        self._released = threading.Event()

    def release(self) -> None:
        """Let the answer go."""
        self._released.set()

    def hold(self) -> None:
        """Wait for `release`, as the server."""
        self.arrived.set()
        self._released.wait()


@dataclass(frozen=True)
class Failure:
    """What goes wrong with one request.

    Attributes:
        status: Answered instead of 200; with 200, `body` is the answer.
        body: Sent as JSON, or as it is if it is text.
        drop: Close the connection without an answer.
        cut_after: Close the connection after this many events of a stream.
        stall: Hold the answer back, then give it.
        key: Only for requests whose last user text holds this.
    """

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: JsonValue = None
    drop: bool = False
    cut_after: int | None = None
    stall: Stall | None = None
    key: str = ""


Script = Sequence[Step] | Callable[[Asked], Step]


class ModelServer(ThreadedServer):
    """Serves a script while it is entered.

    Which step is next follows from the posted conversation, so that any number of runs may share a
    server; past the end of a list its last step is repeated.
    """

    def __init__(self, script: Script) -> None:
        self.requests: list[Asked] = []
        self._script = script
        self._failures: list[Failure] = []
        self._stalls: list[Stall] = []
        self._lock = threading.Lock()
        http = _Http(("127.0.0.1", 0), _Handler)
        http.owner = self
        super().__init__(http)

    @property
    def base_url(self) -> str:
        """What clients take as `base_url`."""
        return f"{self.address}/v1"

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for stall in self._stalls:
            stall.release()
        super().__exit__(kind, error, trace)

    def fail(self, *failures: Failure) -> None:
        """Have the next requests fail, one for each failure."""
        with self._lock:
            self._failures.extend(failures)
            self._stalls.extend(one.stall for one in failures if one.stall is not None)

    def stall(self, key: str = "") -> Stall:
        """Hold the next answer back until the returned stall is released."""
        stall = Stall()
        self.fail(Failure(stall=stall, key=key))
        return stall

    def count_for(self, key: str) -> int:
        """Count the requests whose last user text holds `key`."""
        with self._lock:
            return sum(key in asked.user_text for asked in self.requests)

    def take(self, asked: Asked) -> Failure:
        """Record a request and return what is to go wrong with it."""
        with self._lock:
            self.requests.append(asked)
            for failure in self._failures:
                if failure.key in asked.user_text:
                    self._failures.remove(failure)
                    return failure
        return Failure()

    def answer(self, asked: Asked) -> Answer | Raw:
        """Return what the script says to a request."""
        if callable(self._script):
            return model_answers.as_answer(self._script(asked))
        return model_answers.as_answer(self._script[min(asked.turn, len(self._script) - 1)])


class _Http(ThreadingHTTPServer):
    owner: ModelServer
    request_queue_size = 128


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Nagle's algorithm and delayed acknowledgements would cost 40 ms an answer.
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: tests look at `requests`."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        headers = {name.lower(): value for name, value in self.headers.items()}
        owner = cast("_Http", self.server).owner
        asked = Asked(self.path, body, headers, self.client_address[1])
        failure = owner.take(asked)
        if failure.stall is not None:
            failure.stall.hold()
        if failure.drop:
            self._hang_up()
        elif failure.status is not None:
            self._send(failure.status, failure.body, failure.headers)
        elif asked.path not in {"/v1/responses", "/v1/chat/completions"}:
            self._send(404, {"error": {"message": f"no such path: {asked.path}"}}, {})
        else:
            try:
                self._answer(asked, owner.answer(asked), failure.cut_after)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

    def _answer(self, asked: Asked, answer: Answer | Raw, cut_after: int | None) -> None:
        responses = asked.path == "/v1/responses"
        if not asked.body.get("stream"):
            write = model_answers.response_body if responses else model_answers.chat_body
            body = answer.body if isinstance(answer, Raw) else write(answer, asked.turn)
            self._send(200, body, {})
            return
        stream = model_answers.response_events if responses else model_answers.chat_events
        events = answer.events if isinstance(answer, Raw) else stream(answer, asked.turn)
        self._stream(iter(events), cut_after, done=not responses)

    def _stream(self, events: Iterator[JsonValue], cut_after: int | None, *, done: bool) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for number, event in enumerate(events):
            if number == cut_after:
                self._hang_up()
                return
            self._chunk(f"data: {json.dumps(event)}\n\n")
        if done:
            self._chunk("data: [DONE]\n\n")
        self.wfile.write(b"0\r\n\r\n")

    def _chunk(self, text: str) -> None:
        data = text.encode()
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))

    def _send(self, status: int, body: JsonValue, headers: dict[str, str]) -> None:
        data = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        kind = "text/html" if isinstance(body, str) else "application/json"
        for name, value in ({"content-type": kind} | headers).items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)
