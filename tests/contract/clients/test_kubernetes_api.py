"""The Kubernetes API as the adapters meet it: errors, pages, conflicts, watches."""

from __future__ import annotations

import base64
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ssl import PROTOCOL_TLS_SERVER, SSLContext
from typing import Any

import pytest

from ip_remediator.clients.kubernetes.api import (
    Conflict,
    KubeApi,
    KubernetesDenied,
    KubernetesUnreachable,
    WatchExpired,
)
from ip_remediator.common.errors import NotFound, RequestRefused
from local.pki import Pki, ensure_pki
from tests.contract.conftest import unique
from tests.contract.support.clusters import READER, STRANGER, Kubernetes
from tests.support.patience import within

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"


@pytest.fixture
def api(kubernetes: Kubernetes) -> KubeApi:
    return kubernetes.admin


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


# --- Errors


def test_given_no_such_object_then_finding_it_gives_nothing_and_getting_it_fails(api: KubeApi) -> None:
    assert api.find(f"{CONFIG_MAPS}/nobody") is None
    with pytest.raises(NotFound, match='configmaps "nobody" not found'):
        api.get(f"{CONFIG_MAPS}/nobody")


def test_given_an_unknown_api_group_then_its_plain_text_404_is_not_found_too(api: KubeApi) -> None:
    assert api.find("/apis/nobody.example.com/v1/things") is None
    with pytest.raises(NotFound, match="404 page not found"):
        api.get("/apis/nobody.example.com/v1/things")


def test_given_no_rbac_rule_then_the_refusal_has_the_servers_words(kubernetes: Kubernetes) -> None:
    with pytest.raises(KubernetesDenied, match=r'403: .*User "stranger" cannot list resource "nodes"'):
        list(kubernetes.api(STRANGER).items("/api/v1/nodes"))


def test_given_a_reader_then_it_may_read_nodes_and_write_nothing(kubernetes: Kubernetes) -> None:
    reader = kubernetes.api(READER)
    list(reader.items("/api/v1/nodes"))
    with pytest.raises(KubernetesDenied):
        reader.create(CONFIG_MAPS, config_map("forbidden"))


def test_given_an_unknown_token_then_it_is_denied(kubernetes: Kubernetes) -> None:
    with pytest.raises(KubernetesDenied, match="401"):
        kubernetes.api("made-up").get("/api/v1/nodes")


def test_given_a_server_of_another_authority_then_it_is_unreachable(kubernetes: Kubernetes, pki: Pki) -> None:
    with pytest.raises(KubernetesUnreachable, match="its certificate is not trusted"):
        KubeApi(kubernetes.url, ca_data(pki), "token").get("/version")


def test_given_an_object_that_the_server_finds_invalid_then_it_is_refused_with_its_words(api: KubeApi) -> None:
    with pytest.raises(RequestRefused, match="Invalid_Name"):
        api.create(CONFIG_MAPS, config_map("Invalid_Name"))


# --- Lists and writes


def test_given_more_objects_than_a_page_then_all_are_listed_once(api: KubeApi) -> None:
    label = unique("page")

    def create(index: int) -> None:
        metadata = {"name": f"{label}-{index:03}", "labels": {"set": label}}
        api.create(CONFIG_MAPS, {**config_map(""), "metadata": metadata})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(create, range(501)))
    result = [item["metadata"]["name"] for item in api.items(CONFIG_MAPS, labelSelector=f"set={label}")]
    assert result == [f"{label}-{index:03}" for index in range(501)]


def test_given_an_object_that_is_there_then_creating_it_conflicts(api: KubeApi) -> None:
    name = unique("map")
    api.create(CONFIG_MAPS, config_map(name))
    with pytest.raises(Conflict, match="already exists"):
        api.create(CONFIG_MAPS, config_map(name))


def test_given_a_field_of_another_manager_then_applying_it_names_the_owner_unless_forced(
    kubernetes: Kubernetes,
) -> None:
    api, path = kubernetes.admin, f"{CONFIG_MAPS}/{unique('map')}"
    name = path.rpartition("/")[2]
    kubernetes.apply_as("argocd-controller", path, config_map(name, colour="red"))
    with pytest.raises(Conflict) as caught:
        api.apply(path, config_map(name, colour="blue"))
    assert caught.value.owners == ("argocd-controller",)
    assert api.apply(path, config_map(name, colour="blue"), force=True)["data"] == {"colour": "blue"}


