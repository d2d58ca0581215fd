"""The address ledger: who holds which block, so that no two reservations ever overlap, whatever their sizes.

One DynamoDB table, keys `pk` and `sk` (strings), no index, no TTL:

    BLOCKS#<scope>   100.064.016.000/20   a reservation: held_by, reserved_at, detail
    BLOCKS#<scope>   100.064.000.000/16   a marker: `below` counts the reservations inside this larger block
    OWNER#<owner>    BLOCK                the same reservation, found by its owner

Blocks are /16 to /28 (AWS's limits) and aligned, so two of them overlap only if one contains the other. A
reservation is one transaction: it puts the block on condition that the key is vacant (no reservation, and no marker,
hence none inside), adds one to the marker of each larger block up to the /16 on condition that it is not reserved, and
puts the owner's item on condition that the owner has none. A release is the reverse; it deletes the markers that would
count nothing, so an empty ledger is an empty table. Transactions of different /16s share no item and never contend.

All blocks of a scope share a partition key: reading 100.64.0.0/10 is one Query instead of one for each of 64 /16s, and
the 1,000 write units a second that a partition takes are some 50 reservations a second, where a few a day are made.

Lost answers are harmless. boto3 repeats a transaction under one ClientRequestToken, which DynamoDB applies once; who
calls again after that finds the block by its owner.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import IPv4Address, IPv4Network
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import ClientError

from ip_remediator.clients.aws.errors import aws_call
from ip_remediator.common.cidr import LARGEST_PREFIX, SMALLEST_PREFIX, free_blocks
from ip_remediator.common.errors import Transient

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

    from ip_remediator.common.clock import Clock

# Everything that is to be unique across VPCs: CIDRs that may one day be peered or routed to each other.
ACCOUNT = "account"
TRIES = 12
# Seconds: the first pause is at most the first, later ones double up to the second; about 4 s in all.
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
# After a lost race the choice is among 4, 16, 64, 256 free blocks, so that a crowd spreads out.
SPREAD, WIDEST_SPREAD = 4, 256
# What DynamoDB names as the reason of a cancelled transaction when the same one may pass later.
_PASSING = {"ConditionalCheckFailed", "TransactionConflict", "ProvisionedThroughputExceeded", "ThrottlingError"}
_NAMED_IN_MESSAGES = 5
_RANDOM = random.SystemRandom()

T = TypeVar("T")


class PoolExhausted(Exception):
    """The pool has no free block of the size. `reason` says in words what fills it."""

    def __init__(self, pool: IPv4Network, prefix: int, reason: str) -> None:
        super().__init__(f"no free /{prefix} in {pool}: {reason}")
        self.reason = reason


class BlockTaken(Exception):
    """The requested block can't be reserved; the message names the reservations in its way."""


class LedgerContention(Transient):
    """Others wrote to the same blocks at the same time, and all tries were used up. The same call may pass later.

    `reasons` are DynamoDB's, one for each action of the transaction, in DynamoDB's own typed JSON.
    """

    def __init__(self, message: str, reasons: Sequence[Mapping[str, Any]]) -> None:
        super().__init__(message)
        self.reasons = reasons


@dataclass(frozen=True)
class Reservation:
    """A block and its owner. `detail` is the caller's own (cluster, VPC, ...), kept as given."""

    block: IPv4Network
    owner: str
    scope: str
    reserved_at: datetime
    detail: Mapping[str, str] = field(default_factory=dict)


