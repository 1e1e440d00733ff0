"""Why Temporal cannot be reached, in words for people, from the real client's errors."""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from kern.client.temporal import connection
from kern.client.temporal.connection import reason
from kern.errors import Unavailable


@pytest.fixture
def rude_address() -> Iterator[str]:
    """The address of somebody who hangs up on everybody."""
    listener = socket.create_server(("127.0.0.1", 0))

    def hang_up() -> None:
        while True:
            try:
                listener.accept()[0].close()
            except OSError:
                return

    thread = threading.Thread(target=hang_up)
    thread.start()
    yield f"127.0.0.1:{listener.getsockname()[1]}"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


async def unreachable(address: str) -> str:
    with pytest.raises(Unavailable) as failed:
        await connection.connect(address)
    text = str(failed.value)
    assert "\n" not in text
    assert not re.search(r"tonic|Error|Os \{", text), text
    return text


async def test_nobody_listens() -> None:
    text = await unreachable("127.0.0.1:1")
    assert text.startswith("Temporal does not answer at '127.0.0.1:1': Connection refused. Check")


async def test_no_such_host() -> None:
    assert "failed to lookup address information" in await unreachable("nowhere.invalid:7233")


async def test_somebody_hangs_up(rude_address: str) -> None:
    assert f"at {rude_address!r}: " in await unreachable(rude_address)


async def test_no_tls_is_spoken_there(rude_address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_TLS", "true")
    monkeypatch.setenv("TEMPORAL_ADDRESS", rude_address)
    with pytest.raises(Unavailable) as failed:
        await connection.connect()
    assert "tonic" not in str(failed.value)


async def test_somebody_listens_and_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_CONNECT_SECONDS", 0.1)
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        assert "no answer in time" in await unreachable(address)


def test_the_innermost_cause_is_told() -> None:
    wrapped = (
        "Failed client connect: tonic::transport::Error(Transport, ConnectError(Custom {{ {} }}))"
    )
    certificate = "kind: InvalidData, error: InvalidCertificate(UnknownIssuer)"
    assert reason(RuntimeError(wrapped.format(certificate))) == (
        "its certificate is not accepted (UnknownIssuer)"
    )
    plain = "kind: InvalidData, error: InvalidMessage(InvalidContentType)"
    assert reason(RuntimeError(wrapped.format(plain))) == "it does not speak TLS"
    assert reason(RuntimeError("worker is shut down")) == "worker is shut down"
    assert reason(TimeoutError()) == "no answer in time"
