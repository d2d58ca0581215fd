"""The server is killed and started again: what it answered is there, as with a real server and its etcd."""

from __future__ import annotations

import itertools
import json
import random
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import requests
from kubernetes import client

from local.stack.processes import Server
from tests.stack.kubernetes.support import (
    ADMIN,
    ENICONFIG_CRD,
    GROUP,
    READER,
    VERSION,
    Cluster,
    Webhook,
    eniconfig,
    eventually,
    free_port,
    pod,
    refused,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

KILLS = 5
CRD = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{ENICONFIG_CRD['metadata']['name']}"
ENICONFIGS = f"/apis/{GROUP}/{VERSION}/eniconfigs"
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"


class Killable(Cluster):
    """An embedded API server of the test's own, whose objects outlive it."""

    def start(self) -> None:
        tokens = self.folder / "tokens.csv"
        tokens.write_text(f'{ADMIN},admin,1,"system:masters"\n{READER},reader,2,"readers"\n')
        arguments = [f"--port={self.url.rpartition(':')[2]}", f"--pki={self.folder / 'pki'}", f"--token-file={tokens}"]
        arguments += [f"--kubeconfig={self.kubeconfig}", f"--state={self.folder / 'state' / 'objects.sqlite'}"]
        self.server = Server("local.kubernetes", arguments, self.folder / "log")
        self.server.await_ready(lambda: self.kubeconfig.exists() and self.serves())

    def serves(self) -> bool:
        try:
            return bool(self.request("GET", "/readyz").ok)
        except requests.ConnectionError:
            return False

    def kill(self) -> None:
        self.server.kill()
        self.server.start_again()

    def read(self, path: str) -> Any:
        answer = self.request("GET", path)
        assert answer.ok, answer.text
        return answer.json()

    def write(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        answer = self.request(method, path, body, **headers)
        assert answer.ok, answer.text
        return answer.json()


@pytest.fixture
def killable(tmp_path: Path) -> Iterator[Killable]:
    webhook = Webhook()
    cluster = Killable("embedded", f"https://127.0.0.1:{free_port()}", tmp_path, webhook)
    cluster.start()
    yield cluster
    cluster.server.stop()
    webhook.close()


class Writer:
    """Writes one ConfigMap after the other until the server is gone. `acknowledged` is what was answered, `cut` the
    write without an answer: the content by name, None for an object that was deleted."""

    def __init__(self, cluster: Cluster, prefix: str) -> None:
        self.acknowledged: dict[str, str | None] = {}
        self.cut: tuple[str, str | None] | None = None
        self.versions = [0]
        self._cluster = cluster
        self._prefix = prefix
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        for number in itertools.count():
            name = f"{self._prefix}-{number // 3}"
            content = f"{number}-{'x' * 2000}"
            body = {"metadata": {"name": name}, "data": {"content": content}}
            method, path = [("POST", CONFIG_MAPS), ("PATCH", f"{CONFIG_MAPS}/{name}"), ("DELETE", "")][number % 3]
            if method == "DELETE" and number % 2:
                continue
            after = None if method == "DELETE" else content
            try:
                answer = self._cluster.request(
                    method,
                    path or f"{CONFIG_MAPS}/{name}",
                    None if after is None else body,
                    content_type="application/merge-patch+json" if method == "PATCH" else "application/json",
                )
            except requests.RequestException:
                self.cut = (name, after)
                return
            assert answer.ok, answer.text
            self.acknowledged[name] = after
            self.versions.append(int(answer.json()["metadata"].get("resourceVersion", 0)))

    def allowed(self, name: str) -> list[str | None]:
        """What the object may be now."""
        contents = [self.acknowledged.get(name)]
        return [*contents, self.cut[1]] if self.cut and self.cut[0] == name else contents


def test_given_writers_when_the_server_is_killed_at_any_moment_then_no_answered_write_is_lost_and_none_is_there_in_part(
    killable: Killable,
) -> None:
    latest = 0
    for number in range(KILLS):
        writers = [Writer(killable, f"round-{number}-{letter}") for letter in "ab"]
        time.sleep(random.uniform(0.05, 0.5))
        killable.server.kill()
        for writer in writers:
            writer.thread.join()
        killable.server.start_again()

        listed = killable.read(CONFIG_MAPS)
        stored = {item["metadata"]["name"]: item.get("data", {}).get("content") for item in listed["items"]}
        for writer in writers:
            for name in {*writer.acknowledged, *(writer.cut or ("",))[:1]} - {""}:
                assert stored.get(name) in writer.allowed(name), name
        # Nobody gets a version a second time.
        latest = max(latest, *(version for writer in writers for version in writer.versions))
        assert int(listed["metadata"]["resourceVersion"]) >= latest
        made = killable.write("POST", CONFIG_MAPS, {"metadata": {"name": f"after-{number}"}})
        assert int(made["metadata"]["resourceVersion"]) > latest


def test_given_objects_of_every_origin_when_the_server_is_killed_then_they_are_as_before(killable: Killable) -> None:
    killable.write("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", ENICONFIG_CRD)
    eventually(lambda: killable.request("GET", ENICONFIGS).ok)
    killable.write("POST", ENICONFIGS, eniconfig("zone-a", subnet="subnet-1"))
    killable.write("POST", "/api/v1/namespaces/default/pods", pod("web"))
    lists = ("/api/v1/namespaces", "/api/v1/services", "/api/v1/pods", ENICONFIGS, "/api/v1/serviceaccounts")
    roles = "/apis/rbac.authorization.k8s.io/v1"
    eventually(lambda: len(killable.read("/api/v1/serviceaccounts")["items"]) == 4)
    before = [killable.read(path) for path in (*lists, f"{roles}/clusterroles", f"{roles}/clusterrolebindings")]

    killable.kill()

    after = [killable.read(path) for path in (*lists, f"{roles}/clusterroles", f"{roles}/clusterrolebindings")]
    assert [document["items"] for document in after] == [document["items"] for document in before]
    assert killable.kubectl("get", "eniconfigs", "--output=name") == f"eniconfig.{GROUP}/zone-a\n"


def test_given_permissions_and_a_token_when_the_server_is_killed_then_they_go_on(killable: Killable) -> None:
    roles = "/apis/rbac.authorization.k8s.io/v1"
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]
    killable.write("POST", f"{roles}/clusterroles", {"metadata": {"name": "pods"}, "rules": rules})
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "pods"}
    subjects = [{"kind": "Group", "name": "readers"}]
    binding = {"metadata": {"name": "pods"}, "roleRef": reference, "subjects": subjects}
    killable.write("POST", f"{roles}/clusterrolebindings", binding)
    accounts = "/api/v1/namespaces/default/serviceaccounts"
    eventually(lambda: killable.request("GET", f"{accounts}/default").ok)
    token = killable.write("POST", f"{accounts}/default/token", {})["status"]["token"]

    killable.kill()

    assert killable.request("GET", "/api/v1/pods", token=READER).status_code == 200
    assert killable.request("GET", "/api/v1/nodes", token=READER).status_code == 403
    # A token that is no more is a 401; this account only has no permission.
    assert killable.request("GET", "/api/v1/pods", token=token).status_code == 403


