"""The manifests of what runs in a simulated cluster, and how they are read."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import cache
from importlib import resources

import yaml

from local.cluster.objects import Obj


def load(name: str) -> Obj:
    """A fresh copy of the manifest `<name>.yaml`."""
    return copy.deepcopy(_read(name))


@cache
def _read(name: str) -> Obj:
    text = resources.files(__name__).joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))


def aws_node(environment: Mapping[str, str]) -> Obj:
    """The aws-node DaemonSet with `environment` set over the add-on's defaults."""
    daemonset = load("aws-node")
    container = daemonset["spec"]["template"]["spec"]["containers"][0]
    given = [{"name": name, "value": value} for name, value in sorted(environment.items())]
    container["env"] = [item for item in container["env"] if item["name"] not in environment] + given
    return daemonset
