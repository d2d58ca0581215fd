"""What the demo reads back from Kubernetes, EC2 and Slack, and how it prints it."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from local.cluster.objects import is_ready
from local.stack.stack import Cluster, Stack


@dataclass(frozen=True)
class PodView:
    """A pod as the demo shows it."""

    name: str
    status: str
    address: str
    node: str
    zone: str

    @property
    def running(self) -> bool:
        """Whether the pod runs and has an address."""
        return self.status == "Running" and bool(self.address)


@dataclass(frozen=True)
class SubnetView:
    """A subnet as the demo shows it."""

    id: str
    cidr: str
    zone: str
    free: int


def pods(cluster: Cluster) -> list[PodView]:
    """The nginx pods as the Kubernetes API has them."""
    zones = {node.name: node.zone for node in cluster.seeded.nodes}
    listed = cluster.api.get("/api/v1/namespaces/default/pods")["items"]
    nginx_pods = [pod for pod in listed if pod["metadata"]["name"].startswith("nginx")]
    return sorted((_pod(pod, zones) for pod in nginx_pods), key=lambda pod: (pod.running, pod.name), reverse=True)


def _pod(pod: dict[str, Any], zones: dict[str, str]) -> PodView:
    statuses = pod["status"].get("containerStatuses") or [{}]
    waiting = statuses[0].get("state", {}).get("waiting", {}).get("reason")
    node = pod["spec"].get("nodeName", "")
    return PodView(
        name=pod["metadata"]["name"],
        status="Running" if is_ready(pod) else waiting or pod["status"]["phase"],
        address=pod["status"].get("podIP", ""),
        node=node,
        zone=zones.get(node, ""),
    )


def subnets(stack: Stack, vpc_id: str) -> list[SubnetView]:
    """The subnets of the VPC, by their CIDR."""
    ec2: Any = stack.servers.client("ec2")
    described = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc_id]}])["Subnets"]
    views = [
        SubnetView(item["SubnetId"], item["CidrBlock"], item["AvailabilityZone"], item["AvailableIpAddressCount"])
        for item in described
    ]
    return sorted(views, key=lambda view: view.cidr)


def addresses_in_ec2(stack: Stack, subnet_ids: Iterable[str]) -> set[str]:
    """Every address that EC2 has on an ENI of these subnets."""
    ec2: Any = stack.servers.client("ec2")
    filters = [{"Name": "subnet-id", "Values": list(subnet_ids)}]
    interfaces = ec2.describe_network_interfaces(Filters=filters)["NetworkInterfaces"]
    return {address["PrivateIpAddress"] for eni in interfaces for address in eni["PrivateIpAddresses"]}


def slack_message(stack: Stack) -> dict[str, Any] | None:
    """The incident's message in the Slack workspace: `{"text", "permalink", ...}`; its thread is left out."""
    with urllib.request.urlopen(f"{stack.servers.slack_url}/_control/messages", timeout=5) as answer:
        messages = json.load(answer)
    in_channel = [message for message in messages if message["thread_ts"] in (None, message["ts"])]
    posted = [message for message in in_channel if message["user"] and not message["ephemeral_to"]]
    return posted[-1] if posted else None


def show_pods(console: Console, title: str, views: Iterable[PodView]) -> None:
    """Prints a table of pods; pods without an address are red, those with a new one green."""
    table = _table(title, "NAME", "STATUS", "IP", "NODE", "ZONE")
    for pod in views:
        colour = "green" if pod.address.startswith("100.") else "" if pod.running else "red"
        table.add_row(pod.name, pod.status, pod.address or "<none>", pod.node.partition(".")[0], pod.zone, style=colour)
    console.print(table)


def show_subnets(console: Console, title: str, views: Iterable[SubnetView]) -> None:
    """Prints a table of subnets; full ones are red."""
    table = _table(title, "SUBNET", "CIDR", "ZONE", "FREE")
    for subnet in views:
        table.add_row(subnet.id, subnet.cidr, subnet.zone, str(subnet.free), style="" if subnet.free else "red")
    console.print(table)


def show_rows(console: Console, title: str, columns: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """Prints a table."""
    table = _table(title, *columns)
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=True)
    return table
