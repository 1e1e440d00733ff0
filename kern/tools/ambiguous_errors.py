"""Which exceptions leave open whether a request had its effect.

A payment that was sent, and whose answer did not arrive, may have been made. What a client library
raises then looks like any other failure, so the classes are listed here, by their names: none of
these libraries is imported. An exception counts with those that it was raised from or during, since
clients wrap one another's errors. `from None` hides nothing: the author's code may have sent.

There are three kinds of classes. *Open*: the request was sent, or partly, and there is no
answer. *Unsent*: the connection was never made, so nothing was sent. *Wrappers* say neither, and
what they carry decides; on their own they leave it open.

Code that tries again by hand chains its attempts: the error of the second was raised while that of
the first was handled. That the second was not sent says nothing of the first. So an unsent error
answers for the wrappers around it, and for what explains it: clients raise `ConnectTimeout` from a
`TimeoutError`. What lies beyond belongs to an earlier attempt, and counts in full.

Sources: the documented exceptions of Python 3.11 to 3.14 (socket, ssl, http.client, urllib,
xmlrpc, asyncio, concurrent.futures, multiprocessing, subprocess, ftplib, imaplib, poplib, smtplib),
anyio 4.x, httpx 0.28 and httpx2 2.x, httpcore, requests 2.x, urllib3 2.x, aiohttp 3.x,
botocore 1.x, grpcio 1.x, psycopg 3.x.
"""

import subprocess
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from kern.process.foreign_errors import (
    arguments_of,
    attribute,
    cause_of,
    context_of,
    guarded,
    is_error,
    is_one_of,
    members_of,
    module_of,
    name_of,
    text_of,
)

Table = Mapping[str, Collection[str]]

_HTTPX = ("httpx", "httpx2", "httpcore", "httpcore2")
_HTTPX_OPEN = frozenset(
    {"ReadTimeout", "WriteTimeout", "ReadError", "WriteError", "CloseError", "RemoteProtocolError"}
    | {"DecodingError"}
)
_HTTPX_UNSENT = frozenset(
    {
        "ConnectError",
        "ConnectTimeout",
        "PoolTimeout",
        "ProxyError",
        "UnsupportedProtocol",
        "LocalProtocolError",
    }
)
_HTTPX_WRAPPERS = frozenset({"TimeoutException", "NetworkError", "TransportError"})
_OPEN: Table = {
    "builtins": {
        "TimeoutError",
        "ConnectionResetError",
        "ConnectionAbortedError",
        "BrokenPipeError",
        "EOFError",
    },
    "ssl": {"SSLError"},
    "http": {"HTTPException"},
    # A task or future that the code waited for was cancelled, at any point of its work.
    "asyncio": {"IncompleteReadError", "LimitOverrunError", "CancelledError"},
    "concurrent": {"BrokenProcessPool", "CancelledError"},
    "multiprocessing": {"TimeoutError", "MaybeEncodingError"},
    "subprocess": {"TimeoutExpired"},
    "ftplib": {"error_proto"},
    "imaplib": {"abort"},
    "smtplib": {"SMTPServerDisconnected"},
    "anyio": {"BrokenResourceError", "EndOfStream", "IncompleteRead", "BrokenWorkerProcess"},
    **dict.fromkeys(_HTTPX, _HTTPX_OPEN),
    "requests": {"ReadTimeout", "ChunkedEncodingError", "ContentDecodingError"},
    "urllib3": {"ReadTimeoutError", "ProtocolError", "IncompleteRead", "InvalidChunkLength"},
    "aiohttp": {
        "ServerDisconnectedError",
        "SocketTimeoutError",
        "ClientPayloadError",
        "ClientConnectionResetError",
        # What arrived is no HTTP; `ClientResponseError` makes a status of 400 out of it.
        "HttpProcessingError",
    },
    "botocore": {"ReadTimeoutError", "ConnectionClosedError", "ResponseStreamingError"},
}
_UNSENT: Table = {
    "builtins": {"ConnectionRefusedError"},
    "socket": {"gaierror", "herror"},
    "ssl": {"SSLCertVerificationError"},
    "http": {"InvalidURL", "CannotSendRequest", "CannotSendHeader", "NotConnected"},
    "imaplib": {"readonly"},
    **dict.fromkeys(_HTTPX, _HTTPX_UNSENT),
    "requests": {
        "ConnectTimeout",
        "ProxyError",
        "InvalidURL",
        "InvalidSchema",
        "MissingSchema",
        "InvalidHeader",
    },
    "urllib3": {
        "NewConnectionError",
        "ConnectTimeoutError",
        "NameResolutionError",
        "ProxyError",
        "LocationParseError",
        "EmptyPoolError",
    },
    "aiohttp": {
        "ClientConnectorError",
        "ClientConnectorDNSError",
        "ClientConnectorCertificateError",
        "ConnectionTimeoutError",
        "InvalidURL",
    },
    "botocore": {
        "ConnectTimeoutError",
        "EndpointConnectionError",
        "ProxyConnectionError",
        "NoCredentialsError",
        "ParamValidationError",
    },
    "psycopg": {"ConnectionTimeout", "PoolTimeout"},
}
_WRAPPERS: Table = {
    "builtins": {"ConnectionError"},
    "urllib": {"URLError"},
    **dict.fromkeys(_HTTPX, _HTTPX_WRAPPERS),
    "requests": {"ConnectionError", "Timeout", "SSLError", "RetryError"},
    "urllib3": {"MaxRetryError", "TimeoutError", "SSLError", "HTTPError"},
    "aiohttp": {"ClientConnectionError", "ClientOSError", "ServerTimeoutError"},
    "botocore": {"HTTPClientError", "ConnectionError"},
}
# Nothing explains these: what they were raised from or during is an earlier attempt.
_ROOTS = frozenset(
    {"ConnectionRefusedError", "gaierror", "herror", "SSLCertVerificationError"}
    | {"UnsupportedProtocol", "LocalProtocolError", "InvalidURL", "InvalidSchema", "MissingSchema"}
    | {"InvalidHeader", "LocationParseError", "EmptyPoolError", "CannotSendRequest"}
    | {"CannotSendHeader", "NotConnected", "readonly", "NoCredentialsError", "ParamValidationError"}
)
# Where a connection could not be made, the errors of these say how, and not that anything was sent.
_SYSTEM = frozenset({"builtins", "socket", "_socket", "ssl", "_ssl", "asyncio"})
_STREAMS = frozenset({"http", "anyio", "concurrent"})
_CLIENTS = frozenset({"urllib3", "httpcore", "httpcore2"})
# Raised, and handled, within one attempt to connect.
_INTERNAL = frozenset(
    {"CancelledError", "SSLWantReadError", "SSLWantWriteError", "BlockingIOError"}
)
# Answers of a gateway that got none itself.
_NO_ANSWER = frozenset({502, 504})
# https://grpc.io/docs/guides/status-codes/
_GRPC_OPEN = frozenset({"DEADLINE_EXCEEDED", "UNAVAILABLE", "UNKNOWN", "CANCELLED"})
# Connection exceptions, and a server that is stopped or crashes in the middle.
_SQLSTATES_OPEN = ("08", "57P01", "57P02", "57P03")
# What `poplib` raises without an answer; the words of a server are bytes.
_POP_OPEN = frozenset({"-ERR EOF", "line too long"})
_MOST = 1000


