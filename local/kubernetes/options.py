"""The command line of both API servers, the embedded and the real one, and the files it names."""

from __future__ import annotations

import argparse
import base64
import csv
import os
import re
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from local.pki import ensure_pki

if TYPE_CHECKING:
    from collections.abc import Sequence

    from local.pki import Pki

LOOPBACK = "127.0.0.1"
ADMIN_GROUP = "system:masters"
AUTHENTICATED = "system:authenticated"
DEFAULT_VERSION = "v1.33.0"
# How long an answer of the token webhook is cached. The real server's default is two minutes, but on a laptop a new
# access entry should work at once.
WEBHOOK_CACHE_SECONDS = 5


class UsageError(Exception):
    """A mistake in the command line or its files; the message names the remedy."""


@dataclass(frozen=True)
class User:
    """Who makes a request, as authentication and impersonation say."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()


# The user of the controllers that run beside the API server.
CONTROLLER_MANAGER = User("system:kube-controller-manager", groups=(ADMIN_GROUP,))


@dataclass(frozen=True)
class Options:
    """The settings of one API server."""

    port: int
    pki: Pki
    token_file: Path
    token_webhook: str | None
    kubeconfig: Path | None
    version: str
    assets: Path | None  # folder with the real kube-apiserver and etcd
    state: Path | None = None  # the embedded server's etcd

    @property
    def url(self) -> str:
        """The base URL of the server."""
        return f"https://{LOOPBACK}:{self.port}"


def parse(argv: Sequence[str] | None = None) -> Options:
    """Read the command line; KUBEBUILDER_ASSETS (the envtest convention) picks the real API server."""
    parser = argparse.ArgumentParser(
        prog="python -m local.kubernetes",
        description="A Kubernetes API server on the loopback interface: the embedded one, or with "
        "KUBEBUILDER_ASSETS set (a folder with etcd and kube-apiserver) the real one.",
    )
    parser.add_argument("--port", type=int, default=6443)
    parser.add_argument("--pki", type=Path, required=True, metavar="DIR", help="CA and keys, made if missing")
    parser.add_argument(
        "--no-key-identifiers",
        dest="key_identifiers",
        action="store_false",
        help="certificates without key identifiers, as in clusters from before Kubernetes 1.17",
    )
    parser.add_argument("--token-file", type=Path, required=True, metavar="FILE", help="CSV: token,user,uid,groups")
    parser.add_argument("--token-webhook", metavar="URL", help="answers authentication.k8s.io/v1 TokenReviews")
    parser.add_argument("--kubeconfig", type=Path, metavar="OUT", help="admin kubeconfig, written once serving")
    parser.add_argument(
        "--state",
        type=Path,
        metavar="FILE",
        help="where the embedded server keeps its objects: started again with the same file, also after kill -9, it "
        "goes on with them (default: they end with it)",
    )
    parser.add_argument("--version", default=DEFAULT_VERSION, help="what the embedded server says it is")
    given = parser.parse_args(argv)
    if not re.fullmatch(r"v1\.\d+\.\d+(-[\w.+-]+)?", given.version):
        raise UsageError(f"--version {given.version!r} is not a Kubernetes version such as {DEFAULT_VERSION}")
    ensure_token_file(given.token_file)
    if given.kubeconfig is not None:
        admin_token(given.token_file)
    return Options(
        port=given.port,
        pki=ensure_pki(given.pki, key_identifiers=given.key_identifiers),
        token_file=given.token_file,
        token_webhook=given.token_webhook,
        kubeconfig=given.kubeconfig,
        version=given.version,
        assets=_assets(os.environ.get("KUBEBUILDER_ASSETS")),
        state=given.state,
    )


def _assets(folder: str | None) -> Path | None:
    if not folder:
        return None
    missing = [name for name in ("etcd", "kube-apiserver") if not os.access(Path(folder) / name, os.X_OK)]
    if missing:
        raise UsageError(
            f"KUBEBUILDER_ASSETS={folder} has no executable {' and no '.join(missing)}: "
            "point it at what `setup-envtest use -p path` prints, or unset it for the embedded server"
        )
    return Path(folder).resolve()


def ensure_token_file(path: Path) -> None:
    """Create the file with one random administrator's token unless it is there."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(f'{secrets.token_urlsafe(24)},admin,admin,"{ADMIN_GROUP}"\n')


def read_token_file(path: Path) -> dict[str, User]:
    """Users by token, from the CSV format of kube-apiserver's --token-auth-file."""
    users: dict[str, User] = {}
    with path.open(newline="") as lines:
        for number, row in enumerate(csv.reader(lines), start=1):
            if not row:
                continue
            if len(row) < 3 or not row[0] or not row[1]:
                raise UsageError(f'{path}:{number}: expected token,user,uid[,"group1,group2"]')
            groups = tuple(group.strip() for group in row[3].split(",")) if len(row) > 3 and row[3] else ()
            users[row[0]] = User(row[1], row[2], groups)
    return users


def extend_token_file(path: Path, copy: Path) -> str:
    """Write a copy of a token file with a token for the controllers, and return that token."""
    token, user = secrets.token_urlsafe(24), CONTROLLER_MANAGER
    copy.touch(mode=0o600)
    copy.write_text(f'{path.read_text().rstrip()}\n{token},{user.name},{user.name},"{",".join(user.groups)}"\n')
    return token


def admin_token(path: Path) -> str:
    """The first token of an administrator in the token file. Raises UsageError if there is none."""
    for token, user in read_token_file(path).items():
        if ADMIN_GROUP in user.groups:
            return token
    raise UsageError(f"{path} has no token in the group {ADMIN_GROUP}: the admin kubeconfig needs one")


def write_kubeconfig(options: Options) -> None:
    """Write the administrator's kubeconfig, if asked for. It appears complete or not at all."""
    if options.kubeconfig is None:
        return
    name = "local"
    authority = _base64(options.pki.ca_cert)
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": options.url, "certificate-authority-data": authority}}],
        "users": [{"name": "admin", "user": {"token": admin_token(options.token_file)}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": "admin"}}],
        "current-context": name,
    }
    options.kubeconfig.parent.mkdir(parents=True, exist_ok=True)
    partial = options.kubeconfig.with_name(f".{options.kubeconfig.name}.{os.getpid()}")
    partial.touch(mode=0o600)
    partial.write_text(yaml.safe_dump(document, sort_keys=False))
    partial.replace(options.kubeconfig)


def write_webhook_config(url: str, path: Path) -> None:
    """The kubeconfig-style file of --authentication-token-webhook-config-file."""
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "webhook", "cluster": {"server": url}}],
        "users": [{"name": "apiserver", "user": {}}],
        "contexts": [{"name": "webhook", "context": {"cluster": "webhook", "user": "apiserver"}}],
        "current-context": "webhook",
    }
    path.write_text(yaml.safe_dump(document, sort_keys=False))


def require_free_port(port: int) -> None:
    """Raises UsageError if a server cannot listen on the port."""
    with socket.socket() as probe:
        # As the servers do it: a port in TIME_WAIT is free, one with a listener is not.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            raise UsageError(
                f"port {port} on {LOOPBACK} cannot be used ({error.strerror}): choose another with --port"
            ) from error


def free_port() -> int:
    """A port on the loopback interface that is free now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