def test_given_an_object_that_changed_then_replacing_its_old_version_conflicts(api: KubeApi) -> None:
    name = unique("map")
    old = api.create(CONFIG_MAPS, config_map(name, colour="red"))
    api.patch(f"{CONFIG_MAPS}/{name}", {"data": {"colour": "green"}})
    with pytest.raises(Conflict):
        api.replace(f"{CONFIG_MAPS}/{name}", {**old, "data": {"colour": "blue"}})


def test_given_an_object_then_deleting_it_twice_is_fine(api: KubeApi) -> None:
    name = unique("map")
    api.create(CONFIG_MAPS, config_map(name))
    api.delete(f"{CONFIG_MAPS}/{name}")
    api.delete(f"{CONFIG_MAPS}/{name}")
    assert api.find(f"{CONFIG_MAPS}/{name}") is None


# --- Watches


def test_given_changes_then_a_watch_tells_them_in_order(api: KubeApi) -> None:
    name = unique("map")
    version = api.get(CONFIG_MAPS)["metadata"]["resourceVersion"]
    api.create(CONFIG_MAPS, config_map(name))
    api.patch(f"{CONFIG_MAPS}/{name}", {"data": {"colour": "red"}})
    api.delete(f"{CONFIG_MAPS}/{name}")
    events = []
    for event in api.watch(CONFIG_MAPS, 10, resourceVersion=version, fieldSelector=f"metadata.name={name}"):
        if event["type"] != "BOOKMARK":
            events.append(event["type"])
        if event["type"] == "DELETED":
            break
    assert events == ["ADDED", "MODIFIED", "DELETED"]


def test_given_nothing_happens_then_a_watch_ends_in_time(api: KubeApi) -> None:
    version = api.get(CONFIG_MAPS)["metadata"]["resourceVersion"]
    began = time.monotonic()
    selector = {"fieldSelector": "metadata.name=nobody", "resourceVersion": version}
    assert [event for event in api.watch(CONFIG_MAPS, 1, **selector) if event["type"] != "BOOKMARK"] == []
    assert time.monotonic() - began < within(5)


# --- Servers that do not answer, or answer oddly


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return ensure_pki(tmp_path_factory.mktemp("pki"))


def ca_data(pki: Pki) -> str:
    return base64.b64encode(pki.ca_cert.read_bytes()).decode()


@contextmanager
def odd_server(pki: Pki, status: int, body: bytes, content_type: str) -> Iterator[KubeApi]:
    """A TLS server of the cluster's authority that answers everything the same."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    context = SSLContext(PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki.server_cert, pki.server_key)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield KubeApi(f"https://127.0.0.1:{server.server_port}", ca_data(pki), "token")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_given_an_overloaded_server_then_it_counts_as_unreachable(pki: Pki) -> None:
    for status in (429, 500, 503):
        expected = pytest.raises(KubernetesUnreachable, match=f"{status}: busy")
        with odd_server(pki, status, b"busy", "text/plain") as api, expected:
            api.get("/version")


def test_given_an_answer_that_is_no_json_then_it_counts_as_unreachable(pki: Pki) -> None:
    expected = pytest.raises(KubernetesUnreachable, match="not JSON")
    with odd_server(pki, 200, b"<html>a proxy</html>", "text/html") as api, expected:
        api.get("/version")


def test_given_a_version_that_is_too_old_then_the_watch_says_so_however_the_server_puts_it(pki: Pki) -> None:
    gone = b'{"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}'
    with odd_server(pki, 410, gone, "application/json") as api:
        with pytest.raises(WatchExpired, match="too old resource version"):
            list(api.watch("/api/v1/pods", 1, resourceVersion="1"))
        with pytest.raises(KubernetesUnreachable):
            api.get("/api/v1/pods")
    event = b'{"type": "ERROR", "object": ' + gone + b"}\n"
    expected = pytest.raises(WatchExpired, match="too old resource version")
    with odd_server(pki, 200, event, "application/json") as api, expected:
        list(api.watch("/api/v1/pods", 1, resourceVersion="1"))


def test_given_a_server_that_never_answers_then_it_is_unreachable_within_seconds(pki: Pki) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        with pytest.raises(KubernetesUnreachable, match="no answer from https:"):
            KubeApi(f"https://127.0.0.1:{silent.getsockname()[1]}", ca_data(pki), "token").get("/version")
        assert time.monotonic() - began < within(10)


def test_given_a_port_that_nobody_listens_on_then_it_is_unreachable_at_once(pki: Pki) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closing:
        port = closing.getsockname()[1]
    with pytest.raises(KubernetesUnreachable):
        KubeApi(f"https://127.0.0.1:{port}", ca_data(pki), "token").get("/version")