class Ledger:
    """Reserves and releases blocks; see the module for the table.

    A scope is a space of addresses of its own: blocks of different scopes may overlap. CIDRs for VPCs share the scope
    `ACCOUNT`; parts of a CIDR that a VPC already has, itself perhaps a reservation, are kept in a scope of that VPC.
    An owner (an incident) holds at most one block.

    All methods raise the errors of `common.errors` besides their own.
    """

    def __init__(self, table: Table, clock: Clock, pause: Callable[[float], None] = time.sleep) -> None:
        self._client = table.meta.client
        self._table = table.name
        self._clock = clock
        self._pause = pause

    def reserve(
        self,
        owner: str,
        pool: IPv4Network,
        prefix: int,
        taken: Iterable[IPv4Network] = (),
        *,
        scope: str = ACCOUNT,
        detail: Mapping[str, str] | None = None,
    ) -> IPv4Network:
        """The lowest free block of length `prefix` inside `pool` that overlaps nothing reserved and nothing `taken`.

        An owner that holds a block gets that block, whatever it asks for: a repeated call must change nothing. To get
        another size, release the block first.

        Raises:
            PoolExhausted: no such block is free.
            LedgerContention: too many others reserve in the pool at this moment.
            ValueError: the owner is empty, or `prefix` is not 16 to 28.
        """
        _check(owner, prefix)
        excluded = tuple(taken)

        def attempt(number: int) -> IPv4Network:
            reservations = self.reserved(pool, scope=scope)
            obstacles = [*excluded, *(reservation.block for reservation in reservations)]
            free = free_blocks(pool, obstacles, prefix)
            candidates = list(islice(free, min(SPREAD**number, WIDEST_SPREAD)))
            if not candidates:
                own = self.reservation_of(owner)
                if own:
                    return own.block
                raise PoolExhausted(pool, prefix, _in_words(pool, prefix, excluded, reservations))
            block = _RANDOM.choice(candidates)
            return self._claim(Reservation(block, owner, scope, self._clock(), detail or {}))

        return self._until_settled(attempt)

    def reserve_exactly(
        self, owner: str, block: IPv4Network, *, scope: str = ACCOUNT, detail: Mapping[str, str] | None = None
    ) -> IPv4Network:
        """Reserves the `block` that an operator chose.

        Raises:
            BlockTaken: it overlaps a reservation, or the owner holds another block.
            LedgerContention, ValueError: as `reserve`.
        """
        try:
            reserved = self.reserve(owner, block, block.prefixlen, scope=scope, detail=detail)
        except PoolExhausted as error:
            raise BlockTaken(f"{block} cannot be reserved for {owner}: {error.reason}") from error
        if reserved != block:
            raise BlockTaken(f"{owner} holds {reserved} already: release it before reserving {block}")
        return reserved

    def reserved(self, pool: IPv4Network, *, scope: str = ACCOUNT) -> list[Reservation]:
        """All reservations that overlap `pool`, lowest address first, read consistently."""
        # A reservation that contains the pool starts before it, but not before the pool's /16.
        first = IPv4Address(int(pool.network_address) >> 32 - LARGEST_PREFIX << 32 - LARGEST_PREFIX)
        span = {":first": _sortable(first), ":last": _sortable(pool.broadcast_address)}
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="pk = :scope AND sk BETWEEN :first AND :last",
            FilterExpression="attribute_exists(held_by)",
            ExpressionAttributeValues={":scope": f"BLOCKS#{scope}", **span},
            ConsistentRead=True,
        )
        with aws_call("Query Ledger"):
            items = [item for page in pages for item in page["Items"]]
        reservations = (_reservation(item) for item in items)
        return [reservation for reservation in reservations if reservation.block.overlaps(pool)]

    def reservation_of(self, owner: str) -> Reservation | None:
        """The owner's reservation, read consistently; None if it has none."""
        with aws_call("GetItem Ledger"):
            answer = self._client.get_item(TableName=self._table, Key=_owner_key(owner), ConsistentRead=True)
        return _reservation(answer["Item"]) if "Item" in answer else None

    def release(self, owner: str) -> bool:
        """Frees the owner's block; False when it held none.

        Raises:
            LedgerContention: too many others write to the block's /16 at this moment.
        """

        def attempt(number: int) -> bool:
            reservation = self.reservation_of(owner)
            if reservation is None:
                return number > 0  # it was there, and an earlier try or a twin of this call released it
            self._transact(f"release {reservation.block}", self._releasing(reservation))
            return True

        return self._until_settled(attempt)

    def _claim(self, wanted: Reservation) -> IPv4Network:
        """The owner's block after the transaction: the wanted one, or the one it turns out to hold."""
        try:
            self._transact(f"reserve {wanted.block}", self._reserving(wanted))
        except LedgerContention as contention:
            own_item = contention.reasons[-1].get("Item")
            if own_item:
                return IPv4Network(own_item["cidr"]["S"])
            raise
        return wanted.block

    def _reserving(self, wanted: Reservation) -> list[TransactWriteItemTypeDef]:
        """The actions of a reservation. The owner's is the last, and the only one to report what is there already."""
        markers = (_block_key(wanted.scope, larger) for larger in _larger(wanted.block))
        attributes: dict[str, Any] = {
            "cidr": str(wanted.block),
            "held_by": wanted.owner,
            "scope": wanted.scope,
            "reserved_at": wanted.reserved_at.isoformat(),
            "detail": dict(wanted.detail),
        }
        return [
            {
                "Put": {
                    "TableName": self._table,
                    "Item": {**_block_key(wanted.scope, wanted.block), **attributes},
                    "ConditionExpression": "attribute_not_exists(pk)",
                }
            },
            *(self._count_up(marker) for marker in markers),
            {
                "Put": {
                    "TableName": self._table,
                    "Item": {**_owner_key(wanted.owner), **attributes},
                    "ConditionExpression": "attribute_not_exists(pk)",
                    "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
                }
            },
        ]

    def _releasing(self, reservation: Reservation) -> list[TransactWriteItemTypeDef]:
        markers = [_block_key(reservation.scope, larger) for larger in _larger(reservation.block)]
        counts = self._counts(markers)
        block, owner = _block_key(reservation.scope, reservation.block), _owner_key(reservation.owner)
        return [
            self._delete(block, "held_by = :expected", reservation.owner),
            *(self._count_down(marker, below) for marker, below in zip(markers, counts, strict=True)),
            self._delete(owner, "cidr = :expected", str(reservation.block)),
        ]

    def _counts(self, markers: Sequence[Mapping[str, str]]) -> list[int]:
        if not markers:
            return []
        with _contention("read the markers"):
            answer = self._client.transact_get_items(
                TransactItems=[{"Get": {"TableName": self._table, "Key": marker}} for marker in markers]
            )
        items: list[Mapping[str, Any]] = [response.get("Item", {}) for response in answer["Responses"]]
        return [int(item.get("below", 0)) for item in items]

    def _count_up(self, marker: Mapping[str, str]) -> TransactWriteItemTypeDef:
        return {
            "Update": {
                "TableName": self._table,
                "Key": marker,
                "UpdateExpression": "ADD below :one",
                "ConditionExpression": "attribute_not_exists(held_by)",
                "ExpressionAttributeValues": {":one": 1},
            }
        }

    def _count_down(self, marker: Mapping[str, str], below: int) -> TransactWriteItemTypeDef:
        """Decrements a marker whose count was `below` when read; the last reservation deletes it."""
        if below == 1:
            return self._delete(marker, "below = :expected", 1)
        return {
            "Update": {
                "TableName": self._table,
                "Key": marker,
                "UpdateExpression": "ADD below :minus_one",
                "ConditionExpression": "below > :one",
                "ExpressionAttributeValues": {":minus_one": -1, ":one": 1},
            }
        }

    def _delete(self, key: Mapping[str, str], condition: str, expected: str | int) -> TransactWriteItemTypeDef:
        return {
            "Delete": {
                "TableName": self._table,
                "Key": key,
                "ConditionExpression": condition,
                "ExpressionAttributeValues": {":expected": expected},
            }
        }

    def _transact(self, doing: str, actions: Sequence[TransactWriteItemTypeDef]) -> None:
        with _contention(doing):
            self._client.transact_write_items(TransactItems=actions)

    def _until_settled(self, attempt: Callable[[int], T]) -> T:
        """Calls `attempt` until it meets no contention. Its argument is the number of earlier attempts."""
        for number in range(TRIES - 1):
            try:
                return attempt(number)
            except LedgerContention:
                self._pause(_RANDOM.uniform(0, min(FIRST_PAUSE * 2**number, LONGEST_PAUSE)))
        return attempt(TRIES - 1)


