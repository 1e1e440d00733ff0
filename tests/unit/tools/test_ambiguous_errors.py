"""Which exceptions leave open whether a request had its effect."""

import asyncio
import concurrent.futures.process
import concurrent.futures.thread
import errno
import ftplib
import gc
import http.client
import imaplib
import multiprocessing
import poplib
import smtplib
import socket
import ssl
import subprocess
import sys
import threading
import urllib.error
import urllib.request
import xmlrpc.client
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager, suppress
from types import SimpleNamespace

import httpx2
import psycopg
import pytest

from kern.tools.ambiguous_errors import leaves_open
from kern.tools.reconciling import NO_RULES
from tests.support.hostile_errors import BankOutcomeUnknown, hostile


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


def garbage(connection: socket.socket) -> None:
    connection.sendall(b"garbage\r\n\r\n")


def long_line(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000 + b"\r\n\r\n")


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
@pytest.mark.parametrize(
    "answer", [hang, half, socket.socket.close, gateway_timeout, garbage, long_line]
)
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


def tried_twice(first: Callable[[], object], second: Callable[[], object]) -> BaseException:
    def act() -> None:
        try:
            first()
        except (OSError, http.client.HTTPException, httpx2.HTTPError):
            second()

    return error_of(act)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("answer", [hang, socket.socket.close, half])
def test_a_second_try_that_was_not_sent_says_nothing_of_the_first(
    client: Callable[[str], None], answer: Callable[[socket.socket], object]
) -> None:
    refused = f"http://127.0.0.1:{closed_port()}"
    with server(answer) as port:
        error = tried_twice(lambda: client(f"http://127.0.0.1:{port}"), lambda: client(refused))
    assert leaves_open(error), repr(error)
    del error
    gc.collect()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("client", CLIENTS)
def test_two_tries_that_were_not_sent_are_not_open(client: Callable[[str], None]) -> None:
    refused = f"http://127.0.0.1:{closed_port()}"
    error = tried_twice(lambda: client(refused), lambda: client(refused))
    assert not leaves_open(error), repr(error)
    del error
    gc.collect()


async def with_async_httpx(url: str) -> None:
    async with httpx2.AsyncClient(timeout=0.3, trust_env=False) as client:
        await client.post(url, content=b"pay")


async def test_a_second_try_in_a_coroutine_says_nothing_of_the_first() -> None:
    refused = f"http://localhost:{closed_port()}"
    with pytest.raises(httpx2.ConnectError) as alone:
        await with_async_httpx(refused)
    assert not leaves_open(alone.value)

    async def try_twice(url: str) -> None:
        try:
            await with_async_httpx(url)
        except httpx2.HTTPError:
            await with_async_httpx(refused)

    with server(hang) as port, pytest.raises(httpx2.ConnectError) as caught:
        await try_twice(f"http://127.0.0.1:{port}")
    assert leaves_open(caught.value)


def test_a_connection_that_timed_out_was_sent_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        waiting = [socket.socket() for _ in range(4)]
        for connection in waiting:
            connection.settimeout(0)
            connection.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}"
        error = error_of(lambda: with_httpx(url))
        coroutine_error = error_of(lambda: asyncio.run(with_async_httpx(url)))
        for connection in waiting:
            connection.close()
    assert isinstance(error, httpx2.ConnectTimeout)
    assert not leaves_open(error)
    assert isinstance(coroutine_error, httpx2.ConnectTimeout)
    assert not leaves_open(coroutine_error)


def with_ftp(port: int) -> None:
    with ftplib.FTP() as client:  # noqa: S321  loopback
        client.connect("127.0.0.1", port, timeout=1)


def with_pop(port: int) -> None:
    poplib.POP3("127.0.0.1", port, timeout=1)


def with_imap(port: int) -> None:
    imaplib.IMAP4("127.0.0.1", port, timeout=1)


