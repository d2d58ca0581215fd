"""Everything that the counterparts hold, as one digest: two worlds of the same digest go on alike.

Left out are names and moments that differ by chance: generated ids, times, versions. Where something points (an
ENIConfig at its subnet) is kept by the subnet's CIDR.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from typing import Any

from tests.faults.inline.servers import InlineServers

_LEFT_OUT = ("events", "leases", "controllerrevisions", "replicasets")
_OF_CHANCE = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?[.\d]*(?:Z|\+00:00)?|\b\d\d:\d\d(?::\d\d)?(?: UTC)?\b"
    r"|\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"
    r"|\b(?:eni|eni-attach|vpc|i|sg|acl|rtb|vpc-cidr-assoc)-[0-9a-f]{8,17}\b"
    r"|-\d{8}-\d{6}-[0-9a-f]{6}|#[0-9a-f]{4}\b(?!-)|containerd://[0-9a-f]+"
    r"|\b\d{9,13}(?:\.\d+)?\b|\b\d{8}T\d{6}Z?\b|\b\d+(?:\.\d+)? ?(?:s|seconds|min|minutes)\b"
)
# What was read (`body`) follows from everything else.
_FACTS_AND_SLACK = ("body", "slack", "retold_at")
_BOOKKEEPING = ("managedFields", "resourceVersion", "uid", "creationTimestamp", "generation", "annotations")


def _parts(servers: InlineServers) -> dict[str, Any]:
    return {
        "ec2": _ec2(servers.region),
        "eks": _eks(),
        "tables": _sorted(_items()),
        "executions": _executions(),
        "kubernetes": _kubernetes(servers),
    }


def of(servers: InlineServers) -> str:
    """A digest of everything but Slack, which is told a moment later than anything happens."""
    return _digest(servers, _parts(servers))


def standing(servers: InlineServers) -> str:
    """A digest of what decides what follows; of an incident only how it ended."""
    parts = _parts(servers)
    del parts["executions"]
    return _digest(servers, {**parts, "tables": _sorted(_decisive(item) for item in _items())})


def by_chance(text: str) -> str:
    return _OF_CHANCE.sub("*", text)


def _digest(servers: InlineServers, parts: Any) -> str:
    text = json.dumps(parts, sort_keys=True, default=str)
    for subnet in _subnets(servers.region):
        text = text.replace(subnet.id, subnet.cidr_block)
    return hashlib.sha256(by_chance(text).encode()).hexdigest()[:24]


def _sorted(items: Iterable[Any]) -> list[str]:
    return sorted(by_chance(json.dumps(item, sort_keys=True, default=str)) for item in items)


def _decisive(item: dict[str, Any]) -> Any:
    """Of timeline and questions nothing; of an incident's record how it ended; of everything else its key."""
    key = [str(item.get(name, {}).get("S")) for name in ("pk", "sk")]
    if key[1] == "META":
        return [*key, item.get("outcome"), item.get("open")]
    return key if "CHANGE#" in key[1] or not key[0].startswith("INCIDENT#") else None


def _backend(region: str) -> Any:
    from moto.ec2 import models  # noqa: PLC0415 - the emulators read the environment

    return models.ec2_backends["000000000000"][region]


def _subnets(region: str) -> list[Any]:
    return [subnet for zone in _backend(region).subnets.values() for subnet in zone.values()]


def _ec2(region: str) -> Any:
    backend = _backend(region)
    return {
        "cidrs": sorted(
            (one["cidr_block"], str(one["cidr_block_state"].get("State")))
            for vpc in backend.vpcs.values()
            for one in vpc.get_cidr_block_association_set()
        ),
        "subnets": sorted((one.cidr_block, sorted(backend.tags.get(one.id, {}).items())) for one in _subnets(region)),
        "enis": sorted(
            (
                str(one.private_ip_address),
                one.subnet.cidr_block,
                one.status,
                len(one.private_ip_addresses),
                one.description.startswith("aws-K8S"),
            )
            for one in backend.enis.values()
        ),
    }


def _eks() -> Any:
    from ministack.services import eks  # noqa: PLC0415

    return [sorted((str(key), value) for key, value in kept._data.items()) for kept in (eks._clusters, eks._addons)]


def _items() -> list[dict[str, Any]]:
    from ministack.services import dynamodb  # noqa: PLC0415

    tables = [table["items"] for table in dynamodb._tables._data.values()]
    every = [item for items in tables for under in items.values() for item in under.values()]
    return [{name: value for name, value in item.items() if name not in _FACTS_AND_SLACK} for item in every]


def _executions() -> list[str]:
    """Of those that run, the state that each is in."""
    from ministack.services import stepfunctions  # noqa: PLC0415

    entered = [
        [event["stateEnteredEventDetails"]["name"] for event in one["events"] if "stateEnteredEventDetails" in event]
        for one in stepfunctions._executions._data.values()
        if one["status"] == "RUNNING"
    ]
    return [names[-1] for names in entered if names]


def _kubernetes(servers: InlineServers) -> Any:
    return {
        resource.plural: _sorted(_plain(stored.obj) for stored in kept.values())
        for resource, kept in servers.kubernetes.store._objects.items()
        if kept and resource.plural not in _LEFT_OUT
    }


def _plain(obj: dict[str, Any]) -> dict[str, Any]:
    metadata = {name: value for name, value in obj["metadata"].items() if name not in _BOOKKEEPING}
    if obj.get("kind") == "Pod":
        del metadata["name"]
    return {**obj, "metadata": metadata}
