"""Which exceptions leave open whether a request had its effect."""

import asyncio
import gc
import http.client
import socket
import ssl
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager

import httpx2
import psycopg
import pytest

from kern.tools.ambiguous_errors import leaves_open


@contextmanager
def server(answer: Callable[[socket.socket], object]) -> Generator[int]:
    """Serve one connection: read the request, then answer as told."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            answer(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()


def hang(connection: socket.socket) -> None:
    connection.recv(65536)


def half(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npa")


def gateway_timeout(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 504 Gateway Timeout\r\nContent-Length: 0\r\n\r\n")


def refusal(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 422 Unprocessable\r\nContent-Length: 0\r\n\r\n")


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def with_urllib(url: str) -> None:
    with urllib.request.urlopen(url, data=b"pay", timeout=0.3) as response:  # noqa: S310  loopback
        response.read()


def with_http_client(url: str) -> None:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=0.3)
    with closing(connection):
        connection.request("POST", "/", b"pay")
        response = connection.getresponse()
        response.read()
    if response.status >= 400:
        with closing(urllib.error.HTTPError(url, response.status, "", response.headers, None)) as e:
            raise e


def with_httpx(url: str) -> None:
    with httpx2.Client(timeout=0.3, trust_env=False) as client:
        client.post(url, content=b"pay").raise_for_status()


CLIENTS = [with_urllib, with_http_client, with_httpx]


def error_of(act: Callable[[], object]) -> BaseException:
    with pytest.raises(Exception) as caught:  # noqa: PT011  whatever the library raises
        act()
    return caught.value


# Clients that raise leave their sockets to the collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("answer", [hang, half, socket.socket.close, gateway_timeout])
def test_what_was_sent_and_has_no_answer_is_open(
    client: Callable[[str], None], answer: Callable[[socket.socket], object]
) -> None:
    with server(answer) as port:
        error = error_of(lambda: client(f"http://127.0.0.1:{port}"))
    assert leaves_open(error), repr(error)
    del error
    gc.collect()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("client", CLIENTS)
def test_what_was_not_sent_or_was_refused_is_not_open(client: Callable[[str], None]) -> None:
    refused = error_of(lambda: client(f"http://127.0.0.1:{closed_port()}"))
    assert not leaves_open(refused), repr(refused)
    unknown = error_of(lambda: client("http://no-such-name.invalid"))
    assert not leaves_open(unknown), repr(unknown)
    with server(refusal) as port:
        answered = error_of(lambda: client(f"http://127.0.0.1:{port}"))
    assert not leaves_open(answered), repr(answered)
    del refused, unknown, answered
    gc.collect()


def test_a_database_that_cannot_be_reached_was_sent_nothing() -> None:
    port = closed_port()
    error = error_of(lambda: psycopg.connect(f"postgresql://x@127.0.0.1:{port}/x"))
    assert not leaves_open(error)


def made(path: str, *bases: type, **fields: object) -> type[Exception]:
    """Return an exception class as a library that is not installed here has it."""
    module, _, name = path.rpartition(".")
    return type(name, bases or (Exception,), {"__module__": module, **fields})


requests_error = made("requests.exceptions.ConnectionError", OSError)
new_connection = made("urllib3.exceptions.NewConnectionError")
max_retries = made("urllib3.exceptions.MaxRetryError")
aiohttp_os_error = made("aiohttp.client_exceptions.ClientOSError", OSError)


def wrapped(outer: BaseException, inner: BaseException) -> BaseException:
    outer.__cause__ = inner
    return outer


def rpc(name: str) -> BaseException:
    code = type("Code", (), {"name": name})
    return made("grpc._channel._InactiveRpcError", code=lambda _self: code)()


OPEN: list[BaseException] = [
    TimeoutError(),
    ConnectionResetError(),
    BrokenPipeError(),
    http.client.RemoteDisconnected(""),
    http.client.IncompleteRead(b""),
    ssl.SSLEOFError(),
    asyncio.IncompleteReadError(b"", 1),
    subprocess.TimeoutExpired("pay", 1),
    urllib.error.URLError(TimeoutError()),
    urllib.error.URLError(ConnectionResetError()),
    made("requests.exceptions.ReadTimeout", OSError)(),
    requests_error(made("urllib3.exceptions.ProtocolError")("aborted", ConnectionResetError())),
    made("aiohttp.client_exceptions.ServerDisconnectedError")(),
    aiohttp_os_error(104, "Connection reset by peer"),
    made("aiohttp.client_exceptions.SocketTimeoutError", TimeoutError)(),
    made("botocore.exceptions.ReadTimeoutError")(),
    made("botocore.exceptions.ConnectionClosedError")(),
    rpc("DEADLINE_EXCEEDED"),
    rpc("UNAVAILABLE"),
    psycopg.OperationalError("consuming input failed: server closed the connection unexpectedly"),
    psycopg.errors.AdminShutdown(),
    psycopg.errors.ConnectionFailure(),
    wrapped(ValueError("the bank's client failed"), TimeoutError()),
    wrapped(made("openai.APITimeoutError")(), httpx2.ReadTimeout("slow")),
    ExceptionGroup("both", [ValueError(), ConnectionResetError()]),
    # The second try could not connect, and the first may have been received.
    wrapped(httpx2.ConnectError("no"), wrapped(OSError(), httpx2.ReadTimeout("slow"))),
]
CLOSED: list[BaseException] = [
    ValueError("no such account"),
    ConnectionRefusedError(),
    socket.gaierror(),
    ssl.SSLCertVerificationError(),
    urllib.error.URLError(ConnectionRefusedError()),
    urllib.error.URLError(socket.gaierror()),
    httpx2.ConnectTimeout("no connection"),
    wrapped(httpx2.ConnectTimeout("no connection"), TimeoutError()),
    httpx2.PoolTimeout("busy"),
    made("requests.exceptions.ConnectTimeout", requests_error)(),
    requests_error(made("urllib3.exceptions.MaxRetryError", reason=new_connection())()),
    wrapped(made("aiohttp.client_exceptions.ClientConnectorError", aiohttp_os_error)(), OSError()),
    made("botocore.exceptions.EndpointConnectionError")(),
    made("botocore.exceptions.ClientError")(),
    rpc("INVALID_ARGUMENT"),
    rpc("ALREADY_EXISTS"),
    psycopg.errors.UniqueViolation(),
    psycopg.errors.SerializationFailure(),
    psycopg.errors.QueryCanceled(),
    wrapped(RuntimeError("wrapped"), ConnectionRefusedError()),
]


@pytest.mark.parametrize("error", OPEN, ids=repr)
def test_it_is_open(error: BaseException) -> None:
    assert leaves_open(error)


@pytest.mark.parametrize("error", CLOSED, ids=repr)
def test_it_is_not_open(error: BaseException) -> None:
    assert not leaves_open(error)


def test_an_error_that_was_raised_from_none_speaks_for_itself() -> None:
    def pay() -> None:
        try:
            asyncio.run(asyncio.wait_for(asyncio.Event().wait(), 0))
        except TimeoutError:
            message = "the bank says that it was not booked"
            raise ValueError(message) from None

    assert not leaves_open(error_of(pay))


def test_errors_that_carry_one_another_end() -> None:
    first, second = ValueError(), ValueError()
    first.args, second.args = (second,), (first,)
    assert not leaves_open(first)


def test_none_of_the_libraries_is_imported() -> None:
    code = "import sys, kern.tools; print({'requests', 'aiohttp', 'grpc'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
