from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from ip_remediator.common.enums import Mode
from ip_remediator.incidents.record import ChangeKind, ChangeMade, Step
from ip_remediator.incidents.repository import Incidents
from ip_remediator.planning.model import Change
from ip_remediator.provisioning.change_log import ChangeLog
from ip_remediator.snapshot.kubernetes import CRDS, ENI_CONFIGS
from ip_remediator.snapshot.model_cluster import CRD_NAME
from local.cluster.addon import AddonManager
from local.cluster.kube import KubeApi as SimulatorApi
from tests.contract.conftest import Clock, EksApi
from tests.contract.provisioning.cluster_world import SUBNETS, World
from tests.contract.support.clusters import Kubernetes
from tests.contract.support.vpcs import Vpc
from tests.stack.kubernetes.support import eventually
from tests.unit.support.records import PLAN

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

    from local.aws.client import LocalAws


@pytest.fixture(scope="module")
def node_vpc(ec2: Any) -> Vpc:
    return Vpc.create(ec2)


@pytest.fixture
def configured(
    kubernetes: Kubernetes, eks_api: EksApi, faults: LocalAws, node_vpc: Vpc, table: Table, clock: Clock, cluster: str
) -> Iterator[World]:
    eks_api.create_cluster(cluster, node_vpc)
    eks_api.client.create_addon(clusterName=cluster, addonName="vpc-cni")
    kubernetes.delete_nodes()
    kubernetes.install_aws_node()
    incidents = Incidents(table, clock)
    incident = incidents.open(cluster, "ap-northeast-2", Mode.AUTO, "")
    crd = Change(action="create_crd", target=CRD_NAME, description=f"create the CRD {CRD_NAME}, which is missing")
    incidents.complete(incident, Step.PLAN, plan=PLAN.model_copy(update={"changes": (*PLAN.changes, crd)}))
    log = ChangeLog(table, clock, incident)
    for zone, subnet in SUBNETS.items():
        log.intend(ChangeMade(kind=ChangeKind.SUBNET, target=zone, after={"id": subnet}))
        incidents.record_subnet(incident, zone, subnet)
    manager = AddonManager(
        SimulatorApi(kubernetes.folder / "kubeconfig"), eks_api.client, cluster, poll_seconds=0.1, reconcile_seconds=60
    )
    manager.worker.start()
    yield World(kubernetes, eks_api.client, incidents, log, cluster)
    manager.worker.stop()
    manager.worker.join(10)
    kubernetes.admin.delete(f"{CRDS}/{CRD_NAME}")
    eventually(lambda: kubernetes.admin.find(ENI_CONFIGS) is None)
