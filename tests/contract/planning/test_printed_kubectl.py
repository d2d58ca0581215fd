"""Manifests that are handed over, and every kubectl command that is printed, as the API server takes them."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ip_remediator import provisioning
from ip_remediator.diagnosis.diagnose import diagnose
from ip_remediator.snapshot.kubernetes import CRDS, ENI_CONFIGS, KubernetesReader
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import CRD_NAME
from local.cluster import manifests
from tests.contract.support.clusters import ADMIN, Kubernetes
from tests.support.patience import within
from tests.support.waiting import eventually
from tests.unit.planning.test_printed_commands import commands_in, told_by
from tests.unit.support.corpus import CASES
from tests.unit.support.plans import first_plan

pytestmark = pytest.mark.slow
KUBECTL = Path(sys.executable).parent / "kubectl"
CRD = json.loads((Path(provisioning.__file__).parent / "eniconfig_crd.json").read_text())
KEPT_BY_HELM = next(case for case in CASES if case.path.stem == "eniconfigs-kept-by-helm")
ZONE = "eu-west-1a"
RUN_ON_TRIAL = ("kubectl apply", "kubectl patch eniconfig", "kubectl label node", "kubectl -n kube-system set")
_DRY = "--dry-run=server"


@pytest.fixture
def crd(kubernetes: Kubernetes) -> Iterator[Kubernetes]:
    missing = kubernetes.admin.find(f"{CRDS}/{CRD_NAME}") is None
    if missing:
        kubernetes.admin.create(CRDS, CRD)
    eventually("ENIConfigs are served", lambda: kubernetes.admin.find(ENI_CONFIGS), seconds=20)
    yield kubernetes
    for item in (kubernetes.admin.find(ENI_CONFIGS) or {}).get("items", []):
        kubernetes.admin.delete(f"{ENI_CONFIGS}/{item['metadata']['name']}")
    if missing:
        kubernetes.admin.delete(f"{CRDS}/{CRD_NAME}")
        # a real server deletes it in its own time; until then it is there, and nobody can create it
        eventually("the CRD is gone", lambda: kubernetes.admin.find(f"{CRDS}/{CRD_NAME}") is None, seconds=20)


def kubectl(server: Kubernetes, *words: str, document: str = "") -> str:
    login = ("--server", server.url, "--token", ADMIN, "--certificate-authority", str(server.folder / "pki" / "ca.crt"))
    ran = subprocess.run(
        [KUBECTL, *login, *words], input=document, capture_output=True, text=True, check=False, timeout=within(60)
    )
    assert ran.returncode == 0, (words, ran.stderr)
    return ran.stdout


def live(**metadata: Any) -> dict[str, Any]:
    """What Helm keeps: pods have security groups of their own, and the object has labels and annotations."""
    return {
        "apiVersion": "crd.k8s.amazonaws.com/v1alpha1",
        "kind": "ENIConfig",
        "metadata": {"name": ZONE, **metadata},
        "spec": {"subnet": "subnet-p", "securityGroups": ["sg-pods"]},
    }


def handed_over(snapshot: Snapshot) -> str:
    [command] = [text for text in first_plan(snapshot).handover if text.startswith("kubectl apply")]
    *_, document = shlex.split(command)
    return document.replace(f"<subnet of {ZONE}>", "subnet-0new")


def test_given_an_eniconfig_of_helm_when_handed_over_then_the_server_takes_it_and_only_the_subnet_differs(
    crd: Kubernetes,
) -> None:
    # given
    marks = {"labels": {"team": "network"}, "annotations": {"meta.helm.sh/release-name": "cni"}}
    crd.apply_as("helm", f"{ENI_CONFIGS}/{ZONE}", live(**marks))
    [config] = KubernetesReader(crd.admin).eni_configs()
    facts = KEPT_BY_HELM.snapshot.model_copy(update={"eni_configs": (config,)})
    assert diagnose(facts).curable

    # when those who keep it apply it, on trial
    applied = kubectl(
        crd, "apply", "--server-side", _DRY, "--field-manager", "helm", "-o", "json", "-f", "-",
        document=handed_over(facts),
    )  # fmt: skip

    # then
    taken = json.loads(applied)
    assert taken["spec"] == {"subnet": "subnet-0new", "securityGroups": ["sg-pods"]}
    assert {name: taken["metadata"][name] for name in marks} == marks
    [unchanged] = KubernetesReader(crd.admin).eni_configs()
    assert unchanged == config


NODE_CLASS_CRD = Path(manifests.__file__).parent / "ec2nodeclass-crd.yaml"
NODE_CLASSES = "/apis/karpenter.k8s.aws/v1/ec2nodeclasses"


@pytest.fixture
def karpenter(kubernetes: Kubernetes) -> Iterator[Kubernetes]:
    """Karpenter's EC2NodeClass is served."""
    crd = yaml.safe_load(NODE_CLASS_CRD.read_text())
    kubernetes.admin.create(CRDS, crd)
    eventually("EC2NodeClasses are served", lambda: kubernetes.admin.find(NODE_CLASSES), seconds=20)
    yield kubernetes
    path = f"{CRDS}/{crd['metadata']['name']}"
    kubernetes.admin.delete(path)
    eventually("the CRD is gone", lambda: kubernetes.admin.find(path) is None, seconds=20)


