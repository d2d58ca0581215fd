"""onboard: what people are told to do next can be typed as it is."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from ip_remediator_cli.aws import Deployment
from ip_remediator_cli.commands.onboard import next_steps
from ip_remediator_cli.errors import BadInput
from ip_remediator_cli.parser import build_parser

ROOT = Path(__file__).parents[3]
INGEST = "arn:aws:lambda:ap-northeast-2:123456789012:function:eks-ip-remediator-ingest"
DEPLOYMENT = Deployment("eks-ip-remediator", {"IngestFunctionArn": INGEST})


def template_parameters() -> dict[str, Any]:
    class Loader(yaml.SafeLoader):
        """Knows CloudFormation's short forms as nothing."""

    Loader.add_multi_constructor("!", lambda _loader, _suffix, _node: None)
    parameters: dict[str, Any] = yaml.load((ROOT / "onboarding" / "cluster.yaml").read_text(), Loader)["Parameters"]
    return parameters


def test_given_an_onboarded_cluster_then_the_next_steps_name_it_and_the_command_to_type() -> None:
    first, *_ = next_steps("shop-prod", DEPLOYMENT)
    arguments = build_parser().parse_args(shlex.split(first.partition("ip-remediator ")[2]))
    assert (arguments.cluster, arguments.mode, arguments.wait) == ("shop-prod", "observe", True)


def test_given_an_onboarded_cluster_then_the_template_is_deployed_with_parameters_that_it_has() -> None:
    command = [line.strip().rstrip("\\") for line in next_steps("shop_prod", DEPLOYMENT)]
    words = shlex.split(" ".join(command[next(i for i, line in enumerate(command) if line.startswith("aws ")) :]))
    assert (ROOT / words[words.index("--template-file") + 1]).is_file()
    given = dict(word.split("=", 1) for word in words[words.index("--parameter-overrides") + 1 :])
    assert given["ClusterName"] == "shop_prod"
    assert re.fullmatch(r"[A-Za-z][A-Za-z0-9-]{0,127}", words[words.index("--stack-name") + 1])
    assert given["IngestFunctionArn"] == INGEST
    parameters = template_parameters()
    for name, value in given.items():
        assert value in parameters[name].get("AllowedValues", [value])
    without_default = {name for name, parameter in parameters.items() if "Default" not in parameter}
    assert without_default <= set(given)


def test_given_a_stack_of_an_older_version_then_it_is_named() -> None:
    with pytest.raises(BadInput, match="IngestFunctionArn"):
        next_steps("shop-prod", Deployment("eks-ip-remediator", {}))
