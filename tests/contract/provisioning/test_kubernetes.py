"""Writes to a cluster and their undo, on a real API, with the RBAC that `onboarding/` gives the function."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ip_remediator import provisioning
from ip_remediator.clients.kubernetes.api import Conflict, KubernetesDenied
from ip_remediator.common.errors import RequestRefused
from ip_remediator.planning.changes import cni_settings, eni_config_manifest
from ip_remediator.provisioning.kubernetes import KubeChanges, RolloutStalled, SettingsOverwritten, pointed_by
from ip_remediator.snapshot.kubernetes import CRDS, ENI_CONFIGS, KubernetesReader
from ip_remediator.snapshot.model_cluster import CRD_NAME, CUSTOM_NETWORK_CFG
from tests.contract.conftest import unique
from tests.contract.support.clusters import AWS_NODE, READER, WRITER, Kubernetes
from tests.stack.kubernetes.support import eventually
from tests.support.patience import within

THEIRS: dict[str, Any] = {
    **eni_config_manifest("zone-a", "subnet-theirs"),
    "metadata": {"name": "zone-a", "labels": {"team": "net"}, "annotations": {"note": "kept"}},
    "spec": {"subnet": "subnet-theirs", "securityGroups": ["sg-1", "sg-2"]},
}
OURS = {"subnet-1"}
CRD = json.loads((Path(provisioning.__file__).parent / "eniconfig_crd.json").read_text())


@pytest.fixture
def changes(kubernetes: Kubernetes) -> KubeChanges:
    return KubeChanges(kubernetes.api(WRITER))


@pytest.fixture
def crd(kubernetes: Kubernetes, changes: KubeChanges) -> Iterator[str]:
    """The CRD, made by this incident, and gone afterwards with every ENIConfig."""
    incident = unique("incident")
    changes.create_crd(CRD, incident)
    yield incident
    kubernetes.admin.delete(f"{CRDS}/{CRD_NAME}")
    eventually(lambda: kubernetes.admin.find(ENI_CONFIGS) is None)


@pytest.fixture
def daemonset(kubernetes: Kubernetes) -> dict[str, Any]:
    kubernetes.install_aws_node()
    return kubernetes.admin.get(AWS_NODE)


def essence(item: dict[str, Any] | None) -> dict[str, Any]:
    """What people see of an object: all but the server's book-keeping."""
    assert item
    metadata = {name: item["metadata"].get(name) or {} for name in ("name", "labels", "annotations")}
    return {**metadata, "spec": item["spec"]}


# --- The CRD


def test_given_a_cluster_without_the_crd_then_it_is_served_when_the_call_returns(
    kubernetes: Kubernetes, changes: KubeChanges
) -> None:
    incident = unique("incident")
    assert changes.eni_configs() is None
    changes.create_crd(CRD, incident)
    changes.create_crd(CRD, incident)
    assert changes.eni_configs() is not None
    assert kubernetes.admin.get(ENI_CONFIGS)["items"] == []
    changes.delete_unused_crd(incident)
    changes.delete_unused_crd(incident)
    eventually(lambda: changes.eni_configs() is None)


def test_given_an_eniconfig_of_others_then_the_crd_stays(
    kubernetes: Kubernetes, changes: KubeChanges, crd: str
) -> None:
    kubernetes.admin.create(ENI_CONFIGS, eni_config_manifest("foreign", "subnet-foreign"))
    changes.delete_unused_crd(crd)
    assert changes.eni_config("foreign")


def test_given_the_crd_of_another_incident_then_it_stays(changes: KubeChanges, crd: str) -> None:
    changes.delete_unused_crd(unique("incident"))
    assert changes.eni_configs() is not None


# --- ENIConfigs


def test_given_no_eniconfig_then_creating_it_twice_makes_one_with_our_label(changes: KubeChanges, crd: str) -> None:
    for _ in range(2):
        assert changes.create_eni_config(eni_config_manifest("zone-a", "subnet-1"), crd)
    result = essence(changes.eni_config("zone-a"))
    assert result["spec"] == {"subnet": "subnet-1"}
    assert result["labels"] == {
        "app.kubernetes.io/managed-by": "eks-ip-remediator",
        "eks-ip-remediator/incident": crd,
    }


def test_given_somebody_was_faster_then_their_eniconfig_stays_and_we_are_told(
    kubernetes: Kubernetes, changes: KubeChanges, crd: str
) -> None:
    kubernetes.apply_as("argocd-controller", f"{ENI_CONFIGS}/zone-a", eni_config_manifest("zone-a", "subnet-theirs"))
    assert not changes.create_eni_config(eni_config_manifest("zone-a", "subnet-ours"), crd)
    present = changes.eni_config("zone-a")
    assert essence(present)["spec"] == {"subnet": "subnet-theirs"}
    assert pointed_by(present) == "argocd-controller"


