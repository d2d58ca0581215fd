"""A private certificate authority for one machine: what the local stack's TLS servers present.

Not made with trustme, which puts key identifiers into every certificate: here they can be left out, see `ensure_pki`.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

LIFETIME = dt.timedelta(days=365)
RENEW_BEFORE = dt.timedelta(days=7)
SERVER_NAMES = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")
SERVER_ADDRESSES = ("127.0.0.1", "::1")


@dataclass(frozen=True)
class Pki:
    """The files of one folder; keys are readable by their owner only."""

    folder: Path

    @property
    def ca_cert(self) -> Path:
        """Certificate of the certificate authority."""
        return self.folder / "ca.crt"

    @property
    def ca_key(self) -> Path:
        """Private key of the certificate authority."""
        return self.folder / "ca.key"

    @property
    def server_cert(self) -> Path:
        """Certificate of the API server."""
        return self.folder / "server.crt"

    @property
    def server_key(self) -> Path:
        """Private key of the API server."""
        return self.folder / "server.key"

    @property
    def service_account_key(self) -> Path:
        """Private key that signs service account tokens."""
        return self.folder / "sa.key"

    @property
    def service_account_public_key(self) -> Path:
        """Public key that verifies service account tokens."""
        return self.folder / "sa.pub"


def ensure_pki(folder: Path, *, key_identifiers: bool = True) -> Pki:
    """Create what is missing or about to expire in `folder`; everything else is left as it is.

    Without `key_identifiers` the certificates are like those of EKS clusters that were created at Kubernetes 1.16 or
    before, whose upgrades keep the CA: Python 3.13 and newer refuse them (ssl.VERIFY_X509_STRICT).
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    pki = Pki(folder)
    if not (_usable(pki.ca_cert, key_identifiers=key_identifiers) and pki.ca_key.exists()):
        _create_authority(pki, key_identifiers=key_identifiers)
        pki.server_cert.unlink(missing_ok=True)
    if not (_usable(pki.server_cert, key_identifiers=key_identifiers) and pki.server_key.exists()):
        _create_server_certificate(pki, key_identifiers=key_identifiers)
    if not (pki.service_account_key.exists() and pki.service_account_public_key.exists()):
        # The API server signs service account tokens with RS256 unless told otherwise: an RSA key works everywhere.
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        _write_key(pki.service_account_key, key)
        pki.service_account_public_key.write_bytes(
            key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        )
    return pki


def _usable(path: Path, *, key_identifiers: bool) -> bool:
    if not path.exists():
        return False
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    kinds = (x509.SubjectKeyIdentifier, x509.AuthorityKeyIdentifier)
    if any(isinstance(one.value, kinds) for one in certificate.extensions) is not key_identifiers:
        return False
    return certificate.not_valid_after_utc - RENEW_BEFORE > dt.datetime.now(dt.UTC)


def _create_authority(pki: Pki, *, key_identifiers: bool) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "local stack CA")])
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        _builder(name, name, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
    )
    if key_identifiers:
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        builder = builder.add_extension(identifier, critical=False)
    certificate = builder.sign(key, hashes.SHA256())
    _write_key(pki.ca_key, key)
    pki.ca_cert.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _create_server_certificate(pki: Pki, *, key_identifiers: bool) -> None:
    authority = x509.load_pem_x509_certificate(pki.ca_cert.read_bytes())
    authority_key = serialization.load_pem_private_key(pki.ca_key.read_bytes(), password=None)
    if not isinstance(authority_key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{pki.ca_key} is not an elliptic-curve key: remove the folder to have it made anew")
    key = ec.generate_private_key(ec.SECP256R1())
    names: list[x509.GeneralName] = [x509.DNSName(name) for name in SERVER_NAMES]
    names += [x509.IPAddress(ipaddress.ip_address(address)) for address in SERVER_ADDRESSES]
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    builder = (
        _builder(subject, authority.subject, key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    )
    if key_identifiers:
        # Python 3.13 verifies strictly: a certificate without its authority's key identifier is refused.
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
        builder = builder.add_extension(identifier, critical=False)
    certificate = builder.sign(authority_key, hashes.SHA256())
    _write_key(pki.server_key, key)
    pki.server_cert.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + LIFETIME)
    )


def _write_key(path: Path, key: PrivateKeyTypes) -> None:
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
