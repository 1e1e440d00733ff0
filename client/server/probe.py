"""Asks a Temporal development server over its HTTP interface whether it serves.

Plain, blocking HTTP on purpose: it needs no event loop, no Temporal client and none of the client's
threads, so any thread may ask, and a short process can end cleanly.
"""

import http.client
import json
import subprocess
import sys
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from kern.client.server.process import open_files

_NAMESPACE = "/api/v1/namespaces/default"
_DEFAULT_RETENTION = "86400s"
_RETENTION = f"{90 * 86400}s"


class _Config(BaseModel):
    retention: str = Field(alias="workflowExecutionRetentionTtl")


class _Namespace(BaseModel):
    config: _Config


def answers(http_port: int, *, timeout: float) -> bool:
    """Return whether the server answers with its `default` namespace."""
    return _retention(http_port, timeout) is not None


def keep_closed_runs(http_port: int, *, timeout: float) -> bool:
    """Raise the retention from the server's default of 24 hours to 90 days; leave any other value.

    Returns:
        Whether the server answered.
    """
    retention = _retention(http_port, timeout)
    if retention != _DEFAULT_RETENTION:
        return retention is not None
    change = {"config": {"workflowExecutionRetentionTtl": _RETENTION}}
    return _request(http_port, timeout, f"{_NAMESPACE}/update", json.dumps(change)) is not None


def listens(pid: int, port: int) -> bool:
    """Return whether it is this process that listens on the port.

    An answer proves nothing by itself: between choosing a port and using it, the server of another
    folder may have taken it. Where the system cannot say who listens, this returns True.
    """
    if sys.platform != "linux":
        return _listens_by_lsof(pid, port)
    try:
        table = Path(f"/proc/{pid}/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return True
    sockets = open_files(pid)
    rows = [line.split() for line in table]
    listening = [row for row in rows if row[3] == "0A" and row[1].endswith(f":{port:04X}")]
    return any(f"socket:[{row[9]}]" in sockets for row in listening)


def _listens_by_lsof(pid: int, port: int) -> bool:
    command = ["lsof", "-nP", "-a", "-p", str(pid), f"-iTCP:{port}", "-sTCP:LISTEN", "-t"]
    try:
        done = subprocess.run(command, capture_output=True, check=False)  # noqa: S603  numbers only
    except FileNotFoundError:
        return True
    return bool(done.stdout)


def _retention(http_port: int, timeout: float) -> str | None:
    body = _request(http_port, timeout, _NAMESPACE)
    if body is None:
        return None
    try:
        return _Namespace.model_validate_json(body).config.retention
    except ValidationError:
        return None


def _request(port: int, timeout: float, path: str, body: str | None = None) -> bytes | None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        headers = {"Content-Type": "application/json"}
        connection.request("GET" if body is None else "POST", path, body, headers)
        response = connection.getresponse()
        text = response.read()
    except (OSError, http.client.HTTPException):
        return None
    else:
        return text if response.status == http.client.OK else None
    finally:
        connection.close()
