"""Plans that use what is not ours: leaked ENIs, and subnets that were there before."""

from __future__ import annotations

import pytest

from ip_remediator.common.enums import Outcome
from tests.integration.support.lab import Lab
from tests.integration.support.patient import Patient
from tests.integration.support.rollbacks import dump, roll_back
from tests.integration.support.strategies import (
    DISCOVERY,
    LEAKED,
    POD_SUBNET,
    ROOMY,
    assert_undone,
    leak,
    refusal,
    remediate,
    stricken,
    tags_of,
    theirs,
)

pytestmark = pytest.mark.slow


def held_addresses(cluster: Patient, *subnets: str) -> set[str]:
    return {
        address["PrivateIpAddress"] for eni in cluster.interfaces_in(*subnets) for address in eni["PrivateIpAddresses"]
    }


def test_given_leaked_enis_when_remediated_then_they_are_deleted_and_nothing_is_left_to_roll_back(lab: Lab) -> None:
    with stricken(lab, ROOMY) as cluster:
        leaked = [eni for subnet in cluster.seeded.network.subnets.values() for eni in leak(cluster, subnet, LEAKED)]
        before = cluster.world()
        _, incident = remediate(lab, cluster, Outcome.HEALED)
        assert incident.plan is not None
        assert incident.plan.strategy == "delete-leaked-enis"
        cluster.settle(running=10, stuck=0)
        assert cluster.world() == before
        remaining = {
            eni["NetworkInterfaceId"] for eni in cluster.interfaces_in(*cluster.seeded.network.subnets.values())
        }
        deleted = set(leaked) - remaining
        assert deleted == {eni.id for eni in incident.plan.leaked_interfaces}
        assert {change.partition("CHANGE#leaked_eni#")[2] for change in lab.changes(incident.id)} == deleted
        message = lab.message_saying(incident.id, "healed", "leaked ENI")
        assert lab.buttons(message) == []
        ended = roll_back(lab, incident.id, confirmed=True)
        assert (ended.status, ended.error) == ("FAILED", "InvalidInput")
        assert "nothing to roll back" in ended.cause


def test_given_leaked_enis_that_cannot_be_deleted_when_remediated_then_the_message_says_so(lab: Lab) -> None:
    with stricken(lab, ROOMY) as cluster:
        homes = cluster.seeded.network.subnets
        leaked = {zone: leak(cluster, subnet, LEAKED) for zone, subnet in homes.items()}
        with lab.faults(refusal("DeleteNetworkInterface", "UnauthorizedOperation")):
            ended, incident = lab.remediate(cluster.name)
        assert (ended.status, ended.error, incident.outcome) == ("FAILED", "PermissionDenied", Outcome.UNDONE)
        assert lab.changes(incident.id) == []
        message = lab.message_saying(incident.id, "PermissionDenied", "Delete the leaked ENIs")
        assert lab.buttons(message) == ["run_again"]

        # The answer to a deletion is lost: it is deleted once, and recorded.
        lost = {"service": "ec2", "action": "DeleteNetworkInterface", "when": "after", "principal": "NetworkFunction"}
        with lab.faults(lost):
            _, incident = lab.remediate(cluster.name)
        assert incident.outcome is Outcome.HEALED
        assert incident.plan is not None
        planned = {eni.id for eni in incident.plan.leaked_interfaces}
        assert {change.partition("CHANGE#leaked_eni#")[2] for change in lab.changes(incident.id)} == planned
        assert planned <= {eni for enis in leaked.values() for eni in enis}


def test_given_subnets_that_the_operator_keeps_for_pods_when_remediated_then_they_are_used_and_never_deleted(
    lab: Lab,
) -> None:
    with stricken(lab) as cluster:
        spare = theirs(cluster, **{POD_SUBNET: cluster.name})
        before = dump(cluster)
        _, incident = remediate(lab, cluster, Outcome.HEALED)
        assert incident.plan is not None
        assert (incident.plan.source, incident.plan.block) == ("existing-subnets", None)
        assert incident.subnets == spare
        assert cluster.eni_configs() == {zone: {"subnet": subnet} for zone, subnet in spare.items()}
        assert cluster.new_subnets() == {}
        assert len(set(cluster.addresses().values()) & held_addresses(cluster, *spare.values())) == 2
        ended = roll_back(lab, incident.id, confirmed=True, evict=True)
        assert ended.status == "SUCCEEDED", ended
        after = dump(cluster)
        # Pods and their ENIs stay in a subnet that stays.
        for world in (before, after):
            del world["interfaces"]
            for subnet in spare.values():
                del world["subnets"][subnet]["AvailableIpAddressCount"]
        assert after == before


def test_given_discovery_in_subnets_of_the_operator_when_rolled_back_then_their_tags_are_as_before(lab: Lab) -> None:
    with stricken(lab) as cluster:
        spare = theirs(cluster, **{POD_SUBNET: cluster.name})
        tags = {subnet: tags_of(cluster, subnet) for subnet in spare.values()}
        _, incident = remediate(lab, cluster, Outcome.HEALED, strategy="subnet-discovery")
        assert incident.subnets == spare
        assert all(tags_of(cluster, subnet)[DISCOVERY] == "1" for subnet in spare.values())
        assert len(set(cluster.addresses().values()) & held_addresses(cluster, *spare.values())) == 2
        [first, *_] = spare.values()
        theirs_too = {"Key": "cni.networking.k8s.aws/cluster/other", "Value": "shared"}
        lab.aws("ec2").create_tags(Resources=[first], Tags=[theirs_too])
        blocked = roll_back(lab, incident.id, confirmed=True)
        assert (blocked.status, blocked.error) == ("FAILED", "RollbackBlocked")
        assert f"cluster other discovers {first}" in blocked.cause
        assert all(tags_of(cluster, subnet)[DISCOVERY] == "1" for subnet in spare.values())
        lab.aws("ec2").delete_tags(Resources=[first], Tags=[theirs_too])

        with lab.faults(refusal("DeleteTags", "UnauthorizedOperation")):
            paused = roll_back(lab, incident.id, confirmed=True)
        assert (paused.status, paused.error) == ("FAILED", "PermissionDenied")
        standing = {change.partition("CHANGE#subnet_tags#")[2] for change in lab.changes(incident.id)}
        assert standing == set(spare.values())
        lab.message_saying(incident.id, "the rollback stopped", "DeleteTags")

        ended = roll_back(lab, incident.id, confirmed=True)
        assert ended.status == "SUCCEEDED", ended
        assert {subnet: tags_of(cluster, subnet) for subnet in spare.values()} == tags
        assert len(cluster.addresses()) == 10


def test_given_tags_that_are_refused_when_remediated_then_subnets_of_the_operator_are_as_before(lab: Lab) -> None:
    with stricken(lab) as cluster:
        theirs(cluster, **{POD_SUBNET: cluster.name})
        before = dump(cluster)
        with lab.faults(refusal("CreateTags", "UnauthorizedOperation")):
            ended, incident = lab.remediate(cluster.name, strategy="subnet-discovery")
        assert_undone(lab, cluster, before, ended, incident)
        assert ended.error == "PermissionDenied"

        with lab.faults({"service": "ec2", "action": "CreateTags", "when": "after", "principal": "NetworkFunction"}):
            _, incident = lab.remediate(cluster.name, strategy="subnet-discovery")
        assert incident.outcome is Outcome.HEALED
        assert {tags_of(cluster, subnet)[DISCOVERY] for subnet in incident.subnets.values()} == {"1"}
