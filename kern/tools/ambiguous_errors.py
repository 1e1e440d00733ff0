"""Which exceptions leave open whether a request had its effect.

A payment that was sent, and whose answer did not arrive, may have been made. What a client library
raises then looks like any other failure, so the classes are listed here, by their names: none of
these libraries is imported. An exception counts with those that it was raised from or during, since
clients wrap one another's errors.

There are three kinds of classes. *Open*: the request was sent, or partly, and there is no
answer. *Unsent*: the connection was never made, so nothing was sent. *Wrappers* say neither, and
what they carry decides; on their own they leave it open.

Sources: the documented exceptions of Python 3.11 to 3.14 (socket, ssl, http.client, urllib,
asyncio), httpx 0.28 and httpx2 2.x, httpcore, requests 2.x, urllib3 2.x, aiohttp 3.x, botocore 1.x,
grpcio 1.x, psycopg 3.x.
"""

from collections.abc import Collection, Iterator, Mapping

Table = Mapping[str, Collection[str]]

_HTTPX = ("httpx", "httpx2", "httpcore", "httpcore2")
_HTTPX_OPEN = frozenset(
    {"ReadTimeout", "WriteTimeout", "ReadError", "WriteError", "CloseError", "RemoteProtocolError"}
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
    },
    "ssl": {"SSLEOFError", "SSLZeroReturnError", "SSLSyscallError"},
    "http": {"IncompleteRead", "BadStatusLine", "RemoteDisconnected", "ResponseNotReady"},
    "asyncio": {"IncompleteReadError"},
    "subprocess": {"TimeoutExpired"},
    "smtplib": {"SMTPServerDisconnected"},
    **dict.fromkeys(_HTTPX, _HTTPX_OPEN),
    "requests": {"ReadTimeout", "ChunkedEncodingError", "ContentDecodingError"},
    "urllib3": {"ReadTimeoutError", "ProtocolError", "IncompleteRead", "InvalidChunkLength"},
    "aiohttp": {
        "ServerDisconnectedError",
        "SocketTimeoutError",
        "ClientPayloadError",
        "ClientConnectionResetError",
    },
    "botocore": {"ReadTimeoutError", "ConnectionClosedError", "ResponseStreamingError"},
}
_UNSENT: Table = {
    "builtins": {"ConnectionRefusedError"},
    "socket": {"gaierror", "herror"},
    "ssl": {"SSLCertVerificationError"},
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
    "ssl": {"SSLError"},
    "urllib": {"URLError"},
    **dict.fromkeys(_HTTPX, _HTTPX_WRAPPERS),
    "requests": {"ConnectionError", "Timeout", "SSLError", "RetryError"},
    "urllib3": {"MaxRetryError", "TimeoutError", "SSLError", "HTTPError"},
    "aiohttp": {"ClientConnectionError", "ClientOSError", "ServerTimeoutError"},
    "botocore": {"HTTPClientError", "ConnectionError"},
}
# Where a connection could not be made, the errors of these say how, and not that anything was sent.
_LOW = frozenset(
    {"builtins", "socket", "_socket", "ssl", "_ssl", "asyncio", "httpcore", "httpcore2"}
)
_LOW_BESIDE = frozenset({"urllib3", "http", "anyio", "concurrent"})
# Answers of a gateway that got none itself.
_NO_ANSWER = frozenset({502, 504})
# https://grpc.io/docs/guides/status-codes/
_GRPC_OPEN = frozenset({"DEADLINE_EXCEEDED", "UNAVAILABLE", "UNKNOWN", "CANCELLED"})
# Connection exceptions, and a server that is stopped or crashes in the middle.
_SQLSTATES_OPEN = ("08", "57P01", "57P02", "57P03")
_MOST = 100


def leaves_open(error: BaseException) -> bool:
    """Whether it is open, by the nature of an exception, if what the code wanted has happened."""
    is_wrapped = is_unsent = False
    for part in exceptions_in(error):
        if is_unsent and _package(type(part)) in _LOW | _LOW_BESIDE:
            continue
        match _kind_of(part):
            case "open":
                return True
            case "unsent":
                is_unsent = True
            case "wrapper":
                is_wrapped = True
            case _:
                pass
    return is_wrapped and not is_unsent


def _kind_of(error: BaseException) -> str | None:
    """Return `open`, `unsent` or `wrapper`; None for an exception that says nothing of it."""
    special = _by_status(error)
    if special is not None:
        return special
    for cls in type(error).__mro__:
        package, name = _package(cls), cls.__name__
        for kind, table in (("unsent", _UNSENT), ("open", _OPEN), ("wrapper", _WRAPPERS)):
            if name in table.get(package, ()):
                return kind
    return None


def _by_status(error: BaseException) -> str | None:
    """Return the kind of an exception that carries a code of its protocol."""
    package = _package(type(error))
    if package == "grpc":
        code = getattr(error, "code", None)
        name = getattr(code() if callable(code) else code, "name", "")
        return "open" if name in _GRPC_OPEN else "answered"
    if package == "psycopg" and any(cls.__name__ == "Error" for cls in type(error).__mro__):
        return _of_psycopg(error)
    if package in {"httpx", "httpx2", "requests", "aiohttp", "urllib"}:
        response = getattr(error, "response", None)
        status = getattr(response, "status_code", None) or getattr(error, "status", None)
        status = status or (getattr(error, "code", None) if package == "urllib" else None)
        if isinstance(status, int) and not isinstance(status, bool):
            return "open" if status in _NO_ANSWER else "answered"
    return None


def _of_psycopg(error: BaseException) -> str | None:
    if type(error).__name__ in _UNSENT["psycopg"]:
        return "unsent"
    sqlstate = getattr(error, "sqlstate", None)
    if isinstance(sqlstate, str):
        return "open" if sqlstate.startswith(_SQLSTATES_OPEN) else "answered"
    if not any(cls.__name__ == "OperationalError" for cls in type(error).__mro__):
        return None
    # As it words a connection that could not be made.
    return "unsent" if str(error).startswith("connection failed") else "open"


def exceptions_in(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception, and all that it carries or was raised from or during, outermost first."""
    queue, seen = [error], set[int]()
    while queue and len(seen) < _MOST:
        part = queue.pop(0)
        if id(part) in seen:
            continue
        seen.add(id(part))
        yield part
        beneath = part.__cause__ or (None if part.__suppress_context__ else part.__context__)
        carried = [
            *(part.exceptions if isinstance(part, BaseExceptionGroup) else ()),
            *part.args,
            getattr(part, "reason", None),
            getattr(part, "os_error", None),
            beneath,
        ]
        queue += [item for item in carried if isinstance(item, BaseException)]


def _package(cls: type) -> str:
    return cls.__module__.partition(".")[0]