def test_given_an_eniconfig_of_others_when_pointed_then_only_its_subnet_and_our_labels_change(
    kubernetes: Kubernetes, changes: KubeChanges, crd: str
) -> None:
    kubernetes.admin.create(ENI_CONFIGS, THEIRS)
    changes.point_eni_config(eni_config_manifest("zone-a", "subnet-ours"), crd, changes.eni_config("zone-a") or {})
    pointed = essence(changes.eni_config("zone-a"))
    assert pointed["spec"] == {"subnet": "subnet-ours", "securityGroups": ["sg-1", "sg-2"]}
    assert pointed["labels"]["team"] == "net"


@pytest.mark.parametrize(
    ("changed", "refused"), [({"spec": {"subnet": "subnet-new"}}, True), ({"metadata": {"labels": {"a": "b"}}}, False)]
)
def test_given_somebody_changed_it_since_it_was_seen_then_a_change_of_its_spec_is_not_overwritten(
    kubernetes: Kubernetes, changes: KubeChanges, crd: str, changed: dict[str, Any], refused: bool
) -> None:
    kubernetes.admin.create(ENI_CONFIGS, THEIRS)
    read_before = changes.eni_config("zone-a") or {}
    present = kubernetes.admin.get(f"{ENI_CONFIGS}/zone-a")
    kubernetes.admin.replace(f"{ENI_CONFIGS}/zone-a", merged(present, changed))
    ours = eni_config_manifest("zone-a", "subnet-ours")
    if refused:
        with pytest.raises(Conflict):
            changes.point_eni_config(ours, crd, read_before)
        assert essence(changes.eni_config("zone-a"))["spec"]["subnet"] == "subnet-new"
    else:
        changes.point_eni_config(ours, crd, read_before)
        assert essence(changes.eni_config("zone-a"))["spec"]["subnet"] == "subnet-ours"


def merged(present: dict[str, Any], changed: dict[str, Any]) -> dict[str, Any]:
    metadata = {**present["metadata"], "labels": changed.get("metadata", {}).get("labels", {})}
    return {**present, "metadata": metadata, "spec": {**present["spec"], **changed.get("spec", {})}}


def test_given_our_eniconfig_then_deleting_it_twice_is_fine(changes: KubeChanges, crd: str) -> None:
    changes.create_eni_config(eni_config_manifest("zone-a", "subnet-1"), crd)
    changes.delete_eni_config("zone-a", crd, OURS)
    changes.delete_eni_config("zone-a", crd, OURS)
    assert changes.eni_config("zone-a") is None


def test_given_an_eniconfig_of_others_then_it_is_not_deleted(
    kubernetes: Kubernetes, changes: KubeChanges, crd: str
) -> None:
    kubernetes.admin.create(ENI_CONFIGS, eni_config_manifest("foreign", "subnet-foreign"))
    changes.create_eni_config(eni_config_manifest("zone-a", "subnet-1"), "another-incident")
    for name in ("foreign", "zone-a"):
        with pytest.raises(RequestRefused, match=f"ENIConfig {name} does not have the label of incident {crd}"):
            changes.delete_eni_config(name, crd, OURS)
        assert changes.eni_config(name)


def test_given_an_eniconfig_that_we_pointed_elsewhere_then_it_is_restored_as_it_was(
    kubernetes: Kubernetes, changes: KubeChanges, crd: str
) -> None:
    kubernetes.admin.create(ENI_CONFIGS, THEIRS)
    before = essence(changes.eni_config("zone-a"))
    changes.point_eni_config(eni_config_manifest("zone-a", "subnet-ours"), crd, changes.eni_config("zone-a") or {})
    for _ in range(2):
        changes.restore_eni_config("zone-a", before, crd, {"subnet-ours"})
        assert essence(changes.eni_config("zone-a")) == before


