"""The command line: start, kubeconfig, tokens, stop."""

from __future__ import annotations

import os
import re
import signal
import socket
import ssl
import stat
import subprocess
import sys

import pytest
import yaml
from kubernetes import client, config

from local.pki import ensure_pki
from tests.stack.kubernetes.conftest import SERVERS
from tests.stack.kubernetes.support import environment, eventually, free_port, running
from tests.support.patience import within


def command(folder, port):
    options = [f"--port={port}", f"--pki={folder / 'pki'}", f"--token-file={folder / 'tokens.csv'}"]
    return [sys.executable, "-m", "local.kubernetes", *options, f"--kubeconfig={folder / 'kubeconfig'}"]


def children_of(pid):
    listed = subprocess.run(["ps", "-eo", "pid,ppid"], capture_output=True, text=True, check=True).stdout
    pairs = [line.split() for line in listed.splitlines()[1:]]
    return [int(child) for child, parent in pairs if int(parent) == pid]


def alive(pid):
    listed = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return bool(listed.stdout) and not listed.stdout.startswith("Z")


@pytest.mark.parametrize("kind", SERVERS)
def test_a_server_makes_what_it_needs_and_leaves_nothing_running(kind, tmp_path):
    port = free_port()
    kubeconfig = tmp_path / "kubeconfig"
    with running(command(tmp_path, port), environment(kind), tmp_path / "log") as process:
        eventually(kubeconfig.exists, 90)

        with config.new_client_from_config(str(kubeconfig)) as api:
            names = {item.metadata.name for item in client.CoreV1Api(api).list_namespace().items}
        children = children_of(process.pid)
        process.send_signal(signal.SIGTERM)
        assert process.wait(within(20)) == 0

    assert {"default", "kube-system"} <= names
    assert len(children) == (2 if kind == "real" else 0)
    assert not any(alive(child) for child in children)
    assert yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"]["server"] == f"https://127.0.0.1:{port}"
    for secret in (kubeconfig, tmp_path / "tokens.csv", *tmp_path.glob("pki/*.key")):
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600, secret


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
@pytest.mark.parametrize("kind", SERVERS)
def test_nothing_outlives_a_killed_server(kind, tmp_path):
    env = {**environment(kind), "TMPDIR": str(tmp_path)}  # nobody is left to remove the data
    with running(command(tmp_path, free_port()), env, tmp_path / "log") as process:
        eventually((tmp_path / "kubeconfig").exists, 90)
        children = children_of(process.pid)

        process.kill()
        process.wait()

    eventually(lambda: not any(alive(child) for child in children))


@pytest.mark.parametrize("kind", SERVERS)
def test_a_taken_port_is_named_with_its_remedy(kind, tmp_path):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]

        done = subprocess.run(
            command(tmp_path, port),
            env=environment(kind),
            capture_output=True,
            text=True,
            timeout=within(30),
            check=False,
        )

    assert done.returncode == 2
    assert re.fullmatch(rf"error: port {port} on 127.0.0.1 cannot be used .*--port\n", done.stderr)


def test_assets_without_binaries_are_named_with_their_remedy(tmp_path):
    env = {**os.environ, "KUBEBUILDER_ASSETS": str(tmp_path)}

    done = subprocess.run(
        command(tmp_path, free_port()), env=env, capture_output=True, text=True, timeout=within(30), check=False
    )

    assert done.returncode == 2
    assert "has no executable etcd and no kube-apiserver" in done.stderr
    assert "setup-envtest" in done.stderr


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("secret\n", "expected token,user,uid"),
        ('secret,bob,1,"users"\n', "has no token in the group system:masters"),
    ],
)
def test_a_token_file_that_cannot_serve_is_refused(tmp_path, content, complaint):
    (tmp_path / "tokens.csv").write_text(content)

    done = subprocess.run(
        command(tmp_path, free_port()),
        env=environment("embedded"),
        capture_output=True,
        text=True,
        timeout=within(30),
        check=False,
    )

    assert (done.returncode, complaint in done.stderr) == (2, True), done.stderr
    assert "Traceback" not in done.stderr


def test_a_pki_is_made_once_and_kept(tmp_path):
    first = {path.name: path.read_bytes() for path in ensure_pki(tmp_path).folder.iterdir()}
    second = {path.name: path.read_bytes() for path in ensure_pki(tmp_path).folder.iterdir()}

    assert set(first) == {"ca.crt", "ca.key", "server.crt", "server.key", "sa.key", "sa.pub"}
    assert first == second


def test_a_lost_server_key_is_made_anew_under_the_same_authority(tmp_path):
    pki = ensure_pki(tmp_path)
    authority = pki.ca_cert.read_bytes()
    pki.server_key.unlink()

    ensure_pki(tmp_path)

    assert pki.server_key.exists()
    assert pki.ca_cert.read_bytes() == authority


@pytest.mark.parametrize("key_identifiers", [True, False])
def test_strict_clients_accept_the_servers_certificate_only_with_key_identifiers(tmp_path, key_identifiers):
    ensure_pki(tmp_path, key_identifiers=not key_identifiers)
    pki = ensure_pki(tmp_path, key_identifiers=key_identifiers)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pki.server_cert, pki.server_key)
    relaxed = ssl.create_default_context(cafile=str(pki.ca_cert))
    relaxed.verify_flags &= ~ssl.VERIFY_X509_STRICT
    # Python 3.13 and newer set this flag by default.
    strict = ssl.create_default_context(cafile=str(pki.ca_cert))
    strict.verify_flags |= ssl.VERIFY_X509_STRICT

    assert handshake(server, relaxed) == ""
    assert ("Missing" in handshake(server, strict)) is not key_identifiers


def handshake(server: ssl.SSLContext, client: ssl.SSLContext) -> str:
    """What the client finds wrong with the server's certificate, in memory."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname="localhost")
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(10):
        for side in (ours, theirs):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError as error:
                return error.verify_message
    return ""
