"""Webhooks over TLS: the connection leads to the address that was checked, and proves the name."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from kern.client.outbound import webhooks
from kern.contracts.subscriptions import Delivery, DeliveryStatus
from kern.process.settings import Settings
from tests.support.http_receiver import Receiver
from tests.support.outbound import Outside
from tests.support.stored_runs import opened


def tls_of(name: str, folder: Path) -> ssl.SSLContext:
    """Return what a server of this name has, with a certificate that it signed itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / "key.pem").write_bytes(private)
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    return context


async def delivered(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, *, is_trusted: bool = True
) -> tuple[Receiver, Delivery]:
    """Send to `localhost`, where a server has a certificate for `name`."""
    tls = tls_of(name, folder)
    if is_trusted:
        trusting = ssl.create_default_context(cafile=str(folder / "certificate.pem"))
        monkeypatch.setattr(webhooks, "_ssl_context", lambda: trusting)
    with opened("sqlite", folder) as stored, Receiver(tls) as receiver:
        outside = Outside(stored, Settings(home=folder, outbound_allow="127.0.0.0/8"))
        port = receiver.address.rpartition(":")[2]
        new = await outside.add_webhook(f"https://localhost:{port}/hook?a=b")
        stored.gated()
        await outside.deliver()
        (delivery,) = await outside.deliveries(new.webhook)
        assert all(item.is_signed_with(new.secret) for item in receiver.received)
        return receiver, delivery


async def test_a_server_is_asked_by_its_name_at_the_address_that_was_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver, delivery = await delivered(tmp_path, monkeypatch, "localhost")
    assert (delivery.status, delivery.answer) == (DeliveryStatus.delivered, "")
    (received,) = receiver.received
    assert received.path == "/hook?a=b"
    assert received.headers["Host"] == f"localhost:{receiver.address.rpartition(':')[2]}"


@pytest.mark.parametrize(
    ("name", "is_trusted"), [("elsewhere.example", True), ("localhost", False)]
)
async def test_a_server_that_does_not_prove_its_name_gets_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, *, is_trusted: bool
) -> None:
    receiver, delivery = await delivered(tmp_path, monkeypatch, name, is_trusted=is_trusted)
    assert receiver.received == []
    assert delivery.status is DeliveryStatus.pending
    assert "certificate verify failed" in (delivery.answer or "")
