"""Thirty incidents of as many clusters in six VPCs, planned and carried out at once: no two ranges overlap."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Network
from itertools import combinations
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from ip_remediator.address_ledger.allocate import Blocks
from ip_remediator.address_ledger.ledger import Ledger
from ip_remediator.common.cidr import CGNAT
from ip_remediator.common.enums import Mode
from ip_remediator.common.errors import NotYet
from ip_remediator.diagnosis.diagnose import diagnose
from ip_remediator.incidents.record import Step
from ip_remediator.incidents.repository import Incidents
from ip_remediator.incidents.vpc_lock import VpcLock, VpcLocked
from ip_remediator.planning.build_plan import plan
from ip_remediator.planning.requirements import requirement
from ip_remediator.provisioning.change_log import ChangeLog
from ip_remediator.provisioning.ec2 import Ec2Changes, Ownership
from ip_remediator.provisioning.subnet_tags import SubnetTags
from ip_remediator.provisioning.vpc import Network
from ip_remediator.snapshot.ec2 import Ec2Reader
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import Cluster, Cni, NetworkInterface, Node, StuckPod
from tests.contract.conftest import Clock, at_once, briefly, unique
from tests.contract.support.vpcs import REGION, Vpc
from tests.support.patience import within

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

pytestmark = pytest.mark.slow
VPCS, CLUSTERS = 6, 5
ResultT = TypeVar("ResultT")


def until(step: Callable[[], ResultT], *errors: type[Exception]) -> ResultT:
    """Repeats what the state machines repeat."""
    deadline = time.monotonic() + within(240)
    while True:
        try:
            return step()
        except errors:
            assert time.monotonic() < deadline, "it still waits"
            briefly(0)


@dataclass(frozen=True)
class Case:
    """A cluster with a node and a stuck pod in each of two full subnets of the VPC."""

    ec2: Any
    table: Table
    ledger: Ledger
    clock: Clock
    vpc: Vpc
    name: str
    homes: dict[str, str]

    def snapshot(self) -> Snapshot:
        """As EC2 shows the VPC now."""
        reader = Ec2Reader(self.ec2)
        nodes = [
            Node(
                name=f"{self.name}-{letter}", zone=f"{REGION}{letter}", instance_type="m5.large",
                interfaces=(NetworkInterface(id=f"eni-{letter}", subnet_id=home, primary=True, addresses=10),),
            )
            for letter, home in self.homes.items()
        ]  # fmt: skip
        subnets = reader.balances(self.vpc.id)
        return Snapshot(
            cluster=Cluster(name=self.name, vpc_id=self.vpc.id),
            cni=Cni(version="v1.23.1", eni_config_crd=True),
            nodes=tuple(nodes),
            stuck_pods=tuple(StuckPod(namespace="d", name=node.name, uid=node.name, node=node.name) for node in nodes),
            subnets=tuple(
                one.model_copy(update={"free": 0 if one.id in self.homes.values() else one.free}) for one in subnets
            ),
            vpc=reader.vpc(self.vpc.id).model_copy(update={"subnet_count": len(subnets)}),
        )

    def remediate(self) -> dict[str, str]:
        """The new subnets' CIDRs by zone."""
        incidents, lock = Incidents(self.table, self.clock), VpcLock(self.table, self.clock)
        id_ = incidents.open(self.name, REGION, Mode.AUTO, "")
        until(lambda: lock.acquire(self.vpc.id, id_), VpcLocked)
        facts = self.snapshot()
        diagnosis = diagnose(facts)
        needed = requirement(facts, diagnosis)
        block = Blocks(self.ledger).take(incidents.get(id_), self.vpc.id, needed, exactly=False)
        made = plan(facts, diagnosis, needed, block)
        incidents.complete(id_, Step.PLAN, plan=made)
        changes = Ec2Changes(self.ec2, Ownership("stack", id_, self.name), sleep=briefly)

        def network() -> Network:
            log = ChangeLog(self.table, self.clock, id_)
            return Network(incidents.get(id_), incidents, log, changes, SubnetTags(self.ec2))

        until(lambda: network().associate_cidr(), NotYet)
        for planned in made.subnets:
            until(lambda zone=planned.zone: network().create_subnet(zone), NotYet)  # type: ignore[misc]
        lock.release(self.vpc.id, id_)
        return {planned.zone: planned.cidr for planned in made.subnets}


def overlaps(networks: list[IPv4Network]) -> list[tuple[IPv4Network, IPv4Network]]:
    return [pair for pair in combinations(networks, 2) if pair[0].overlaps(pair[1])]


def test_given_thirty_incidents_in_six_vpcs_when_remediated_at_once_then_no_ranges_overlap(
    ec2: Any, table: Table, ledger: Ledger, clock: Clock
) -> None:
    vpcs = [Vpc.create(ec2) for _ in range(VPCS)]
    cases = [
        Case(ec2, table, ledger, clock, vpc, unique("shop"),
             {letter: vpc.subnet(f"10.0.{16 + 2 * number + index}.0/28", letter) for index, letter in enumerate("ab")})
        for vpc in vpcs
        for number in range(CLUSTERS)
    ]  # fmt: skip

    results = at_once(len(cases), lambda number: cases[number].remediate())

    assert [result for result in results if not isinstance(result, dict)] == []
    # In each VPC, as EC2 has it: one CIDR more, and two subnets of it for each cluster.
    blocks = []
    for vpc in vpcs:
        described = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc.id]}])["Subnets"]
        ranges = [IPv4Network(subnet["CidrBlock"]) for subnet in described]
        assert len([range_ for range_ in ranges if range_.subnet_of(CGNAT)]) == 2 * CLUSTERS
        assert overlaps(ranges) == []
        blocks += [IPv4Network(cidr) for cidr in vpc.cidrs() if IPv4Network(cidr).subnet_of(CGNAT)]
    # Over all VPCs of the account.
    assert len(blocks) == VPCS
    assert overlaps(blocks) == []
