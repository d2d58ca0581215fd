"""What the managed add-on does not let be configured is said before anything is made."""

from __future__ import annotations

from typing import Any

import pytest

from ip_remediator.clients.aws.eks_addon_schema import missing_variables
from ip_remediator.planning.preconditions import CannotPlan
from ip_remediator.planning.strategies import require_configurable_addon
from ip_remediator.snapshot.eks_addon import addon_facts
from ip_remediator.snapshot.model_cluster import Cni

FLAG, LABEL = "AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG", "ENI_CONFIG_LABEL_DEF"
DESCRIBED = {"addonVersion": "v1.23.1-eksbuild.1", "status": "ACTIVE"}


def schema_with(*variables: str, closed: bool = True, referred: bool = True) -> dict[str, Any]:
    """A schema as EKS answers it for vpc-cni: `Env` behind a reference, closed."""
    env = {
        "type": "object",
        "properties": {name: {"type": "string"} for name in variables},
        "additionalProperties": not closed,
    }
    if not referred:
        return {"type": "object", "properties": {"env": env}}
    top = {"type": "object", "properties": {"env": {"$ref": "#/definitions/Env"}}, "additionalProperties": False}
    return {"$ref": "#/definitions/VpcCni", "definitions": {"VpcCni": top, "Env": env}}


@pytest.mark.parametrize(
    ("schema", "missing"),
    [
        (schema_with(FLAG, LABEL), []),
        (schema_with(FLAG), [LABEL]),
        (schema_with(FLAG, referred=False), [LABEL]),
        (schema_with(FLAG, closed=False), []),
        ({"type": "object", "properties": {}, "additionalProperties": False}, [FLAG, LABEL]),
        ({"type": "object"}, []),
        ({}, []),
        ({"$ref": "#/definitions/Gone"}, []),
        ({"$ref": "#"}, []),
    ],
)
def test_given_a_schema_then_the_variables_that_it_lacks_are_known(schema: dict[str, Any], missing: list[str]) -> None:
    assert missing_variables(schema, (FLAG, LABEL)) == missing


def test_given_a_schema_that_lacks_a_variable_when_planned_then_it_is_refused_with_the_remedy() -> None:
    cni = Cni(owner="addon", addon=addon_facts(DESCRIBED, schema_with(FLAG)))
    with pytest.raises(CannotPlan, match=f"add-on v1.23.1-eksbuild.1 cannot set {LABEL}: .* Update the add-on, or use"):
        require_configurable_addon(cni)


def test_given_a_configuration_that_cannot_be_read_when_planned_then_it_is_refused() -> None:
    addon = addon_facts({**DESCRIBED, "configurationValues": "[1]"}, schema_with(FLAG, LABEL))
    with pytest.raises(CannotPlan, match="configurationValues of add-on vpc-cni, or their env, are not a mapping"):
        require_configurable_addon(Cni(owner="addon", addon=addon))


@pytest.mark.parametrize("values", [None, "{}", "env:\n  WARM_IP_TARGET: '2'\n"])
def test_given_an_addon_that_takes_both_variables_then_nothing_stands_in_the_way(values: str | None) -> None:
    described = DESCRIBED if values is None else {**DESCRIBED, "configurationValues": values}
    require_configurable_addon(Cni(owner="addon", addon=addon_facts(described, schema_with(FLAG, LABEL))))
    require_configurable_addon(Cni())
