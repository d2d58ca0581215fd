"""The API server's certificate is verified, also where its CA is as old as Kubernetes 1.16."""

from __future__ import annotations

import base64
import datetime as dt
import ipaddress
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import urllib3.connection
import urllib3.util.ssl_
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ip_remediator.clients.kubernetes.api import KubeApi, KubernetesUnreachable


def certificate(
    name: str, issuer: str, key: ec.EllipticCurvePrivateKey, signer: ec.EllipticCurvePrivateKey, *, ca: bool
) -> bytes:
    """PEM, without key identifiers."""
    now = dt.datetime.now(dt.UTC)
    names = {"subject": name, "issuer": issuer}
    subject, issued = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)]) for text in names.values())
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder(issued, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(signer, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Nobody reads it."""


@pytest.fixture
def old_server(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The URL and the CA, base64 of PEM, of a server whose certificates have no key identifiers."""
    authority, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca = certificate("kubernetes", "kubernetes", authority, authority, ca=True)
    (tmp_path / "server.pem").write_bytes(certificate("server", "kubernetes", key, authority, ca=False))
    (tmp_path / "server.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.05), daemon=True)
    thread.start()
    yield f"https://127.0.0.1:{server.server_port}", base64.b64encode(ca).decode()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    """urllib3's contexts as Python 3.13 has them, whatever Python runs the tests."""
    make = urllib3.util.ssl_.create_urllib3_context

    def strictly(*args: Any, **keywords: Any) -> ssl.SSLContext:
        context = make(*args, **keywords)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    for module in ("urllib3.connection", "ip_remediator.clients.kubernetes.api"):
        monkeypatch.setattr(f"{module}.create_urllib3_context", strictly)


def test_given_a_ca_without_key_identifiers_then_the_cluster_is_reached(old_server: tuple[str, str]) -> None:
    url, ca = old_server
    assert KubeApi(url, ca, "token").get("/version") == {}


def test_given_another_ca_then_the_server_is_not_trusted(old_server: tuple[str, str]) -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    ca = base64.b64encode(certificate("kubernetes", "kubernetes", other, other, ca=True)).decode()
    with pytest.raises(KubernetesUnreachable, match="its certificate is not trusted"):
        KubeApi(old_server[0], ca, "token").get("/version")


def test_given_another_name_then_the_server_is_not_trusted(old_server: tuple[str, str]) -> None:
    url, ca = old_server
    with pytest.raises(KubernetesUnreachable, match="its certificate is not trusted"):
        KubeApi(url.replace("127.0.0.1", "localhost"), ca, "token").get("/version")