def test_given_a_watch_when_the_server_is_killed_then_one_from_before_gets_410_and_one_from_a_new_list_goes_on(
    killable: Killable,
) -> None:
    before = killable.read(CONFIG_MAPS)["metadata"]["resourceVersion"]
    killable.write("POST", CONFIG_MAPS, {"metadata": {"name": "meanwhile"}})

    killable.kill()

    lines = killable.request("GET", f"{CONFIG_MAPS}?watch=true&timeoutSeconds=1&resourceVersion={before}").text
    assert json.loads(lines)["object"]["code"] == 410
    now = killable.read(CONFIG_MAPS)["metadata"]["resourceVersion"]
    killable.write("POST", CONFIG_MAPS, {"metadata": {"name": "afterwards"}})
    lines = killable.request("GET", f"{CONFIG_MAPS}?watch=true&timeoutSeconds=1&resourceVersion={now}").text
    assert [json.loads(line)["object"]["metadata"]["name"] for line in lines.splitlines()] == ["afterwards"]


def test_given_definitions_in_the_making_and_in_deletion_when_the_server_is_killed_then_it_finishes_both(
    killable: Killable,
) -> None:
    killable.write("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", ENICONFIG_CRD)
    killable.kill()
    eventually(lambda: killable.request("GET", ENICONFIGS).ok)

    waiting = eniconfig("zone-a", subnet="subnet-1")
    waiting["metadata"]["finalizers"] = ["example.com/hold"]
    killable.write("POST", ENICONFIGS, waiting)
    killable.write("DELETE", CRD)
    killable.kill()
    assert killable.read(f"{ENICONFIGS}/zone-a")["metadata"]["deletionTimestamp"]
    release = {"metadata": {"finalizers": None}}
    killable.write("PATCH", f"{ENICONFIGS}/zone-a", release, content_type="application/merge-patch+json")

    eventually(lambda: killable.request("GET", CRD).status_code == 404)
    killable.kill()
    with refused(404, "NotFound"):
        client.ApiextensionsV1Api(killable.api()).read_custom_resource_definition(ENICONFIG_CRD["metadata"]["name"])
