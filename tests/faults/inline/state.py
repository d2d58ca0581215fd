"""Everything that the counterparts hold, as one digest: two worlds of the same digest go on alike.

Left out are names and moments that differ by chance: generated ids, times, versions. Where something points (an
ENIConfig at its subnet) is kept by the subnet's CIDR. Left out is also what only people read: the text of an error (its
class stays), and the list of what could not be read. Of the facts that a plan was made from only those stay, once it is
made, that are read again.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from ip_remediator.common.errors import Transient
from ip_remediator.incidents.opening import undelivered_key
from tests.contract.statemachine.support import definitions
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
# The texts of errors that the faults cause: refused or lost, cut (urllib3, botocore), without an answer in time.
_ERROR_TEXT = re.compile(
    r"injected by a test|Connection was closed before we received|endpoint URL|Connection (?:broken|aborted)|timed out"
    r"|HTTPS?ConnectionPool|IncompleteRead|Response ended prematurely|Runtime exited|Task timed out"
)
_TEXTS = ("Cause", "cause", "message", "errorMessage")
# What could not be read, for people; Slack's own names of the parts of a message.
_NOT_DECISIVE = ("unknown", "block_id")
_SLACK = ("slack", "retold_at")
# What the functions read again, after the plan, of the facts that an incident was diagnosed from.
READ_AGAIN = ("nodes", "vpc")
_BOOKKEEPING = ("managedFields", "resourceVersion", "uid", "creationTimestamp", "generation", "annotations")


def install() -> None:
    """Keeps what executions remember. Before the first one starts."""
    from local.aws.step_functions import executions  # noqa: PLC0415 - the emulators read the environment

    made = executions._context

    def kept(execution: Any, *more: Any) -> dict[str, Any]:
        context = _CONTEXTS[execution["executionArn"]] = made(execution, *more)
        return context

    executions._context = kept


def of(servers: InlineServers) -> str:
    """A digest of everything but Slack, which is told a moment later than anything happens."""
    return _digest({**_parts(servers), "executions": _sorted(_executions())})


def of_slack(servers: InlineServers, *, texts: bool) -> str:
    """A digest of the messages in Slack: of their texts too, or only of where they are, and of what is recorded of
    them: which are known, and which incidents people were not told of."""
    recorded = sorted(
        [str(item["pk"]), str(item["sk"])]
        for item in _every_item()
        if "slack" in item or item["pk"] == {"S": undelivered_key("")["pk"]}
    )
    messages = [one for one in servers.slack.workspace.messages if not one.deleted]
    shown = [[one.channel, *([one.versions[-1].text, one.versions[-1].blocks] if texts else [])] for one in messages]
    return _digest([_sorted(shown), by_chance(json.dumps(recorded))])


def change_of(record: Any) -> Any:
    """Which item a record of a table's stream is about, and how it is then, without what is kept of Slack."""
    image = record["dynamodb"].get("NewImage", {})
    return {name: value for name, value in image.items() if name not in _SLACK}


def tries() -> str:
    """How often each running execution has tried its state before."""
    contexts = [_CONTEXTS.get(one["executionArn"], {}) for one in _running_executions()]
    return json.dumps(sorted(str(context.get("State", {}).get("RetryCount")) for context in contexts))


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


@lru_cache(100_000)
def decisive(text: str) -> str:
    """A JSON document without ids, times, and what only people read."""
    return by_chance(json.dumps(_without_prose(json.loads(text)), sort_keys=True))


def _without_prose(value: Any) -> Any:
    """JSON in a string is looked into, however deep."""
    if isinstance(value, dict):
        plain = {key: _without_prose(inner) for key, inner in value.items() if key not in _NOT_DECISIVE}
        return {**plain, **_without_class(value)}
    if isinstance(value, list):
        return [_without_prose(inner) for inner in value if not _of_facts_unread(inner)]
    if not isinstance(value, str):
        return value
    if value[:1] in ("{", "["):
        try:
            return _without_prose(json.loads(value))
        except ValueError:
            return value
    return "*" if _ERROR_TEXT.search(value) else value


def _without_class(value: dict[str, Any]) -> dict[str, Any]:
    """What counts of a document about an error that a fault caused. Before the state machine has it: whether it tries
    again, and whether it has a name for that error. Once it was caught: nothing, its class is put into words only."""
    texts = [name for name in _TEXTS if name in value]
    if not texts or not _ERROR_TEXT.search(json.dumps([value[name] for name in texts], default=str)):
        return {}
    if "errorType" in value:
        return {"errorType": _as_the_machines_see(str(value["errorType"]))}
    return {name: "*" for name in ("Error", "error", *texts) if name in value}


def _as_the_machines_see(error: str) -> str:
    if error in _TRIED_AGAIN:
        return "tried again"
    return error if error in _NAMED else "final"


def _named_by_the_machines() -> tuple[set[str], set[str]]:
    """The errors that every function's state tries again at once, and all that a state machine names."""
    lists = [
        tuple(entry["ErrorEquals"])
        for name in definitions.NAMES
        for state in definitions.states(definitions.load(name)).values()
        for entry in (*state.get("Retry", ()), *state.get("Catch", ()))
    ]
    [tried] = {names for names in lists if Transient.__name__ in names}
    return set(tried), {name for names in lists for name in names}


_TRIED_AGAIN, _NAMED = _named_by_the_machines()


def _of_facts_unread(value: Any) -> bool:
    return isinstance(value, dict) and value.get("id") == "facts-unread"


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
    return sorted(decisive(json.dumps(item, sort_keys=True, default=str)) for item in items)


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


def _every_item() -> list[dict[str, Any]]:
    from ministack.services import dynamodb  # noqa: PLC0415

    tables = [table["items"] for table in dynamodb._tables._data.values()]
    return [item for items in tables for under in items.values() for item in under.values()]


def _items() -> list[dict[str, Any]]:
    every = _every_item()
    planned = {str(item["pk"]) for item in every if "plan" in item}
    return [
        {name: value for name, value in item.items() if name not in _SLACK}
        | ({"body": _facts(str(item["body"]["B"]), str(item["pk"]) in planned)} if "body" in item else {})
        for item in every
    ]


@lru_cache(10_000)
def _facts(body: str, planned: bool) -> Any:
    """The facts that an incident was diagnosed from; of what could not be read which it was, but not why."""
    facts = json.loads(zlib.decompress(base64.b64decode(body)))
    if planned:
        return {name: facts.get(name) for name in READ_AGAIN}
    return {**facts, "unread": [str(fact).partition(":")[0] for fact in facts.get("unread", ())]}


def _running_executions() -> list[Any]:
    from ministack.services import stepfunctions  # noqa: PLC0415

    return [one for one in stepfunctions._executions._data.values() if one["status"] == "RUNNING"]


def _executions() -> list[Any]:
    """Of those that run: the state that each is in, what came into it, and its variables."""
    executions = []
    for one in _running_executions():
        entered = [event for event in one["events"] if "stateEnteredEventDetails" in event]
        context = _CONTEXTS.get(one["executionArn"], {})
        executions.append([entered[-1]["stateEnteredEventDetails"] if entered else None, context.get("variables")])
    return executions


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
