"""EC2's eventual consistency: new resources and tags become visible after a delay, if the settings ask for one.

Source: "Eventual consistency in the Amazon EC2 API" (eventual-consistency.html). Three
settings of ``local/aws/switches.py`` delay three views of new subnets, VPC CIDRs, network interfaces and tags: Describe
calls, calls that name a new resource, and the conditions of IAM.
"""

# ruff: noqa: SLF001 - a layer over moto works on its models, whose state is private

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from local.aws.ec2 import errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.aws.switches import Switches

LONG_AGO = float("-inf")
# The error of a call on a resource that is not there yet, by the prefix of its id (errors-overview.html).
NOT_FOUND = {
    "subnet": ("InvalidSubnetID.NotFound", "The subnet ID '{}' does not exist"),
    "eni": ("InvalidNetworkInterfaceID.NotFound", "The networkInterface ID '{}' does not exist"),
    "vpc-cidr-assoc": ("InvalidVpcCidrBlockAssociationID.NotFound", "The association ID '{}' does not exist"),
}
# The VPC CNI calls these right after it made an ENI and never again (v1.23.1, pkg/awsutils, AllocENI and attachENI). It
# works on every cluster, so they find a new ENI at once.
FIND_AT_ONCE = frozenset({"AttachNetworkInterface", "ModifyNetworkInterfaceAttribute"})


class Consistency:
    """Layer over moto's EC2Backend; ``Any`` stands for moto's models, which are not typed for subclassing."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        # When a resource (its id) or a tag (id, key, value) came into being, as far as somebody asked for delays.
        self._born: dict[Any, float] = {}
        super().__init__(*arguments, **keywords)

    @contextmanager
    def seen_late(self, action: str, named: set[str], switches: Switches) -> Iterator[None]:
        """Answer the calls inside as EC2 does shortly after a change. ``named``: values of the call's parameters.

        Raises the NotFound error of a resource that the call names and that is too new for it.
        """
        if not any((switches.ec2_reads_after_seconds, switches.ec2_writes_after_seconds, self._policies(switches))):
            yield
            return
        self._note(LONG_AGO)
        try:
            if action.startswith("Describe"):
                seconds = 0.0 if _asks_metadata(action, named) else switches.ec2_reads_after_seconds
                with self._without(self._younger_than(seconds)):
                    yield
            else:
                new = self._younger_than(switches.ec2_writes_after_seconds)
                if action not in FIND_AT_ONCE:
                    self._refuse(named & {one for one in new if isinstance(one, str)})
                with self._without_cidrs(new):
                    yield
        finally:
            self._note(time.monotonic())

    def tags_older_than(self, resource_id: str, seconds: float) -> dict[str, str]:
        """Tags of a resource that have been there for ``seconds``."""
        tags = dict(self.tags.get(resource_id, {}))  # type: ignore[attr-defined]
        if not seconds:
            return tags
        latest = time.monotonic() - seconds
        return {
            key: value for key, value in tags.items() if self._born.get((resource_id, key, value), LONG_AGO) <= latest
        }

    def _policies(self, switches: Switches) -> float:
        return switches.ec2_policies_see_after_seconds

    def _note(self, now: float) -> None:
        """Record ``now`` as the time of creation of everything that is not recorded yet."""
        for subnets in self.subnets.values():  # type: ignore[attr-defined]
            for one in subnets:
                self._born.setdefault(one, now)
        for one in self.enis:  # type: ignore[attr-defined]
            self._born.setdefault(one, now)
        for vpc in self.vpcs.values():  # type: ignore[attr-defined]
            for one in vpc._cidr_block_association_set:
                self._born.setdefault(one, now)
        for resource_id, tags in self.tags.items():  # type: ignore[attr-defined]
            for key, value in tags.items():
                self._born.setdefault((resource_id, key, value), now)

    def _younger_than(self, seconds: float) -> set[Any]:
        latest = time.monotonic() - seconds
        return {one for one, born in self._born.items() if born > latest} if seconds else set()

    @staticmethod
    def _refuse(new: set[str]) -> None:
        for one in sorted(new):
            code, message = NOT_FOUND[one.rpartition("-")[0]]
            raise errors.ClientError(code, message.format(one))

    @contextmanager
    def _without(self, new: set[Any]) -> Iterator[None]:
        """Hide ``new`` resources and tags from a call that only reads."""
        subnets = {
            zone: {key: one for key, one in entries.items() if key not in new}
            for zone, entries in self.subnets.items()  # type: ignore[attr-defined]
        }
        enis = {key: one for key, one in self.enis.items() if key not in new}  # type: ignore[attr-defined]
        tags = {
            key: {name: value for name, value in entries.items() if (key, name, value) not in new}
            for key, entries in self.tags.items()  # type: ignore[attr-defined]
        }
        with ExitStack() as stack:
            for name, shown in (("subnets", subnets), ("enis", enis), ("tags", _like(self.tags, tags))):  # type: ignore[attr-defined]
                stack.enter_context(_swapped(self, name, shown))
            for acl in self.network_acls.values():  # type: ignore[attr-defined]
                kept = {key: one for key, one in acl._associations.items() if one.subnet_id not in new}
                stack.enter_context(_swapped(acl, "_associations", kept))
            stack.enter_context(self._without_cidrs(new))
            yield

    @contextmanager
    def _without_cidrs(self, new: set[Any]) -> Iterator[None]:
        with ExitStack() as stack:
            for vpc in self.vpcs.values():  # type: ignore[attr-defined]
                shown = {key: one for key, one in vpc._cidr_block_association_set.items() if key not in new}
                if len(shown) < len(vpc._cidr_block_association_set):
                    stack.enter_context(_swapped(vpc, "_cidr_block_association_set", shown))
            yield


def _asks_metadata(action: str, named: set[str]) -> bool:
    """Whether it is the question by which the simulated ipamd reads the metadata of its instance (IMDS), which is no
    part of EC2's API: the interfaces of an instance, whatever their subnets."""
    return action == "DescribeNetworkInterfaces" and "attachment.instance-id" in named and "subnet-id" not in named


def _like(original: Any, content: dict[Any, Any]) -> Any:
    """A dictionary of the kind of ``original`` (moto's tags are a defaultdict) with ``content``."""
    made = original.copy()
    made.clear()
    made.update(content)
    return made


@contextmanager
def _swapped(owner: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)
