"""Everything that the counterparts hold, as one digest: two worlds of the same digest go on alike.

Left out are names and moments that differ by chance: generated ids, times, versions. Where something points (an
ENIConfig at its subnet) is kept by the subnet's CIDR.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from tests.faults.inline.servers import InlineServers

_LEFT_OUT = ("events", "leases", "controllerrevisions", "replicasets")
_SUBNET = re.compile(r"\bsubnet-[0-9a-f]{8,17}\b")
# Every subnet that there has been, CIDR by id.
_KNOWN_SUBNETS: dict[str, str] = {}
# What a running execution remembers, by its ARN: MiniStack's context object.
_CONTEXTS: dict[str, dict[str, Any]] = {}
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


def install() -> None:
    """Keeps what executions remember. Before the first one starts."""
    from local.aws.step_functions import executions  # noqa: PLC0415 - the emulators read the environment

    made = executions._context

    def kept(execution: Any, *more: Any) -> dict[str, Any]:
        context = _CONTEXTS[execution["executionArn"]] = made(execution, *more)
        return context

    executions._context = kept


def of(servers: InlineServers, *, tries: bool = False, slack: bool = False) -> str:
    """A digest of everything. `tries`: with how often an execution has tried its state. `slack`: with what stands in
    Slack, which is told a moment later than anything happens."""
    executions = _executions(tries=tries)
    parts = {**_parts(servers), "executions": executions, "slack": _slack(servers) if slack else None}
    return _digest(parts)


def standing(servers: InlineServers) -> str:
    """A digest of what decides what follows; of an incident only how it ended, of ENIs and pods not which, but where
    and how they are."""
    parts = {
        **_parts(servers),
        "ec2": by_chance(json.dumps({**_ec2(servers.region), "enis": _eni_kinds(servers.region)})),
        "tables": sorted({*_sorted(_decisive(item) for item in _items())}),
    }
    parts["kubernetes"]["pods"] = _pod_kinds(servers)
    return _digest(parts)


@lru_cache(100_000)
def by_chance(text: str) -> str:
    """The text without ids and times."""
    return _OF_CHANCE.sub("*", _SUBNET.sub(lambda match: _KNOWN_SUBNETS.get(match[0], match[0]), text))


def _parts(servers: InlineServers) -> dict[str, Any]:
    _KNOWN_SUBNETS.update((subnet.id, subnet.cidr_block) for subnet in _subnets(servers.region))
    return {
        "ec2": by_chance(json.dumps(_ec2(servers.region))),
        "eks": by_chance(json.dumps(_eks(), default=str)),
        "tables": _sorted(_items()),
        "kubernetes": _kubernetes(servers),
    }


def _digest(parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:24]


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


def _eni_kinds(region: str) -> list[Any]:
    return sorted(
        {
            (one.subnet.cidr_block, one.status, one.description.startswith("aws-K8S"))
            for one in _backend(region).enis.values()
        }
    )


def _eks() -> Any:
    from ministack.services import eks  # noqa: PLC0415

    return [sorted((str(key), value) for key, value in kept._data.items()) for kept in (eks._clusters, eks._addons)]


def _items() -> list[dict[str, Any]]:
    from ministack.services import dynamodb  # noqa: PLC0415

    tables = [table["items"] for table in dynamodb._tables._data.values()]
    every = [item for items in tables for under in items.values() for item in under.values()]
    return [{name: value for name, value in item.items() if name not in _FACTS_AND_SLACK} for item in every]


def _executions(*, tries: bool) -> list[str]:
    """Of those that run: the state that each is in, what came into it, and its variables."""
    from ministack.services import stepfunctions  # noqa: PLC0415

    executions = []
    for one in stepfunctions._executions._data.values():
        if one["status"] == "RUNNING":
            entered = [event for event in one["events"] if "stateEnteredEventDetails" in event]
            context = _CONTEXTS.get(one["executionArn"], {})
            tried = context.get("State", {}).get("RetryCount") if tries else None
            executions.append(
                [entered[-1]["stateEnteredEventDetails"] if entered else None, context.get("variables"), tried]
            )
    return _sorted(executions)


def all_told() -> bool:
    """Whether the function that tells people has been given all that the tables' streams hold, and has ended."""
    from ministack.core.arn import parse_arn  # noqa: PLC0415
    from ministack.services import dynamodb, lambda_svc  # noqa: PLC0415

    for account, region, mapping in lambda_svc._iter_all_esms():
        source = mapping.get("EventSourceArn", "")
        if ":dynamodb:" in source and "notify" in mapping["FunctionName"]:
            table = lambda_svc._dynamodb_stream_table_from_arn_spec(parse_arn(source))[0]
            end = dynamodb.stream_end_position(table, account_id=account, region=region)
            if lambda_svc._dynamodb_stream_positions._data.get((account, region, mapping["UUID"])) != end:
                return False
    return True


def _slack(servers: InlineServers) -> list[str]:
    messages = [one for one in servers.slack.workspace.messages if not one.deleted]
    return [by_chance(json.dumps([one.channel, one.versions[-1].text, one.versions[-1].blocks])) for one in messages]


def _kubernetes(servers: InlineServers) -> Any:
    return {
        resource.plural: sorted(_text(stored) for stored in kept.values())
        for resource, kept in servers.kubernetes.store._objects.items()
        if kept and resource.plural not in _LEFT_OUT
    }


def _pod_kinds(servers: InlineServers) -> list[Any]:
    """Of each pod its labels, its phase, and whether its address is one of CG-NAT's."""
    [pods] = [kept for resource, kept in servers.kubernetes.store._objects.items() if resource.plural == "pods"]
    return sorted(
        json.dumps(
            [
                stored.obj["metadata"].get("labels", {}).get("app"),
                stored.obj["status"].get("phase"),
                stored.obj["status"].get("podIP", "").startswith("100."),
            ]
        )
        for stored in pods.values()
    )


def _text(stored: Any) -> str:
    """Of a stored object, which never changes: a change stores another one."""
    kept = vars(stored)
    if "as_text" not in kept:
        kept["as_text"] = by_chance(json.dumps(_plain(stored.obj), sort_keys=True, default=str))
    return str(kept["as_text"])


def _plain(obj: dict[str, Any]) -> dict[str, Any]:
    metadata = {name: value for name, value in obj["metadata"].items() if name not in _BOOKKEEPING}
    if obj.get("kind") == "Pod":
        del metadata["name"]
    return {**obj, "metadata": metadata}