def test_given_others_changed_it_since_then_restoring_takes_back_what_is_ours_alone(
    kubernetes: Kubernetes, changes: KubeChanges, crd: str
) -> None:
    kubernetes.admin.create(ENI_CONFIGS, THEIRS)
    before = essence(changes.eni_config("zone-a"))
    changes.point_eni_config(eni_config_manifest("zone-a", "subnet-ours"), crd, changes.eni_config("zone-a") or {})
    pointed = kubernetes.admin.get(f"{ENI_CONFIGS}/zone-a")
    theirs = {**pointed["metadata"], "annotations": {"note": "theirs"}}
    spec = {**pointed["spec"], "securityGroups": ["sg-9"]}
    kubernetes.admin.replace(f"{ENI_CONFIGS}/zone-a", {**pointed, "metadata": theirs, "spec": spec})
    changes.restore_eni_config("zone-a", before, crd, {"subnet-ours"})
    restored = essence(changes.eni_config("zone-a"))
    assert restored["spec"] == {"subnet": "subnet-theirs", "securityGroups": ["sg-9"]}
    assert (restored["labels"], restored["annotations"]) == (before["labels"], {"note": "theirs"})
    again = kubernetes.admin.get(f"{ENI_CONFIGS}/zone-a")
    kubernetes.admin.replace(f"{ENI_CONFIGS}/zone-a", {**again, "spec": {"subnet": "subnet-new"}})
    changes.restore_eni_config("zone-a", before, crd, {"subnet-ours"})
    assert essence(changes.eni_config("zone-a"))["spec"] == {"subnet": "subnet-new"}


def test_given_an_eniconfig_that_is_gone_then_restoring_it_brings_nothing_back(changes: KubeChanges, crd: str) -> None:
    before: dict[str, Any] = {"spec": {"subnet": "subnet-1"}, "labels": {}, "annotations": {}}
    changes.restore_eni_config("zone-a", before, crd, {"subnet-ours"})
    assert changes.eni_config("zone-a") is None


def test_given_a_function_that_may_only_read_then_its_write_is_denied_in_the_servers_words(
    kubernetes: Kubernetes, crd: str
) -> None:
    reader = KubeChanges(kubernetes.api(READER))
    with pytest.raises(KubernetesDenied, match='User "reader" cannot create resource "eniconfigs"'):
        reader.create_eni_config(eni_config_manifest("zone-a", "subnet-1"), crd)


# --- The settings of aws-node


def test_given_aws_node_then_its_settings_are_switched_and_the_rest_stays(
    kubernetes: Kubernetes, changes: KubeChanges, daemonset: dict[str, Any]
) -> None:
    before = changes.cni_environment()
    for _ in range(2):
        changes.apply_cni_environment(cni_settings())
    assert changes.cni_environment() == {**before, **cni_settings()}
    result = kubernetes.admin.get(AWS_NODE)
    assert result["metadata"]["generation"] == daemonset["metadata"]["generation"] + 1
    containers = result["spec"]["template"]["spec"]["containers"]
    assert [one["name"] for one in containers] == [
        one["name"] for one in daemonset["spec"]["template"]["spec"]["containers"]
    ]


def test_given_switched_settings_then_they_are_restored_to_the_very_template_that_was_there(
    kubernetes: Kubernetes, changes: KubeChanges, daemonset: dict[str, Any]
) -> None:
    env = changes.cni_environment()
    before = {name: env.get(name) for name in cni_settings()}
    assert None in before.values()  # ENI_CONFIG_LABEL_DEF is not in the manifest
    changes.apply_cni_environment(cni_settings())
    for _ in range(2):
        changes.set_cni_environment(before)
        assert kubernetes.admin.get(AWS_NODE)["spec"]["template"] == daemonset["spec"]["template"]


@pytest.mark.usefixtures("daemonset")
def test_given_a_rollout_that_is_through_then_nobody_waits(kubernetes: Kubernetes, changes: KubeChanges) -> None:
    kubernetes.set_rollout(wanted=2, updated=2, available=2)
    began = time.monotonic()
    changes.await_rollout(30)
    assert time.monotonic() - began < within(5)


@pytest.mark.usefixtures("daemonset")
def test_given_a_rollout_under_way_then_its_end_is_seen_at_once(kubernetes: Kubernetes, changes: KubeChanges) -> None:
    changes.apply_cni_environment(cni_settings())
    kubernetes.set_rollout(wanted=2, updated=0, available=2)
    returned_at: list[float] = []

    def wait() -> None:
        changes.await_rollout(30)
        returned_at.append(time.monotonic())

    waiter = threading.Thread(target=wait)
    waiter.start()
    for updated, available in ((1, 1), (1, 2), (2, 1)):
        kubernetes.set_rollout(wanted=2, updated=updated, available=available)
    waiter.join(0.3)
    assert waiter.is_alive(), "one of two pods is not available"
    kubernetes.set_rollout(wanted=2, updated=2, available=2)
    ended = time.monotonic()
    waiter.join(within(10))
    assert returned_at
    assert returned_at[0] - ended < within(2)


