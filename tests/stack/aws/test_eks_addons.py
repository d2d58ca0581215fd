"""EKS add-ons: what a configuration may contain, and how an update goes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.stack.aws.conftest import Maker, code_of, eventually, unique

if TYPE_CHECKING:
    from local.aws.client import LocalAws

ON = json.dumps({"env": {"AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG": "true"}})


@pytest.fixture
def addon(aws: LocalAws, make: Maker) -> dict[str, Any]:
    """Names an add-on vpc-cni without configuration, in a cluster of its own."""
    named = {"clusterName": unique("demo"), "addonName": "vpc-cni"}
    config = {"subnetIds": []}
    aws.client("eks").create_cluster(name=named["clusterName"], roleArn=make.role(), resourcesVpcConfig=config)
    aws.client("eks").create_addon(**named, addonVersion="v1.23.1-eksbuild.1")
    return named


def described(aws: LocalAws, addon: dict[str, Any]) -> dict[str, Any]:
    return dict(aws.client("eks").describe_addon(**addon)["addon"])


def update(aws: LocalAws, addon: dict[str, Any], **wanted: str) -> dict[str, Any]:
    return dict(aws.client("eks").update_addon(**addon, **wanted)["update"])


def outcome(aws: LocalAws, addon: dict[str, Any], update_id: str) -> dict[str, Any]:
    """The update once it has ended."""
    eks = aws.client("eks")
    asked = {"name": addon["clusterName"], "addonName": addon["addonName"], "updateId": update_id}

    def ended() -> Any:
        result = eks.describe_update(**asked)["update"]
        return result if result["status"] != "InProgress" else None

    return dict(eventually(ended))


def configure(aws: LocalAws, addon: dict[str, Any], values: str) -> None:
    assert outcome(aws, addon, update(aws, addon, configurationValues=values)["id"])["status"] == "Successful"


def test_given_an_update_when_it_runs_then_it_can_be_watched_and_no_other_may_start(
    aws: LocalAws, addon: dict[str, Any]
):
    eks = aws.client("eks")
    started = update(aws, addon, configurationValues=ON, resolveConflicts="PRESERVE")

    assert (started["status"], started["type"]) == ("InProgress", "AddonUpdate")
    assert described(aws, addon)["status"] == "UPDATING"
    assert code_of(eks.update_addon, **addon, configurationValues=ON) == "ResourceInUseException"

    assert outcome(aws, addon, started["id"])["status"] == "Successful"
    result = described(aws, addon)
    assert (result["status"], result["configurationValues"]) == ("ACTIVE", ON)
    assert eks.list_updates(name=addon["clusterName"], addonName="vpc-cni")["updateIds"] == [started["id"]]
    assert eks.list_updates(name=addon["clusterName"])["updateIds"] == []


@pytest.mark.parametrize("old", [True, False])
def test_given_the_setting_when_an_update_runs_then_old_or_new_values_are_shown(
    aws: LocalAws, addon: dict[str, Any], old: bool
):
    with aws.settings(addon_update_seconds=3600, addon_shows_old_values=old):
        update(aws, addon, configurationValues=ON)
    result = described(aws, addon)
    assert (result["status"], result.get("configurationValues")) == ("UPDATING", None if old else ON)


def test_given_the_setting_when_an_update_fails_then_it_says_why_and_nothing_has_changed(
    aws: LocalAws, addon: dict[str, Any]
):
    configure(aws, addon, ON)
    with aws.settings(addon_updates_fail=True):
        failed = update(aws, addon, configurationValues="{}")

    ended = outcome(aws, addon, failed["id"])
    assert (ended["status"], ended["errors"][0]["errorCode"]) == ("Failed", "ConfigurationConflict")
    result = described(aws, addon)
    assert (result["status"], result["configurationValues"]) == ("UPDATE_FAILED", ON)
    configure(aws, addon, "{}")
    assert described(aws, addon)["status"] == "ACTIVE"


def test_given_the_setting_when_described_then_the_addon_is_degraded_with_its_issue(
    aws: LocalAws, addon: dict[str, Any]
):
    with aws.settings(addon_status="DEGRADED"):
        result = described(aws, addon)
    assert result["status"] == "DEGRADED"
    assert result["health"]["issues"][0]["code"] == "InsufficientNumberOfReplicas"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            '{"env": {"NO_SUCH_VARIABLE": "1"}}',
            "$.env.NO_SUCH_VARIABLE: is not defined in the schema and the schema does not allow additional properties",
        ),
        ('{"environment": {}}', "$.environment: is not defined in the schema"),
        ('{"env": {"WARM_IP_TARGET": 2}}', "$.env.WARM_IP_TARGET: integer found, string expected"),
        ("env:\n  ENABLE_PREFIX_DELEGATION: true\n", "$.env.ENABLE_PREFIX_DELEGATION: boolean found, string expected"),
        ('{"env": null}', "$.env: null found, object expected"),
        ("[1]", "$: array found, object expected"),
        ("env: [", "neither JSON nor YAML"),
    ],
)
def test_given_values_outside_the_schema_when_sent_then_refused_with_the_place(
    aws: LocalAws, addon: dict[str, Any], values: str, message: str
):
    with pytest.raises(ClientError, match="ConfigurationValue provided in request is not supported") as refused:
        update(aws, addon, configurationValues=values)
    assert refused.value.response["Error"]["Code"] == "InvalidParameterException"
    assert message in refused.value.response["Error"]["Message"]
    assert "configurationValues" not in described(aws, addon)


def test_given_yaml_when_sent_then_it_is_taken_and_shown_as_it_was_sent(aws: LocalAws, addon: dict[str, Any]):
    values = "env:\n  WARM_IP_TARGET: '2'\nresources:\n  requests: {cpu: 25m}\n"
    configure(aws, addon, values)
    assert described(aws, addon)["configurationValues"] == values


def test_given_a_configuration_when_left_out_then_it_stays_and_braces_clear_it(aws: LocalAws, addon: dict[str, Any]):
    configure(aws, addon, ON)
    outcome(aws, addon, update(aws, addon, addonVersion="v1.22.1-eksbuild.1")["id"])
    assert described(aws, addon)["configurationValues"] == ON
    configure(aws, addon, "{}")
    assert json.loads(described(aws, addon)["configurationValues"]) == {}


def test_given_the_setting_when_values_are_empty_then_refused(aws: LocalAws, addon: dict[str, Any]):
    with aws.settings(addon_refuses_empty_values=True):
        assert code_of(update, aws, addon, configurationValues="") == "InvalidParameterException"


def test_given_a_role_when_not_sent_again_then_the_addon_falls_back_to_the_nodes_role(
    aws: LocalAws, make: Maker, addon: dict[str, Any]
):
    role = make.role()
    outcome(aws, addon, update(aws, addon, serviceAccountRoleArn=role)["id"])
    assert described(aws, addon)["serviceAccountRoleArn"] == role
    configure(aws, addon, ON)
    assert "serviceAccountRoleArn" not in described(aws, addon)


def test_given_no_addon_or_update_when_asked_for_then_not_found(aws: LocalAws, addon: dict[str, Any]):
    eks, cluster = aws.client("eks"), addon["clusterName"]
    absent = {"clusterName": cluster, "addonName": "coredns"}
    update_id = update(aws, addon, configurationValues=ON)["id"]
    assert code_of(eks.describe_addon, **absent) == "ResourceNotFoundException"
    assert code_of(eks.update_addon, **absent, configurationValues="{}") == "ResourceNotFoundException"
    assert (
        code_of(eks.describe_update, name=cluster, addonName="vpc-cni", updateId="none") == "ResourceNotFoundException"
    )
    # without the add-on's name the update is looked for among those of the cluster
    assert code_of(eks.describe_update, name=cluster, updateId=update_id) == "ResourceNotFoundException"


def test_given_the_cni_addon_when_its_configuration_is_described_then_the_schema_is_closed(aws: LocalAws):
    eks = aws.client("eks")
    (result,) = eks.describe_addon_versions(addonName="vpc-cni")["addons"]
    version = result["addonVersions"][0]["addonVersion"]
    answer = eks.describe_addon_configuration(addonName="vpc-cni", addonVersion=version)
    schema = json.loads(answer["configurationSchema"])
    env = schema["definitions"]["Env"]
    assert schema["$ref"] == "#/definitions/VpcCni"
    assert env["additionalProperties"] is False
    assert env["properties"]["AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG"]["type"] == "string"
