"""The command line settings of one run of the local AWS."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ACCOUNT_ID = "000000000000"
DEFAULT_REGION = "ap-northeast-2"

# These act as the account's root user. MiniStack does not check root's signature, so the pair protects
# nothing: it is public, and the server listens on loopback only.
ROOT_ACCESS_KEY_ID = "test"
ROOT_SECRET_ACCESS_KEY = "test"  # noqa: S105

# Part of the token webhook's URL. On AWS the webhook is inside the control plane; here the Kubernetes API
# server must be able to know the URL before the cluster exists, so the secret is a fixed, public word.
WEBHOOK_SECRET = "local-eks-token-webhook"  # noqa: S105

# Of a cluster whose Kubernetes API listens on another port than the stack's: two clusters at once.
ENDPOINT_PORT_TAG = "local:endpoint-port"


@dataclass(frozen=True)
class Settings:
    """Settings of one run; see ``python -m local.aws --help`` for their meaning."""

    state_dir: Path
    ca_file: Path
    port: int = 4566
    eks_endpoint_port: int = 6443
    region: str = DEFAULT_REGION
    wait_scale: float = 1.0
    associating_seconds: float = 0.5
    log: Path | None = None
    code_dir: Path | None = None


def token_webhook_url(port: int, region: str, cluster: str) -> str:
    """URL to which a Kubernetes API server posts TokenReviews of ``cluster`` (any cluster name, even a future one).

    It answers as the webhook inside the EKS control plane does: a token "k8s-aws-v1.<base64url of a presigned
    STS GetCallerIdentity URL>" authenticates as the access entry of the caller's role, with its groups.
    """
    return f"http://127.0.0.1:{port}/_ministack/eks-auth/{ACCOUNT_ID}/{region}/{cluster}/{WEBHOOK_SECRET}"
