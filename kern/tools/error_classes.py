"""What is known of the exceptions of libraries: which leave open if a request had its effect.

None of these libraries is imported: their classes are known by their packages and names, their
codes by where an exception has them. `ambiguous_errors.py` says what the kinds mean.

Sources: the documented exceptions of Python 3.11 to 3.14 (socket, ssl, http.client, urllib,
xmlrpc, asyncio, concurrent.futures, multiprocessing, subprocess, ftplib, imaplib, poplib, smtplib),
anyio 4.x, httpx 0.28 and httpx2 2.x, httpcore, requests 2.x, urllib3 2.x, aiohttp 3.x,
botocore 1.x, grpcio 1.x, psycopg 3.x and 2.9, asyncpg 0.x, redis-py 5.x and 6.x, websockets,
stripe, openai, google-api-core 2.x, azure-core 1.x and h2 4.x. Each table of codes names its own
source.
"""

import errno
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

Table = Mapping[str, Collection[str]]

_HTTPX = ("httpx", "httpx2", "httpcore", "httpcore2")
_HTTPX_OPEN = frozenset(
    {"ReadTimeout", "WriteTimeout", "ReadError", "WriteError", "CloseError", "RemoteProtocolError"}
    | {"DecodingError", "TooManyRedirects"}
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
OPEN: Table = {
    "builtins": {
        "TimeoutError",
        "ConnectionResetError",
        "ConnectionAbortedError",
        "BrokenPipeError",
        "EOFError",
        # They end the code wherever it is.
        "SystemExit",
        "KeyboardInterrupt",
        "GeneratorExit",
    },
    "ssl": {"SSLError"},
    "http": {"HTTPException"},
    # A task or future that the code waited for was cancelled, at any point of its work.
    "asyncio": {"IncompleteReadError", "LimitOverrunError", "CancelledError"},
    "concurrent": {"BrokenExecutor", "CancelledError"},
    "multiprocessing": {"TimeoutError", "MaybeEncodingError"},
    "subprocess": {"TimeoutExpired"},
    "ftplib": {"error_proto", "error_reply"},
    "imaplib": {"abort"},
    "smtplib": {"SMTPServerDisconnected"},
    "anyio": {"BrokenResourceError", "EndOfStream", "IncompleteRead", "BrokenWorkerProcess"},
    **dict.fromkeys(_HTTPX, _HTTPX_OPEN),
    "requests": {"ReadTimeout", "ChunkedEncodingError", "ContentDecodingError", "TooManyRedirects"},
    "urllib3": {"ReadTimeoutError", "ProtocolError", "IncompleteRead", "InvalidChunkLength"},
    "aiohttp": {
        "ServerDisconnectedError",
        "SocketTimeoutError",
        "ClientPayloadError",
        "ClientConnectionResetError",
        "TooManyRedirects",
        # What arrived is no HTTP; `ClientResponseError` makes a status of 400 out of it.
        "HttpProcessingError",
    },
    "botocore": {"ReadTimeoutError", "ConnectionClosedError", "ResponseStreamingError"},
    # Those of a server have an SQLSTATE; without one, they are the client's own.
    **dict.fromkeys(
        ("psycopg", "psycopg2"),
        frozenset({"OperationalError", "InterfaceError", "InternalError", "DatabaseError"}),
    ),
    "asyncpg": {"PostgresConnectionError", "InternalClientError"}
    | {"ConnectionDoesNotExistError", "ConnectionFailureError"},
    **dict.fromkeys(("redis", "valkey"), frozenset({"ConnectionError", "TimeoutError"})),
    "websockets": {"ConnectionClosed", "ConnectionClosedError", "ConnectionClosedOK"},
    "azure": {"ServiceResponseError", "IncompleteReadError"},
    "h2": {"ProtocolError"},
    "trio": {"TooSlowError", "BrokenResourceError"},
}
UNSENT: Table = {
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
    "smtplib": {"SMTPConnectError", "SMTPHeloError"},
    "psycopg": {"ConnectionTimeout"},
    "psycopg_pool": {"PoolTimeout", "PoolClosed", "TooManyRequests"},
    "asyncpg": {"ClientCannotConnectError", "ConnectionRejectionError"},
    **dict.fromkeys(
        ("redis", "valkey"),
        frozenset({"AuthenticationError", "BusyLoadingError", "MaxConnectionsError"}),
    ),
    "websockets": {"InvalidHandshake", "InvalidURI"},
    "azure": {"ServiceRequestError"},
    "pymongo": {"ServerSelectionTimeoutError", "WaitQueueTimeoutError"},
    "paramiko": {"NoValidConnectionsError"},
    "dns": {"DNSException"},
    "h2": {"TooManyStreamsError", "NoAvailableStreamIDError"},
    # What waits for a lock or a connection of its own has sent nothing yet.
    "sqlalchemy": {"TimeoutError"},
    "filelock": {"Timeout"},
}
# A server or client that has said no.
ANSWERED: Table = dict.fromkeys(
    ("psycopg", "psycopg2"),
    frozenset({"ProgrammingError", "IntegrityError", "DataError", "NotSupportedError"}),
)
WRAPPERS: Table = {
    "builtins": {"ConnectionError"},
    "urllib": {"URLError"},
    **dict.fromkeys(_HTTPX, _HTTPX_WRAPPERS),
    "requests": {"ConnectionError", "Timeout", "SSLError", "RetryError"},
    "urllib3": {"MaxRetryError", "TimeoutError", "SSLError", "HTTPError"},
    "aiohttp": {"ClientConnectionError", "ClientOSError", "ServerTimeoutError"},
    "botocore": {"HTTPClientError", "ConnectionError"},
}
# What no table knows goes by its name. A wrapper by its name is explained by its cause alone.
NAMES: Collection[tuple[str, re.Pattern[str]]] = (
    ("unsent", re.compile(r"Connect(ion)?Timed?[oO]ut|(Pool|Lock)Timed?[oO]ut|CannotConnect")),
    ("unsent", re.compile(r"ConnectionRefused|NameResolution")),
    # What gRPC calls a timeout, and others after it.
    ("named", re.compile(r"DeadlineExceeded")),
    ("named", re.compile(r"[tT]imed?_?[oO]ut|Disconnect|AutoReconnect|StreamLost|BrokenPipe")),
    ("named", re.compile(r"Connection(Closed|Lost|Reset|Aborted|Broken|Dropped|Terminated)")),
    ("named", re.compile(r"(Connection|Network|Transport|Communications?)(Error|Exception)$")),
)
# How libraries word that a connection could not be made.
UNSENT_TEXTS: Mapping[str, re.Pattern[str]] = {
    "psycopg": re.compile(r"connection failed|connection is bad|failed to resolve host"),
    "psycopg2": re.compile(
        r"connection to server|could not connect|could not translate host|timeout expired"
    ),
    **dict.fromkeys(
        ("redis", "valkey"),
        re.compile(
            r"Error (-?\d+ )?connecting|Timeout connecting|Too many connections|No connection"
        ),
    ),
}
# Nothing explains these: what they were raised from or during is an earlier attempt.
ROOTS = frozenset(
    {"ConnectionRefusedError", "gaierror", "herror", "SSLCertVerificationError"}
    | {"UnsupportedProtocol", "LocalProtocolError", "InvalidURL", "InvalidSchema", "MissingSchema"}
    | {"InvalidHeader", "LocationParseError", "EmptyPoolError", "CannotSendRequest"}
    | {"CannotSendHeader", "NotConnected", "readonly", "NoCredentialsError", "ParamValidationError"}
)
# Where exceptions carry others, besides their causes and arguments.
CARRIERS = ("reason", "os_error", "last_attempt", "orig", "original_exception")

# https://man7.org/linux/man-pages/man3/errno.3.html, without what a `connect` alone can meet. A
# network may be lost before a request as well as after it.
ERRNOS_OPEN = frozenset(
    getattr(errno, name)
    for name in (
        *("ECONNRESET", "ECONNABORTED", "EPIPE", "ETIMEDOUT", "ETIME", "ENOTCONN", "ESHUTDOWN"),
        *("ENETRESET", "ENETDOWN", "ENETUNREACH", "EHOSTDOWN", "EHOSTUNREACH", "ENONET"),
        *("EPROTO", "EIO", "EREMOTEIO", "ENOLINK", "ECOMM", "ENOBUFS", "EINTR", "ECANCELED"),
        *("EBADF", "ESTALE"),
    )
    if hasattr(errno, name)
)
# RFC 9110 and RFC 8470; 499 and 520 to 599 are those of proxies. A server that fails may have done
# what it was asked to, also one that says 503. It has not where it does not know how to.
HTTP_OPEN = frozenset({408, 425, 499, *range(500, 600)} - {501, 505, 511})
# https://grpc.io/docs/guides/status-codes/
GRPC_OPEN = frozenset(
    {"DEADLINE_EXCEEDED", "UNAVAILABLE", "UNKNOWN", "CANCELLED", "INTERNAL", "ABORTED", "DATA_LOSS"}
)
# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
AWS_OPEN = frozenset({"RequestTimeout", "InternalError", "InternalFailure", "ServiceUnavailable"})
# https://www.postgresql.org/docs/current/errcodes-appendix.html: lost connections, an unknown
# completion, and servers that stop, crash or end a session. A code stands for all it begins.
SQLSTATES_OPEN = frozenset({"08", "40003", "57P", "HYT00"})
SQLSTATES_UNSENT = frozenset({"08001", "08004", "HYT01"})
# https://dev.mysql.com/doc/mysql-errors/8.4/en/ (0 is PyMySQL's own, for a closed connection).
MYSQL_OPEN = frozenset(
    {0, 1053, 1152, 1158, 1159, 1160, 1161, 1180, 1184, 1927, 2006, 2013, 2014, 2027, 2055, 4031}
)
MYSQL_UNSENT = frozenset({1040, 1044, 1045, 1129, 1130, 1203, *range(2001, 2006), 2012})
# https://docs.oracle.com/error-help/db/ and python-oracledb's own errors: lost connections,
# timeouts of calls, and sessions that the database ended. The others could not connect.
ORACLE_OPEN = frozenset(
    {"DPY-1001", "DPY-4011", "DPY-4024", "DPI-1010", "DPI-1067", "DPI-1080"}
    | {f"ORA-{number:05}" for number in (28, 1012, 1089, 1092, 2396, 3113, 3114, 3135, 3156)}
    | {f"ORA-{number}" for number in (12152, 12537, 12547, 12570, 12571, 25405, 25408, 25409)}
)
ORACLE_UNSENT = frozenset(
    {"DPY-4005", "DPY-6000", "DPY-6001", "DPY-6003", "DPY-6005", "ORA-01017", "ORA-28000"}
    | {f"ORA-{number}" for number in (12154, 12170, 12505, 12514, 12541, 12543, 12545)}
)
# https://curl.se/libcurl/c/libcurl-errors.html: no reply (52), or one that makes no sense or was
# not read to its end; sending (55) and receiving (56) failed; the time was over (28); a redirect
# too many (47); what the program itself ended (23, 26, 42).
CURL_OPEN = frozenset({8, 16, 18, 23, 26, 28, 42, 47, 52, 55, 56, 61, 65, 80, 81, 92, 95})
# The URL, the proxy, the name, the connection, and the handshake of TLS or QUIC.
CURL_UNSENT = frozenset({1, 2, 3, 4, 5, 6, 7, 35, 53, 54, 58, 59, 60, 66, 77, 83, 90, 91, 96, 97})
# How it words a status, and a time that was over before there was a connection.
CURL_TEXTS_OPEN = frozenset(
    f"The requested URL returned error: {status}" for status in ("408", "425", "499", "5")
)
CURL_TEXTS_UNSENT = frozenset(
    {"Connection timed out", "Connection timeout", "Resolving timed out", "Failed to connect to"}
    | {"SSL connection timeout"}
)
# A signal ended the program (128 and above as shells say it), or `timeout` did.
EXITS_OPEN = frozenset({124, *range(-64, 0), *range(129, 193)})


@dataclass(frozen=True)
class Code:
    """Where the exceptions of a package have a code of their protocol, and what it says.

    Attributes:
        package: The package; no text is any of which no other line knows the code.
        path: The attributes, keys, places and methods that lead to it.
        open: The codes that leave it open. A text counts with all that it begins.
        unsent: The codes of which it is known that nothing was sent.
        is_final: Whether any other code says that the other side has answered.
    """

    package: str
    path: str
    open: Collection[int | str]
    unsent: Collection[int | str] = ()
    is_final: bool = True


CODES: Collection[Code] = (
    *(Code(name, "response.status_code", HTTP_OPEN) for name in ("httpx", "httpx2", "requests")),
    *(Code(name, "status", HTTP_OPEN) for name in ("aiohttp", "kubernetes", "twilio", "github")),
    *(Code(name, "code", HTTP_OPEN) for name in ("urllib", "google")),
    *(Code(name, "status_code", HTTP_OPEN) for name in ("openai", "anthropic", "azure")),
    Code("stripe", "http_status", HTTP_OPEN),
    Code("xmlrpc", "errcode", HTTP_OPEN),
    Code("botocore", "response.ResponseMetadata.HTTPStatusCode", HTTP_OPEN),
    Code("botocore", "response.Error.Code", AWS_OPEN),
    Code("grpc", "code().name", GRPC_OPEN),
    Code("grpclib", "status.name", GRPC_OPEN),
    Code("google", "grpc_status_code.name", GRPC_OPEN),
    Code("psycopg", "sqlstate", SQLSTATES_OPEN, SQLSTATES_UNSENT),
    Code("psycopg2", "pgcode", SQLSTATES_OPEN, SQLSTATES_UNSENT),
    Code("asyncpg", "sqlstate", SQLSTATES_OPEN, SQLSTATES_UNSENT),
    Code("pyodbc", "args.0", SQLSTATES_OPEN, SQLSTATES_UNSENT),
    *(
        Code(name, "args.0", MYSQL_OPEN, MYSQL_UNSENT)
        for name in ("pymysql", "aiomysql", "asyncmy", "MySQLdb")
    ),
    *(Code(name, "errno", MYSQL_OPEN, MYSQL_UNSENT) for name in ("mysql", "mariadb")),
    # RFC 959 and RFC 5321: the service closes the connection.
    *(
        Code(name, "args.0.full_code", ORACLE_OPEN, ORACLE_UNSENT)
        for name in ("oracledb", "cx_Oracle")
    ),
    *(Code(name, "args.0", ORACLE_OPEN, ORACLE_UNSENT) for name in ("oracledb", "cx_Oracle")),
    Code("pycurl", "args.0", CURL_OPEN, CURL_UNSENT),
    Code("pycurl", "args.1", CURL_TEXTS_OPEN, CURL_TEXTS_UNSENT, is_final=False),
    Code("ftplib", "args.0", frozenset({"421", "426"}), is_final=False),
    Code("smtplib", "smtp_code", frozenset({421})),
    # What it raises without an answer; the words of a server are bytes.
    Code("poplib", "args.0", frozenset({"-ERR EOF", "line too long"})),
    Code("subprocess", "returncode", EXITS_OPEN),
    # RFC 5321, where a 5xx is the server's last word.
    Code("aiosmtplib", "code", frozenset({421})),
    # Clients that no line above knows. Those of OpenAPI Generator have `status`.
    *(
        Code("", path, HTTP_OPEN, is_final=False)
        for path in (
            *("response.status_code", "response.status", "status_code", "http_status", "status"),
            *("http_code", "code"),
        )
    ),
)