def test_given_a_node_class_when_the_printed_patch_runs_on_trial_then_its_terms_stay_and_one_is_added(
    karpenter: Kubernetes,
) -> None:
    case = next(case for case in CASES if case.name == "node_launch/karpenter")
    advice = [text for text in told_by(case.snapshot, case.signals) if "kubectl patch ec2nodeclass" in text]
    commands = {command for text in advice for command in commands_in(text) if "ec2nodeclass" in command}
    terms = [{"tags": {"karpenter.sh/discovery": "shop"}}, {"id": "subnet-0theirs"}]
    spec = {"subnetSelectorTerms": terms, "amiSelectorTerms": [{"alias": "al2023@latest"}]}
    node_class = {
        "apiVersion": "karpenter.k8s.aws/v1",
        "kind": "EC2NodeClass",
        "metadata": {"name": "default"},
        "spec": {**spec, "securityGroupSelectorTerms": [{"id": "sg-0"}]},
    }
    karpenter.admin.create(NODE_CLASSES, node_class)
    assert commands
    for command in commands:
        filled = command.replace(f"<subnet of {ZONE}>", "subnet-0new").replace("subnet-NEW-", "subnet-0new")
        patched = json.loads(kubectl(karpenter, *shlex.split(filled)[1:], _DRY, "-o", "json"))
        [*present, added] = patched["spec"]["subnetSelectorTerms"]
        assert present == terms
        assert added["id"].startswith("subnet-0new")


def printed() -> list[str]:
    commands = {
        command
        for case in CASES
        for text in told_by(case.snapshot, case.signals)
        for command in commands_in(text)
        if command.startswith(
            ("kubectl apply", "kubectl patch eniconfig", "kubectl label node", "kubectl -n kube-system set")
        )
    }
    return sorted(commands)


def test_given_the_corpus_when_its_kubectl_commands_run_on_trial_then_the_server_takes_each(crd: Kubernetes) -> None:
    commands = printed()
    assert len(commands) > 5
    crd.install_aws_node()
    for command in commands:
        words = shlex.split(command.replace("<subnet of", "subnet-of").replace(">'", "'"))[1:]
        document = ""
        if words[0] == "apply":
            *words, _, document = words
        else:
            prepare(crd, words)
        kubectl(crd, *words, _DRY, document=document)


def prepare(server: Kubernetes, words: list[str]) -> None:
    """What the command is about is there."""
    if words[:2] == ["patch", "eniconfig"] and server.admin.find(f"{ENI_CONFIGS}/{words[2]}") is None:
        named = live()
        named["metadata"]["name"] = words[2]
        server.admin.create(ENI_CONFIGS, named)
    if words[:2] == ["label", "node"]:
        names = [word for word in words[2:] if "=" not in word and not word.startswith("-")]
        for name in names:
            if server.admin.find(f"/api/v1/nodes/{name}") is None:
                server.admin.create("/api/v1/nodes", {"metadata": {"name": name}})
