"""Tags of subnets that were there before: set for a plan, and put back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ip_remediator.clients.aws.errors import aws_call
from ip_remediator.clients.aws.tags import as_dict, as_list
from ip_remediator.clients.gone import unless_gone
from ip_remediator.common.errors import NotFound

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client


class SubnetTags:
    """Raises the errors of `common.errors`."""

    def __init__(self, ec2: EC2Client) -> None:
        self._ec2 = ec2

    def of(self, subnet_id: str) -> dict[str, str]:
        """Raises NotFound: the subnet is not there."""
        present = self._find(subnet_id)
        if present is None:
            raise NotFound(f"there is no subnet {subnet_id} any more")
        return present

    def _find(self, subnet_id: str) -> dict[str, str] | None:
        filters: Any = [{"Name": "subnet-id", "Values": [subnet_id]}]
        with aws_call("DescribeSubnets"):
            subnets = self._ec2.describe_subnets(Filters=filters)["Subnets"]
        return as_dict(subnets[0].get("Tags")) if subnets else None

    def put(self, subnet_id: str, wanted: Mapping[str, str | None]) -> None:
        """Sets these tags, and takes off those that are None; what is so already is not written.

        Raises:
            NotFound: the subnet is not there.
        """
        present = self.of(subnet_id)
        setting = {key: value for key, value in wanted.items() if value is not None and present.get(key) != value}
        taking = [key for key, value in wanted.items() if value is None and key in present]
        if setting:
            with aws_call("CreateTags"):
                self._ec2.create_tags(Resources=[subnet_id], Tags=as_list(setting))
        if taking:
            tags: Any = [{"Key": key} for key in taking]
            with aws_call("DeleteTags"):
                self._ec2.delete_tags(Resources=[subnet_id], Tags=tags)

    def put_back(self, subnet_id: str, wanted: Mapping[str, str | None]) -> bool:
        """As `put`. False: somebody deleted the subnet, so there is nothing to put back."""
        with unless_gone(lambda: self._find(subnet_id) is not None) as subnet:
            self.put(subnet_id, wanted)
        return not subnet.gone