def with_smtp(port: int) -> None:
    smtplib.SMTP("127.0.0.1", port, timeout=1)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("client", "expected"),
    [
        (with_ftp, EOFError),
        (with_pop, poplib.error_proto),
        (with_imap, imaplib.IMAP4.abort),
        (with_smtp, smtplib.SMTPServerDisconnected),
    ],
)
def test_a_server_that_hangs_up_leaves_it_open(
    client: Callable[[int], None], expected: type[Exception]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up() -> None:
            connection, _ = listener.accept()
            connection.close()

        thread = threading.Thread(target=hang_up, daemon=True)
        thread.start()
        error = error_of(lambda: client(listener.getsockname()[1]))
        thread.join()
    assert isinstance(error, expected)
    assert leaves_open(error), repr(error)
    del error
    gc.collect()


def test_a_pipe_whose_other_end_is_gone_leaves_it_open() -> None:
    near, far = multiprocessing.Pipe()
    far.close()
    with near:
        assert leaves_open(error_of(near.recv))


async def test_an_inner_task_that_was_cancelled_leaves_it_open() -> None:
    task = asyncio.create_task(asyncio.Event().wait())
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    assert leaves_open(caught.value)


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


def during(outer: BaseException, inner: BaseException) -> BaseException:
    outer.__context__ = inner
    return outer


aiohttp_answer = made("aiohttp.client_exceptions.ClientResponseError", status=400)
aiohttp_garbage = made("aiohttp.http_exceptions.HttpProcessingError", code=400)
aiohttp_bad_line = made("aiohttp.http_exceptions.BadStatusLine", aiohttp_garbage)
aiohttp_refused = made("aiohttp.client_exceptions.ClientConnectorError", aiohttp_os_error)


def boto(status: int, code: str = "Failed") -> BaseException:
    """Return what botocore raises for a status."""
    answer = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    fields = {"response": answer}
    return made("botocore.exceptions.ClientError", **fields)()


def xml_rpc(status: int) -> BaseException:
    return xmlrpc.client.ProtocolError("bank/RPC2", status, "", {})


def requests_refused() -> BaseException:
    return requests_error(max_retries(new_connection()))


def rpc(name: str) -> BaseException:
    code = type("Code", (), {"name": name})
    return made("grpc._channel._InactiveRpcError", code=lambda _self: code)()


def http_error(status: int, client: str = "httpx2") -> BaseException:
    response = type("Response", (), {"status_code": status})
    if client == "urllib":
        headers = http.client.HTTPMessage()
        with closing(urllib.error.HTTPError("http://bank", status, "", headers, None)) as error:
            return error
    path, fields = {
        "aiohttp": ("client_exceptions.ClientResponseError", {"status": status}),
        "openai": ("APIStatusError", {"status_code": status}),
        "anthropic": ("APIStatusError", {"status_code": status}),
        "stripe": ("_error.APIError", {"http_status": status}),
        "google": ("api_core.exceptions.ServerError", {"code": status}),
    }.get(client, ("exceptions.HTTPError", {"response": response}))
    return made(f"{client}.{path}", **fields)()


def sql(package: str, name: str, text: str = "", **fields: object) -> BaseException:
    """Return an error as the database interface of Python has them."""
    error: type = made(f"{package}.Error")
    database_error = made(f"{package}.DatabaseError", error)
    base: dict[str, type] = {"DatabaseError": error, "InterfaceError": error}
    return made(f"{package}.{name}", base.get(name, database_error), **fields)(text)


def mysql(number: int, package: str = "pymysql.err") -> BaseException:
    if package.startswith("mysql"):
        return made(f"{package}.OperationalError", errno=number)()
    return made(f"{package}.OperationalError")(number, "Lost connection")


def oracle(code: str) -> BaseException:
    """Return what Oracle's driver raises: an error whose argument has the code."""
    details = SimpleNamespace(full_code=code, message=f"{code}: failed")
    return made("oracledb.exceptions.DatabaseError")(details)


def after_retries(error: BaseException) -> BaseException:
    future: concurrent.futures.Future[None] = concurrent.futures.Future()
    future.set_exception(error)
    return made("tenacity.RetryError", last_attempt=future)()


def lost(name: str) -> BaseException:
    return OSError(getattr(errno, name), "gone")


LOST = (
    *("ENETRESET", "EHOSTUNREACH", "ENETUNREACH", "ENETDOWN", "EHOSTDOWN", "ENOTCONN", "EPIPE"),
    *("ESHUTDOWN", "ETIMEDOUT", "ECONNABORTED", "ECONNRESET", "EPROTO", "EIO", "ENOBUFS"),
)
CLIENT_NAMES = (
    *("httpx", "httpx2", "requests", "aiohttp", "urllib", "openai", "anthropic", "stripe"),
    *("google", "bank"),
)


OPEN: list[BaseException] = [
    *map(lost, LOST),
    *(http_error(status, name) for name in CLIENT_NAMES for status in (408, 499, 500, 503, 524)),
    *map(http_error, (425, 502, 504, 520, 521, 522, 523, 599)),
    urllib.error.URLError(lost("ENETUNREACH")),
    boto(500),
    boto(503, "SlowDown"),
    boto(400, "RequestTimeout"),
    *map(rpc, ("UNKNOWN", "INTERNAL", "ABORTED", "CANCELLED", "DATA_LOSS")),
    made("grpclib.exceptions.GRPCError", status=type("Status", (), {"name": "INTERNAL"}))(),
    psycopg.errors.StatementCompletionUnknown(),
    psycopg.errors.IdleSessionTimeout(),
    psycopg.errors.CrashShutdown(),
    psycopg.errors.ConnectionException(),
    psycopg.errors.TransactionResolutionUnknown(),
    psycopg.InterfaceError("the connection is closed"),
    psycopg.OperationalError("the connection is lost"),
    sql("psycopg2", "OperationalError", "server closed the connection unexpectedly"),
    sql("psycopg2", "InterfaceError", "connection already closed"),
    sql("psycopg2", "DatabaseError", "SSL SYSCALL error: EOF detected"),
    sql("psycopg2.errors", "OperationalError", pgcode="57P01"),
    sql("asyncpg.exceptions", "PostgresConnectionError", sqlstate="08006"),
    made("asyncpg.exceptions.ConnectionDoesNotExistError")(),
    sql("sqlalchemy.exc", "OperationalError", orig=mysql(2013)),
    *(mysql(number) for number in (2006, 2013, 1053, 1161, 2055)),
    mysql(2013, "MySQLdb._exceptions"),
    mysql(2013, "mysql.connector.errors"),
    made("redis.exceptions.TimeoutError")("Timeout reading from socket"),
    made("redis.exceptions.ConnectionError")("Connection closed by server."),
    made("websockets.exceptions.ConnectionClosedError")(),
    made("stripe._error.APIConnectionError")("no answer"),
    made("openai.APITimeoutError", made("openai.APIConnectionError"))(),
    wrapped(made("openai.APIConnectionError")(), httpx2.ReadError("gone")),
    made("bank.BankTimeout")(),
    made("bank.TimeoutError")(),
    made("pymongo.errors.AutoReconnect")(),
    # The first try was refused, the second one got no answer.
    during(made("bank.BankTimeout")(), ConnectionRefusedError()),
    during(made("redis.exceptions.TimeoutError")("Timeout reading"), ConnectionRefusedError()),
    after_retries(httpx2.ReadTimeout("slow")),
    ftplib.error_temp("421 closing"),  # noqa: S321  no call
    ftplib.error_temp("426 transfer aborted"),  # noqa: S321  no call
    ftplib.error_reply("200 what?"),  # noqa: S321  no call
    smtplib.SMTPDataError(421, b"closing"),
    concurrent.futures.BrokenExecutor(),
    concurrent.futures.thread.BrokenThreadPool(),
    SystemExit(1),
    KeyboardInterrupt(),
    GeneratorExit(),
    subprocess.CalledProcessError(137, "pay"),
    subprocess.CalledProcessError(124, "pay"),
    httpx2.TooManyRedirects("a circle"),
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
    during(ConnectionRefusedError(), TimeoutError()),
    during(ConnectionRefusedError(), ConnectionResetError()),
    during(ConnectionRefusedError(), ConnectionError()),
    during(socket.gaierror(), http.client.RemoteDisconnected("")),
    wrapped(httpx2.ConnectError("no"), during(ConnectionRefusedError(), TimeoutError())),
    wrapped(httpx2.ConnectTimeout("no"), during(TimeoutError(), ConnectionResetError())),
    wrapped(aiohttp_refused(), during(OSError(113, "No route to host"), TimeoutError())),
    during(made("botocore.exceptions.NoCredentialsError")(), TimeoutError()),
    during(new_connection(), made("urllib3.exceptions.ProtocolError")()),
    during(httpx2.PoolTimeout("busy"), wrapped(RuntimeError("lost"), TimeoutError())),
    # The wrapper of the first try has nothing that says that it was not sent.
    wrapped(requests_refused(), during(ConnectionRefusedError(), requests_error())),
    ExceptionGroup("both", [ConnectionRefusedError(), requests_error()]),
    ExceptionGroup("both", [ConnectionRefusedError(), ConnectionResetError()]),
    BaseExceptionGroup("both", [during(ConnectionRefusedError(), TimeoutError()), ValueError()]),
    during(ConnectionRefusedError(), ExceptionGroup("both", [ValueError(), TimeoutError()])),
    boto(502),
    boto(504),
    wrapped(aiohttp_answer(), wrapped(aiohttp_garbage(), aiohttp_bad_line())),
    made("bank.Declined", aiohttp_answer, status=504)(),
    EOFError(),
    xml_rpc(502),
    xml_rpc(504),
    imaplib.IMAP4.abort("socket error: EOF"),
    poplib.error_proto("-ERR EOF"),
    ftplib.error_proto("garbage"),  # noqa: S321  no call
    smtplib.SMTPServerDisconnected("Connection unexpectedly closed"),
    concurrent.futures.process.BrokenProcessPool(),
    concurrent.futures.CancelledError(),
    asyncio.CancelledError(),
    multiprocessing.TimeoutError(),
    subprocess.CalledProcessError(-9, "pay"),
    http.client.LineTooLong("header line"),
    httpx2.DecodingError("no gzip"),
    *(made("plaid.ApiException", status=status)() for status in (408, 500, 503, 504)),
    *(made("bank.ApiError", code=code)() for code in (500, 502, 503, 504)),
    made("bank.DeadlineExceeded")(),
    made("google.api_core.exceptions.DeadlineExceeded")(),
    made("bank.timeout_error")(),
    *(made("pycurl.error")(code, "failed") for code in (28, 52, 55, 56, 92)),
    made("pycurl.error")(22, "The requested URL returned error: 503"),
    *(oracle(code) for code in ("DPY-4011", "DPY-4024", "DPI-1080", "ORA-03113", "ORA-25408")),
    made("oracledb.exceptions.OperationalError")("DPY-4011: the connection was closed"),
    made("h2.exceptions.StreamClosedError", made("h2.exceptions.ProtocolError"))(),
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
    requests_refused(),
    during(requests_refused(), requests_refused()),
    wrapped(httpx2.ConnectTimeout("no"), during(TimeoutError(), asyncio.CancelledError())),
    wrapped(httpx2.ConnectError("no"), during(ConnectionResetError(), ssl.SSLWantReadError())),
    ExceptionGroup("both", [ConnectionRefusedError(), ValueError()]),
    wrapped(httpx2.ConnectError("no"), ExceptionGroup("both", [OSError(), TimeoutError()])),
    boto(400),
    boto(501),
    *(http_error(status, name) for name in CLIENT_NAMES for status in (400, 404, 409, 422, 429)),
    *map(http_error, (501, 505)),
    *map(lost, ("EADDRNOTAVAIL", "EACCES", "ENOENT", "ENOSPC")),
    wrapped(httpx2.ConnectError("no"), lost("ENETUNREACH")),
    wrapped(new_connection(), lost("EHOSTUNREACH")),
    rpc("RESOURCE_EXHAUSTED"),
    psycopg.errors.SqlclientUnableToEstablishSqlconnection(),
    psycopg.errors.SqlserverRejectedEstablishmentOfSqlconnection(),
    psycopg.errors.TooManyConnections(),
    psycopg.ProgrammingError("cannot adapt type"),
    psycopg.OperationalError("failed to resolve host 'bank': not known"),
    made("psycopg_pool.PoolTimeout", psycopg.OperationalError)("busy"),
    during(
        sql("psycopg2", "OperationalError", 'connection to server at "bank" failed: refused'),
        ConnectionRefusedError(),
    ),
    sql("psycopg2", "ProgrammingError", "cannot adapt type"),
    sql("psycopg2", "IntegrityError", pgcode="23505"),
    made("asyncpg.exceptions.UniqueViolationError", sqlstate="23505")(),
    *(mysql(number) for number in (1062, 1213, 2003, 1045)),
    during(mysql(2003), TimeoutError()),
    during(
        made("redis.exceptions.ConnectionError")("Error 111 connecting to bank:6379. Refused."),
        ConnectionRefusedError(),
    ),
    during(made("redis.exceptions.TimeoutError")("Timeout connecting to server"), TimeoutError()),
    made("redis.exceptions.ResponseError")("wrong type"),
    made("websockets.exceptions.InvalidStatus", made("websockets.exceptions.InvalidHandshake"))(),
    wrapped(made("openai.APITimeoutError")(), httpx2.ConnectTimeout("no connection")),
    wrapped(made("stripe._error.APIConnectionError")(), requests_refused()),
    made("stripe._error.CardError", http_status=402)(),
    made("bank.BankConnectTimeout")(),
    made("bank.PoolTimeoutError")(),
    made("sqlalchemy.exc.TimeoutError")("QueuePool limit"),
    made("filelock.Timeout")(),
    after_retries(ConnectionRefusedError()),
    after_retries(ValueError("no such account")),
    ftplib.error_temp("450 busy"),  # noqa: S321  no call
    smtplib.SMTPDataError(451, b"try later"),
    smtplib.SMTPConnectError(421, b"closing"),
    subprocess.CalledProcessError(28, "pay"),
    aiohttp_answer(),
    xml_rpc(400),
    poplib.error_proto(b"-ERR no such message"),
    ftplib.error_perm("550 no such file"),  # noqa: S321  no call
    imaplib.IMAP4.error("command: BAD"),
    smtplib.SMTPDataError(554, b"rejected"),
    subprocess.CalledProcessError(1, "pay"),
    http.client.InvalidURL("no url"),
    *(made("plaid.ApiException", status=status)() for status in (400, 402, 409, 422, 429, 501)),
    *(made("bank.ApiError", code=code)() for code in (4, 400, 404, 5031, 50013, "503", True)),
    made("aiosmtplib.errors.SMTPResponseException", code=550)(),
    made("bank.ConnectionRefused", code=111)(),
    *(made("pycurl.error")(code, "failed") for code in (3, 6, 7, 35, 60)),
    made("pycurl.error")(28, "Connection timed out after 1001 milliseconds"),
    made("pycurl.error")(22, "The requested URL returned error: 404"),
    *(oracle(code) for code in ("DPY-6005", "DPY-4005", "ORA-00001", "ORA-01013", "ORA-12541")),
    made("h2.exceptions.TooManyStreamsError", made("h2.exceptions.ProtocolError"))(),
]


@pytest.mark.parametrize("error", OPEN, ids=repr)
def test_it_is_open(error: BaseException) -> None:
    assert leaves_open(error)


@pytest.mark.parametrize("error", CLOSED, ids=repr)
def test_it_is_not_open(error: BaseException) -> None:
    assert not leaves_open(error)


def test_an_error_that_was_raised_from_none_hides_nothing() -> None:
    def pay() -> None:
        try:
            asyncio.run(asyncio.wait_for(asyncio.Event().wait(), 0))
        except TimeoutError:
            message = "payment failed"
            raise RuntimeError(message) from None

    assert leaves_open(error_of(pay))


def test_an_error_that_is_raised_after_the_handler_speaks_for_itself() -> None:
    def pay() -> None:
        with suppress(TimeoutError):
            asyncio.run(asyncio.wait_for(asyncio.Event().wait(), 0))
        message = "the bank says that it was not booked"
        raise ValueError(message)

    assert not leaves_open(error_of(pay))


def test_a_chain_that_is_too_long_to_look_at_is_open() -> None:
    first = error = ConnectionRefusedError()
    for _ in range(5000):
        error.__context__ = ConnectionRefusedError()
        error = error.__context__
    assert leaves_open(first)


def raised_from(error: BaseException, cause: BaseException) -> BaseException:
    # As `raise` does it, past the properties of a class.
    vars(BaseException)["__cause__"].__set__(error, cause)
    return error


HOSTILE_BASES = [
    Exception,
    ConnectionRefusedError,
    BaseExceptionGroup,
    made("grpc.RpcError"),
    made("psycopg.Error"),
    made("poplib.error_proto"),
    made("botocore.exceptions.ClientError"),
    made("requests.exceptions.HTTPError"),
    made("xmlrpc.client.ProtocolError"),
    subprocess.CalledProcessError,
]


@pytest.mark.parametrize("everything", [True, False])
@pytest.mark.parametrize("base", HOSTILE_BASES, ids=lambda base: base.__name__)
def test_what_cannot_be_read_of_an_error_leaves_the_rest(
    base: type[BaseException], *, everything: bool
) -> None:
    kind = hostile(base, module=base.__module__, everything=everything)

    def new() -> BaseException:
        is_group = base is BaseExceptionGroup
        error: BaseException = kind.__new__(kind, *(("both", [ValueError()]) if is_group else ()))
        return error

    assert not leaves_open(new())
    assert NO_RULES.are_open(raised_from(new(), TimeoutError()))
    assert not NO_RULES.are_open(raised_from(new(), ConnectionRefusedError()))


def test_an_authors_outcome_unknown_counts_whatever_its_class_does() -> None:
    assert NO_RULES.are_open(BankOutcomeUnknown("no answer"))


def test_a_group_whose_members_cannot_be_read_by_name_has_them() -> None:
    kind = hostile(BaseExceptionGroup)
    assert leaves_open(kind("both", [ValueError(), TimeoutError()]))
    assert not leaves_open(kind("both", [ValueError(), ConnectionRefusedError()]))


def test_an_argument_that_cannot_be_compared_says_nothing() -> None:
    assert not leaves_open(poplib.error_proto(["-ERR EOF"]))


def test_errors_that_carry_one_another_end() -> None:
    first, second = ValueError(), ValueError()
    first.args, second.args = (second,), (first,)
    assert not leaves_open(first)


def test_none_of_the_libraries_is_imported() -> None:
    code = "import sys, kern.tools; print({'requests', 'aiohttp', 'grpc'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