@dataclass(frozen=True)
class _Link:
    """An exception in its place within a chain.

    Attributes:
        error: The exception.
        explains: Whether an unsent error was raised from it or during it.
        wrappers: The ids of the wrappers around it, within the same attempt.
    """

    error: BaseException
    explains: bool = False
    wrappers: frozenset[int] = frozenset()


def leaves_open(error: BaseException) -> bool:
    """Whether it is open, by the nature of an exception, if what the code wanted has happened."""
    queue, visits = deque([_Link(error)]), set[tuple[int, bool, frozenset[int]]]()
    wrapper_ids, unsent_ids = set[int](), set[int]()
    while queue:
        link = queue.popleft()
        key = (id(link.error), link.explains, link.wrappers)
        if key in visits:
            continue
        if len(visits) >= _MOST:
            return True
        visits.add(key)
        kind = _kind_of(link.error)
        if link.explains and _can_explain(link.error, kind):
            queue += _beyond_unsent(link.error)
        elif kind == "open":
            return True
        elif kind == "unsent":
            unsent_ids |= link.wrappers
            queue += _beyond_unsent(link.error)
        else:
            wrappers = link.wrappers
            if kind == "wrapper":
                wrapper_ids.add(id(link.error))
                wrappers |= {id(link.error)}
            queue += [_Link(part, wrappers=wrappers) for part in _beneath(link.error)]
    return bool(wrapper_ids - unsent_ids)


def _can_explain(error: BaseException, kind: str | None) -> bool:
    """Whether a client may have raised, because of this error, one that says: nothing was sent."""
    package = _package(type(error))
    if package in _CLIENTS:
        return kind != "open"
    if package == "builtins":
        return issubclass(type(error), (OSError, EOFError, BaseExceptionGroup))
    return package in _SYSTEM | _STREAMS


