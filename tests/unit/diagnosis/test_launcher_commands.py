"""The node group that is handed over has all that the live one has: held against EKS's own model of CreateNodegroup."""

from __future__ import annotations

import json
import shlex
from typing import Any

import botocore.session
import pytest

from ip_remediator.diagnosis.launcher_commands import LEFT_OUT, create_node_group
from ip_remediator.snapshot.preflight.eks_compute import node_group
from tests.unit.support.commands import aws_problem

# Beside a launch template EKS refuses these (CreateNodegroup: diskSize, remoteAccess).
NOT_BESIDE_A_TEMPLATE = {"diskSize", "remoteAccess"}
# Given by us: the names, and the subnets that the new group is made for.
OURS = {"clusterName", "nodegroupName", "subnets"}


def _service() -> Any:
    return botocore.session.get_session().get_service_model("eks")


def _filled(shape: Any) -> Any:
    """A value of the shape in which every member is set."""
    match shape.type_name:
        case "structure":
            return {name: _filled(member) for name, member in shape.members.items()}
        case "list":
            return [_filled(shape.member)]
        case "map":
            return {"key": _filled(shape.value)}
        case "string":
            return shape.enum[0] if getattr(shape, "enum", None) else "value"
        case "boolean":
            return True
        case "timestamp":
            return None
        case _:
            return 3


def described() -> dict[str, Any]:
    shape = _service().operation_model("DescribeNodegroup").output_shape.members["nodegroup"]
    return dict(_filled(shape))


def options(command: str) -> dict[str, list[str]]:
    """The values of a command's options, by their names in EKS's model."""
    by_name: dict[str, list[str]] = {}
    name = ""
    for word in shlex.split(command):
        if word.startswith("--"):
            first, *rest = word.removeprefix("--").split("-")
            name = first + "".join(part.title() for part in rest)
            by_name[name] = []
        elif name:
            by_name[name].append(word)
    return by_name


def members() -> set[str]:
    return set(_service().operation_model("CreateNodegroup").input_shape.members)


def test_given_a_live_group_with_everything_set_then_the_command_carries_every_member_or_says_why_not() -> None:
    group = node_group(described())
    without_template = options(create_node_group("shop", group.model_copy(update={"launch_template": {}}), "b", ["s"]))
    with_template = options(create_node_group("shop", group, "b", ["s"]))
    assert without_template.keys() == members() - LEFT_OUT.keys() - {"launchTemplate"}
    assert with_template.keys() == members() - LEFT_OUT.keys() - NOT_BESIDE_A_TEMPLATE


def test_given_a_live_group_then_what_is_carried_is_as_it_was_described() -> None:
    live = described()
    group = node_group(live).model_copy(update={"launch_template": {}})
    for name, words in options(create_node_group("shop", group, "b", ["s"])).items():
        if name in OURS or name == "scalingConfig":
            continue
        present = live[name]
        if isinstance(present, dict) or name == "taints":
            assert json.loads(" ".join(words)) == present, name
        else:
            assert words == [str(item) for item in (present if isinstance(present, list) else [present])], name


def test_given_a_live_group_then_the_cli_knows_every_option() -> None:
    command = create_node_group("shop", node_group(described()), "b", ["s"])
    assert aws_problem(shlex.split(command)[1:]) is None


@pytest.mark.parametrize("name", sorted(LEFT_OUT))
def test_what_is_left_out_is_still_a_member(name: str) -> None:
    assert name in members()


def test_given_tags_of_aws_itself_then_they_are_not_carried() -> None:
    live = {**described(), "tags": {"aws:cloudformation:stack-name": "x", "team": "a"}}
    assert json.loads(options(create_node_group("shop", node_group(live), "b", ["s"]))["tags"][0]) == {"team": "a"}