@pytest.mark.usefixtures("daemonset")
def test_given_a_rollout_that_hangs_then_the_error_says_how_far_it_is(
    kubernetes: Kubernetes, changes: KubeChanges
) -> None:
    kubernetes.set_rollout(wanted=3, updated=1, available=2)
    with pytest.raises(RolloutStalled, match="aws-node after 1 s: 1 of 3 updated, 2 available"):
        changes.await_rollout(1)


@pytest.mark.usefixtures("daemonset")
def test_given_another_manager_takes_the_flag_back_during_the_rollout_then_it_is_named_and_nobody_fights(
    kubernetes: Kubernetes, changes: KubeChanges
) -> None:
    changes.apply_cni_environment(cni_settings())
    kubernetes.set_rollout(wanted=2, updated=0, available=2)
    off = {"containers": [{"name": "aws-node", "env": [{"name": CUSTOM_NETWORK_CFG, "value": "false"}]}]}
    body = {"apiVersion": "apps/v1", "kind": "DaemonSet", "spec": {"template": {"spec": off}}}

    def take_back() -> None:
        manager = {"fieldManager": "argocd-controller", "force": "true"}
        kubernetes.admin._json("PATCH", AWS_NODE, manager, body, "application/apply-patch+yaml")

    taker = threading.Timer(0.3, take_back)
    taker.start()
    with pytest.raises(SettingsOverwritten, match=f"argocd-controller changed aws-node .*{CUSTOM_NETWORK_CFG}=false"):
        changes.await_rollout(10, cni_settings())
    taker.join()
    assert changes.cni_environment()[CUSTOM_NETWORK_CFG] == "false"


def test_given_a_template_that_the_controller_has_not_seen_then_an_old_status_does_not_end_the_wait(
    kubernetes: Kubernetes, changes: KubeChanges, daemonset: dict[str, Any]
) -> None:
    kubernetes.set_rollout(wanted=2, updated=2, available=2)
    changes.apply_cni_environment(cni_settings())
    with pytest.raises(RolloutStalled, match="has not seen the change yet"):
        changes.await_rollout(1)


def test_given_an_eniconfig_that_another_manager_took_over_then_the_facts_name_who_wrote_its_subnet_last(
    kubernetes: Kubernetes, crd: str
) -> None:
    path, facts = f"{ENI_CONFIGS}/zone-a", KubernetesReader(kubernetes.api(READER))
    kubernetes.admin.create(ENI_CONFIGS, eni_config_manifest("zone-a", "subnet-1"))
    kubernetes.apply_as("argocd-controller&force=true", path, eni_config_manifest("zone-a", "subnet-theirs"))
    assert [config.managed_by for config in facts.eni_configs()] == ["argocd-controller"]
    # given somebody who sets another field of its spec
    theirs = eni_config_manifest("zone-a", "", ("sg-1",))
    del theirs["spec"]["subnet"]
    kubernetes.apply_as("platform-team&force=true", path, theirs)
    assert [config.managed_by for config in facts.eni_configs()] == ["argocd-controller"]


def test_given_a_value_of_others_that_the_addon_preserves_then_they_are_named_and_not_the_addon(
    kubernetes: Kubernetes, changes: KubeChanges, daemonset: dict[str, Any]
) -> None:
    set_variable(kubernetes, "platform-team", CUSTOM_NETWORK_CFG, "false")
    set_variable(kubernetes, "eks", CUSTOM_NETWORK_CFG, "false")
    with pytest.raises(SettingsOverwritten, match=f"platform-team changed aws-node .*{CUSTOM_NETWORK_CFG}=false"):
        changes.require_not_held_by_others(cni_settings())
    changes.require_not_held_by_others({CUSTOM_NETWORK_CFG: "false"})


def set_variable(kubernetes: Kubernetes, manager: str, name: str, value: str) -> None:
    """As server-side apply sets a variable of aws-node; several managers may hold the same value."""
    containers = [{"name": "aws-node", "env": [{"name": name, "value": value}]}]
    template = {"spec": {"containers": containers}}
    body = {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "aws-node", "namespace": "kube-system"},
        "spec": {"template": template},
    }
    kubernetes.apply_as(f"{manager}&force=true", AWS_NODE, body)


def test_given_what_we_wrote_then_the_facts_read_it_back(
    kubernetes: Kubernetes, changes: KubeChanges, crd: str
) -> None:
    kubernetes.install_aws_node()
    changes.create_eni_config(eni_config_manifest("zone-a", "subnet-1"), crd)
    changes.apply_cni_environment(cni_settings())
    facts = KubernetesReader(kubernetes.api(READER))
    [config] = facts.eni_configs()
    assert (config.name, config.subnet, config.managed_by) == ("zone-a", "subnet-1", "eks-ip-remediator")
    assert facts.cni(managed_addon=False).custom_networking