def _beyond_unsent(error: BaseException) -> list[_Link]:
    """Return what lies beyond an unsent error, or beyond what explains it.

    A client says in its errors what they were raised from, or raises them while it handles that.
    The system does not: its errors were raised while that of an earlier attempt was handled.
    """
    name, context = name_of(type(error)), context_of(error)
    carried = _carried(error)
    has_explanation = all(name_of(cls) not in _ROOTS for cls in type(error).__mro__)
    links = [_Link(part, explains=has_explanation) for part in carried]
    if context is not None and all(part is not context for part in carried):
        if _package(type(error)) in _SYSTEM:
            is_within = name_of(type(context)) in _INTERNAL and name not in _INTERNAL
        else:
            is_within = cause_of(error) is None
        links.append(_Link(context, explains=has_explanation and is_within))
    return links


def _kind_of(error: BaseException) -> str | None:
    """Return `open`, `unsent` or `wrapper`; None for an exception that says nothing of it."""
    special = guarded(lambda: _by_status(error), None)
    if special is not None:
        return special
    for cls in type(error).__mro__:
        package, name = _package(cls), name_of(cls)
        for kind, table in (("unsent", _UNSENT), ("open", _OPEN), ("wrapper", _WRAPPERS)):
            if name in table.get(package, ()):
                return kind
    return None


def _by_status(error: BaseException) -> str | None:
    """Return the kind of an exception that carries a code of its protocol."""
    packages = {_package(cls) for cls in type(error).__mro__}
    if "grpc" in packages:
        code = attribute(error, "code")
        name = attribute(guarded(code, None) if callable(code) else code, "name")
        return "open" if isinstance(name, str) and name in _GRPC_OPEN else "answered"
    if "psycopg" in packages and any(name_of(cls) == "Error" for cls in type(error).__mro__):
        return _of_psycopg(error)
    if "poplib" in packages:
        return "open" if _POP_OPEN.intersection(_texts(error)) else "answered"
    if is_one_of(error, (subprocess.CalledProcessError,)):
        # Less than zero: a signal ended it.
        code = attribute(error, "returncode")
        return "open" if isinstance(code, int) and code < 0 else "answered"
    status = _http_status(error, packages)
    if isinstance(status, int) and not isinstance(status, bool):
        return "open" if status in _NO_ANSWER else "answered"
    return None


def _http_status(error: BaseException, packages: set[str]) -> object:
    response = attribute(error, "response")
    if packages & {"httpx", "httpx2", "requests", "aiohttp", "urllib"}:
        status = attribute(response, "status_code") or attribute(error, "status")
        return status or (attribute(error, "code") if "urllib" in packages else None)
    if "botocore" in packages:
        metadata = response.get("ResponseMetadata") if isinstance(response, Mapping) else None
        return metadata.get("HTTPStatusCode") if isinstance(metadata, Mapping) else None
    return attribute(error, "errcode") if "xmlrpc" in packages else None


def _of_psycopg(error: BaseException) -> str | None:
    if name_of(type(error)) in _UNSENT["psycopg"]:
        return "unsent"
    sqlstate = attribute(error, "sqlstate")
    if isinstance(sqlstate, str):
        return "open" if sqlstate.startswith(_SQLSTATES_OPEN) else "answered"
    if not any(name_of(cls) == "OperationalError" for cls in type(error).__mro__):
        return None
    # As it words a connection that could not be made.
    return "unsent" if text_of(error).startswith("connection failed") else "open"


def exceptions_in(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception, and all that it carries or was raised from or during, outermost first."""
    queue, visits = deque([error]), set[int]()
    while queue and len(visits) < _MOST:
        part = queue.popleft()
        if id(part) in visits:
            continue
        visits.add(id(part))
        yield part
        queue += _beneath(part)


def _carried(error: BaseException) -> list[BaseException]:
    """Return the exceptions that an exception names: its parts, arguments, reason and cause."""
    items = [
        *members_of(error),
        *arguments_of(error),
        attribute(error, "reason"),
        attribute(error, "os_error"),
        cause_of(error),
    ]
    return [item for item in items if is_error(item)]


def _beneath(error: BaseException) -> list[BaseException]:
    # The context counts although `from None` or a cause hides it from the traceback.
    context = context_of(error)
    return [*_carried(error), *([] if context is None else [context])]


def _texts(error: BaseException) -> set[str]:
    return {item for item in arguments_of(error) if type(item) is str}


def _package(cls: type) -> str:
    return module_of(cls).partition(".")[0]
