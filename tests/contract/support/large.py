"""A server of a large cluster: 5,000 nodes with three ENIs each, 100,000 pods; made up page by page as it is asked.

It speaks as much of the EC2, EKS, Service Quotas and Kubernetes APIs as a capture asks for, over HTTP.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address, IPv4Network
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ip_remediator.snapshot.preflight.quotas import CODES

NODES, ENIS_PER_NODE, ADDRESSES_PER_ENI, PODS = 5_000, 3, 15, 100_000
PENDING, STUCK, GROUPS, DEPLOYMENTS, OTHER_ENIS = 3_000, 1_500, 2_500, 4_000, 500
REGION, VPC = "eu-west-1", "vpc-1"
_IMAGES = [
    {"names": [f"registry.example.com/team-{n}/service-{n}@sha256:{n:064x}"], "sizeBytes": 10**8} for n in range(50)
]
_CIDRS = [IPv4Network(f"10.{second}.0.0/16") for second in range(0, 10, 2)]
_SUBNETS = [subnet for cidr in _CIDRS for subnet in cidr.subnets(new_prefix=18)]
_NO_ADDRESS = 'plugin type="aws-cni" name="aws-cni" failed (add): add cmd: failed to assign an IP address to container'


@dataclass(frozen=True)
class Large:
    url: str


@contextmanager
def large_cluster() -> Iterator[Large]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Large(f"http://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        status, answer = _kubernetes(url.path, query) or _eks(url.path)
        self._answer(status, "application/json", json.dumps(answer).encode())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if self.headers.get("X-Amz-Target", "").endswith("ListServiceQuotas"):
            quotas = {"Quotas": [{"QuotaCode": code, "Value": 50.0} for code in CODES]}
            self._answer(200, "application/x-amz-json-1.1", json.dumps(quotas).encode())
            return
        form = {key: values[0] for key, values in parse_qs(body).items()}
        self._answer(200, "text/xml", _ec2(form).encode())

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if status == 404:
            self.send_header("x-amzn-errortype", "ResourceNotFoundException")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


# --- Kubernetes


def _kubernetes(path: str, query: dict[str, str]) -> tuple[int, Any] | None:
    if path.endswith("/daemonsets/aws-node"):
        return 200, _aws_node()
    for plural, (count, make) in _LISTS.items():
        if path.endswith(plural):
            wanted = query.get("fieldSelector")
            assert plural not in ("pods", "events") or wanted, f"all {plural} were asked for"
            return 200, _page(count, make, query)
    return (404, {"kind": "Status", "message": path}) if path.startswith("/api") else None


def _page(count: int, make: Callable[[int], Any], query: dict[str, str]) -> dict[str, Any]:
    start, limit = int(query.get("continue", 0)), int(query.get("limit", count))
    end = min(start + limit, count)
    more = {"continue": str(end)} if end < count else {}
    return {"metadata": {"resourceVersion": "1", **more}, "items": [make(number) for number in range(start, end)]}


def _managed(fields: int) -> list[dict[str, Any]]:
    return [{"manager": "kubelet", "operation": "Update", "fieldsV1": {f"f:field-{n}": {} for n in range(fields)}}]


def _node(number: int) -> dict[str, Any]:
    labels = {
        "topology.kubernetes.io/zone": f"{REGION}{'abc'[number % 3]}",
        "node.kubernetes.io/instance-type": ("m5.large", "m5.xlarge", "c6i.2xlarge")[number % 3],
        "eks.amazonaws.com/nodegroup": f"group-{number % 7}",
        **{f"example.com/label-{n}": f"value-{n}" for n in range(10)},
    }
    conditions = [{"type": kind, "status": "False", "message": "kubelet has sufficient"} for kind in "abcde"]
    return {
        "metadata": {"name": _name(number), "uid": str(number), "labels": labels, "managedFields": _managed(80)},
        "spec": {"providerID": f"aws:///{REGION}a/i-{number:017x}"},
        "status": {"allocatable": {"pods": "29"}, "conditions": conditions, "images": _IMAGES},
    }


def _name(number: int) -> str:
    return f"ip-10-0-{number // 256}-{number % 256}.{REGION}.compute.internal"


def _pod(number: int) -> dict[str, Any]:
    containers = [
        {"name": f"c{n}", "image": "registry.example.com/app:1", "env": [{"name": f"E{e}", "value": "x" * 40}]}
        for n in range(3)
        for e in range(3)
    ]
    created = "2026-03-01T12:00:00Z"
    return {
        "metadata": {
            "name": f"web-{number}",
            "namespace": f"team-{number % 50}",
            "uid": f"pod-{number}",
            "creationTimestamp": created,
            "managedFields": _managed(60),
        },
        "spec": {"nodeName": _name(number % NODES), "containers": containers},
        "status": {"phase": "Pending"},
    }


def _event(number: int) -> dict[str, Any]:
    about = {"kind": "Pod", "namespace": f"team-{number % 50}", "name": f"web-{number}", "uid": f"pod-{number % STUCK}"}
    return {
        "metadata": {"name": f"event-{number}", "namespace": f"team-{number % 50}", "managedFields": _managed(20)},
        "involvedObject": about,
        "reason": "FailedCreatePodSandBox",
        "message": _NO_ADDRESS,
        "lastTimestamp": "2026-03-01T12:01:00Z",
    }


def _deployment(number: int) -> dict[str, Any]:
    template = {"spec": {"containers": _pod(number)["spec"]["containers"]}}
    return {
        "metadata": {"name": f"d{number}", "namespace": "x", "managedFields": _managed(60)},
        "spec": {"template": template},
    }


def _aws_node() -> dict[str, Any]:
    container = {"name": "aws-node", "image": "amazon-k8s-cni:v1.23.1", "env": []}
    return {"metadata": {"name": "aws-node"}, "spec": {"template": {"spec": {"containers": [container]}}}}


_LISTS: dict[str, tuple[int, Callable[[int], Any]]] = {
    "nodes": (NODES, _node),
    "pods": (PENDING, _pod),  # of 100,000: the field selector leaves these
    "events": (2 * STUCK, _event),
    "deployments": (DEPLOYMENTS, _deployment),
    "daemonsets": (50, _deployment),
    "statefulsets": (500, _deployment),
    "webhookconfigurations": (0, _deployment),
    "eniconfigs": (0, _deployment),
}


# --- EKS


def _eks(path: str) -> tuple[int, Any]:
    names = {"/node-groups": "nodegroups", "/fargate-profiles": "fargateProfileNames"}
    for suffix, key in names.items():
        if path.endswith(suffix):
            return 200, {key: []}
    return 404, {"message": path}


# --- EC2


def _ec2(form: dict[str, str]) -> str:
    action = form["Action"]
    key, count, make = _ANSWERS.get(action, ("nothing", 0, str))
    start = int(form.get("NextToken", 0))
    end = min(start + int(form.get("MaxResults", count or 1)), count)
    items = "".join(f"<item>{make(number)}</item>" for number in range(start, end))
    more = f"<nextToken>{end}</nextToken>" if end < count else ""
    if action == "DescribeAutoScalingGroups":
        return f"<{action}Response><{action}Result><AutoScalingGroups/></{action}Result></{action}Response>"
    return f'<?xml version="1.0"?><{action}Response><{key}>{items}</{key}>{more}</{action}Response>'


def _interface(number: int) -> str:
    if number >= NODES * ENIS_PER_NODE:
        return _service_interface(number)
    node, device = divmod(number, ENIS_PER_NODE)
    subnet = number % len(_SUBNETS)
    first = int(_SUBNETS[subnet].network_address) + 4 + (number // len(_SUBNETS)) * ADDRESSES_PER_ENI
    addresses = "".join(
        f"<item><privateIpAddress>{IPv4Address(first + n)}</privateIpAddress><primary>{str(n == 0).lower()}</primary>"
        f"<privateDnsName>ip-{n}.{REGION}.compute.internal</privateDnsName></item>"
        for n in range(ADDRESSES_PER_ENI)
    )
    tags = {"cluster.k8s.amazonaws.com/name": "large", "node.k8s.amazonaws.com/instance_id": f"i-{node:017x}"}
    return (
        f"<networkInterfaceId>eni-{number:017x}</networkInterfaceId><subnetId>subnet-{subnet}</subnetId>"
        f"<vpcId>{VPC}</vpcId><availabilityZone>{REGION}a</availabilityZone><status>in-use</status>"
        f"<description>aws-K8S-i-{node:017x}</description><macAddress>02:00:00:00:00:00</macAddress>"
        f"<ownerId>000000000000</ownerId><requesterId>AROA:i-{node:017x}</requesterId><sourceDestCheck>true</sourceDestCheck>"
        f"<networkInterfaceArn>arn:aws:ec2:{REGION}:000000000000:network-interface/eni-{number:017x}</networkInterfaceArn>"
        "<interfaceType>interface</interfaceType><groupSet><item><groupId>sg-0</groupId></item></groupSet>"
        f"<tagSet>{''.join(f'<item><key>{k}</key><value>{v}</value></item>' for k, v in tags.items())}</tagSet>"
        f"<attachment><instanceId>i-{node:017x}</instanceId><deviceIndex>{device}</deviceIndex></attachment>"
        f"<privateIpAddressesSet>{addresses}</privateIpAddressesSet>"
    )


def _service_interface(number: int) -> str:
    return (
        f"<networkInterfaceId>eni-{number:017x}</networkInterfaceId><subnetId>subnet-0</subnetId><status>in-use</status>"
        f"<description>RDSNetworkInterface</description><groupSet><item><groupId>sg-{number % GROUPS}</groupId></item>"
        f"</groupSet><privateIpAddressesSet><item><privateIpAddress>10.0.63.{number % 250}</privateIpAddress></item>"
        "</privateIpAddressesSet>"
    )


def _subnet(number: int) -> str:
    return (
        f"<subnetId>subnet-{number}</subnetId><vpcId>{VPC}</vpcId><cidrBlock>{_SUBNETS[number]}</cidrBlock>"
        f"<availabilityZone>{REGION}{'abc'[number % 3]}</availabilityZone>"
        "<availableIpAddressCount>0</availableIpAddressCount><ownerId>000000000000</ownerId>"
    )


def _vpc(_: int) -> str:
    blocks = "".join(
        f"<item><associationId>a-{cidr}</associationId><cidrBlock>{cidr}</cidrBlock>"
        "<cidrBlockState><state>associated</state></cidrBlockState></item>"
        for cidr in _CIDRS
    )
    associations = f"<cidrBlockAssociationSet>{blocks}</cidrBlockAssociationSet>"
    return f"<vpcId>{VPC}</vpcId><ownerId>000000000000</ownerId>{associations}"


def _group(number: int) -> str:
    ranges = "".join(f"<item><cidrIp>10.{n}.0.0/16</cidrIp></item>" for n in range(20))
    permissions = "".join(
        f"<item><ipProtocol>tcp</ipProtocol><fromPort>{port}</fromPort><toPort>{port}</toPort><ipRanges>{ranges}</ipRanges></item>"
        for port in ((5432,) if number % 10 == 0 else ())
    )
    return (
        f"<groupId>sg-{number}</groupId><groupName>group-{number}</groupName><vpcId>{VPC}</vpcId>"
        f"<ipPermissions>{permissions}</ipPermissions>"
    )


def _group_rule(number: int) -> str:
    group, range_ = divmod(number, 20)
    return (
        f"<securityGroupRuleId>sgr-{number}</securityGroupRuleId><groupId>sg-{group * 10}</groupId>"
        "<isEgress>false</isEgress><ipProtocol>tcp</ipProtocol><fromPort>5432</fromPort><toPort>5432</toPort>"
        f"<cidrIpv4>10.{range_}.0.0/16</cidrIpv4>"
    )


def _instance_type(number: int) -> str:
    name = ("m5.large", "m5.xlarge", "c6i.2xlarge")[number]
    addresses = f"<ipv4AddressesPerInterface>{ADDRESSES_PER_ENI}</ipv4AddressesPerInterface>"
    interfaces = "<maximumNetworkInterfaces>4</maximumNetworkInterfaces>"
    return f"<instanceType>{name}</instanceType><networkInfo>{interfaces}{addresses}</networkInfo>"


_ANSWERS: dict[str, tuple[str, int, Callable[[int], str]]] = {
    "DescribeNetworkInterfaces": ("networkInterfaceSet", NODES * ENIS_PER_NODE + OTHER_ENIS, _interface),
    "DescribeSubnets": ("subnetSet", len(_SUBNETS), _subnet),
    "DescribeVpcs": ("vpcSet", 1, _vpc),
    "DescribeSecurityGroups": ("securityGroupInfo", GROUPS, _group),
    "DescribeSecurityGroupRules": ("securityGroupRuleSet", GROUPS // 10 * 20, _group_rule),
    "DescribeInstanceTypes": ("instanceTypeSet", 3, _instance_type),
}
