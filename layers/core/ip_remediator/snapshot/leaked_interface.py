"""The one document of a snapshot that plans hold as well: apart, so that a plan is read without the whole snapshot."""

from __future__ import annotations

from ip_remediator.common.document import Count, Document


class LeakedInterface(Document):
    """A leaked ENI, which the CNI left behind: status `available`, description `aws-K8S-*`.

    `cluster` and `instance_id` are what its tags `cluster.k8s.amazonaws.com/name` and
    `node.k8s.amazonaws.com/instance_id` say: whose it was.
    """

    id: str
    subnet_id: str
    addresses: Count = 1
    cluster: str | None = None
    instance_id: str | None = None