@contextmanager
def _contention(doing: str) -> Iterator[None]:
    """Raises LedgerContention for a transaction that DynamoDB cancelled and that may pass when tried again."""
    with aws_call(f"Ledger, {doing}"):
        try:
            yield
        except ClientError as error:
            reasons = error.response.get("CancellationReasons", [])
            codes = {reason.get("Code", "None") for reason in reasons} - {"None"}
            if not codes or not codes <= _PASSING:
                raise
            message = f"could not {doing}, others write there at the same time ({', '.join(sorted(codes))})"
            raise LedgerContention(message, reasons) from error


def _check(owner: str, prefix: int) -> None:
    if not owner:
        raise ValueError("owner is empty: name who reserves, the incident's id for example")
    if not LARGEST_PREFIX <= prefix <= SMALLEST_PREFIX:
        raise ValueError(f"prefix is {prefix}: AWS takes blocks of /{LARGEST_PREFIX} to /{SMALLEST_PREFIX}")


def _larger(block: IPv4Network) -> list[IPv4Network]:
    """The blocks that contain `block`, from the /16 down."""
    return [block.supernet(new_prefix=prefix) for prefix in range(LARGEST_PREFIX, block.prefixlen)]


def _block_key(scope: str, block: IPv4Network) -> dict[str, str]:
    return {"pk": f"BLOCKS#{scope}", "sk": f"{_sortable(block.network_address)}/{block.prefixlen}"}


def _owner_key(owner: str) -> dict[str, str]:
    return {"pk": f"OWNER#{owner}", "sk": "BLOCK"}


def _sortable(address: IPv4Address) -> str:
    """The address with three digits for each byte, so that text sorts as addresses do."""
    return ".".join(f"{byte:03d}" for byte in address.packed)


def _reservation(item: Mapping[str, Any]) -> Reservation:
    return Reservation(
        block=IPv4Network(item["cidr"]),
        owner=item["held_by"],
        scope=item["scope"],
        reserved_at=datetime.fromisoformat(item["reserved_at"]),
        detail=item["detail"],
    )


def _in_words(
    pool: IPv4Network, prefix: int, excluded: Iterable[IPv4Network], reservations: Iterable[Reservation]
) -> str:
    """What uses the pool, for people: names the largest ranges and counts the rest."""
    if prefix < pool.prefixlen:
        return "the pool is smaller than that"
    inside = {network for network in excluded if network.overlaps(pool)}
    owners = {reservation.block: reservation.owner for reservation in reservations}
    return (
        f"reserved {_list({block: f'{block} by {owner}' for block, owner in owners.items()})}; "
        f"excluded {_list({network: str(network) for network in inside})}"
    )


def _list(names: Mapping[IPv4Network, str]) -> str:
    largest_first = [names[block] for block in sorted(names, key=lambda block: (block.prefixlen, block))]
    more = len(names) - _NAMED_IN_MESSAGES
    named = ", ".join(largest_first[:_NAMED_IN_MESSAGES]) or "nothing"
    return f"{named} and {more} more" if more > 0 else named
