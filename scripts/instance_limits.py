"""Writes the CNI's limits of EC2 instance types as JSON, from the CNI's Go sources, for the product and the simulator.

python -m scripts.instance_limits CNI_REPOSITORY CNI_REVISION CONTROLLER_REPOSITORY CONTROLLER_REVISION

CNI_REPOSITORY is a clone of github.com/aws/amazon-vpc-cni-k8s: its pkg/vpc/vpc_ip_resource_limit.go has the ENIs,
addresses, network cards and hypervisor of each type. CONTROLLER_REPOSITORY is a clone of
github.com/aws/amazon-vpc-resource-controller-k8s: the CNI reads from its pkg/aws/vpc/limits.go whether a type can have
a trunk ENI (awsutils.go, IsTrunkingCompatible; a type that is missing there counts as one that can).
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
OUTPUT = ROOT / "local" / "cluster" / "ipamd" / "instance_limits.json"
PRODUCT_OUTPUT = ROOT / "layers" / "core" / "ip_remediator" / "snapshot" / "node_room" / "instance_limits.json"
CNI_FILE = "pkg/vpc/vpc_ip_resource_limit.go"
CONTROLLER_FILE = "pkg/aws/vpc/limits.go"
ENTRY = re.compile(r'^\t"([^"]+)": +\{$(.*?)^\t\},$', re.DOTALL | re.MULTILINE)
CARD = re.compile(r"MaximumNetworkInterfaces: +(\d+),\s+NetworkCardIndex: +(\d+)")
FIELD = re.compile(r'^\t\t(\w+): +"?([^",{]+)"?,$', re.MULTILINE)


def source(repository: str, revision: str, file: str) -> str:
    """The text of ``file`` at ``revision``. subprocess.CalledProcessError when there is none."""
    command = ["git", "-C", repository, "show", f"{revision}:{file}"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def entries(go: str) -> dict[str, str]:
    """Instance type -> the text of its Go literal. ValueError when the file has an unexpected shape."""
    fields_of_entry = dict(ENTRY.findall(go))
    if not fields_of_entry:
        raise ValueError("the Go source has no map of instance types: its shape has changed, adapt ENTRY")
    return fields_of_entry


def limits(literal: str) -> dict[str, Any]:
    """The limits in one entry of the CNI's file. ValueError when network cards are not numbered from zero on."""
    fields = dict(FIELD.findall(literal))
    cards = sorted((int(index), int(most)) for most, index in CARD.findall(literal))
    if [index for index, _ in cards] != list(range(len(cards))):
        raise ValueError(f"network cards are not numbered from zero on: {cards}")
    return {
        "eni_limit": int(fields["ENILimit"]),
        "ips_per_eni": int(fields["IPv4Limit"]),
        "default_network_card": int(fields["DefaultNetworkCardIndex"]),
        "network_card_enis": [most for _, most in cards],
        "hypervisor": fields["HypervisorType"],
        "bare_metal": fields["IsBareMetal"] == "true",
    }


def trunking(literal: str) -> bool:
    """Whether an entry of the controller's file can have a trunk ENI."""
    return bool(dict(FIELD.findall(literal))["IsTrunkingCompatible"] == "true")


def document(cni: tuple[str, str], controller: tuple[str, str]) -> dict[str, Any]:
    """The JSON document; each argument is a repository and a revision."""
    trunks = {kind: trunking(text) for kind, text in entries(source(*controller, CONTROLLER_FILE)).items()}
    instances = {kind: limits(text) for kind, text in sorted(entries(source(*cni, CNI_FILE)).items())}
    for kind, limits_of_kind in instances.items():
        if kind in trunks:
            limits_of_kind["trunking_compatible"] = trunks[kind]
    return {
        "version": cni[1],
        "source": f"github.com/aws/amazon-vpc-cni-k8s {cni[1]} {CNI_FILE}",
        "trunking_source": f"github.com/aws/amazon-vpc-resource-controller-k8s {controller[1]} {CONTROLLER_FILE}",
        "instances": instances,
    }


def of_product(made: dict[str, Any]) -> dict[str, Any]:
    """What a decision needs of `made`, by instance type: [ENIs of the default network card, addresses of an ENI,
    network cards, whether it can have prefixes (awsutils.go, IsPrefixDelegationSupported), and a trunk ENI]."""
    return {
        **made,
        "instances": {
            kind: [
                limits_of_kind["network_card_enis"][limits_of_kind["default_network_card"]],
                limits_of_kind["ips_per_eni"],
                len(limits_of_kind["network_card_enis"]),
                limits_of_kind["hypervisor"] == "nitro" or limits_of_kind["bare_metal"],
                limits_of_kind.get("trunking_compatible", True),
            ]
            for kind, limits_of_kind in made["instances"].items()
        },
    }


def text(made: dict[str, Any]) -> str:
    """JSON with one line for each instance type, so that a new version of the CNI gives a readable difference."""
    head = [f"  {json.dumps(key)}: {json.dumps(value)}," for key, value in made.items() if key != "instances"]
    rows = [f"    {json.dumps(kind)}: {json.dumps(value)}" for kind, value in made["instances"].items()]
    return "\n".join(["{", *head, '  "instances": {', ",\n".join(rows), "  }", "}"]) + "\n"


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    written = document((sys.argv[1], sys.argv[2]), (sys.argv[3], sys.argv[4]))
    for output, content in ((OUTPUT, written), (PRODUCT_OUTPUT, of_product(written))):
        output.write_text(text(content), encoding="utf-8")
        print(f"wrote {output}")
