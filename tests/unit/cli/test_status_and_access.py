"""What people read of an incident, and what onboarding refuses or warns of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ip_remediator.common.enums import Mode, Outcome
from ip_remediator.incidents.calls_by_others import CallByOther, CallsByOthers
from ip_remediator.incidents.record import HangingPods, Incident, Rollback, RollbackState
from ip_remediator_cli.access import GROUPS, check_authentication, endpoint_warnings
from ip_remediator_cli.commands.status import describe
from ip_remediator_cli.errors import BadInput, CommandError
from ip_remediator_cli.rbac import read_manifests
from ip_remediator_cli.tables import table
from tests.unit.support.records import OPENED, PLAN, healed

ONBOARDING = Path(__file__).parents[3] / "onboarding"


def incident(**fields: Any) -> Incident:
    base: dict[str, Any] = {"id": "shop-1", "cluster": "shop", "region": "eu-west-1", "mode": Mode.AUTO}
    return Incident(**{**base, "opened_at": OPENED, **fields})


def test_given_a_record_that_has_just_been_opened_then_it_is_shown_as_open() -> None:
    text = describe(incident(), [])
    assert "incident  shop-1" in text
    assert "(open)" in text
    assert "STEP" not in text


def test_given_a_record_with_a_plan_and_a_timeline_then_both_are_shown() -> None:
    entry = {"what": "approval approved", "by": "U0000ONCALL (on-call)", "detail": "mode approve: needs approval"}
    timeline = [{"at": "2026-03-01T10:00:01.000000+00:00", **entry}]
    text = describe(incident(plan=PLAN), timeline)
    assert PLAN.block in text
    assert "2026-03-01T10:00:01   approval approved   U0000ONCALL (on-call)   mode approve: needs approval" in text


def test_given_a_rollback_when_shown_then_no_address_that_is_gone_is_listed_but_the_pods_that_hang() -> None:
    # given an incident that was healed, whose addresses were rolled back, and a pod that hangs since
    before = healed()
    assert "100.64.0.17" in describe(before, [])
    hanging = HangingPods(at=OPENED, number=1, names=("default/nginx-9",))
    rollback = Rollback(state=RollbackState.DONE, requested_by="ann", hanging=hanging)
    gone = before.model_copy(update={"outcome": Outcome.ROLLED_BACK, "rollback": rollback})

    # then status lists no address of before
    text = describe(gone, [])
    assert "100.64.0.17" not in text
    assert "FREE AFTER" not in text
    assert "1 pod without an IP address at its end: default/nginx-9" in text


@pytest.mark.parametrize(
    ("by", "shown"),
    [
        ("arn:aws:states:eu-west-1:000000000000:execution:remediate:15d01fbe-3b09", "execution 15d01fbe-3b09"),
        ("arn:aws:sts::000000000000:assumed-role/Admin/alice", "assumed-role/Admin/alice"),
        ("eks-ip-remediator", "eks-ip-remediator"),
    ],
)
def test_given_whoever_did_it_then_an_arn_is_told_without_region_and_account(by: str, shown: str) -> None:
    entry = {"at": "2026-03-01T10:00:01.000000+00:00", "what": "incident opened", "by": by, "detail": "by hand"}
    assert f"incident opened   {shown}   by hand" in describe(incident(), [entry])


def test_given_cells_of_any_length_then_columns_are_aligned() -> None:
    lines = table(["a", "b"], [["x", None], ["longer", True]]).splitlines()
    assert lines == ["A        B", "x        -", "longer   yes"]


@pytest.mark.parametrize("mode", ["CONFIG_MAP", None])
def test_given_a_cluster_without_access_entries_then_the_command_that_changes_it_is_told(mode: str | None) -> None:
    with pytest.raises(CommandError, match="aws eks update-cluster-config --name shop --access-config"):
        check_authentication({"name": "shop", "accessConfig": {"authenticationMode": mode}})


@pytest.mark.parametrize("mode", ["API", "API_AND_CONFIG_MAP"])
def test_given_a_cluster_with_access_entries_then_nothing_is_refused(mode: str) -> None:
    check_authentication({"name": "shop", "accessConfig": {"authenticationMode": mode}})


@pytest.mark.parametrize(
    ("network", "warned"),
    [
        ({"endpointPublicAccess": False, "endpointPrivateAccess": True}, "private only"),
        ({"endpointPublicAccess": True, "publicAccessCidrs": ["203.0.113.0/24"]}, "203.0.113.0/24"),
    ],
)
def test_given_an_endpoint_that_lambda_cannot_reach_then_it_warns(network: dict[str, Any], warned: str) -> None:
    [warning] = endpoint_warnings({"resourcesVpcConfig": network})
    assert warned in warning


def test_given_a_public_endpoint_then_it_does_not_warn() -> None:
    assert not endpoint_warnings({"resourcesVpcConfig": {"publicAccessCidrs": ["0.0.0.0/0"]}})


def test_given_the_projects_manifests_then_every_group_is_bound_to_a_role_among_them() -> None:
    manifests = read_manifests(ONBOARDING / "rbac.yaml")
    roles = {manifest["metadata"]["name"] for manifest in manifests if manifest["kind"] == "ClusterRole"}
    bindings = [manifest for manifest in manifests if manifest["kind"] == "ClusterRoleBinding"]
    assert {binding["subjects"][0]["name"] for binding in bindings} == set(GROUPS.values())
    assert {binding["roleRef"]["name"] for binding in bindings} == roles


def test_given_the_cloudformation_template_then_its_access_entries_are_those_of_the_command() -> None:
    class Loader(yaml.SafeLoader):
        """Knows CloudFormation's short forms as plain values."""

    def short_form(loader: yaml.SafeLoader, _suffix: str, node: yaml.Node) -> Any:
        return loader.construct_scalar(node) if isinstance(node, yaml.ScalarNode) else None

    Loader.add_multi_constructor("!", short_form)
    template = yaml.load((ONBOARDING / "cluster.yaml").read_text(), Loader)
    entries = [
        resource["Properties"]
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::EKS::AccessEntry"
    ]
    assert {entry["PrincipalArn"]: entry["KubernetesGroups"] for entry in entries} == {
        role: [group] for role, group in GROUPS.items()
    }


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("a: [", "not YAML"),
        ("kind: Pod\nmetadata: {name: x}", "something else"),
        ("kind: ClusterRole", "something else"),
        ("- 1", "something else"),
        ("", "something else"),
    ],
)
def test_given_a_wrong_manifest_file_then_the_option_is_named(tmp_path: Path, text: str, named: str) -> None:
    file = tmp_path / "rbac.yaml"
    file.write_text(text)
    with pytest.raises(BadInput, match=f"--rbac: .*{named}"):
        read_manifests(file)


def test_given_no_manifest_file_then_the_option_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"--rbac: .*cannot be read"):
        read_manifests(tmp_path / "none.yaml")


def test_given_calls_by_others_when_shown_then_each_is_there_with_its_caller() -> None:
    caller = "arn:aws:sts::111122223333:assumed-role/Terraform/ci"
    call = CallByOther(id="1", event="DeleteSubnet", resource="subnet-0a", caller=caller, at=OPENED)
    text = describe(incident(calls_by_others=CallsByOthers(calls=(call,))), [])
    assert "DeleteSubnet" in text
    assert caller in text
    assert "CLOUDTRAIL" not in describe(incident(), [])
