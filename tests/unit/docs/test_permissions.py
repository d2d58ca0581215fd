"""docs/permissions.md says exactly what the template and the cluster roles grant."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
import yaml
from samtranslator.translator.transform import transform  # type: ignore[import-untyped]
from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

from tests.unit.docs.documents import ROOT, rows, sections

PRINCIPALS = ("AWS::Serverless::Function", "AWS::Serverless::StateMachine")
ARN = re.compile(r"arn:\$\{AWS::Partition\}:(\w+):(?:\$\{AWS::Region\})?:(?:\$\{AWS::AccountId\}|\*):(.+)")
# (action, resource, condition) or (API group, resource, name, verb)
Grant = tuple[str, ...]


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    parsed: dict[str, Any] = yaml_parse((ROOT / "template.yaml").read_text())
    return parsed


@pytest.fixture(scope="module")
def documented() -> dict[str, str]:
    return sections((ROOT / "docs" / "permissions.md").read_text())


def test_every_principal_has_exactly_the_documented_grants(
    template: dict[str, Any], documented: dict[str, str]
) -> None:
    # given the statements of the template's functions and state machines
    granted = {
        name: set(_grants_of_template(resource["Properties"]))
        for name, resource in template["Resources"].items()
        if resource["Type"] in PRINCIPALS
    }

    # when the page's section of each is read
    of_page = {name: set(_grants_of_page(documented[name])) for name in granted}

    # then they are the same, grant by grant
    assert of_page == granted


def test_the_managed_policies_that_sam_adds_are_documented(
    template: dict[str, Any], documented: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # given the roles that SAM makes of the template
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    attached = {
        name.removesuffix("Role"): {arn.rpartition("/")[2] for arn in role["Properties"]["ManagedPolicyArns"]}
        for name, role in _translated(template)["Resources"].items()
        if role["Type"] == "AWS::IAM::Role"
    }

    # when the page's table is read
    of_page = {
        _only(row["role"]): set(_words(row["managed policies"]))
        for row in rows(documented["What SAM adds to the roles"])
    }

    # then nothing is attached that it does not say
    assert of_page == attached


def test_the_cluster_roles_have_exactly_the_documented_rules(documented: dict[str, str]) -> None:
    # given the cluster roles that onboarding applies
    manifests = yaml.safe_load_all((ROOT / "onboarding" / "rbac.yaml").read_text())
    granted = {
        f"ClusterRole {manifest['metadata']['name']}": set(_grants_of_rules(manifest["rules"]))
        for manifest in manifests
        if manifest["kind"] == "ClusterRole"
    }

    # when the page's section of each is read
    of_page = {
        title: set(_rules_of_page(text)) for title, text in documented.items() if title.startswith("ClusterRole ")
    }

    # then they are the same, verb by verb
    assert of_page == granted


def _grants_of_template(properties: dict[str, Any]) -> Iterator[Grant]:
    for policy in properties["Policies"]:
        for statement in map(_granted, policy["Statement"]):
            assert statement["Effect"] == "Allow"
            condition = _condition(statement.get("Condition", {}))
            for action, resource in product(_listed(statement["Action"]), _listed(statement["Resource"])):
                yield action, _short(resource), condition


def _granted(statement: dict[str, Any]) -> dict[str, Any]:
    """The statement itself, where a parameter decides whether it is there."""
    if "Fn::If" not in statement:
        return statement
    _condition, granted, nothing = statement["Fn::If"]
    assert nothing == {"Ref": "AWS::NoValue"}
    return dict(granted)


def _grants_of_page(text: str) -> Iterator[Grant]:
    for row in rows(text):
        condition = " ".join(_words(row["condition"]))
        for action, resource in product(_words(row["actions"]), _words(row["resource"])):
            yield action, resource, condition


def _grants_of_rules(rules: list[dict[str, Any]]) -> Iterator[Grant]:
    for rule in rules:
        names = rule.get("resourceNames", [""])
        yield from product([group or "core" for group in rule["apiGroups"]], rule["resources"], names, rule["verbs"])


def _rules_of_page(text: str) -> Iterator[Grant]:
    for row in rows(text):
        names = _words(row["names"]) or [""]
        yield from product([row["API group"].strip("`")], _words(row["resources"]), names, _words(row["verbs"]))


def _short(resource: Any) -> str:
    """A resource as the page writes it: a logical id, `service:rest` of an ARN, or `*`."""
    if isinstance(resource, str):
        return resource
    ((function, value),) = resource.items()
    if function == "Ref":
        return str(value)
    if function == "Fn::GetAtt":
        return str(value[0] if isinstance(value, list) else value.partition(".")[0])
    matched = ARN.fullmatch(value)
    assert matched, f"{value} is no ARN that the page has a short form for"
    return ":".join(matched.groups())


def _condition(condition: dict[str, Any]) -> str:
    return " ".join(
        f"{operator} {key} {_value(value)}" for operator, tests in condition.items() for key, value in tests.items()
    )


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return str(value["Fn::Sub"]) if "Fn::Sub" in value else f"${{{value['Ref']}}}"
    return ",".join(_value(item) if isinstance(item, dict) else item for item in _listed(value))


def _translated(template: dict[str, Any]) -> dict[str, Any]:
    """The template as SAM makes it CloudFormation; local paths stand for uploads, which SAM wants."""
    resources = {
        name: {**resource, "Properties": {**resource["Properties"], **_uploaded(resource["Properties"])}}
        for name, resource in template["Resources"].items()
    }
    translated: dict[str, Any] = transform({**template, "Resources": resources}, {}, _NoManagedPolicies())
    return translated


def _uploaded(properties: dict[str, Any]) -> dict[str, str]:
    uploads = {"CodeUri", "ContentUri", "DefinitionUri"} & properties.keys()
    return dict.fromkeys(uploads, "s3://bucket/key")


class _NoManagedPolicies:
    """The template names no managed policy, so SAM needs no map of them from IAM."""

    def load(self) -> dict[str, str]:
        return {}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _words(cell: str) -> list[str]:
    """What a cell names in backticks."""
    return re.findall(r"`([^`]+)`", cell)


def _only(cell: str) -> str:
    (word,) = _words(cell)
    return word
