"""EKS: one Kubernetes API server stands behind every cluster, and updates of add-ons can be watched."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from ministack.services import eks

from local.aws.corrections import eks_addons
from local.aws.corrections.guard import original, replace
from local.aws.settings import WEBHOOK_SECRET

if TYPE_CHECKING:
    from local.aws.settings import Settings


def install(settings: Settings) -> None:
    """Restore what EKS answers about its clusters and add-ons."""
    announce_api_server(settings)
    eks_addons.install(settings.associating_seconds)


def announce_api_server(settings: Settings) -> None:
    """A cluster is ACTIVE with a reachable endpoint and its CA; MiniStack without Docker has neither."""
    create = original(eks, "_create_cluster")
    clusters = original(eks, "_clusters")
    authority = base64.b64encode(settings.ca_file.read_bytes()).decode()

    def create_cluster(body: dict[str, Any], creator_arn: str | None = None) -> Any:
        answer = create(body, creator_arn)
        if answer[0] < 300:
            clusters[body["name"]].update(
                endpoint=f"https://localhost:{settings.eks_endpoint_port}",
                certificateAuthority={"data": authority},
                status="ACTIVE",
                _auth_token=WEBHOOK_SECRET,
            )
        return answer

    replace(eks, "_create_cluster", create_cluster)
